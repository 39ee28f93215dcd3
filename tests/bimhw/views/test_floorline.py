"""The floorline is drawn for steps that different terms bind, and refuses other endings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bimhw.views.floorline_plot import plot_floorline
from simulator.base.errors import InputError
from simulator.timing.terms import StepTerms


def test_a_picture_of_steps_bound_by_two_terms(tmp_path: Path) -> None:
    ns = np.array([[10.0, 5, 20, 300, 4], [900.0, 5, 20, 300, 4], [10.0, 5, 20, 30, 4]])
    terms = StepTerms(ns, 100.0, np.array([300, 300, 30]), np.array([450.0, 1300, 160]))
    assert terms.binding == ["synapses", "neurons", "barrier"]
    for ending in (".png", ".svg"):
        path = tmp_path / f"f{ending}"
        plot_floorline(terms, 1.0, "three steps", path)
        assert path.stat().st_size > 5000
    with pytest.raises(InputError, match=r"must end in"):
        plot_floorline(terms, 1.0, "", tmp_path / "f.txt")

"""The floorline is drawn for steps that different terms bind, and refuses other endings."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bimhw.views.figure import plain_ticks
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


@pytest.mark.parametrize(
    ("low", "high", "numbers"), [(17, 470, "20 50 100 200"), (30, 80, "30 40 50 60 70 80"), (0.02, 5e4, "")]
)
def test_logarithmic_axes_have_plain_numbers_that_do_not_touch(low: float, high: float, numbers: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set(xscale="log", xlim=(low, high))
    plain_ticks(axes.xaxis)
    figure.draw_without_rendering()  # type: ignore[no-untyped-call]
    labels = [t for t in axes.xaxis.get_ticklabels(which="both") if t.get_text() and low <= t.get_position()[0] <= high]
    assert not numbers or [t.get_text() for t in labels] == numbers.split()
    ends = [t.get_window_extent() for t in labels]
    assert len(ends) > 2
    assert all(a.x1 < b.x0 for a, b in pairwise(sorted(ends, key=lambda e: float(e.x0))))

"""exp and log1p of the compiled loops against extended precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bimhw.models.bim.elementary import exp_below, exp_below_single, log1p_unit, log1p_unit_single

EXPONENTS = np.concatenate([-np.geomspace(1e-12, 700, 400), np.linspace(-3, 3, 41), [0.0]])
UNIT = np.concatenate([np.geomspace(1e-12, 1, 400), [0.0]])


@pytest.mark.parametrize(
    ("function", "kind", "domain", "exact"),
    [
        (exp_below, np.float64, EXPONENTS, np.exp),
        (exp_below_single, np.float32, EXPONENTS[EXPONENTS > -87], np.exp),
        (log1p_unit, np.float64, UNIT, np.log1p),
        (log1p_unit_single, np.float32, UNIT, np.log1p),
    ],
)
def test_within_three_units_in_the_last_place(function: Any, kind: Any, domain: Any, exact: Any) -> None:
    x = domain.astype(kind)
    right = exact(x.astype(np.longdouble))
    found = np.array([function(v) for v in x], np.longdouble)
    assert np.all(np.abs(found - right) <= 3 * np.finfo(kind).eps * np.abs(right))


def test_the_ends_of_the_range() -> None:
    assert exp_below(-np.inf) == 0
    assert exp_below_single(np.float32(-np.inf)) == 0
    assert exp_below(-744.9) == 5e-324  # the smallest denormal number
    assert exp_below_single(np.float32(-103.0)) == np.float32(1.4e-45)

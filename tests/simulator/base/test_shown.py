"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.base.shown import short, si, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1012.4, "1,010"),
        (999.6, "1,000"),
        (36.04, "36"),
        (0.00012345, "0.000123"),
        (1.5e12, "1.5e+12"),
        (-20481.0, "-20,500"),
    ],
)
def test_three_digits(value: float, text: str) -> None:
    assert significant(value, 3) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9.999e-7, "1 µJ"),
        (1.2e-6, "1.2 µJ"),
        (0.0, "0 J"),
        (-3.4e-3, "-3.4 mJ"),
        (999.4, "999 J"),
        (999.9, "1 kJ"),
        (math.inf, "inf J"),
    ],
)
def test_si(value: float, text: str) -> None:
    assert si(value, "J") == text


@given(st.floats(1e-17, 1e14))
def test_si_never_shows_an_exponent_and_is_near(value: float) -> None:
    number, unit = si(value, "J").split(" ")
    factor = {
        "a": 1e-18,
        "f": 1e-15,
        "p": 1e-12,
        "n": 1e-9,
        "µ": 1e-6,
        "m": 1e-3,
        "": 1.0,
        "k": 1e3,
        "M": 1e6,
        "G": 1e9,
        "T": 1e12,
    }
    assert "e" not in number
    assert float(number) * factor[unit.removesuffix("J")] == pytest.approx(value, rel=6e-3)


@given(st.floats(1e-3, 1e9))
def test_significant_reads_back(value: float) -> None:
    assert float(significant(value, 4).replace(",", "")) == pytest.approx(value, rel=6e-4)


def test_short() -> None:
    assert [short(v) for v in (None, True, 12345, 12345.6, "x")] == ["unknown", "yes", "12,345", "12,350", "x"]

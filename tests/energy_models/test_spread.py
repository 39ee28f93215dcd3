"""Ranges and words of sums: equal to loops over the items, in every grouping."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_models.items import Counts, EnergyReport, Grouping, Item
from energy_models.spread import TELLS, WEAKEST, spread, trust
from simulator.chips.quantity import Quantity

CORES, STEPS, POPULATIONS = 4, 3, 2


@st.composite
def reports(draw: st.DrawFn) -> EnergyReport:
    """Draw reports of some items, with unknown constants, constants without ranges, and powers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    items = []
    for k in range(draw(st.integers(0, 6))):
        unit = str(rng.choice(["pJ", "mW"]))
        known, ranged = rng.random() < 0.8, rng.random() < 0.6
        value = float(rng.choice([0.001, 1.0, 50.0])) if known else None
        low, high = (0.5 * (value or 0.0), 2.0 * (value or 3.0)) if ranged else (None, None)
        constant = Quantity(value, unit, "a source", str(rng.choice(WEAKEST)), low=low, high=high)  # type: ignore[arg-type]
        total = int(rng.integers(0, 50))
        arrays = [rng.multinomial(total, np.full(n, 1 / n)).astype(float) for n in (CORES, STEPS, POPULATIONS)]
        kind = str(rng.choice(["dynamic", "static", "host"]))
        items.append(Item(f"i{k}", str(rng.choice(["synapse", "soma"])), kind, "key", Counts(*arrays), constant))  # type: ignore[arg-type]
    return EnergyReport("c", tuple(items), ("p",), STEPS, 2, 7, 0, None, ())


@settings(max_examples=60, deadline=None)
@given(reports())
def test_groups_have_the_ranges_and_words_of_their_items(report: EnergyReport) -> None:
    for grouping in get_args(Grouping):
        groups = report.spread_by(grouping)
        for end, whole in (("low", report.low_pj()), ("nominal", report.energy_pj()), ("high", report.high_pj())):
            assert sum(getattr(s, end) for s in groups.values()) == pytest.approx(whole)
        for k, s in enumerate(groups.values()):
            assert s.low <= s.nominal <= s.high
            if grouping in ("core", "step", "population"):
                shares = [
                    (float(getattr(i.counts, f"by_{grouping}")[k]) * (i.constant.value or 0.0), i) for i in report.items
                ]
                assert s.word == by_hand(shares)
    assert trust(report.items) == spread(report.items).word == by_hand([(i.energy_pj or 0.0, i) for i in report.items])


def by_hand(shares: list[tuple[float, Item]]) -> str:
    """Return the weakest word of the items that have 1 % of a sum; a power is never better than scaled."""
    total, found = sum(pj for pj, _ in shares), "unknown"
    for pj, item in shares:
        words = [item.constant.quality, *(["scaled"] if item.constant.unit == "mW" else [])]
        if pj > 0 and pj >= TELLS * total:
            for word in words:
                if found == "unknown" or WEAKEST.index(word) > WEAKEST.index(found):
                    found = word
    return found


@settings(max_examples=30, deadline=None)
@given(reports())
def test_figures_are_those_without_ranges(report: EnergyReport) -> None:
    figures, spreads = report.figures(), report.spreads()
    assert "soma_pj_per_neuron_update" not in spreads  # no update: nothing to divide by
    for name, s in spreads.items():
        assert s.nominal == pytest.approx(figures[name])
    assert spreads["total_pj"].low == pytest.approx(figures["total_low_pj"])
    assert spreads["dynamic_pj"].high == pytest.approx(figures["dynamic_high_pj"])

"""Energies divided by hand."""

from __future__ import annotations

import pytest

from bimhw.costs.equal_work import equal_work


def test_rows_are_divided_by_what_they_say() -> None:
    rows = [
        {"who": "chip", "what": "inference", "uj": 18.0},
        {"who": "chip", "what": "inference + learning (RTRL, counted)", "uj": 36.0},
        {"who": "gpu", "what": "training (BPTT), batch 256", "uj": 90.0},
        {"who": "gpu", "what": "training (RTRL), batch 4", "uj": 90.0},
    ]
    got = equal_work(rows, steps=18, labelled_steps=4, accuracy=0.9)
    assert [r["uj_per_step"] for r in got] == [1.0, 2.0, 5.0, 5.0]
    assert [r["uj_per_update"] for r in got] == [
        None,
        9.0,
        90.0 * 256,
        90.0,
    ]  # 4 updates of 4 sequences: one a sequence
    assert [r["uj_per_accuracy_percent"] for r in got] == pytest.approx([0.2, 0.4, 1.0, 1.0])


def test_unknown_accuracy_stays_unknown() -> None:
    (row,) = equal_work([{"who": "c", "what": "inference", "uj": 1.0}], 2, 1, None)
    assert row["uj_per_accuracy_percent"] is None

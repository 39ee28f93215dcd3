"""Rows of the comparison: divided by hand, put in words, judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bimhw.costs.rows import ComparisonRow, equal_work, modes, shown, verdict

CHIP = ComparisonRow(
    "chip", "chip", "inference", "simulated", 1, 9.0, 18.0, 27.0, None, None, 5.0, None, 0.0, "assumed", ("spikes",)
)
CARD = ComparisonRow("gpu", "gpu", "inference", "fused", 1, 1.0, 20.0, 20.0, 30.0, 1.0, 1.0, 1.0, 0.0, "assumed")


def test_rows_are_divided_by_what_they_are() -> None:
    rows = [
        CHIP,
        replace(CHIP, work="learning", how="seq", uj=36.0, updates=4.0),
        replace(CARD, work="bptt", batch=256, uj=90.0, updates=1 / 256),
        replace(CARD, work="rtrl", batch=4, uj=90.0, updates=4 / 4),
    ]
    got = equal_work(rows, steps=18, samples=None, accuracy=0.9)
    assert [r["uj_per_step"] for r in got] == [1.0, 2.0, 5.0, 5.0]
    assert [r["uj_per_update"] for r in got] == [None, 9.0, 90.0 * 256, 90.0]
    assert {r["uj_to_accuracy"] for r in got} == {None}  # nothing learnt, so nothing was reached


def test_energy_to_an_accuracy_is_that_of_all_samples_of_the_run_that_reached_it() -> None:
    row, other = equal_work([replace(CHIP, work="learning"), CARD], 2, samples=100, accuracy=0.9)
    assert (row["uj_to_accuracy"], row["accuracy"]) == (1800.0, 0.9)
    assert (other["uj_to_accuracy"], other["accuracy"]) == (None, None)


def test_words_of_a_row_do_not_decide_its_numbers() -> None:
    assert CHIP.what == "inference"
    assert replace(CHIP, batch=14).what == "inference, 14 copies"
    assert replace(CHIP, work="learning", how="seq").what == "inference + learning (RTRL SEQ, counted)"
    assert replace(CARD, work="bptt", batch=256, how="eager").what == "training (BPTT), batch 256, eager"
    assert CHIP.as_json()["unknown"] == ["spikes"] and CHIP.as_json()["what"] == "inference"


def test_the_losing_case_comes_first_and_names_the_batch() -> None:
    rows = [
        CHIP,
        replace(CHIP, batch=3, uj=6.0),
        *(replace(CARD, batch=b, low_uj=u, uj=u, high_uj=u) for b, u in ((1, 28.0), (8, 5.0), (64, 2.0))),
    ]
    first, second = verdict(rows)
    assert first.startswith("LOSES: chip inference, 3 copies 6 µJ, 3 times more than gpu inference, batch 64")
    assert "ahead from batch 8 on" in first
    assert second.startswith("wins: chip inference 18 µJ, 1.56 times less than") and "lack unknown terms" in second
    assert verdict([CHIP]) == []


def test_an_energy_that_nobody_published_wins_nothing() -> None:
    """Its sum is 0, by which the card's was divided: a report of a run on speck or xylo was a traceback."""
    unknown = replace(CHIP, low_uj=0.0, uj=0.0, high_uj=0.0, word="unknown")
    cards = [CARD, replace(CARD, batch=8, uj=3.0)]
    assert verdict([unknown, *cards]) == [
        "undecided: chip inference has no published energy to compare with gpu inference, batch 8, fused bound"
    ]
    known = replace(CHIP, batch=3, uj=6.0)
    assert verdict([unknown, known, *cards]) == verdict([known, *cards])


@pytest.mark.parametrize(
    ("chip", "card", "overlap"),
    [
        ((9.0, 18.0, 27.0), (28.0, 30.0, 40.0), None),  # wins whatever the constants
        ((9.0, 18.0, 27.0), (26.0, 30.0, 40.0), "gpu from 26 µJ, chip to 27 µJ"),
        ((9.0, 18.0, 27.0), (1.0, 2.0, 8.0), None),  # loses whatever the constants
        ((9.0, 18.0, 27.0), (1.0, 2.0, 9.5), "chip from 9 µJ, gpu to 9.5 µJ"),
        ((9.0, 18.0, None), (1.0, 30.0, 40.0), None),  # nothing bounds it: said as what is unknown
    ],
)
def test_a_verdict_says_where_ranges_overlap(
    chip: tuple[float, float, float | None], card: tuple[float, float, float], overlap: str | None
) -> None:
    ends = ("low_uj", "uj", "high_uj")
    rows = [replace(CHIP, **dict(zip(ends, chip, strict=True))), replace(CARD, **dict(zip(ends, card, strict=True)))]  # type: ignore[arg-type]
    (line,) = verdict(rows)
    assert line.startswith("undecided: ") is ("ranges overlap" in line) is (overlap is not None)
    assert overlap is None or overlap in line


def test_what_the_ranges_do_not_decide_stands_between_losses_and_wins() -> None:
    cards = [replace(CARD, how=how, low_uj=low, uj=uj, high_uj=uj) for how, low, uj in
             (("eager", 28.0, 30.0), ("graph", 20.0, 30.0), ("fused", 1.0, 2.0))]  # fmt: skip
    assert [line.partition(":")[0] for line in verdict([CHIP, *cards])] == ["LOSES", "undecided", "wins"]


def test_short_tables_keep_the_chip_one_sample_and_the_best_batch() -> None:
    cards = [replace(CARD, batch=b, uj=u) for b, u in ((1, 20.0), (8, 2.0), (64, 5.0))]
    assert [(r.side, r.batch) for r in shown([CHIP, *cards])] == [("chip", 1), ("gpu", 1), ("gpu", 8)]
    assert verdict([CHIP, replace(cards[0], scan=True)]) == []


@pytest.mark.parametrize("uj", [17.9, 18.1])
def test_a_card_that_costs_less_is_ahead(uj: float) -> None:
    (line,) = verdict([replace(CHIP, low_uj=18.0, high_uj=18.0), replace(CARD, low_uj=uj, uj=uj, high_uj=uj)])
    assert line.startswith("LOSES") is (uj < 18.0)


def test_equal_work_has_both_ends() -> None:
    """Ends divide as the figure does; what nothing bounds stays unknown."""
    row = replace(CHIP, low_uj=9.0, uj=18.0, high_uj=None, work="learning", how="seq", updates=4.0)
    (got,) = equal_work([row], steps=18, samples=None, accuracy=None)
    assert [got[f"{end}uj_per_step"] for end in ("low_", "", "high_")] == [0.5, 1.0, None]
    assert got["low_uj_per_update"] == 9.0 / 4 and got["high_uj_per_sample"] is None


def test_modes_give_the_ends_of_times() -> None:
    chip, card = replace(CHIP, low_us=1.0, us=2.0, high_us=5.0, time_word="scaled"), replace(CARD, batch=1)
    first = modes([chip, card])[0]
    assert (first.chip_low_us, first.chip_us, first.chip_high_us) == (1.0, 2.0, 5.0)
    assert (first.chip_time_word, first.card_time_word) == ("scaled", card.time_word)

"""What a program says of its copies and of its hardware units is held against what it holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapping.copies import replicate
from simulator.base.errors import InputError
from simulator.chips.load import load_chip
from simulator.program.program import Program
from tests.simulator.program.test_chip import program


def forged(source: Program, **meta: object) -> Program:
    return replace(source, meta=dict(source.meta) | meta)


@pytest.mark.parametrize("copies", [0, -1, 2, 2**31, 10**30, "2", 1.5, None, [1]], ids=str)
def test_copies_that_a_program_does_not_hold_are_refused(copies: object) -> None:
    with pytest.raises(InputError, match=r"program: meta.*copies"):
        forged(program(), copies=copies).check()


def test_copies_of_another_number_size_or_name_are_refused() -> None:
    three = replicate(program(), load_chip("loihi2"), 3)
    three.check()
    renamed = tuple(replace(p, name="b#1") if p.name == "a#1" else p for p in three.populations)
    ends = tuple(replace(q, target="b#1") if q.target == "a#1" else q for q in three.projections)
    for bad in (
        forged(three, copies=2),
        forged(three, copies=6),
        replace(three, populations=renamed, projections=ends),
        replace(three, projections=three.projections[:2]),
        replace(three, populations=three.populations[:4], projections=three.projections[:2], core=three.core[:8]),
    ):
        with pytest.raises(InputError, match="copies"):
            bad.check()


@pytest.mark.parametrize("units", [5, [], {"soma": 1}, {"soma": {"a": None}}], ids=str)
def test_units_are_names(units: object) -> None:
    with pytest.raises(InputError, match=r"program: meta.*units"):
        forged(program(), units=units).check()


def test_no_copies_are_one() -> None:
    np.testing.assert_array_equal(forged(program(), copies=1).core, program().core)
    forged(program(), copies=1).check()

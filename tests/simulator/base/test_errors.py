"""Errors survive where they are made again from their arguments: in SimPy's loop, in copies, in other processes."""

from __future__ import annotations

import copy

import pytest
import simpy

from simulator.base.errors import BimhwError, FitError, InputError, MissingExtraError, SaturationError

ERRORS = [
    InputError("weights", "are 3", "Give 4"),
    FitError("core 5", "is full"),
    SaturationError("population 'a'", "saturated"),
    MissingExtraError("pyvcd", "trace", "VCD traces"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_an_error_is_the_same_when_made_again(error: BimhwError) -> None:
    for again in (type(error)(*error.args), copy.copy(error)):
        assert (str(again), again.where, again.problem, again.way_out) == (
            str(error), error.where, error.problem, error.way_out,
        )  # fmt: skip


def test_an_error_in_a_simpy_process_reaches_the_caller() -> None:
    def process(env: simpy.Environment):  # type: ignore[no-untyped-def]
        yield env.timeout(1)
        raise ERRORS[0]

    env = simpy.Environment()
    env.process(process(env))
    with pytest.raises(InputError, match=r"^weights: are 3\. Give 4$"):
        env.run()

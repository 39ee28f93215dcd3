"""The compiled timing kernels on a network so small that their bodies run as plain Python too (`make uncompiled`).

SimPy's processes are the oracle: they share no body with the kernels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from simulator.program.spikes import SpikeTrain
from simulator.timing.cases import random_case, random_mesh
from simulator.timing.clocked import run_clocked, run_clocked_local
from simulator.timing.compiled import run_compiled, run_compiled_local
from simulator.timing.contract import Mesh, StepTimes, StepWork
from simulator.timing.handshake import run_simpy_local
from simulator.timing.neighbours import LocalTimes
from simulator.timing.plan import make_plan
from simulator.timing.run import run_timing
from simulator.timing.simpy_timing import run_simpy
from tests.simulator.timing.cases import random_run, random_system
from tests.simulator.timing.times import check_same_times

SYNCS: dict[str, dict[str, Any]] = {
    "barrier": {},
    "tick": {"sync": "tick", "period_ns": 300.0},  # shorter than a step: messages of several steps are under way
    "neighbour": {"sync": "neighbour"},
    "neighbour, reset": {"sync": "neighbour", "resets": [2]},
}


def assert_same(a: StepTimes | LocalTimes, b: StepTimes | LocalTimes) -> None:
    for name in ("stamps", "soma_end", "link_busy"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.mark.parametrize("how", SYNCS)
@pytest.mark.parametrize("multicast", [False, True], ids=["unicast", "multicast"])
def test_a_network_is_timed_as_by_processes(how: str, multicast: bool, make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(2, 1, 2), make_program(3, 4)
    spikes: SpikeTrain = make_spikes(3, 4, program.n_neurons, 0.1)
    mesh = replace(make_plan(program, chip).mesh, multicast=multicast)
    found, due = (run_timing(program, chip, spikes, e, mesh=mesh, **SYNCS[how]) for e in ("compiled", "simpy"))
    check_same_times(found, due)


@pytest.mark.parametrize("seed", range(4))
def test_the_kernels_time_a_step_as_processes_do(seed: int) -> None:
    cases: list[tuple[Mesh, StepWork]] = [random_case(seed, 20), random_system(seed, 4, 20)]
    for mesh, work in cases:
        due = run_simpy(mesh, work)
        assert_same(run_compiled(mesh, work), due)
        assert_same(run_clocked(mesh, work), due)


@pytest.mark.parametrize("seed", range(3))
def test_the_kernels_shake_hands_as_processes_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mesh = replace(random_mesh(rng), handshake_ticks=seed)
    local = random_run(mesh, rng, 3, 20)
    due = run_simpy_local(mesh, local)
    assert_same(run_compiled_local(mesh, local), due)
    assert_same(run_clocked_local(mesh, local), due)

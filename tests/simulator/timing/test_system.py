"""Several chips: slower links between them, one barrier over all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.events.run import run_events
from simulator.function import run
from simulator.program.program import HOST, Program
from simulator.timing.barrier import release_time, start_times
from simulator.timing.clocked import run_clocked
from simulator.timing.compiled import run_compiled
from simulator.timing.contract import ARR, GEN, Mesh, StepWork
from simulator.timing.run import run_timing
from simulator.timing.simpy_timing import run_simpy
from simulator.timing.system import ChipLink, system_mesh

LINK = ChipLink(hop_ns=100.0, packet_ns=40.0, barrier_ns=300.0)


def messages(mesh: Mesh, source: int, target: int, n: int) -> StepWork:
    off = np.zeros(mesh.n_endpoints + 1, np.int64)
    off[source + 1 :] = n
    zero = np.zeros(mesh.n_endpoints, np.int64)
    return StepWork(
        off, np.ones(n, np.int32), np.zeros(n, np.int64), np.full(n, target, np.int32), np.ones(n, np.int32),
        zero.astype(np.int32), zero,
    )  # fmt: skip


def test_latency_and_bandwidth_between_chips(make_chip) -> None:  # type: ignore[no-untyped-def]
    mesh = system_mesh(make_chip(width=3, height=1, per=1, port_slots=8), 2, LINK)
    assert (mesh.width, mesh.chip_width, mesh.chip_hop_ticks, mesh.chip_flits) == (6, 3, 1000, 400)
    for engine in (run_clocked, run_simpy, run_compiled):
        t = engine(mesh, messages(mesh, 1, 4, 1)).stamps[0]
        # east, over to the next chip (head waits until the rest can follow), east, out: 41 + 1000 + 398 + 41 + 12
        assert t[ARR] - t[GEN] == 5 + 41 + (1000 + 400 - 2) + 41 + 12 + 2 - 1
        many = engine(mesh, messages(mesh, 1, 4, 30)).stamps
        assert (np.diff(many[5:, ARR]) == 400).all()  # the link's bandwidth, once it is full
        inside = engine(mesh, messages(mesh, 0, 2, 30)).stamps
        assert (np.diff(inside[5:, ARR]) < 20).all()  # slots and their return set it


def test_the_barrier_goes_from_chip_to_chip(make_chip) -> None:  # type: ignore[no-untyped-def]
    mesh = system_mesh(make_chip(width=2, height=1, per=1), 3, LINK)
    # barrier_hop 20 ticks, chip to chip 3,000, sync 1,000.
    np.testing.assert_array_equal(start_times(mesh), [0, 20, 3020, 3040, 6040, 6060])
    assert release_time(mesh, np.array([0, 0, 0, 0, 0, 50], np.int64)) == 6060 + 50 + 1000


def spread(program: Program, n_cores: int) -> Program:
    rng = np.random.default_rng(1)
    core = np.where(program.core == HOST, HOST, rng.integers(0, n_cores, program.core.size))
    return replace(program, core=core.astype(np.int32))


@pytest.mark.parametrize("engine", ["clocked", "simpy", "compiled"])
def test_a_program_over_three_chips(make_chip, make_program, make_spikes, engine) -> None:  # type: ignore[no-untyped-def]
    chip = make_chip(tick=1.0)
    program, spikes = spread(make_program(2, 12), 36), make_spikes(2, 4, 58, 0.4)
    mesh = system_mesh(chip, 3, LINK, program)
    run_3 = run_timing(program, chip, spikes, engine, mesh=mesh)
    fast = replace(mesh, chip_width=0)
    assert (run_3.step_ticks > run_timing(program, chip, spikes, engine, mesh=fast).step_ticks).all()
    reference = run_timing(program, chip, spikes, "clocked", mesh=mesh)
    np.testing.assert_array_equal(run_3.step_ticks, reference.step_ticks)
    np.testing.assert_array_equal(run_3.link_busy_ticks, reference.link_busy_ticks)


def test_the_event_driven_engine_runs_a_system(make_chip) -> None:  # type: ignore[no-untyped-def]
    from simulator.program.graph import Population, Projection

    chip = make_chip()
    rng = np.random.default_rng(3)
    parts = []
    for a, n in (("in", 10), ("lif", 40)):
        mask = rng.random((n, 40)) < 0.3
        indptr = np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64)
        weights = rng.integers(5, 40, int(indptr[-1])).astype(np.int8)
        parts.append(Projection(a, a, "lif", "in", indptr, np.nonzero(mask)[1].astype(np.int32), weights))
    lif = Population("lif", "lif", 40, {"dv": np.array(512, np.int32), "vth": np.array(60, np.int32)})
    populations = (Population("in", "input", 10, role="input"), lif)
    core = np.concatenate([np.full(10, HOST), rng.integers(0, 36, 40)]).astype(np.int32)
    program = Program("test", "0", populations, tuple(parts), core)
    from simulator.program.spikes import SpikeTrain

    inputs = SpikeTrain.from_dense((rng.random((5, 10)) < 0.5).astype(np.int32))
    mesh = system_mesh(chip, 3, LINK, program)
    what = run(program, inputs, 5, topology=chip.topology)
    when = run_timing(program, chip, what.spikes, mesh=mesh)
    got, times = run_events(program, chip, inputs, 5, mesh=mesh)
    assert what.spikes.ids.size > 60
    assert got.spikes.spike_hash() == what.spikes.spike_hash()
    np.testing.assert_array_equal(times.step_ticks, when.step_ticks)


@pytest.mark.parametrize(
    ("n", "link", "words"),
    [
        (0, LINK, "n_chips"),
        (2, ChipLink(0.0, 1.0, 0.0), "hop_ns"),
        (2, ChipLink(1.0, -1.0, 0.0), "packet_ns"),
        (2, ChipLink(1.0, 1.0, -2.0), "barrier_ns"),
    ],
)
def test_bad_systems_are_refused(make_chip, n: int, link: ChipLink, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        system_mesh(make_chip(), n, link)


def test_chips_of_unequal_width_are_refused() -> None:
    mesh = Mesh(5, 1, 1, chip_width=2)
    with pytest.raises(InputError, match="divide the 5 columns"):
        run_clocked(mesh, messages(mesh, 0, 1, 1))

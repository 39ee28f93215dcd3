"""Cores that run slow or fast, and packets that go round dead links."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.program.axons import axon_table
from simulator.program.faults import Faults, clock_factors, detours, path, router_of
from simulator.program.program import HOST
from simulator.timing.contract import EAST, NORTH, Mesh, StepWork
from simulator.timing.expand import expand
from simulator.timing.plan import make_plan
from simulator.timing.run import run_timing
from simulator.timing.simpy_timing import run_simpy
from simulator.timing.variation import detour_router


def test_core_factors_scale_the_work_of_their_core(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(), make_program(3, 12)
    spikes = make_spikes(3, 5, program.n_neurons)
    sound = run_timing(program, chip, spikes)
    same = run_timing(program, chip, spikes, core_factors=np.ones(12))
    assert (sound.step_ticks == same.step_ticks).all()
    factor = np.ones(12)
    factor[4] = 3.0
    slow = run_timing(program, chip, spikes, core_factors=factor)
    for busy in ("soma_busy_ticks", "synapse_busy_ticks"):
        before, after = getattr(sound, busy), getattr(slow, busy)
        others = np.arange(before.size) != 4
        assert (before[others] == after[others]).all()
        assert after[4] == pytest.approx(3 * before[4], rel=0.01)
    assert slow.sim_time_ns > sound.sim_time_ns


def test_engines_agree_on_a_chip_of_uneven_cores(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(), make_program(5, 12)
    spikes = make_spikes(5, 4, program.n_neurons)
    factor = clock_factors(Faults(seed=7, clock_sigma=0.2), 12)
    times = [
        run_timing(program, chip, spikes, e, core_factors=factor).step_ticks for e in ("clocked", "compiled", "simpy")
    ]
    assert (times[0] == times[1]).all()
    assert (times[0] == times[2]).all()
    assert (times[0] != run_timing(program, chip, spikes).step_ticks).any()


def test_bad_factors_are_refused(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(), make_program(3, 12)
    for factor in (np.ones(11), np.zeros(12)):
        with pytest.raises(InputError, match="12 numbers above 0"):
            run_timing(program, chip, make_spikes(3, 2, program.n_neurons), core_factors=factor)


def test_a_detour_takes_no_dead_link() -> None:
    """One packet from (0, 0) to (2, 1): x first over the dead link east of (1, 0), along row 1 around it."""
    mesh = Mesh(3, 2, 1, hop_ticks=(2, 3, 2, 3, 1))
    zero = np.zeros(6, np.int64)
    work = StepWork(
        off=np.array([0, 1, 1, 1, 1, 1, 1]), gap=np.array([1], np.int32), rel=np.zeros(1, np.int64),
        dst=np.array([5], np.int32), srv=np.array([4], np.int32), tail=np.zeros(6, np.int32), start=zero,
    )  # fmt: skip
    plain, round_ = run_simpy(mesh, work), run_simpy(mesh, work, detour_router({(0, 5): ("row", 1)}))
    assert plain.link_busy[2, EAST] == 1  # router (1, 0) is number 2
    assert round_.link_busy[2].sum() == 0
    assert round_.link_busy[0, NORTH] == round_.link_busy[1, EAST] == round_.link_busy[3, EAST] == 1
    assert (plain.stamps == round_.stamps).all()  # same hops, other order


@pytest.mark.parametrize("seed", range(8))
def test_detours_of_a_program_are_taken_link_by_link(make_chip, make_program, make_spikes, seed) -> None:  # type: ignore[no-untyped-def]
    """The links that the SimPy engine uses are those of the paths of `simulator.program.faults`, packet by packet."""
    chip = make_chip(4, 3, 1)
    program = make_program(seed, 12)
    rng = np.random.default_rng(seed)
    kinds = [(int(rng.integers(0, 4)), int(rng.integers(0, 3)), d) for d in ("east", "north")]
    axons = axon_table(program)
    try:
        found = detours(program, axons, chip.topology, kinds)
    except InputError:
        pytest.skip("this draw cuts a core off")
    spikes = make_spikes(seed, 1, program.n_neurons, 0.1)
    plan = make_plan(program, chip)
    work = expand(plan, spikes, 0, 1, np.zeros((1, program.n_neurons), bool)).step(0)
    times = run_simpy(plan.mesh, work, detour_router(found))
    expected = np.zeros((12, 4), np.int64)
    for c in range(plan.mesh.n_endpoints):
        for m in range(int(work.off[c]), int(work.off[c + 1])):
            a, b = (HOST if c == 12 else c), (HOST if work.dst[m] == 12 else int(work.dst[m]))
            for x, y, d in path(router_of(a, chip.topology), router_of(b, chip.topology), found.get((a, b))):
                assert (x, y, d) not in kinds or b == HOST  # readout packets to the host are not in the axon table
                expected[x * 3 + y, ("north", "east", "south", "west").index(d)] += plan.mesh.flits
    assert (times.link_busy[:, :4] == expected).all()


def test_a_run_sends_packets_round_dead_links(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    """The dead output east of router (0, 0), on the way from the host and from core 0, and the way back to the host."""
    chip, program = make_chip(), make_program(7, 12)
    spikes = make_spikes(7, 4, program.n_neurons)
    faults = Faults(dead_links=((0, 0, "east"), (1, 0, "west")))
    ways = detours(program, axon_table(program), chip.topology, faults.dead_links)
    assert any(a == HOST for a, _ in ways)
    assert any(b == HOST for _, b in ways)
    sound = run_timing(program, chip, spikes, "simpy")
    broken = run_timing(program, chip, spikes, "simpy", faults=faults)
    dead_outputs = [(0, EAST), (1 * chip.topology.height, 3)]  # router, output (3 is west)
    for router, output in dead_outputs:
        assert sound.link_busy_ticks[router, output] > 0
        assert broken.link_busy_ticks[router, output] == 0
    assert broken.messages.tolist() == sound.messages.tolist()
    assert broken.link_busy_ticks.sum() > sound.link_busy_ticks.sum()  # the ways round are longer
    with pytest.raises(InputError, match=r"the engine 'compiled' routes x first only\. Use the engine simpy"):
        run_timing(program, chip, spikes, faults=faults)
    cut_off = Faults(dead_links=tuple((0, y, d) for y in range(2) for d in ("east",)))
    with pytest.raises(InputError, match="cannot be reached"):
        run_timing(program, chip, spikes, "simpy", faults=cut_off)


def test_a_run_varies_the_clocks_that_its_faults_say(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(), make_program(3, 12)
    spikes, faults = make_spikes(3, 5, program.n_neurons), Faults(seed=2, clock_sigma=0.2)
    one = run_timing(program, chip, spikes, faults=faults)
    other = run_timing(program, chip, spikes, core_factors=clock_factors(faults, 12))
    assert one.step_ticks.tolist() == other.step_ticks.tolist()

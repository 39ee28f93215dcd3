"""Packets that fork at routers: engines on random trees, what one leaf is, and what a tree costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.events.asynchronous import run_free
from simulator.events.run import run_events
from simulator.function import run
from simulator.program.axons import axon_table, host_readers
from simulator.program.program import HOST
from simulator.program.spikes import SpikeTrain
from simulator.program.traffic import reach
from simulator.timing.bound import link_busy_of
from simulator.timing.cases import random_case
from simulator.timing.clocked import run_clocked, run_clocked_local
from simulator.timing.compiled import run_compiled, run_compiled_local
from simulator.timing.contract import ARR, GEN, INJ, LOCAL, Mesh, StepWork
from simulator.timing.handshake import run_simpy_local
from simulator.timing.plan import make_plan
from simulator.timing.run import run_timing
from simulator.timing.simpy_timing import run_simpy
from simulator.timing.wires import wires
from tests.simulator.events.test_engine import random_inputs, random_program
from tests.simulator.timing.cases import forked, forked_run, random_run, random_system
from tests.simulator.timing.test_engines import agreed, assert_same
from tests.simulator.timing.test_neighbours import assert_same as assert_same_run
from tests.thinned import first


def one_tree(mesh: Mesh, source: int, targets: list[int]) -> StepWork:
    off = np.zeros(mesh.n_endpoints + 1, np.int64)
    off[source + 1 :] = n = len(targets)
    gap = np.zeros(n, np.int32)
    gap[0] = 5
    return StepWork(
        off, gap, np.zeros(n, np.int64), np.array(targets, np.int32), np.full(n, 3, np.int32),
        np.zeros(mesh.n_endpoints, np.int32), np.zeros(mesh.n_endpoints, np.int64), np.full(n, n),
    )  # fmt: skip


@pytest.mark.parametrize("block", first(2, range(6)))
def test_engines_agree_on_random_trees(block: int) -> None:
    shared = 0
    for seed in range(block * 40, block * 40 + 40):
        mesh, work = random_case(seed, 200) if seed % 2 else random_system(seed, 24)
        work = forked(mesh, work, np.random.default_rng(seed))
        expected = agreed(mesh, work, f"case {seed}: {mesh}")
        shared += int(link_busy_of(mesh, replace(work, ends=None)).sum() - expected.link_busy.sum())
    assert shared > 100


@pytest.mark.parametrize("block", first(2, range(4)))
def test_engines_agree_on_trees_between_neighbours(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        rng = np.random.default_rng(seed)
        mesh, _ = random_system(seed, 12, messages=0)
        local = forked_run(mesh, random_run(mesh, rng, 4, 150), rng)
        expected = run_clocked_local(mesh, local)
        assert_same_run(expected, run_compiled_local(mesh, local), f"case {seed}: {mesh}")
        assert_same_run(expected, run_simpy_local(mesh, local), f"case {seed}: {mesh}")


def test_one_leaf_is_unicast() -> None:
    for seed in range(40):
        mesh, work = random_case(seed, 200)
        alone = replace(work, ends=np.arange(1, work.dst.size + 1))
        for engine in (run_clocked, run_simpy, run_compiled):
            assert_same(engine(mesh, work), engine(mesh, alone), seed)


@pytest.mark.parametrize("engine", [run_clocked, run_simpy, run_compiled])
def test_a_tree_by_hand(engine) -> None:  # type: ignore[no-untyped-def]
    """From (1, 1) of a 3 x 3 mesh to itself, (1, 2), (2, 0) and (2, 2): each link once, every leaf as if it were alone."""
    mesh = Mesh(3, 3, 1, (2, 3, 4, 5, 6), flits=2)
    times = engine(mesh, one_tree(mesh, 4, [4, 5, 6, 8]))
    busy = sorted(map(tuple, np.argwhere(times.link_busy).tolist()))
    assert busy == [(4, 0), (4, 1), (4, LOCAL), (5, LOCAL), (6, LOCAL), (7, 0), (7, 2), (8, LOCAL)]
    assert (times.link_busy[times.link_busy > 0] == 2).all()
    assert (times.stamps[:, GEN] == 5).all()
    assert (times.stamps[:, INJ] == 6).all()  # all outputs are free
    np.testing.assert_array_equal(times.stamps[:, ARR] - 6, [6 + 1, 2 + 6 + 1, 3 + 4 + 6 + 1, 3 + 2 + 6 + 1])


def test_a_branch_that_waits_holds_the_slot_but_not_the_others() -> None:
    """The host's core FIFO of one slot is busy: the leaf for it waits, the other one does not, the next packet does."""
    mesh = Mesh(1, 1, 3, (1, 1, 1, 1, 1), port_slots=1, core_slots=1)
    n = mesh.n_endpoints
    off = np.array([0, 1, 3, 3])
    work = StepWork(
        off, np.array([0, 1, 0], np.int32), np.zeros(3, np.int64), np.array([2, 0, 2], np.int32),
        np.array([50, 3, 3], np.int32), np.zeros(n, np.int32), np.zeros(n, np.int64), np.array([1, 3, 3]),
    )  # fmt: skip
    for engine in (run_clocked, run_simpy, run_compiled):
        t = engine(mesh, work)
        # Core 0's packet: GEN 0, INJ 1, ARR 2, SRV 2; its slot is free at 3. Core 1's: GEN 1, the leaf for core 0 at 2, that for
        # core 2 at 3.
        np.testing.assert_array_equal(t.stamps[:, INJ], [1, 2, 3])
        np.testing.assert_array_equal(t.stamps[:, 4], [52, 6, 55])


@pytest.mark.parametrize("sync", ["barrier", "neighbour"])
@pytest.mark.parametrize("seed", range(6))
def test_events_equal_function_first_then_compiled(make_chip, seed, sync) -> None:  # type: ignore[no-untyped-def]
    chip = make_chip(
        arbiter="rr" if seed % 2 else "fifo", port_slots=1 + seed % 3, core_slots=1 + seed % 2, handshake=1.5
    )
    forking, steps = replaced(chip), 7
    program, inputs = random_program(seed, 12, False, seed % 2 == 0), random_inputs(seed, steps, False)
    expected = run(program, inputs, steps, seed=seed, topology=forking.topology)
    when = run_timing(program, forking, expected.spikes, "compiled", keep=range(steps), sync=sync)
    got, times = run_events(program, forking, inputs, steps, seed=seed, keep=range(steps), sync=sync)
    assert got.spikes.spike_hash() == expected.spikes.spike_hash()
    for name in (
        "step_ticks", "messages", "soma_busy_ticks", "synapse_busy_ticks", "soma_stall_ticks", "link_busy_ticks",
    ):  # fmt: skip
        np.testing.assert_array_equal(getattr(times, name), getattr(when, name), err_msg=name)
    for t in range(steps):
        for name in ("off", "gap", "dst", "srv", "tail", "start", "ends"):
            np.testing.assert_array_equal(
                getattr(times.steps[t][0], name), getattr(when.steps[t][0], name), err_msg=name
            )
        np.testing.assert_array_equal(times.steps[t][1].stamps, when.steps[t][1].stamps)
    plain = run_timing(program, chip, expected.spikes)
    assert when.link_busy_ticks.sum() < plain.link_busy_ticks.sum()
    np.testing.assert_array_equal(when.messages, plain.messages)
    assert run_timing(program, forking, expected.spikes, "bound", sync=sync).sim_time_ns <= when.sim_time_ns
    # Links that the energy is charged for are those that the engine saw.
    flits = int(when.mesh.flits)
    counts = expected.activity
    assert int(when.link_busy_ticks[:, :LOCAL].sum()) == flits * (counts.total("hops_ew") + counts.total("hops_ns"))


@pytest.mark.parametrize("flits", [1, 3])
def test_the_host_is_a_leaf_among_others(make_chip, flits: int) -> None:  # type: ignore[no-untyped-def]
    """An output neuron in the middle of three routers reaches both others and the host in the west: each link once."""
    from simulator.program.graph import Population, Projection
    from simulator.program.program import Program

    chip = replaced(make_chip(3, 1, 1, flits=flits))
    assert chip.topology.host_port == (0, 0)
    w = Projection("p", "x", "out", "in", np.array([0, 1]), np.zeros(1, np.int32), np.array([5], np.int8))
    both = Projection("q", "out", "cells", "in", np.array([0, 2]), np.arange(2, dtype=np.int32), np.ones(2, np.int8))
    populations = (
        Population("x", "input", 1, role="input"),
        Population("out", "if", 1, {"vth": np.array(1, np.int32)}, role="output"),
        Population("cells", "if", 2, {"vth": np.array(100, np.int32)}),
    )
    program = Program("test", "0", populations, (w, both), np.array([HOST, 1, 0, 2], np.int32))
    done = run(program, SpikeTrain.from_dense(np.ones((1, 1), np.int32)), 3, topology=chip.topology)
    assert done.spikes.ids.tolist() == [0, 1]
    plan = make_plan(program, chip)
    row = int(plan.position[1])
    leaves = wires(plan.mesh).leaf_key[plan.dst[plan.ptr[row] : plan.ptr[row + 1]]].tolist()
    assert len(leaves) == 3 and leaves == sorted(leaves)  # before the engine, which never ends on leaves out of order
    times = run_timing(program, chip, done.spikes, keep=range(3))
    assert times.link_busy_ticks[1, :LOCAL].tolist() == [0, flits, 0, flits]
    assert times.link_busy_ticks[0, LOCAL:].tolist() == [flits, flits]  # core 0 and the host's port
    counts = done.activity
    assert (
        counts.total("hops_ew") + counts.total("hops_ns") == int(times.link_busy_ticks[:, :LOCAL].sum()) // flits == 3
    )


def replaced(chip):  # type: ignore[no-untyped-def]
    """Return the same chip with multicast."""
    import msgspec

    return msgspec.structs.replace(chip, topology=msgspec.structs.replace(chip.topology, multicast=True))


@pytest.mark.parametrize("seed", range(12))
def test_trees_by_brute_force(make_chip, make_program, seed: int) -> None:  # type: ignore[no-untyped-def]
    chip = replaced(make_chip(4, 3, 2))
    program = make_program(seed, 24, inputs_on_chip=seed % 3 == 0)
    axons, to_host = axon_table(program), host_readers(program) & (program.core != HOST)
    found = reach(program, chip.topology, axons)
    t = chip.topology

    def place(core: int) -> tuple[int, int]:
        return t.host_port if core == HOST else divmod(core // t.cores_per_router, t.height)

    for neuron in range(program.n_neurons):
        targets = axons.dst[axons.ptr[neuron] : axons.ptr[neuron + 1]].tolist() + [HOST] * int(to_host[neuron])
        x0, y0 = place(int(program.core[neuron]))
        edges = set()
        for target in targets:
            x, y = place(target)
            edges |= {("x", min(a, b)) for a, b in zip(walk(x0, x), walk(x0, x)[1:], strict=False)}
            edges |= {("y", x, min(a, b)) for a, b in zip(walk(y0, y), walk(y0, y)[1:], strict=False)}
        assert found.hops_ew[neuron] == sum(e[0] == "x" for e in edges)
        assert found.hops_ns[neuron] == sum(e[0] == "y" for e in edges)
        assert found.packets[neuron] + found.host_in[neuron] == bool(targets)
        assert found.received[neuron] == axons.ptr[neuron + 1] - axons.ptr[neuron]


def walk(a: int, b: int) -> list[int]:
    return list(range(a, b + 1)) if b >= a else list(range(a, b - 1, -1))


def test_bad_packets_are_refused() -> None:
    mesh = Mesh(3, 3, 1)
    work = one_tree(mesh, 4, [4, 5, 6])
    for change in (
        {"dst": np.array([5, 4, 6], np.int32)},
        {"gap": np.array([5, 1, 0], np.int32)},
        {"ends": np.array([1, 2, 2])},
        {"ends": np.array([3, 2, 3])},
    ):
        for engine in (run_clocked, run_simpy, run_compiled):
            with pytest.raises(InputError, match="ends"):
                engine(mesh, replace(work, **change))


def test_asynchronous_operation_refuses_trees(make_chip, make_program) -> None:  # type: ignore[no-untyped-def]
    from simulator.program.graph import Population, Projection
    from simulator.program.program import Program

    w = Projection("p", "a", "b", "in", np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.int8))
    cells = Population("b", "if", 1, {"vth": np.array(1, np.int32)})
    program = Program("test", "0", (Population("a", "input", 1, role="input"), cells), (w,), np.array([0, 3], np.int32))
    with pytest.raises(InputError, match="multicast"):
        run_free(program, replaced(make_chip()), SpikeTrain.from_dense(np.ones((1, 1), np.int32)), 100.0)

"""Synchronisation by neighbours: its definition, the engines on it, and what it is beside a barrier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.base.arrays import I64
from simulator.base.errors import InputError
from simulator.program.axons import axon_table, host_readers
from simulator.timing.barrier import quiet_times, release_time, start_times
from simulator.timing.cases import random_mesh
from simulator.timing.clocked import run_clocked, run_clocked_local
from simulator.timing.compiled import run_compiled_local
from simulator.timing.contract import DONE, Mesh
from simulator.timing.forked_tokens import forked
from simulator.timing.handshake import run_simpy_local
from simulator.timing.neighbours import (
    LocalTimes,
    LocalWork,
    bound_local,
    neighbours_from,
    neighbours_of,
    work_of_step,
)
from simulator.timing.plan import make_plan
from simulator.timing.run import run_timing
from simulator.timing.wires import token_ticks, wires
from tests.simulator.timing.cases import random_run, random_system, run_of
from tests.thinned import first


def quiet_of(local: LocalWork, times: LocalTimes) -> I64:
    """Compute `quiet` by its definition, from the stamps and the somas' ends, int64 [T, C]."""
    n, steps = local.neighbours, local.tail.shape[0]
    quiet = times.soma_end.copy()
    source = n.source
    for s in range(steps):
        np.maximum.at(quiet[s], n.who[n.sends], times.soma_end[s][source[n.sends]] + n.ticks[n.sends])
    for c in range(local.tail.shape[1]):
        for s in range(steps):
            rows = slice(local.first[s, c], local.first[s + 1, c])
            np.maximum.at(quiet[s], local.work.dst[rows], times.stamps[rows, DONE])
    return quiet


def assert_same(a: LocalTimes, b: LocalTimes, what: object) -> None:
    for name in ("stamps", "start", "soma_end", "quiet", "link_busy"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=f"{name} of {what}")


def assert_defined(mesh: Mesh, local: LocalWork, times: LocalTimes) -> None:
    """`quiet` and `start` are the maxima that define them."""
    near = local.neighbours
    np.testing.assert_array_equal(times.quiet, quiet_of(local, times))
    for s in range(local.tail.shape[0] - 1):
        begin = times.quiet[s].copy()
        np.maximum.at(begin, near.source, times.quiet[s][near.who] + near.ticks)
        np.testing.assert_array_equal(times.start[s + 1], begin + mesh.handshake_ticks)


@pytest.mark.parametrize("block", first(2, range(6)))
def test_engines_agree_on_random_meshes(block: int) -> None:
    for seed in range(block * 30, block * 30 + 30):
        rng = np.random.default_rng(seed)
        mesh = replace(random_mesh(rng), handshake_ticks=int(rng.integers(0, 6)))
        local = random_run(mesh, rng, int(rng.integers(1, 8)), int(rng.integers(0, 150)))
        expected = run_clocked_local(mesh, local)
        assert_defined(mesh, local, expected)
        assert_same(expected, run_compiled_local(mesh, local), f"case {seed}: {mesh}")
        assert_same(expected, run_simpy_local(mesh, local), f"case {seed}: {mesh}")
        bound = bound_local(mesh, local)
        assert (bound.start <= expected.start).all()
        assert (bound.over <= expected.over).all()


@pytest.mark.parametrize("block", first(1, range(6)))
def test_events_equal_the_kernel_on_systems_of_chips(block: int) -> None:
    """240 systems of 2 to 1,152 chips."""
    for seed in range(block * 40, block * 40 + 40):
        rng = np.random.default_rng([seed, 7])
        mesh, _ = random_system(seed, 1152 if seed % 40 == 0 else 40, messages=0)
        mesh = replace(mesh, handshake_ticks=int(rng.integers(0, 6)))
        local = random_run(mesh, rng, int(rng.integers(1, 6)), int(rng.integers(0, 200)))
        expected = run_compiled_local(mesh, local)
        assert_same(expected, run_simpy_local(mesh, local), f"system {seed}: {mesh}")
        assert_defined(mesh, local, expected)


def everyone(mesh: Mesh, seed: int, steps: int) -> LocalWork:
    """Return a run in which every core may send to every other."""
    rng = np.random.default_rng(seed)
    n, messages = mesh.n_endpoints, 120
    all_pairs = np.divmod(np.arange(n * n), n)
    source, step = np.sort(rng.integers(0, n, messages)), rng.integers(0, steps, messages)
    order = np.lexsort((step, source))
    gap, srv = rng.integers(0, 9, messages), rng.integers(1, 9, messages)
    target, tail = rng.integers(0, n, messages), rng.integers(0, 30, (steps, n))
    return run_of(neighbours_from(mesh, *all_pairs), source[order], target, step[order], gap, srv, tail)


@pytest.mark.parametrize("seed", range(20))
def test_all_to_all_without_token_time_is_a_barrier_without_latency(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mesh = replace(
        random_mesh(rng), arbiter="fifo", barrier_hop_ticks=0, sync_ticks=0, chip_barrier_ticks=0, board_barrier_ticks=0
    )
    local = everyone(mesh, seed, 5)
    times, now = run_compiled_local(mesh, local), 0
    for s in range(5):
        np.testing.assert_array_equal(times.start[s], now)
        work = work_of_step(local, s, start_times(mesh))
        now += release_time(mesh, quiet_times(work, run_clocked(mesh, work)))
        assert times.over[s] == now


def test_cores_without_neighbours_go_their_own_ways() -> None:
    """Core 0 works 10 ticks a step, core 3 100; neither waits for the other."""
    mesh = Mesh(2, 2, 1, handshake_ticks=1)
    none = np.zeros(0, np.int64)
    tail = np.tile(np.array([10, 0, 0, 100]), (4, 1))
    local = run_of(neighbours_from(mesh, none, none), none, none, none, none, none, tail)
    for engine in (run_clocked_local, run_compiled_local, run_simpy_local):
        times = engine(mesh, local)
        np.testing.assert_array_equal(times.start[:, 0], [0, 11, 22, 33])
        np.testing.assert_array_equal(times.start[:, 3], [0, 101, 202, 303])
        np.testing.assert_array_equal(times.start[:, 1], [0, 1, 2, 3])


def test_a_handshake_by_hand() -> None:
    """Core 0 (10 ticks) sends one packet a step to core 1 (2 ticks); tokens take 3 ticks, a handshake 5."""
    mesh = Mesh(2, 1, 1, barrier_hop_ticks=3, handshake_ticks=5)
    near = neighbours_from(mesh, np.array([0]), np.array([1]))
    zero, ones = np.zeros(2, np.int64), np.ones(2, np.int64)
    tail = np.array([[6, 2], [6, 2]])
    local = run_of(near, zero, ones, np.array([0, 1]), np.full(2, 4), np.full(2, 7), tail)
    # The packet: GEN 4, INJ 5, ARR 7, DONE 14. Core 0 is through at 10, its token at core 1 at 13; core 1 is finished at 14,
    # core 0 at 10. Tokens cross until 17 and 13: core 0 begins at 17 + 5, core 1 at 14 + 5.
    for engine in (run_clocked_local, run_compiled_local, run_simpy_local):
        times = engine(mesh, local)
        np.testing.assert_array_equal(times.quiet, [[10, 14], [32, 36]])
        np.testing.assert_array_equal(times.start, [[0, 0], [22, 19]])
    tokens, links = forked(mesh, near)
    np.testing.assert_array_equal(tokens, [2, 1])  # to core 1: sent and finished; to core 0: finished
    np.testing.assert_array_equal(links, [2, 1])


def _route(mesh: Mesh, a: int, b: int) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the links of the XY route between two routers."""
    (x, y), (tx, ty) = divmod(a, mesh.height), divmod(b, mesh.height)
    links = set()
    while (x, y) != (tx, ty):
        step = (x + (tx > x) - (tx < x), y) if x != tx else (x, y + (ty > y) - (ty < y))
        links.add(((x, y), step))
        x, y = step
    return links


@pytest.mark.parametrize("seed", range(6))
def test_tokens_are_those_of_the_definition(make_chip, make_program, make_spikes, seed: int) -> None:  # type: ignore[no-untyped-def]
    """Trees as sets of links, and pairs with packets as sets, step by step."""
    program, spikes = make_program(seed, 12, density=0.1), make_spikes(seed, 5, 58, 0.2)
    chip = make_chip()
    plan = make_plan(program, chip)
    near, axons, mesh = neighbours_of(plan), axon_table(program), plan.mesh
    tokens = run_timing(program, chip, spikes, sync="neighbour").tokens
    assert tokens is not None
    router, host = wires(mesh).router, mesh.n_cores
    sent, crossed = np.zeros((5, mesh.n_endpoints), int), np.zeros((5, mesh.n_endpoints), int)
    to_host = host_readers(program)
    for s in range(5):
        pairs = set()
        for i in spikes.ids[spikes.ptr[s] : spikes.ptr[s + 1]].tolist():
            c = int(program.core[i]) if program.core[i] >= 0 else host
            targets = [
                *axons.dst[axons.ptr[i] : axons.ptr[i + 1]].tolist(),
                *([host] if to_host[i] and c != host else []),
            ]
            pairs |= {(c, t) for t in targets if t != c}
        for c, t in pairs:
            sent[s, c] += 1
            crossed[s, c] += len(_route(mesh, router[c], router[t]))
        for c in range(mesh.n_endpoints):
            own = slice(near.ptr[c], near.ptr[c + 1])
            for targets in (near.who[own], near.who[own][near.sends[own]]):
                sent[s, c] += targets.size > 0
                crossed[s, c] += len(set().union(*(_route(mesh, router[c], router[t]) for t in targets)))
    np.testing.assert_array_equal(tokens.sent, sent.sum(axis=0))
    np.testing.assert_array_equal(tokens.hops, crossed.sum(axis=0))
    np.testing.assert_array_equal(tokens.sent_by_step, sent.sum(axis=1))
    np.testing.assert_array_equal(tokens.hops_by_step, crossed.sum(axis=1))
    assert tokens.hops.sum() > 0


def test_neighbours_are_at_most_a_step_apart() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        mesh = replace(random_mesh(rng), handshake_ticks=1)
        local = random_run(mesh, rng, 6, 100)
        t, near = run_compiled_local(mesh, local), local.neighbours
        for s in range(5):
            assert (t.start[s + 1][near.source] > t.quiet[s][near.who]).all()


@pytest.mark.parametrize("seed", range(30))
def test_not_slower_than_a_barrier(make_chip, make_program, make_spikes, seed: int) -> None:  # type: ignore[no-untyped-def]
    """With a handshake as long as the barrier's constant."""
    chip = make_chip(
        arbiter="rr" if seed % 2 else "fifo", port_slots=1 + seed % 4, core_slots=1 + seed % 3, handshake=100.0
    )
    program, spikes = make_program(seed, 12, density=0.1), make_spikes(seed, 8, 58, 0.2)
    local = run_timing(program, chip, spikes, sync="neighbour")
    barrier = run_timing(program, chip, spikes)
    assert local.step_ticks.sum() <= barrier.step_ticks.sum()
    assert local.messages.tolist() == barrier.messages.tolist()
    np.testing.assert_array_equal(local.link_busy_ticks, barrier.link_busy_ticks)


@pytest.mark.parametrize("engine", ["clocked", "simpy", "compiled"])
def test_runs_between_resets_do_not_overlap(make_chip, make_program, make_spikes, engine) -> None:  # type: ignore[no-untyped-def]
    chip = make_chip(handshake=1.0, neuron_update_inactive=9.7)  # work does not depend on the steps before
    program, spikes = make_program(1, 12), make_spikes(1, 6, 58, 0.3)
    whole = run_timing(program, chip, spikes, engine, sync="neighbour", resets=[2, 4], keep=range(6))
    assert whole.step_ticks.size == 6
    for begin in (0, 2, 4):
        part = spikes.ptr[begin : begin + 3]
        alone = type(spikes)(part - part[0], spikes.ids[part[0] : part[-1]])
        run = run_timing(program, chip, alone, engine, sync="neighbour", keep=range(2))
        np.testing.assert_array_equal(run.step_ticks, whole.step_ticks[begin : begin + 2])
        for t in range(2):
            np.testing.assert_array_equal(run.steps[t][1].stamps, whole.steps[begin + t][1].stamps)
    reference = run_timing(program, chip, spikes, "clocked", sync="neighbour", resets=[2, 4], threads=2)
    for name in ("step_ticks", "soma_stall_ticks", "link_busy_ticks", "soma_busy_ticks"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(reference, name))
    bound = run_timing(program, chip, spikes, "bound", sync="neighbour", resets=[2, 4])
    assert bound.sim_time_ns <= whole.sim_time_ns


def test_learning_phases_are_refused(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    words = np.zeros((3, 12), np.int64)
    with pytest.raises(InputError, match="learning"):
        run_timing(make_program(1, 12), make_chip(), make_spikes(1, 3, 58, 0.3), sync="neighbour", learn_synapses=words)


def test_a_token_between_chips_and_boards() -> None:
    """A hop takes 1 tick, from chip to chip 10, from board to board 100; by brute force over the row."""
    mesh = Mesh(
        8, 2, 1, chip_width=2, board_width=4, barrier_hop_ticks=1, chip_barrier_ticks=10, board_barrier_ticks=100
    )
    for a in range(mesh.n_cores):
        for b in range(mesh.n_cores):
            (ax, ay), (bx, by) = divmod(a, 2), divmod(b, 2)
            row = sum(100 if x % 4 == 3 else 10 if x % 2 else 1 for x in range(min(ax, bx), max(ax, bx)))
            assert token_ticks(mesh, np.array([a]), np.array([b]))[0] == row + abs(ay - by)

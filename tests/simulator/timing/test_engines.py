"""The engines agree to the tick, and what they agree on is the model: closed forms and invariants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.timing.barrier import quiet_times, release_time, start_times
from simulator.timing.bound import link_busy_of, quiet_bound, release_bound
from simulator.timing.cases import random_case, random_mesh, random_work
from simulator.timing.clocked import run_clocked
from simulator.timing.compiled import run_compiled, run_steps
from simulator.timing.contract import ARR, DONE, GEN, INJ, LOCAL, SRV, Mesh, StepTimes, StepWork
from simulator.timing.simpy_timing import run_simpy
from simulator.timing.wires import hops, wires
from simulator.timing.words import pack
from tests.simulator.timing.cases import random_system
from tests.thinned import first


def sources(work: StepWork) -> np.ndarray:
    return np.repeat(np.arange(work.off.size - 1), np.diff(work.off))


def one_message(mesh: Mesh, source: int, target: int, srv: int = 3, gap: int = 5) -> StepWork:
    off = np.zeros(mesh.n_endpoints + 1, np.int64)
    off[source + 1 :] = 1
    return StepWork(
        off=off,
        gap=np.array([gap], np.int32),
        rel=np.zeros(1, np.int64),
        dst=np.array([target], np.int32),
        srv=np.array([srv], np.int32),
        tail=np.full(mesh.n_endpoints, 2, np.int32),
        start=np.zeros(mesh.n_endpoints, np.int64),
    )


def assert_same(a: StepTimes, b: StepTimes, what: object) -> None:
    np.testing.assert_array_equal(a.stamps, b.stamps, err_msg=f"stamps of {what}")
    np.testing.assert_array_equal(a.soma_end, b.soma_end, err_msg=f"soma_end of {what}")
    np.testing.assert_array_equal(a.link_busy, b.link_busy, err_msg=f"link_busy of {what}")


def agreed(mesh: Mesh, work: StepWork, what: object) -> StepTimes:
    """Return the times on which all engines agree to the tick; links are as counted, and no time is below its bound."""
    expected = run_clocked(mesh, work)
    assert_same(expected, run_compiled(mesh, work), what)
    assert_same(expected, run_simpy(mesh, work), what)
    np.testing.assert_array_equal(expected.link_busy, link_busy_of(mesh, work))
    quiet, _ = quiet_bound(mesh, work)
    assert (quiet <= quiet_times(work, expected)).all()
    return expected


@pytest.mark.parametrize("block", first(2, range(8)))
def test_simpy_equals_clocked(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        mesh, work = random_case(seed)
        assert_same(run_clocked(mesh, work), run_simpy(mesh, work), f"case {seed}: {mesh}")


@pytest.mark.parametrize("block", first(1, range(4)))
def test_compiled_equals_clocked(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        mesh, work = random_case(seed, 300)
        expected = run_clocked(mesh, work)
        assert_same(expected, run_compiled(mesh, work), f"case {seed}: {mesh}")
        np.testing.assert_array_equal(expected.link_busy, link_busy_of(mesh, work))


@pytest.mark.parametrize("block", first(2, range(6)))
def test_all_engines_agree_on_systems_of_chips_and_boards(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        mesh, work = random_system(seed, 12)
        agreed(mesh, work, f"system {seed}: {mesh}")


@pytest.mark.parametrize("chips", first(2, [64, 65, 300, 1152]))
def test_engines_agree_on_large_systems(chips: int) -> None:
    rng = np.random.default_rng(chips)
    mesh = Mesh(
        chips * 2, 2, 1, chip_width=2, chip_hop_ticks=3, chip_flits=2, chip_barrier_ticks=2,
        board_width=16 if chips % 8 == 0 else 0, board_hop_ticks=9, board_flits=4, board_barrier_ticks=5, barrier_hop_ticks=1,
    )  # fmt: skip
    work = random_work(mesh, rng, 600)
    source = sources(work)
    near = np.clip(source + rng.integers(-40, 41, source.size), 0, mesh.n_endpoints - 1)
    work = replace(work, dst=near.astype(np.int32), start=start_times(mesh), rel=np.zeros_like(work.rel))
    expected = run_compiled(mesh, work)
    assert_same(expected, run_simpy(mesh, work), f"{chips} chips")
    assert_same(expected, run_clocked(mesh, work), f"{chips} chips")


@pytest.mark.long
@pytest.mark.parametrize("block", range(25))
def test_all_engines_agree(block: int) -> None:
    for seed in range(10_000 + block * 100, 10_100 + block * 100):
        mesh, work = random_case(seed, 400)
        expected = run_clocked(mesh, work)
        assert_same(expected, run_compiled(mesh, work), f"case {seed}: {mesh}")
        assert_same(expected, run_simpy(mesh, work), f"case {seed}: {mesh}")


def test_far_events_wrap_around_the_wheel() -> None:
    """Work, hops and releases far longer than the compiled engine's wheel."""
    for seed in range(12):
        mesh, work = random_case(seed, 25)
        scale = 977
        mesh = replace(
            mesh,
            hop_ticks=tuple(h * scale for h in mesh.hop_ticks),
            flits=mesh.flits * 300,
            chip_flits=mesh.chip_flits * 300,
        )  # type: ignore[arg-type]
        work = replace(work, gap=work.gap * scale, srv=work.srv * scale, rel=work.rel * scale, start=work.start * scale)
        assert_same(run_clocked(mesh, work), run_compiled(mesh, work), f"case {seed}: {mesh}")


def test_many_steps_in_one_call_are_independent() -> None:
    """What a step leaves behind in the kernel (free times, ring positions, priorities) never reaches the next one."""
    rng = np.random.default_rng(5)
    for seed in range(60):
        mesh = random_mesh(rng)
        works = [replace(random_work(mesh, rng, 60), start=np.zeros(mesh.n_endpoints, np.int64)) for _ in range(4)]
        works = [replace(w, rel=np.zeros_like(w.rel)) for w in works]
        off = np.stack([w.off + 60 * i for i, w in enumerate(works)])
        gap, dst, srv = (np.concatenate([getattr(w, k) for w in works]) for k in ("gap", "dst", "srv"))
        tail = np.stack([w.tail for w in works])
        timed = run_steps(mesh, off, gap, pack(dst, srv), tail, works[0].start, stamps=True)
        alone = [run_clocked(mesh, w) for w in works]
        np.testing.assert_array_equal(
            timed.stamps, np.concatenate([t.stamps for t in alone]), err_msg=f"{seed}: {mesh}"
        )
        np.testing.assert_array_equal(timed.soma_end, np.stack([t.soma_end for t in alone]))
        quiet = np.stack([quiet_times(w, t) for w, t in zip(works, alone, strict=True)])
        np.testing.assert_array_equal(timed.quiet, quiet)
        np.testing.assert_array_equal(timed.link_busy, sum(t.link_busy for t in alone))


def test_times_beyond_the_kernels_range_are_refused() -> None:
    mesh = Mesh(2, 2, 1)
    work = replace(one_message(mesh, 0, 3), rel=np.array([1 << 61], np.int64))
    with pytest.raises(InputError, match="beyond the kernel's range"):
        run_compiled(mesh, work)


def test_the_random_cases_are_not_easy() -> None:
    """The comparison means something only where packets queue, stall and meet."""
    queued = stalled = shared = hosts = 0
    for seed in range(200):
        mesh, work = random_case(seed)
        if not work.dst.size:
            continue
        t = run_clocked(mesh, work)
        source = sources(work)
        ew, ns = hops(mesh, source, work.dst)
        flat = mesh.enqueue_ticks + (ew + ns + 1) * min(mesh.hop_ticks) + mesh.flits - 1
        queued += bool((t.stamps[:, ARR] - t.stamps[:, GEN] > flat + 10).any())
        first = np.zeros(work.dst.size, bool)
        first[work.off[:-1][np.diff(work.off) > 0]] = True
        before = np.where(first, work.start[source], np.roll(t.stamps[:, GEN], 1))
        stalled += bool((t.stamps[:, GEN] > np.maximum(before + work.gap, work.rel)).any())
        shared += bool((t.link_busy[:, :LOCAL] > mesh.flits).any())
        hosts += mesh.host is not None and bool((work.dst == mesh.n_cores).any())
    assert queued > 100
    assert stalled > 50
    assert shared > 100
    assert hosts > 20


@pytest.mark.parametrize("engine", [run_clocked, run_simpy, run_compiled])
def test_zero_load_latency(engine) -> None:  # type: ignore[no-untyped-def]
    """GEN -> ARR of a lone message is enqueue + (hops + 1) * hop + flits - 1, exactly."""
    for flits in (1, 3):
        mesh = Mesh(4, 3, 2, (5, 5, 5, 5, 5), flits=flits, enqueue_ticks=2, host=(0, 2))
        for source, target in [(0, 0), (0, 1), (0, 23), (23, 0), (7, 12), (24, 22), (20, 24)]:
            t = engine(mesh, one_message(mesh, source, target)).stamps[0]
            ew, ns = hops(mesh, np.array([source]), np.array([target]))
            latency = 2 + (int(ew[0] + ns[0]) + 1) * 5 + flits - 1
            assert t[GEN] == 5
            assert t[INJ] == 7
            assert t[ARR] - t[GEN] == latency
            assert t[SRV] == t[ARR]
            assert t[DONE] == t[SRV] + 3


@pytest.mark.parametrize("engine", [run_clocked, run_simpy, run_compiled])
def test_zero_load_latency_by_direction(engine) -> None:  # type: ignore[no-untyped-def]
    mesh = Mesh(3, 3, 1, (1, 10, 100, 1000, 10000))
    centre = 4
    expected = {7: 10 + 10000, 1: 1000 + 10000, 5: 1 + 10000, 3: 100 + 10000, 8: 10 + 1 + 10000, 0: 1000 + 100 + 10000}
    for target, latency in expected.items():
        t = engine(mesh, one_message(mesh, centre, target)).stamps[0]
        assert t[ARR] - t[GEN] == mesh.enqueue_ticks + latency


def test_x_goes_first() -> None:
    mesh = Mesh(3, 2, 1)
    busy = run_clocked(mesh, one_message(mesh, 0, 5)).link_busy
    assert sorted(map(tuple, np.argwhere(busy).tolist())) == [(0, 1), (2, 1), (4, 0), (5, LOCAL)]


@pytest.mark.parametrize("seed", range(0, 400, 8))
def test_invariants(seed: int) -> None:
    mesh, work = random_case(seed)
    t = run_clocked(mesh, work)
    s, source = t.stamps, sources(work)
    if not work.dst.size:
        return
    ew, ns = hops(mesh, source, work.dst)
    assert (np.diff(s, axis=1) >= 0).all()
    assert (s[:, INJ] >= s[:, GEN] + mesh.enqueue_ticks).all()
    assert (s[:, DONE] == s[:, SRV] + work.srv).all()
    assert (s[:, GEN] >= work.rel).all()
    # Conservation: every message crosses as many links as its path has, each for L ticks.
    flits = wires(mesh).flits.reshape(t.link_busy.shape)
    assert (t.link_busy % flits == 0).all()
    assert (t.link_busy // flits)[:, :LOCAL].sum() == int((ew + ns).sum())
    per_endpoint = t.link_busy.reshape(-1)[wires(mesh).router * mesh.n_ports + wires(mesh).port]
    np.testing.assert_array_equal(per_endpoint, mesh.flits * np.bincount(work.dst, minlength=mesh.n_endpoints))
    for c in range(mesh.n_endpoints):
        mine = s[source == c]
        assert (np.diff(mine[:, GEN]) >= work.gap[source == c][1:]).all()
        assert (np.diff(mine[:, INJ]) >= mesh.flits).all()  # one input port, L ticks a packet
        here = s[work.dst == c]
        here = here[np.argsort(here[:, SRV])]
        assert (here[1:, SRV] >= here[:-1, DONE]).all()  # one service at a time
        assert (np.diff(here[:, ARR]) >= mesh.flits).all()  # link exclusivity, and FIFO order is arrival order
        last = mine[-1, GEN] if len(mine) else work.start[c]
        assert t.soma_end[c] == last + work.tail[c]
    pair = source * mesh.n_endpoints + work.dst
    for p in np.unique(pair):  # order is kept between every two endpoints
        assert (np.diff(s[pair == p][:, SRV]) > 0).all()


@pytest.mark.parametrize("seed", range(1, 400, 16))
def test_translation_invariance(seed: int) -> None:
    mesh, work = random_case(seed)
    later = replace(work, start=work.start + 1234, rel=np.where(work.rel > 0, work.rel + 1234, 0))
    a, b = run_clocked(mesh, work), run_clocked(mesh, later)
    np.testing.assert_array_equal(a.stamps + 1234, b.stamps)
    np.testing.assert_array_equal(a.soma_end + 1234, b.soma_end)


@pytest.mark.parametrize("block", first(2, range(4)))
def test_bound_is_a_bound(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        mesh, work = random_case(seed)
        t = run_clocked(mesh, work)
        quiet, (bound, links) = quiet_times(work, t), quiet_bound(mesh, work)
        assert (bound <= quiet).all(), seed
        assert links <= t.stamps[:, DONE].max(initial=0), seed
        assert release_bound(mesh, work) <= release_time(mesh, quiet), seed


def test_bound_is_exact_without_contention() -> None:
    mesh = Mesh(4, 3, 2, (2, 3, 4, 5, 6), flits=2, sync_ticks=7, barrier_hop_ticks=3)
    work = one_message(mesh, 3, 22)
    assert release_bound(mesh, work) == release_time(mesh, quiet_times(work, run_clocked(mesh, work)))


def test_barrier_by_hand() -> None:
    mesh = Mesh(2, 2, 1, barrier_hop_ticks=10, sync_ticks=100)
    assert release_time(mesh, np.array([50, 5, 45, 35], np.int64)) == 155  # cores at 0, 1, 1, 2 hops
    np.testing.assert_array_equal(start_times(mesh, 155), [155, 165, 165, 175])


def test_back_pressure_by_hand() -> None:
    """Two packets of 2 flits, one slot everywhere: the second leaves its core when the first one's tail has left."""
    mesh = Mesh(1, 1, 2, (1, 1, 1, 1, 3), flits=2, enqueue_ticks=1, port_slots=1, core_slots=1)
    work = StepWork(
        off=np.array([0, 3, 3], np.int64),
        gap=np.zeros(3, np.int32),
        rel=np.zeros(3, np.int64),
        dst=np.ones(3, np.int32),
        srv=np.full(3, 10, np.int32),
        tail=np.zeros(2, np.int32),
        start=np.zeros(2, np.int64),
    )
    # 1: GEN 0, INJ 1, ARR 1+3+1, SRV 5, DONE 15; its router slot is free at 3, its core slot at 6.
    # 2: GEN 3, may enter its router at 4, waits for the core slot until 6; ARR 10, SRV 15; core slot free at 16.
    # 3: GEN 8 (slot of 2 free at 6+2), INJ 16, ARR 20, SRV 25.
    expected = [[0, 1, 5, 5, 15], [3, 6, 10, 15, 25], [8, 16, 20, 25, 35]]
    for engine in (run_clocked, run_simpy, run_compiled):
        np.testing.assert_array_equal(engine(mesh, work).stamps, expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dst": np.array([99], np.int32)}, "names core 99"),
        ({"srv": np.array([0], np.int32)}, "at least 1 tick"),
        ({"gap": np.array([-1], np.int32)}, "negative work"),
        ({"tail": np.zeros(2, np.int32)}, "shape"),
        ({"off": np.array([0, 0, 0, 0, 2], np.int64)}, "does not split"),
    ],
)
def test_bad_work_is_refused(change: dict[str, np.ndarray], words: str) -> None:
    mesh = Mesh(2, 2, 1)
    work = replace(one_message(mesh, 0, 3), **change)
    for engine in (run_clocked, run_simpy, run_compiled):
        with pytest.raises(InputError, match=words):
            engine(mesh, work)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flits": 0}, "flits"),
        ({"hop_ticks": (1, 1, 0, 1, 1)}, "hop_ticks"),
        ({"arbiter": "lottery"}, "lottery"),
        ({"cores_per_router": 61}, "the limit is 64"),
        ({"host": (2, 0)}, "outside the 2 x 2"),
        ({"sync_ticks": -1}, "negative"),
    ],
)
def test_bad_mesh_is_refused(change: dict[str, object], words: str) -> None:
    mesh = Mesh(2, 2, 1)
    with pytest.raises(InputError, match=words):
        run_clocked(replace(mesh, **change), one_message(mesh, 0, 3))  # type: ignore[arg-type]

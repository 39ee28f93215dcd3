"""From a program and its spikes to the work of each step and the time of a run, against a plain-Python twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.chips.load import load_chip
from simulator.chips.quantity import Quantity
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.active import active_updates
from simulator.timing.barrier import quiet_times, release_time, start_times
from simulator.timing.clocked import run_clocked
from simulator.timing.contract import StepWork
from simulator.timing.expand import expand, message_counts
from simulator.timing.plan import make_plan
from simulator.timing.run import run_timing
from simulator.timing.scale import costs_of, mesh_of, packet_ticks
from tests.simulator.timing.times import check_same_times

# Ticks of the test chip (0.1 ns), by hand.
ACTIVE, INACTIVE, SPIKE, OUT = 97, 60, 300, 51


def service(n_syn: int) -> int:
    return 160 + 38 * n_syn


def dense_weights(program: Program) -> dict[int, np.ndarray]:
    """delay -> weights [N, N] and synapse counts, by logical ids."""
    n, first = program.n_neurons, program.first_ids()
    out: dict[int, np.ndarray] = {}
    for p in program.projections:
        w = out.setdefault(p.delay, np.zeros((2, n, n), int))
        for i in range(p.indptr.size - 1):
            for k in range(p.indptr[i], p.indptr[i + 1]):
                w[0, first[p.source] + i, first[p.target] + p.indices[k]] += int(p.weights[k])
                w[1, first[p.source] + i, first[p.target] + p.indices[k]] += 1
    return out


def plain_work(
    program: Program, spikes: SpikeTrain, step: int, n_cores: int
) -> list[tuple[list[tuple[int, int, int]], int]]:
    """[(messages (gap, dst, srv), tail) of each endpoint], written from the model's text."""
    n = program.n_neurons
    fired = spikes.to_dense(0, n)
    weights = dense_weights(program)
    got = np.zeros(n, int)
    for delay, w in weights.items():
        if step - 1 - delay >= 0:
            got = got + fired[step - 1 - delay] @ w[0]
    synapses = sum(w[1] for w in weights.values())
    is_input = np.arange(n) < 12
    is_output = np.arange(n) >= 52 if program.populations[2].role == "output" else np.zeros(n, bool)
    result = []
    for c in [*range(n_cores), HOST]:
        messages, owed = [], 0
        for i in np.flatnonzero(program.core == c):
            if not is_input[i]:
                owed += ACTIVE if got[i] or fired[step, i] else INACTIVE
                owed += SPIKE if fired[step, i] else 0
            if fired[step, i]:
                for d in sorted(set(program.core[np.flatnonzero(synapses[i])].tolist())):
                    count = int(synapses[i][program.core == d].sum())
                    messages.append((owed + (0 if c == HOST else OUT), d, service(count)))
                    owed = 0
                if is_output[i]:
                    messages.append((owed + OUT, n_cores, 2))
                    owed = 0
        result.append((messages, owed))
    return result


def as_lists(work: StepWork) -> list[tuple[list[tuple[int, int, int]], int]]:
    out = []
    for c in range(work.off.size - 1):
        rows = range(work.off[c], work.off[c + 1])
        out.append(([(int(work.gap[m]), int(work.dst[m]), int(work.srv[m])) for m in rows], int(work.tail[c])))
    return out


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("on_chip", [False, True])
def test_expand_equals_the_plain_twin(make_chip, make_program, make_spikes, seed, on_chip) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(), make_program(seed, 12, inputs_on_chip=on_chip)
    spikes = make_spikes(seed, 5, 58)
    plan = make_plan(program, chip)
    chunk = expand(plan, spikes, 1, 5, active_updates(program, spikes, 1, 5))
    for i in range(4):
        assert as_lists(chunk.step(i)) == plain_work(program, spikes, 1 + i, 12)
        assert chunk.step(i).dst.size == message_counts(plan, spikes)[1 + i]
    works = [chunk.step(i) for i in range(4)]
    np.testing.assert_array_equal(
        chunk.soma, [sum(int(w.gap[w.off[c] : w.off[c + 1]].sum()) + int(w.tail[c]) for w in works) for c in range(13)]
    )
    np.testing.assert_array_equal(
        chunk.synapse, sum(np.bincount(w.dst, w.srv, minlength=13).astype(np.int64) for w in works)
    )


def test_without_host_traffic_there_is_no_host(make_chip, make_program) -> None:  # type: ignore[no-untyped-def]
    plan = make_plan(make_program(0, 12, inputs_on_chip=True, output=False), make_chip())
    assert plan.mesh.host is None
    assert make_plan(make_program(0, 12), make_chip()).mesh.host == (0, 0)


def test_ticks_of_a_chip(make_chip) -> None:  # type: ignore[no-untyped-def]
    mesh, costs = mesh_of(make_chip()), costs_of(make_chip())
    assert mesh.hop_ticks == (65, 41, 65, 41, 12)
    assert (mesh.flits, mesh.enqueue_ticks, mesh.port_slots, mesh.core_slots) == (2, 5, 4, 3)
    assert (mesh.barrier_hop_ticks, mesh.sync_ticks) == (20, 1000)
    assert (costs.update_active, costs.update_inactive, costs.spike, costs.out) == (ACTIVE, INACTIVE, SPIKE, OUT)
    assert [costs.service(n) for n in (0, 1, 10)] == [160, 198, 540]


@pytest.mark.parametrize(
    ("flits", "flit_ns", "ticks"), [(2, None, 2), (1, 0.29, 3), (2, 0.29, 6), (3, 1.0, 30), (1, 0.1, 1)]
)
def test_a_link_is_held_for_the_time_of_the_flits(make_chip, flits, flit_ns, ticks) -> None:  # type: ignore[no-untyped-def]
    times = {} if flit_ns is None else {"flit_time": flit_ns}
    mesh = mesh_of(make_chip(flits=flits, **times))
    assert mesh.flits == ticks
    # A burst from core 0 to core 1 of another router: one packet every `ticks` once the link is full.
    n, gap = 40, np.zeros(40, np.int32)
    off = np.zeros(mesh.n_endpoints + 1, np.int64)
    off[1:] = n
    zero = np.zeros(mesh.n_endpoints, np.int64)
    dst = np.full(n, mesh.cores_per_router * mesh.height, np.int32)  # the next router to the east
    roomy = replace(mesh, core_slots=64, port_slots=64)
    work = StepWork(off, gap, np.zeros(n, np.int64), dst, np.ones(n, np.int32), zero.astype(np.int32), zero)
    arrivals = run_clocked(roomy, work).stamps[:, 2]
    assert (np.diff(arrivals) == ticks).all()


@pytest.mark.parametrize("name", ["loihi1", "loihi1-fitted", "loihi2"])
def test_links_of_loihi_carry_the_published_bandwidth(name: str) -> None:
    chip = load_chip(name)
    assert chip.timing is not None and chip.timing.flit_time is not None
    per_ns = 1 / (packet_ticks(chip) * 0.1)  # packets a ns and link
    assert per_ns == pytest.approx(3.44, rel=0.04)  # Davies et al. 2018, Table 2, less the rounding to ticks


def test_the_barrier_follows_the_used_tiles(make_chip) -> None:  # type: ignore[no-untyped-def]
    table = {k: Quantity(v, "ns", "test", "fitted") for k, v in {"1": 600, "2": 1000, "4": 1400}.items()}
    chip = make_chip(barrier_by_tiles=table)
    assert [mesh_of(chip, tiles).sync_ticks for tiles in (1, 2, 3, 4, 6)] == [6000, 10000, 10000, 14000, 14000]


@pytest.mark.parametrize("engine", ["clocked", "simpy", "compiled"])
def test_a_run_is_the_sum_of_its_steps(make_chip, make_program, make_spikes, engine) -> None:  # type: ignore[no-untyped-def]
    chip, program, spikes = make_chip(), make_program(3, 12), make_spikes(3, 4, 58)
    run = run_timing(program, chip, spikes, engine, keep=range(1, 3))
    assert sorted(run.steps) == [1, 2]
    plan = make_plan(program, chip)
    ticks = []
    for t in range(4):
        work = expand(plan, spikes, t, t + 1, active_updates(program, spikes, t, t + 1)).step(0)
        np.testing.assert_array_equal(work.start, start_times(plan.mesh))
        times = run_clocked(plan.mesh, work)
        ticks.append(release_time(plan.mesh, quiet_times(work, times)))
        if t in run.steps:
            np.testing.assert_array_equal(run.steps[t][1].stamps, times.stamps)
    np.testing.assert_array_equal(run.step_ticks, ticks)
    assert run.sim_time_ns == pytest.approx(sum(ticks) * 0.1)
    np.testing.assert_array_equal(run.step_time_ns, np.array(ticks) * 0.1)


@pytest.mark.parametrize("threads", [1, 3])
def test_engines_and_threads_give_the_same_run(make_chip, make_program, make_spikes, threads, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("simulator.timing.chunks.CHUNK_MESSAGES", 300)  # several chunks
    chip, program, spikes = make_chip(), make_program(4, 12), make_spikes(4, 9, 58, 0.5)
    learn = np.arange(9 * 12, dtype=np.int64).reshape(9, 12)
    keep = range(2, 8, 3)
    a = run_timing(program, chip, spikes, "clocked", keep=keep, learn_synapses=learn)
    b = run_timing(program, chip, spikes, "compiled", keep=keep, learn_synapses=learn, threads=threads)
    check_same_times(a, b)
    assert a.soma_stall_ticks.sum() > 0
    assert sorted(a.steps) == sorted(b.steps) == [2, 5]
    for t in a.steps:
        np.testing.assert_array_equal(a.steps[t][1].stamps, b.steps[t][1].stamps)
        np.testing.assert_array_equal(a.steps[t][1].link_busy, b.steps[t][1].link_busy)
        np.testing.assert_array_equal(a.steps[t][1].soma_end, b.steps[t][1].soma_end)


def test_bound_is_below_and_silence_costs_the_same(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(), make_program(5, 12)
    spikes = make_spikes(5, 6, 58)
    low, exact = run_timing(program, chip, spikes, "bound"), run_timing(program, chip, spikes, "clocked")
    assert (low.step_ticks <= exact.step_ticks).all()
    assert (low.step_ticks > 0.3 * exact.step_ticks).all()
    silent = SpikeTrain(np.zeros(3, np.int64), np.zeros(0, np.int32))
    a, b = (run_timing(program, chip, silent, e).step_ticks for e in ("bound", "clocked"))
    np.testing.assert_array_equal(a, b)


def test_the_learning_phase_lengthens_its_step(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, spikes = make_chip(learn_synapse=2.0), make_spikes(5, 3, 58)
    program = make_program(5, 12, inputs_on_chip=True, output=False)  # without a host, every endpoint learns
    plain = run_timing(program, chip, spikes)
    learn = np.zeros((3, 12), np.int64)
    learn[1] = 1000
    for engine in ("clocked", "compiled"):
        run = run_timing(program, chip, spikes, engine, learn_synapses=learn)
        np.testing.assert_array_equal(run.step_ticks - plain.step_ticks, [0, 20000, 0])


def test_a_step_does_not_depend_on_the_others(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, program, spikes = make_chip(neuron_update_inactive=9.7), make_program(7, 12), make_spikes(7, 6, 58)
    whole = run_timing(program, chip, spikes)
    cut = int(spikes.ptr[3])
    head = SpikeTrain(spikes.ptr[:4], spikes.ids[:cut])
    tail = SpikeTrain(spikes.ptr[3:] - cut, spikes.ids[cut:])
    parts = [run_timing(program, chip, s).step_ticks for s in (head, tail)]
    np.testing.assert_array_equal(whole.step_ticks, np.concatenate(parts))


def test_other_hardware_for_the_same_spikes(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, program, spikes = make_chip(), make_program(8, 12), make_spikes(8, 4, 58, 0.6)
    mesh = make_plan(program, chip).mesh
    slow = replace(mesh, flits=200, port_slots=1, core_slots=1)
    a, b = run_timing(program, chip, spikes), run_timing(program, chip, spikes, mesh=slow)
    assert (b.step_ticks > a.step_ticks).all()
    assert b.soma_stall_ticks.sum() > a.soma_stall_ticks.sum()
    np.testing.assert_array_equal(a.synapse_busy_ticks[:12], b.synapse_busy_ticks[:12])


def test_bad_input_is_refused(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, program, spikes = make_chip(), make_program(1, 12), make_spikes(1, 3, 58)
    with pytest.raises(InputError, match=r"core 11: cannot be reached.*mesh of 4 cores"):
        run_timing(replace(program, core=np.where(program.core == 10, 11, program.core)), make_chip(2, 2, 1), spikes)
    with pytest.raises(InputError, match=r"engine 'guess'.*compiled, clocked"):
        run_timing(program, chip, spikes, "guess")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"\$\.timing\.synapse.*never published"):
        run_timing(program, make_chip(synapse=None), spikes)
    with pytest.raises(InputError, match="energy only"):
        chip_without = make_chip()
        run_timing(program, _without_timing(chip_without), spikes)
    with pytest.raises(InputError, match="58 neurons"):
        run_timing(program, chip, make_spikes(1, 3, 90))
    with pytest.raises(InputError, match="learn_synapses"):
        run_timing(program, chip, spikes, learn_synapses=np.zeros((3, 99), np.int64))
    with pytest.raises(InputError, match="greater than 0"):
        run_timing(program, make_chip(tick=0), spikes)


def _without_timing(chip):  # type: ignore[no-untyped-def]
    import msgspec

    return msgspec.structs.replace(chip, timing=None)


@pytest.mark.parametrize("factor", [3.0, 0.9, 0.4])
@pytest.mark.parametrize("arbiter", ["fifo", "rr"])
def test_ticks_by_three_engines(make_chip, make_program, make_spikes, factor, arbiter) -> None:  # type: ignore[no-untyped-def]
    """Overlapping steps too: somas that are behind, packets that cross their tick's end."""
    chip, program = make_chip(arbiter=arbiter, tick=2.0), make_program(4, 12)
    spikes = make_spikes(4, 7, 58, 0.4)
    barrier = run_timing(program, chip, spikes)
    period = float(barrier.step_time_ns.max()) * factor
    runs = {
        e: run_timing(program, chip, spikes, e, sync="tick", period_ns=period, keep=range(7))
        for e in ("clocked", "compiled", "simpy")
    }
    a = runs["clocked"]
    assert a.late is not None
    assert (a.late.sum() > 0) == (factor < 0.5)
    assert (a.step_ticks == round(period / 2.0)).all()
    for b in runs.values():
        np.testing.assert_array_equal(a.late, b.late)
        for name in ("messages", "soma_stall_ticks", "link_busy_ticks", "soma_busy_ticks"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        for t in range(7):
            np.testing.assert_array_equal(a.steps[t][1].stamps, b.steps[t][1].stamps)
            np.testing.assert_array_equal(a.steps[t][1].soma_end, b.steps[t][1].soma_end)
    np.testing.assert_array_equal(a.soma_busy_ticks, barrier.soma_busy_ticks)


def test_a_long_tick_is_a_barrier_without_its_skew(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    """Nothing overlaps: each step's stamps are those of a barrier that releases all cores at once."""
    chip, program, spikes = make_chip(barrier_hop=0.0), make_program(4, 12), make_spikes(4, 5, 58, 0.4)
    barrier = run_timing(program, chip, spikes, keep=range(5))
    tick = run_timing(program, chip, spikes, sync="tick", period_ns=1e5, keep=range(5))
    for t in range(5):
        np.testing.assert_array_equal(barrier.steps[t][1].stamps, tick.steps[t][1].stamps)
        np.testing.assert_array_equal(barrier.steps[t][1].soma_end, tick.steps[t][1].soma_end)
    assert tick.sim_time_ns == pytest.approx(5e5)


def test_what_does_not_go_with_ticks_is_refused(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    chip, program, spikes = make_chip(), make_program(4, 12), make_spikes(4, 5, 58, 0.4)
    with pytest.raises(InputError, match="period_ns"):
        run_timing(program, chip, spikes, sync="tick")
    with pytest.raises(InputError, match="'bound'"):
        run_timing(program, chip, spikes, "bound", sync="tick", period_ns=1e3)
    with pytest.raises(InputError, match="sync 'free'"):
        run_timing(program, chip, spikes, sync="free")  # type: ignore[arg-type]

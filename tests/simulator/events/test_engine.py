"""The event-driven engine against the functional run followed by the compiled timing: spikes, states, stamps, counters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.events.engine import SimpyEngine
from simulator.events.neighbours import NeighbourEngine
from simulator.events.run import run_events
from simulator.function import run
from simulator.neurons.spike_sampler import sigmoid_table
from simulator.program.graph import Population, Projection
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.contract import EAST, WEST
from simulator.timing.fabric import InputPort, OutputPort, Packet, Router
from simulator.timing.plan import make_plan
from simulator.timing.run import run_timing
from tests.simulator.timing.times import check_same_times

LIF = {"dv": 512, "bias": 3, "vth": 60, "refractory": 1, "strict": 1}


def params(values: dict[str, int]) -> dict[str, np.ndarray]:
    return {k: np.array(v, np.int32) for k, v in values.items()}


def random_program(seed: int, n_cores: int, graded: bool, contiguous: bool) -> Program:
    """Draw inputs at the host and on cores, LIF, stochastic and integrating neurons, delays, shared cores, an output."""
    rng = np.random.default_rng(seed)
    sampler = params({"bias": -20, "shift": 2})
    populations = (
        Population("in", "input", 10, role="input"),
        Population("near", "input", 5, role="input"),
        Population("lif", "lif", 30, params(LIF)),
        Population("dice", "spike_sampler", 12, sampler, {"p": sigmoid_table()}),
        Population("out", "if", 4, params({"vth": 100, "soft": 1}), role="output"),
    )
    sizes = {p.name: p.size for p in populations}
    pairs = [("in", "lif", 0), ("near", "lif", 1), ("lif", "lif", 2), ("lif", "dice", 0), ("in", "dice", 0)]
    pairs += [("dice", "out", 0), ("lif", "out", 3), ("near", "out", 0)]
    projections = []
    for a, b, delay in pairs:
        mask = rng.random((sizes[a], sizes[b])) < 0.4
        indptr = np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64)
        indices = np.nonzero(mask)[1].astype(np.int32)
        weights = rng.integers(-20, 60, indices.size).astype(np.int8)
        exponent = int(rng.integers(0, 3)) if not graded else 0
        projections.append(Projection(f"{a}-{b}", a, b, "in", indptr, indices, weights, delay, exponent))
    n = sum(sizes.values())
    core = np.sort(rng.integers(0, n_cores, n)) if contiguous else rng.integers(0, n_cores, n)
    core[:10] = HOST
    return Program("test", "0", populations, tuple(projections), core.astype(np.int32))


def random_inputs(seed: int, steps: int, graded: bool) -> SpikeTrain:
    rng = np.random.default_rng(seed)
    dense = (rng.random((steps, 15)) < 0.4).astype(np.int32)
    return SpikeTrain.from_dense(dense * rng.integers(1, 5, dense.shape) if graded else dense)


@pytest.mark.parametrize("sync", ["barrier", "neighbour"])
@pytest.mark.parametrize("seed", range(12))
def test_equals_function_first_then_compiled(make_chip, seed, sync) -> None:  # type: ignore[no-untyped-def]
    graded, steps = seed % 3 == 0, 9
    chip = make_chip(
        arbiter="rr" if seed % 2 else "fifo", port_slots=1 + seed % 3, core_slots=1 + seed % 2, handshake=1.5
    )
    program = random_program(seed, 12, graded, contiguous=seed % 4 == 0)
    inputs = random_inputs(seed, steps, graded)
    expected = run(program, inputs, steps, seed=seed, topology=chip.topology, probes=[("lif", "v"), ("out", "v")])
    when = run_timing(program, chip, expected.spikes, "compiled", keep=range(steps), sync=sync)
    got, times = run_events(
        program, chip, inputs, steps, seed=seed, keep=range(steps), probes=[("lif", "v"), ("out", "v")], sync=sync
    )
    assert expected.spikes.ids.size > 200
    np.testing.assert_array_equal(got.spikes.ptr, expected.spikes.ptr)
    np.testing.assert_array_equal(got.spikes.ids, expected.spikes.ids)
    assert (got.spikes.payload is None) == (expected.spikes.payload is None)
    if graded:
        np.testing.assert_array_equal(got.spikes.payload, expected.spikes.payload)
    for probe, values in expected.probes.items():
        np.testing.assert_array_equal(got.probes[probe], values)
    assert got.activity.counts.keys() == expected.activity.counts.keys()
    for name, count in expected.activity.counts.items():
        for by in ("by_core", "by_step", "by_population"):
            np.testing.assert_array_equal(getattr(got.activity.counts[name], by), getattr(count, by), err_msg=name)
    check_same_times(times, when)
    for t in range(steps):
        for name in ("off", "gap", "dst", "srv", "tail", "start"):
            np.testing.assert_array_equal(getattr(times.steps[t][0], name), getattr(when.steps[t][0], name))
        np.testing.assert_array_equal(times.steps[t][1].stamps, when.steps[t][1].stamps)
        np.testing.assert_array_equal(times.steps[t][1].soma_end, when.steps[t][1].soma_end)


def test_a_core_that_starts_late_keeps_steps_apart(make_chip) -> None:  # type: ignore[no-untyped-def]
    """Without delays, and a barrier slow enough that packets of the next step come before a far core has begun it."""
    chip, inputs = make_chip(4, 3, 1, barrier_hop=2000.0), random_inputs(9, 6, False)
    program = random_program(9, 12, False, False)
    program = replace(program, projections=tuple(replace(p, delay=0) for p in program.projections))
    expected = run(program, inputs, 6, topology=chip.topology)
    got, times = run_events(program, chip, inputs, 6)
    assert got.spikes.spike_hash() == expected.spikes.spike_hash()
    np.testing.assert_array_equal(times.step_ticks, run_timing(program, chip, expected.spikes).step_ticks)


def test_in_two_parts_as_in_one(make_chip) -> None:  # type: ignore[no-untyped-def]
    chip, program, inputs = make_chip(), random_program(2, 12, False, True), random_inputs(2, 8, False)
    whole = SimpyEngine(program, chip, graded_inputs=False)
    whole.advance(inputs, 8)
    parts = SimpyEngine(program, chip, graded_inputs=False)
    cut = int(inputs.ptr[3])
    parts.advance(SpikeTrain(inputs.ptr[:4], inputs.ids[:cut]), 3)
    parts.advance(SpikeTrain(inputs.ptr[3:] - cut, inputs.ids[cut:]), 5)
    assert whole.step_ticks == parts.step_ticks
    for a, b in zip(whole.record.ids, parts.record.ids, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(whole.state.words, parts.state.words, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_changed_by_a_hook_act_from_the_next_step(make_chip) -> None:  # type: ignore[no-untyped-def]
    """Learning sees and changes the same arrays in both engines."""
    from simulator.function import Simulation

    chip, program, inputs = make_chip(), random_program(3, 12, False, False), random_inputs(3, 8, False)

    plastic = tuple(replace(p, plastic="hook") for p in program.projections)
    program = replace(program, projections=plastic)  # each run has weights of its own

    def learn(simulation: Simulation) -> None:
        w = simulation.weights("in-lif")
        fired = simulation.events[0]
        w[fired[fired >= 15]] -= 20

    a = Simulation(program, graded_inputs=False)
    b = SimpyEngine(program, chip, graded_inputs=False)
    for simulation in (a, b):
        simulation.step_hooks.append(learn)
        simulation.advance(inputs, 8)
    np.testing.assert_array_equal(a.weights("in-lif"), b.weights("in-lif"))
    for x, y in zip(a.record.ids, b.record.ids, strict=True):
        np.testing.assert_array_equal(x, y)
    plain = Simulation(program, graded_inputs=False)
    plain.advance(inputs, 8)
    assert any(x.size != y.size or (x != y).any() for x, y in zip(a.record.ids, plain.record.ids, strict=True))


def test_the_learning_phase_delays_the_next_step(make_chip) -> None:  # type: ignore[no-untyped-def]
    chip, program, inputs = make_chip(), random_program(3, 12, False, False), random_inputs(3, 4, False)
    plain = SimpyEngine(program, chip, graded_inputs=False)
    plain.advance(inputs, 4)
    busy = SimpyEngine(
        program, chip, graded_inputs=False, learn_ticks=lambda e: np.full(13, 500) if e.state.step == 2 else None
    )
    busy.advance(inputs, 4)
    assert [b - a for a, b in zip(plain.step_ticks, busy.step_ticks, strict=True)] == [0, 500, 0, 0]


def test_the_mapping_changes_times_but_not_spikes(make_chip) -> None:  # type: ignore[no-untyped-def]
    chip, program, inputs = make_chip(), random_program(4, 12, False, False), random_inputs(4, 6, False)
    other = np.where(program.core == HOST, HOST, (program.core * 5 + 1) % 12).astype(np.int32)
    a, when_a = run_events(program, chip, inputs, 6)
    b, when_b = run_events(replace(program, core=other), chip, inputs, 6)
    assert a.spikes.spike_hash() == b.spikes.spike_hash()
    assert (when_a.step_ticks != when_b.step_ticks).any()


class YoungestFirst(Router):
    def choose(self, output: OutputPort) -> InputPort:
        return max(output.requests, key=lambda i: (i.queue[0].arrival, i.queue[0].number))


def test_a_router_of_ones_own(make_chip) -> None:  # type: ignore[no-untyped-def]
    chip, program, inputs = make_chip(port_slots=1), random_program(5, 12, False, False), random_inputs(5, 6, False)
    a, when_a = run_events(program, chip, inputs, 6)
    b, when_b = run_events(program, chip, inputs, 6, router=YoungestFirst)
    assert a.spikes.spike_hash() == b.spikes.spike_hash()
    assert (when_a.step_ticks != when_b.step_ticks).any()


def test_a_router_in_deadlock_is_named(make_chip) -> None:  # type: ignore[no-untyped-def]
    chip = make_chip(2, 1, 2, port_slots=1)
    program = random_program(6, 4, False, False)
    with pytest.raises(InputError, match="deadlock"):
        run_events(program, chip, random_inputs(6, 6, False), 6, router=BackAndForth)


class BackAndForth(Router):
    """A defect: packets never leave the two buffers between two routers."""

    def route(self, packet: Packet, in_port: int) -> int:
        return EAST if self.x == 0 else WEST


def test_tick_needs_a_period(make_chip) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="period_ns"):
        SimpyEngine(random_program(6, 12, False, False), make_chip(), sync="tick")
    with pytest.raises(InputError, match="sync 'none'"):
        SimpyEngine(random_program(6, 12, False, False), make_chip(), sync="none")  # type: ignore[arg-type]


def test_a_long_tick_computes_the_same_and_nothing_is_late(make_chip) -> None:  # type: ignore[no-untyped-def]
    chip, program, inputs = make_chip(), random_program(7, 12, False, False), random_inputs(7, 6, False)
    expected = run(program, inputs, 6, topology=chip.topology)
    engine = SimpyEngine(program, chip, graded_inputs=False, sync="tick", period_ns=1e6)
    engine.advance(inputs, 6)
    np.testing.assert_array_equal(np.concatenate(engine.record.ids), expected.spikes.ids)
    assert engine.late == [0] * 6
    assert engine.step_ticks == [10_000_000] * 6
    assert engine.messages == make_plan_messages(program, chip, expected.spikes)


def make_plan_messages(program: Program, chip: object, spikes: SpikeTrain) -> list[int]:
    from simulator.timing.expand import message_counts

    return message_counts(make_plan(program, chip), spikes).tolist()  # type: ignore[arg-type]


def test_ticks_equal_the_compiled_timing_of_their_spikes(make_chip) -> None:  # type: ignore[no-untyped-def]
    """Late packets included: the spikes that came out, timed afterwards, give the same stamps."""
    chip = make_chip(message_in=200.0, port_slots=500, core_slots=500, neuron_update_inactive=9.7)
    program, inputs = random_program(8, 12, False, False), random_inputs(8, 7, False)
    for period in (600.0, 2500.0, 1e5):
        got, times = run_events(program, chip, inputs, 7, sync="tick", period_ns=period, keep=range(7))
        when = run_timing(program, chip, got.spikes, sync="tick", period_ns=period, keep=range(7))
        assert times.late is not None
        assert when.late is not None
        np.testing.assert_array_equal(times.late, when.late)
        assert (when.late.sum() > 0) == (period < 1e5)
        for t in range(7):
            np.testing.assert_array_equal(times.steps[t][1].stamps, when.steps[t][1].stamps)
            np.testing.assert_array_equal(times.steps[t][1].soma_end, when.steps[t][1].soma_end)


def test_a_short_tick_makes_packets_late(make_chip) -> None:  # type: ignore[no-untyped-def]
    chip, program, inputs = (
        make_chip(message_in=400.0, port_slots=500, core_slots=500),
        random_program(7, 12, False, False),
        random_inputs(7, 6, False),
    )
    barrier = run_timing(program, chip, run(program, inputs, 6, topology=chip.topology).spikes)
    engine = SimpyEngine(
        program, chip, graded_inputs=False, sync="tick", period_ns=float(barrier.step_time_ns.max() / 3)
    )
    engine.advance(inputs, 6)
    assert sum(engine.late) > 0
    assert sum(engine.messages) > 0


def test_a_tick_too_short_for_the_somas_is_refused(make_chip) -> None:  # type: ignore[no-untyped-def]
    chip, program, inputs = make_chip(), random_program(7, 12, False, False), random_inputs(7, 6, False)
    with pytest.raises(InputError, match=r"too short: core \d+ still works on step 0"):
        run_events(program, chip, inputs, 6, sync="tick", period_ns=20.0)


def test_neighbours_in_two_parts(make_chip) -> None:  # type: ignore[no-untyped-def]
    """Each call of `advance` begins on a quiet chip, as timing does behind a reset."""
    chip, program, inputs = make_chip(handshake=1.0), random_program(2, 12, False, True), random_inputs(2, 8, False)
    spikes = run(program, inputs, 8, topology=chip.topology).spikes
    engine = NeighbourEngine(program, chip, graded_inputs=False)
    cut = int(inputs.ptr[3])
    engine.advance(SpikeTrain(inputs.ptr[:4], inputs.ids[:cut]), 3)
    engine.advance(SpikeTrain(inputs.ptr[3:] - cut, inputs.ids[cut:]), 5)
    when = run_timing(program, chip, spikes, sync="neighbour", resets=[3])
    assert engine.step_ticks == when.step_ticks.tolist()
    np.testing.assert_array_equal(np.concatenate(engine.record.ids), spikes.ids)


def test_neighbours_refuse_hooks(make_chip) -> None:  # type: ignore[no-untyped-def]
    engine = NeighbourEngine(random_program(2, 12, False, True), make_chip(), graded_inputs=False)
    engine.step_hooks.append(lambda _: None)
    with pytest.raises(InputError, match="no quiet chip"):
        engine.advance(random_inputs(2, 4, False), 4)

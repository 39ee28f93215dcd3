"""Faults against equivalent sound programs, exact counts and the statistics of their rates."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.base.random import STREAM_DROP, philox4x32
from simulator.chips.chip import Topology
from simulator.chips.load import load_chip
from simulator.function import FunctionRun, Simulation, run
from simulator.function.checkpoint import advance_saving
from simulator.program.axons import axon_table
from simulator.program.faults import (
    Faults,
    check_faults,
    clock_factors,
    detours,
    flip_bits,
    hits,
    lost_packets,
    parse_faults,
    path,
    router_of,
)  # fmt: skip
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain

N, STEPS = 40, 60
MESH = Topology(width=4, height=3, cores_per_router=1, usable_cores=12, host_port=(0, 0))


def _program(seed: int = 0, **lif: object) -> Program:
    rng = np.random.default_rng(seed)
    params = {"dv": np.array(512), "vth": np.array(300), "bias": rng.integers(0, 50, N), **lif}
    populations = (Population("in", "input", 6), Population("a", "lif", N, params), Population("b", "lif", N, params))
    up = rng.integers(-40, 100, (N, 6)).astype(np.int8)
    projections = tuple(
        Projection(name, source, target, "in", *dense_to_csr(matrix, keep_zeros=True))
        for name, source, target, matrix in (
            ("up", "in", "a", up), ("ab", "a", "b", rng.integers(-60, 70, (N, N)).astype(np.int8)),
            ("aa", "a", "a", rng.integers(-60, 60, (N, N)).astype(np.int8)),
        )
    )  # fmt: skip
    core = np.concatenate([np.full(6, HOST), rng.integers(0, 12, 2 * N)]).astype(np.int32)
    return Program("", "", populations, projections, core)


def _inputs() -> SpikeTrain:
    return SpikeTrain.from_dense((np.random.default_rng(1).random((STEPS, 6)) < 0.5).astype(np.int32))


def _run(program: Program, faults: Faults | None = None) -> FunctionRun:
    return run(program, _inputs(), STEPS, topology=MESH, faults=faults)


def _with_weights(program: Program, change) -> Program:  # type: ignore[no-untyped-def]
    changed = tuple(dataclasses.replace(p, weights=change(p)) for p in program.projections)
    return dataclasses.replace(program, projections=changed)


def test_no_faults_change_nothing() -> None:
    a, b = _run(_program()), _run(_program(), Faults(seed=3, clock_sigma=0.1))
    assert a.spikes.spike_hash() == b.spikes.spike_hash()
    assert not any(name.startswith("fault") for name in b.activity.counts)


@pytest.mark.parametrize(("where", "value"), [("zero", 0), ("min", -128), ("max", 127)])
def test_all_weights_stuck(where: str, value: int) -> None:
    program = _program()
    broken = _run(program, Faults(stuck_rate=1.0, stuck_value=where))  # type: ignore[arg-type]
    sound = _run(_with_weights(program, lambda p: np.full_like(p.weights, value)))
    assert broken.spikes.spike_hash() == sound.spikes.spike_hash()
    assert broken.activity.total("fault_stuck_weights") == sum(p.n_synapses for p in program.projections)


def test_all_packets_dropped() -> None:
    program = _program()
    broken = _run(program, Faults(drop_rate=1.0))
    alone = _run(_with_weights(program, lambda p: np.zeros_like(p.weights)))
    assert broken.spikes.spike_hash() == alone.spikes.spike_hash()
    a = broken.activity
    assert a.total("synaptic_events") == 0
    assert a.total("fault_lost_packets") == a.total("packets") + a.total("host_packets_in")
    assert a.total("fault_lost_synaptic_events") == alone.activity.total("synaptic_events")


def test_dropped_packets_come_at_their_rate_and_take_their_synapses() -> None:
    program, rate = _program(), 0.3
    broken = _run(program, Faults(seed=5, drop_rate=rate))
    a, n = broken.activity, broken.activity.total("packets") + broken.activity.total("host_packets_in")
    assert abs(a.total("fault_lost_packets") - rate * n) < 4.5 * np.sqrt(n * rate * (1 - rate))
    axons, expected, meant, step_of = axon_table(program), 0, 0, np.repeat(np.arange(STEPS), broken.spikes.counts())
    for i, t in zip(broken.spikes.ids.tolist(), step_of.tolist(), strict=True):
        for k in range(axons.ptr[i], axons.ptr[i + 1]):
            word = int(philox4x32(t, i, STREAM_DROP, int(axons.dst[k]), 5, 0)[0])
            meant += int(axons.n_syn[k])
            expected += int(axons.n_syn[k]) if word < round(rate * 2**32) else 0
    assert a.total("fault_lost_synaptic_events") == expected
    assert a.total("synaptic_events") == meant - expected
    for name, count in a.counts.items():
        assert count.by_core.sum() == count.by_step.sum() == count.by_population.sum(), name


def test_a_dead_core_is_a_program_without_its_neurons() -> None:
    program, dead = _program(), (2, 7)
    gone = np.isin(program.core, dead)
    first = program.first_ids()

    def without(p: Projection) -> np.ndarray:
        rows = np.repeat(np.arange(p.indptr.size - 1), np.diff(p.indptr)) + first[p.source]
        return np.where(gone[rows] | gone[p.indices + first[p.target]], 0, p.weights).astype(np.int8)

    silent = []
    for p in program.populations:
        vth = np.where(gone[first[p.name] : first[p.name] + p.size], 2**31 - 1, 300)
        silent.append(dataclasses.replace(p, params={**p.params, "vth": vth}) if p.model == "lif" else p)
    sound = _run(dataclasses.replace(_with_weights(program, without), populations=tuple(silent)))
    broken = _run(program, Faults(dead_cores=dead))
    assert 0 < gone.sum() < N
    assert broken.spikes.spike_hash() == sound.spikes.spike_hash() != _run(program).spikes.spike_hash()
    assert broken.activity.total("neuron_updates") == STEPS * (2 * N - gone.sum())
    assert broken.activity.total("fault_lost_packets") > 0
    assert (broken.activity.counts["neuron_updates"].by_core[list(dead)] == 0).all()
    assert (broken.activity.counts["synaptic_events"].by_core[list(dead)] == 0).all()


def test_flipped_bits_are_those_counted() -> None:
    program = _program()
    simulation = Simulation(program, graded_inputs=False, faults=Faults(seed=8, weight_flip_rate=0.01))
    wrong, places = 0, 0
    for p in program.projections:
        now = simulation.weights(p.name)
        wrong += sum(bin(int(x)).count("1") for x in (now ^ p.weights).view(np.uint8))
        places += 8 * now.size
    assert simulation.breakage is not None
    assert wrong == sum(row[3] for row in simulation.breakage.lost["fault_weight_flips"])
    assert abs(wrong - 0.01 * places) < 4.5 * np.sqrt(0.01 * places)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 32), st.data())
def test_flip_bits_in_twos_complement(bits: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
    bit = data.draw(st.integers(0, bits - 1))
    words = np.array([7, value, 7], np.int32 if bits > 3 else np.int8)
    words[[0, 2]] = 0
    flip_bits(words, bits, np.array([bits + bit]))
    weight = -(1 << bit) if bit == bits - 1 else 1 << bit
    expected = value - weight if value & (1 << bit) else value + weight
    assert words.tolist() == [0, expected, 0]


def test_upsets_come_at_their_rate_in_every_step() -> None:
    program = _program()
    f = Faults(seed=2, weight_upset_rate=1e-4, state_upset_rate=1e-3)
    a = _run(program, f).activity
    bits = 8 * sum(p.n_synapses for p in program.projections)
    for name, expected in (
        ("fault_weight_flips", 1e-4 * bits * STEPS),
        ("fault_state_flips", 1e-3 * 2 * N * 38 * STEPS),
    ):
        assert abs(a.total(name) - expected) < 4.5 * np.sqrt(expected)
        assert (a.counts[name].by_step > 0).mean() > 0.8
    assert _run(program, f).spikes.spike_hash() == _run(program, f).spikes.spike_hash()
    other = Faults(seed=3, weight_upset_rate=1e-4, state_upset_rate=1e-3)
    assert _run(program, f).spikes.spike_hash() != _run(program, other).spikes.spike_hash()


def test_flips_in_words_do_not_depend_on_the_mapping() -> None:
    f = Faults(seed=2, weight_upset_rate=1e-4, state_upset_rate=1e-3, stuck_rate=0.1)
    program = _program()
    moved = dataclasses.replace(program, core=np.roll(program.core, 11) * 0 + 3)
    assert _run(program, f).spikes.spike_hash() == _run(moved, f).spikes.spike_hash()


def test_a_broken_chip_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    f = Faults(seed=1, drop_rate=0.1, weight_upset_rate=1e-4, state_upset_rate=1e-3, stuck_rate=0.05, dead_cores=(3,))
    whole = _run(_program(), f)
    half = Simulation(_program(), graded_inputs=False, faults=f)
    half.step_hooks.append(lambda s: (_ for _ in ()).throw(KeyboardInterrupt) if s.state.step == 37 else None)
    with pytest.raises(KeyboardInterrupt):
        advance_saving(half, _inputs(), STEPS, tmp_path / "c", 10)
    resumed = run(_program(), _inputs(), STEPS, topology=MESH, faults=f, checkpoint=tmp_path / "c", checkpoint_every=10)
    assert whole.spikes.spike_hash() == resumed.spikes.spike_hash()
    assert whole.activity.counts.keys() == resumed.activity.counts.keys()
    for name, count in whole.activity.counts.items():
        assert (count.by_step == resumed.activity.counts[name].by_step).all()
    with pytest.raises(InputError, match="other faults"):
        run(_program(), _inputs(), STEPS, topology=MESH, checkpoint=tmp_path / "c")


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.003, 0.2, 0.97, 1.0]))
def test_hits_are_independent_trials(seed: int, rate: float) -> None:
    places = 20_000
    got = hits(rate, places, seed, 4, 99, 1)
    assert got.size == 0 or (got[0] >= 0 and got[-1] < places and (np.diff(got) > 0).all())
    assert abs(got.size - rate * places) <= 5 * np.sqrt(places * rate * (1 - rate))
    pairs = np.isin(got + 1, got).sum()  # neighbours hit together at rate^2
    assert abs(pairs - rate**2 * places) <= 6 * np.sqrt(places * rate**2) * (rate < 1) + (rate == 1)


def test_lost_packets_alone() -> None:
    program = _program()
    axons, ids = axon_table(program), np.array([0, 8, 30], np.int32)
    lost = np.zeros((3, 12), np.uint8)
    dead = np.arange(12) == 4
    lost_packets(ids, axons.ptr, axons.dst, dead, np.uint64(0), 1, 2, lost)
    for k, i in enumerate(ids):
        there = axons.dst[axons.ptr[i] : axons.ptr[i + 1]]
        assert np.flatnonzero(lost[k]).tolist() == [c for c in there if c == 4]


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 11), st.integers(0, 11), st.sampled_from([None, "row", "column"]), st.integers(0, 2))
def test_paths_are_whole_and_go_along_their_line(a: int, b: int, kind: str | None, line: int) -> None:
    here, there = router_of(a, MESH), router_of(b, MESH)
    links = path(here, there, None if kind is None else (kind, line))  # type: ignore[arg-type]
    moves = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
    at = here
    for x, y, direction in links:
        assert (x, y) == at
        at = (x + moves[direction][0], y + moves[direction][1])
    assert at == there
    assert len(set(links)) == len(links)
    across = {y for x, y, d in links if d in ("east", "west")}
    if kind is None:
        assert len(links) == abs(here[0] - there[0]) + abs(here[1] - there[1])
        assert across <= {here[1]}
    if kind == "row" and here[0] != there[0]:
        assert across == {line}
    if kind == "column" and here[1] != there[1]:
        assert {x for x, y, d in links if d in ("north", "south")} == {line}


def test_dead_links_are_gone_round_or_refused_with_a_reason() -> None:
    q = Projection("q", "a", "b", "in", *dense_to_csr(np.ones((1, 1), np.int8)))
    lif = {"dv": np.array(512), "vth": np.array(300)}
    program = Program(
        "", "", (Population("a", "lif", 1, lif), Population("b", "lif", 1, lif)), (q,), np.zeros(2, np.int32)
    )
    program.core[:] = 0, 11  # (0, 0) -> (3, 2)
    axons = axon_table(program)
    assert detours(program, axons, MESH, []) == {}
    assert detours(program, axons, MESH, [(1, 0, "west"), (3, 2, "east")]) == {}
    one = detours(program, axons, MESH, [(1, 0, "east")])
    assert len(path((0, 0), (3, 2), one[0, 11])) == 5  # no more hops than x first
    two = detours(program, axons, MESH, [(1, 0, "east"), (0, 0, "north")])
    assert two == {(0, 11): ("column", 1)}
    with pytest.raises(InputError, match=r"core 11: cannot be reached from core 0: .*router \(0, 0\) east"):
        detours(program, axons, MESH, [(0, 0, "east"), (0, 0, "north")])
    with pytest.raises(InputError, match="is not on the 4 x 3 mesh"):
        detours(program, axons, MESH, [(4, 0, "east")])
    program.core[:] = 0, 9  # (0, 0) -> (3, 0): a row of its own has no other shortest way
    row = detours(program, axon_table(program), MESH, [(1, 0, "east")])
    assert row == {(0, 9): ("row", 1)}
    assert len(path((0, 0), (3, 0), row[0, 9])) == 5


def test_clock_factors() -> None:
    factors = clock_factors(Faults(seed=4, clock_sigma=0.05), 4000)
    assert abs(factors.mean() - 1) < 0.05 * 4 / np.sqrt(4000)
    assert abs(factors.std() - 0.05) < 0.003
    assert np.abs(factors - 1).max() <= 0.15 + 1e-12
    assert (clock_factors(Faults(), 5) == 1).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"drop_rate": 1.5}, r"\$\.drop_rate"),
        ({"drop": 0.1}, "unknown field `drop`"),
        ({"seed": -1}, r"`int` >= 0 - at `\$.seed`"),
        ({"seed": 2**63}, r"`int` <= 9223372036854775807 - at `\$.seed`"),
        ({"stuck_value": "half"}, "half"),
        ({"dead_links": [[0, 0, "up"]]}, r"\$\.dead_links\[0\]"),
    ],
)
def test_bad_faults_are_named(value: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_faults(value)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (Faults(dead_cores=(3, 128)), r"^dead core 128: is not on the chip; its cores are 0\.\.127"),
        (Faults(dead_cores=(-1,)), r"^dead core -1: is not on the chip"),
        (Faults(dead_links=((8, 0, "east"),)), r"^dead link \(8, 0, east\): is not on the 8 x 4 mesh"),
        (Faults(dead_links=((0, 2, "west"),)), r"^dead link \(0, 2, west\): leads off the mesh: there is no such link"),
    ],
)
def test_what_a_chip_does_not_have_cannot_be_dead(faults: Faults, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_faults(faults, load_chip("loihi1").topology)
    check_faults(
        Faults(dead_cores=(0, 127), dead_links=((0, 0, "east"), (7, 3, "south"))), load_chip("loihi1").topology
    )

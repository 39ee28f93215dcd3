"""Blocks of 65,536 targets give what the whole projection gives: spikes, states, counters, axons, times, mappings, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bimhw
from benchmarks import bignet
from bimhw.frontends.npz import read_plain
from mapping.hypergraph import axon_hypergraph
from mapping.network import Network
from simulator.base.errors import InputError
from simulator.function import Simulation
from simulator.function.large import Large
from simulator.function.layout import lay_out
from simulator.function.run import recorded_spikes
from simulator.program import blocks
from simulator.program.axons import axon_table
from simulator.program.faults import Faults
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.shared import unrolled
from simulator.program.spikes import SpikeTrain

N, N_IN, FAN_OUT = 140_000, 12, 30


def _wiring(rng: np.random.Generator, rows: int, reach: int, fan_out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low = np.arange(fan_out) * N // fan_out
    targets = low + rng.integers(0, N // fan_out, (reach, fan_out))  # one of each slice: ascending and unique
    ptr = np.minimum(np.arange(rows + 1), reach) * fan_out
    return ptr, targets.ravel().astype(np.int32), rng.integers(-30, 50, reach * fan_out).astype(np.int8)


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Program:
    """One population of 140,000 neurons, of which 2,000 have synapses, on 50 cores."""
    monkeypatch.setattr(blocks, "LEAST", 1)
    monkeypatch.setattr(blocks, "_POINTER_BYTES", 0)
    rng = np.random.default_rng(3)
    params = {"dv": np.array(512), "vth": np.array(6400), "strict": np.array(1), "bias": rng.integers(0, 900, N),
              "v_init": rng.integers(0, 6400, N)}  # fmt: skip
    populations = (
        Population("in", "input", N_IN, role="input"),
        Population("cells", "lif", N, {k: v.astype(np.int32) for k, v in params.items()}, layer=1),
    )
    q = Projection("in_cells", "in", "cells", "in", *_wiring(rng, N_IN, N_IN, 900), exponent=6)
    r = Projection("rec", "cells", "cells", "in", *_wiring(rng, N, 2000, FAN_OUT), exponent=6)
    core = np.concatenate([np.full(N_IN, -1), rng.integers(0, 50, N)]).astype(np.int32)
    return Program("", "", populations, (q, r), core)


def _split(program: Program) -> Program:
    sizes = {p.name: p.size for p in program.populations}
    parts = tuple(part for q in program.projections for part in blocks.in_blocks(q, sizes[q.target]))
    assert [q.indices.dtype for q in parts] == [np.uint16] * 6 and [q.first for q in parts] == [0, 65536, 131072] * 2
    return replace(program, projections=parts)


def _with_pointers(program: Program, kind: type[np.signedinteger]) -> Program:
    parts = tuple(replace(q, indptr=q.indptr.astype(kind)) for q in program.projections)
    return replace(program, projections=parts)


def _inputs(steps: int = 12) -> SpikeTrain:
    return SpikeTrain.from_dense((np.random.default_rng(1).random((steps, N_IN)) < 0.3).astype(np.int32))


def test_loops_and_threads_give_the_same_bytes(whole: Program) -> None:
    split, found = _split(whole), set()
    wide = _with_pointers(split, np.int64)
    for program, options in (
        (whole, {}), (whole, {"fast": False}), (whole, {"threads": 2}), (split, {}), (split, {"fast": False}),
        (split, {"threads": 2}), (split, {"threads": 3}), (wide, {}), (wide, {"threads": 2}),
    ):  # fmt: skip
        simulation = Simulation(program, graded_inputs=False, **options)
        pointers = {s.indptr.dtype for s in simulation.layout.synapses}
        assert pointers == {np.dtype(np.int32 if program is split else np.int64)}
        large = (program is not whole or "threads" in options) and "fast" not in options
        assert isinstance(simulation.fast_form, Large) == large
        simulation.advance(_inputs(), 7)
        simulation.advance(SpikeTrain(np.zeros(1, np.int64), np.zeros(0, np.int32)), 5)
        spikes = recorded_spikes(simulation.record)
        state = simulation.state
        counts = simulation.active_of_neuron.tobytes(), tuple(simulation.record.active)
        found.add((spikes.spike_hash(), state.words[1].tobytes(), state.rings[1].tobytes(), counts))
        assert spikes.ids.size > 5_000
    assert len(found) == 1


def test_several_populations_and_overlapping_blocks(whole: Program) -> None:
    """Blocks that reach into one another leave the fast loop; two populations of any size do not."""
    rng = np.random.default_rng(5)
    small = Population(
        "small", "lif", 300, {"dv": np.array(512), "vth": np.array(6400), "strict": np.array(1)}, layer=1
    )
    q = Projection("rec", "cells", "small", "in", np.minimum(np.arange(N + 1), 300), np.arange(300, dtype=np.int32),
                   rng.integers(-30, 50, 300).astype(np.int8), exponent=6)  # fmt: skip
    split = _split(whole)
    core = np.concatenate([whole.core, np.zeros(300, np.int32)])
    two = replace(
        split,
        populations=(*split.populations, small),
        core=core,
        projections=(*split.projections, replace(q, name="s")),
    )
    shifted = replace(split.projections[1], name="shifted", first=65_000)
    twice = replace(split, projections=(*split.projections, shifted))
    for program, large in ((two, True), (twice, False)):
        hashes = []
        for options in ({}, {"fast": False}):
            simulation = Simulation(program, graded_inputs=False, **options)
            assert isinstance(simulation.fast_form, Large) == (large and not options)
            simulation.advance(_inputs(), 12)
            hashes.append((recorded_spikes(simulation.record).spike_hash(), simulation.state.words[1].tobytes()))
        assert hashes[0] == hashes[1]


def test_counters_axons_faults_and_times_agree(whole: Program) -> None:
    split = _split(whole)
    assert all(
        (x == y).all() for x, y in zip(vars(axon_table(whole)).values(), vars(axon_table(split)).values(), strict=True)
    )
    chip = bimhw.load_chip("loihi2")
    a, b = (bimhw.run(p, _inputs(4), 4, topology=chip.topology) for p in (whole, split))
    assert {k: c.total for k, c in a.activity.counts.items()} == {k: c.total for k, c in b.activity.counts.items()}
    assert all((c.by_core == b.activity.counts[k].by_core).all() for k, c in a.activity.counts.items())
    assert len({bimhw.run_timing(p, chip, a.spikes).sim_time_ns for p in (whole, split)}) == 1
    broken = [
        bimhw.run(p, _inputs(4), 4, topology=chip.topology, faults=Faults(drop_rate=0.2, seed=4))
        for p in (whole, split)
    ]
    assert broken[0].spikes.spike_hash() == broken[1].spikes.spike_hash() != a.spikes.spike_hash()


def test_the_mapper_sees_the_same_graph(whole: Program) -> None:
    graphs = [axon_hypergraph(Network("integer", p.populations, p.projections)) for p in (whole, _split(whole))]
    assert (graphs[0].ptr == graphs[1].ptr).all() and (graphs[0].pins == graphs[1].pins).all()
    for q, parts in zip(whole.projections, (_split(whole).projections[:3], _split(whole).projections[3:]), strict=True):
        assert sum(p.fan_in(N) for p in parts).tolist() == q.fan_in(N).tolist()
        assert (
            sum(p.synapses_on(whole.core[N_IN:], 50) for p in parts).tolist()
            == q.synapses_on(whole.core[N_IN:], 50).tolist()
        )
        assert (np.concatenate([p.targets for p in parts]) >= 0).all() and unrolled(parts[1]) is parts[1]


def test_a_file_keeps_the_blocks(whole: Program, tmp_path: Path) -> None:
    split = replace(_split(whole), chip="loihi2", chip_sha256="0")
    split.save(tmp_path / "x.bimhw")
    again = Program.load(tmp_path / "x.bimhw")
    assert [q.first for q in again.projections] == [q.first for q in split.projections]
    assert [q.indptr.dtype for q in again.projections] == [np.int32] * 6
    wide = _with_pointers(split, np.int64)
    wide.save(tmp_path / "wide.bimhw")
    assert (tmp_path / "wide.bimhw").read_bytes() == (tmp_path / "x.bimhw").read_bytes()
    assert wide.sha256() == split.sha256()
    assert again.sha256() == split.sha256() != replace(whole, chip="loihi2", chip_sha256="0").sha256()


def test_row_pointers_have_32_bits_where_a_block_fits_them(whole: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond that they have 64, block by block, with the same numbers."""
    split = _split(whole)
    assert [q.indptr.dtype for q in split.projections] == [np.int32] * 6
    sizes = sorted(q.n_synapses for q in split.projections)
    monkeypatch.setattr(blocks, "_MOST_32", sizes[2])
    wide = _split(whole)
    for q, p in zip(split.projections, wide.projections, strict=True):
        assert p.indptr.dtype == (np.int32 if q.n_synapses <= sizes[2] else np.int64)
        assert (p.indptr == q.indptr).all() and (p.indices == q.indices).all() and (p.weights == q.weights).all()
        assert blocks.with_short_pointers(q).indptr.dtype == p.indptr.dtype


def test_bytes_of_a_synapse() -> None:
    """A target, a weight, and a row pointer of 4 bytes for each source and block; at the benchmark's sizes at most 3.2."""
    neurons, fan_out = 70_000, 8
    program = bignet.network(neurons, neurons * fan_out, 0.01)
    assert bignet.synapse_bytes(program) == (3.0, pytest.approx(3 + 4 * 2 * (neurons + 1) / (neurons * fan_out)))
    for q, s in zip(program.projections, lay_out(program).synapses, strict=True):
        assert np.shares_memory(q.indptr, s.indptr) and np.shares_memory(q.indices, s.indices)
        assert np.shares_memory(q.weights, s.weights)
    neurons, synapses = 200_000, 20_000_000
    assert 3 + 4 * 4 * (neurons + 1) / synapses <= 3.2


def test_row_pointers_beyond_32_bits_are_refused_before_they_are_shortened(whole: Program, tmp_path: Path) -> None:
    """2^32 + 5 would pass as 5."""
    split = _with_pointers(_split(whole), np.int64)
    ptr = split.projections[0].indptr.copy()
    ptr[3] += 1 << 32
    wrong = replace(split, projections=(replace(split.projections[0], indptr=ptr), *split.projections[1:]))
    replace(wrong, chip="loihi2", chip_sha256="0").save(tmp_path / "x.bimhw")
    with pytest.raises(InputError, match="go backwards"):
        Program.load(tmp_path / "x.bimhw")


@pytest.mark.parametrize("bad", [{"first": -1}, {"first": N}, {"first": N - 100}, {"plastic": "delta"}])
def test_blocks_out_of_range_are_refused(whole: Program, bad: dict[str, object]) -> None:
    split = _split(whole)
    wrong = replace(split.projections[1], **bad)
    with pytest.raises(InputError, match=r"rec|in_cells"):
        replace(split, projections=(split.projections[0], wrong)).check()


def _write(path: Path, program: Program, **changed: np.ndarray) -> Path:
    ptr = np.concatenate(
        [program.projections[0].indptr, program.projections[1].indptr[1:] + program.projections[0].n_synapses]
    )
    inputs, zeros = _inputs(), np.zeros(N_IN + N, np.int32)
    arrays = {
        "indptr": ptr, "indices": np.concatenate([q.indices for q in program.projections]) + N_IN,
        "weights": np.concatenate([q.weights for q in program.projections]), "bias": zeros, "v0": zeros,
        "thr": np.array(60), "n_in": np.array(N_IN), "in_ptr": inputs.ptr, "in_idx": inputs.ids,
    }  # fmt: skip
    np.savez(path, **arrays | changed)
    return path


def test_a_plain_file_is_read_into_blocks(whole: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Piece by piece; the same network as the one read at once, and the same words about what is wrong."""
    path = _write(tmp_path / "x.npz", whole)
    monkeypatch.setattr("bimhw.frontends.npz_blocks._PIECE", 1000)
    split = read_plain(path).network
    monkeypatch.setattr(blocks, "LEAST", 1 << 30)
    at_once = read_plain(path).network
    assert len(split.projections) == 6 and len(at_once.projections) == 2
    for k, q in enumerate(at_once.projections):
        for got, wanted in zip(split.projections[3 * k : 3 * k + 3], blocks_of(q), strict=True):
            assert (got.indptr == wanted.indptr).all() and (got.indices == wanted.indices).all()
            assert (got.weights == wanted.weights).all() and got.weight_bits == q.weight_bits and got.exponent == 6
    indices = np.concatenate([q.indices for q in whole.projections]) + N_IN
    for place, value in ((5000, 3), (5000, N + N_IN), (5001, indices[5000])):
        wrong = indices.copy()
        wrong[place] = value
        said = []
        for least in (1, 1 << 30):
            monkeypatch.setattr(blocks, "LEAST", least)
            with pytest.raises(InputError) as error:
                read_plain(_write(tmp_path / "y.npz", whole, indices=wrong))
            said.append(str(error.value))
        assert said[0] == said[1] and "targets must be LIF neurons" in said[0]


def blocks_of(q: Projection) -> tuple[Projection, ...]:
    """Three blocks of a projection, by a mask a block."""
    row = np.repeat(np.arange(q.indptr.size - 1), np.diff(q.indptr))
    out = []
    for b in range(3):
        own = q.indices >> 16 == b
        ptr = np.concatenate([[0], np.cumsum(np.bincount(row[own], minlength=q.indptr.size - 1))])
        out.append(replace(q, indptr=ptr, indices=q.indices[own] & 65535, weights=q.weights[own]))
    return tuple(out)


def test_memory_is_foreseen_by_blocks(whole: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "x.npz", whole)
    monkeypatch.setattr("simulator.base.host_memory.available_bytes", lambda: 1 << 20)
    with pytest.raises(InputError, match=r"neurons and .* synapses .* available"):
        read_plain(path)

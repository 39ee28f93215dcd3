"""Threads that share the ranges of a network: few cuts, equal work, and the general loop's bytes with words of any width."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.function import Simulation
from simulator.function.large import Large, Range, Rows, large
from simulator.function.large import _shared_out as shared_out
from simulator.function.run import recorded_spikes
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

N, N_IN, STEPS = 300, 5, 9


def _program(seed: int, target: type[np.integer], weight: type[np.integer]) -> Program:
    rng = np.random.default_rng(seed)
    params = {"dv": np.array(512), "vth": np.array(6400), "strict": np.array(1), "bias": rng.integers(0, 900, N)}
    populations = (
        Population("in", "input", N_IN, role="input"),
        Population("cells", "lif", N, {k: v.astype(np.int32) for k, v in params.items()}, layer=1),
    )
    projections = []
    for name, rows in (("in", N_IN), ("cells", N)):
        dense = rng.random((rows, N)) < 0.1
        ptr = np.concatenate([[0], np.cumsum(dense.sum(axis=1))])
        words = rng.integers(-30, 50, int(ptr[-1])).astype(weight)
        q = Projection(f"{name}_q", name, "cells", "in", ptr, np.nonzero(dense)[1].astype(target), words, exponent=6)
        projections.append(replace(q, weight_bits=8 * words.itemsize))
    return Program("", "", populations, tuple(projections), np.zeros(N_IN + N, np.int32))


@pytest.mark.parametrize("target", [np.uint16, np.int32])
@pytest.mark.parametrize("weight", [np.int8, np.int16, np.int32])
def test_words_of_any_width_give_the_general_loops_bytes(target: type[np.integer], weight: type[np.integer]) -> None:
    program = _program(1, target, weight)
    dense = (np.random.default_rng(2).random((STEPS, N_IN)) < 0.5).astype(np.int32)
    found = set()
    for options in ({"fast": False}, {"threads": 2}, {"threads": 5}):
        simulation = Simulation(program, graded_inputs=False, **options)
        assert isinstance(simulation.fast_form, Large) == ("threads" in options)
        for part in (slice(0, 4), slice(4, STEPS)):
            simulation.advance(SpikeTrain.from_dense(dense[part]), len(dense[part]))
        spikes, state = recorded_spikes(simulation.record), simulation.state
        assert spikes.ids.size > 200
        found.add((spikes.spike_hash(), state.words[1].tobytes(), state.rings[1].tobytes(), state.step))
    assert len(found) == 1


@pytest.mark.parametrize("sizes", [[90], [64, 64, 6], [64, 64, 64, 64], [64, 64, 64, 64, 38], [90, 1], [7, 5, 3]])
@pytest.mark.parametrize("threads", [2, 3])
def test_work_is_equal_with_few_cuts(sizes: list[int], threads: int) -> None:
    low, ranges = 0, []
    for size in (1000 * s for s in sizes):
        rows = Rows(0, np.array([[0, size]]), np.arange(size, dtype=np.uint32), np.ones(size, np.int8), 0)
        ranges.append(Range(low, low + size, (rows,)))
        low += size
    pieces = shared_out(tuple(ranges), threads)
    assert [p.low for p in pieces[1:]] == [p.high for p in pieces[:-1]] and pieces[-1].high == low
    busy = [0] * threads
    for work in sorted((p.synapses for p in pieces), reverse=True):
        busy[busy.index(min(busy))] += work
    assert sum(busy) == low and max(busy) * threads < 1.05 * low
    if (sizes, threads) == ([64, 64, 64, 64], 2):
        assert len(pieces) == 4
    if threads == 2 and sizes[:3] in ([64, 64, 6], [64, 64, 64]) and len(sizes) != 4:
        assert len(pieces) == len(sizes) + 1


def test_one_thread_takes_the_form_only_for_blocks() -> None:
    layout = Simulation(_program(1, np.int32, np.int8), graded_inputs=False).layout
    assert large(layout) is None and len(large(layout, 2).ranges) == 2

"""Samples run in parts, in threads or elsewhere, are the run of all samples to the byte."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from simulator.function import run_samples
from simulator.function.parts import cut
from simulator.function.run import SampleRuns
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

STEPS = 12


def network(model: str, delay: int, seed: int) -> Program:
    """Return an input of 8 and a recurrent population of 20 on three cores; ports and parameters of the model."""
    rng, kind = np.random.default_rng(seed), get(model)
    given = {"dv": 300, "theta": 60, "vth": 60}
    params = {w.name: np.asarray(given.get(w.name, kind.defaults.get(w.name, 1))) for w in kind.params}
    populations = (Population("in", "input", 8, role="input"), Population("net", model, 20, params, layer=1))
    projections = []
    for name, source, rows in (("p", "in", 8), ("q", "net", 20)):
        mask = rng.random((rows, 20)) < 0.4
        ptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
        weights = rng.integers(-30, 60, int(ptr[-1])).astype(np.int8)
        projections.append(
            Projection(
                name, source, "net", kind.ports[0], ptr, np.nonzero(mask)[1].astype(np.int32), weights, delay=delay
            )
        )
    core = np.concatenate([np.full(8, -1), np.arange(20) % 3]).astype(np.int32)
    return Program("generic", "", populations, tuple(projections), core, {}, {})


def trains(n: int, seed: int) -> list[SpikeTrain]:
    rng = np.random.default_rng(seed)
    return [_train(rng) for _ in range(n)]


def _train(rng: np.random.Generator) -> SpikeTrain:
    dense = np.zeros((STEPS, 28), np.int8)
    dense[:, :8] = rng.random((STEPS, 8)) < 0.3
    return SpikeTrain.from_dense(dense)


def plain(runs: SampleRuns) -> bytes:
    """All that a run gives, as bytes."""
    parts: list[Any] = [(t.ptr.tobytes(), t.ids.tobytes(), t.payload is None) for t in runs.spikes]
    parts += [(k, v.tobytes()) for k, v in sorted(runs.probes.items())]
    counts = runs.activity.counts
    parts += [
        (k, c.by_core.tobytes(), c.by_step.tobytes(), c.by_population.tobytes()) for k, c in sorted(counts.items())
    ]
    return pickle.dumps(parts)


def elsewhere(function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Do what a cluster does: arguments and results are copies, tasks end in any order."""
    done = {}
    for i in reversed(range(len(tasks))):
        done[i] = deepcopy(function(*deepcopy(tasks[i])))
    return [done[i] for i in range(len(tasks))]


@pytest.mark.parametrize("model", ["lif", "if", "izhikevich"])
@pytest.mark.parametrize(("delay", "probe"), [(0, False), (3, True)])
def test_parts_are_the_whole(model: str, delay: int, probe: bool) -> None:
    program, samples = network(model, delay, 1), trains(7, 2)
    probes = (("net", get(model).states[0].name),) if probe else ()
    whole = plain(run_samples(program, samples, STEPS, seed=5, probes=probes))
    for workers in (2, 3, 16):
        assert plain(run_samples(program, samples, STEPS, seed=5, probes=probes, workers=workers)) == whole
    assert plain(run_samples(program, samples, STEPS, seed=5, probes=probes, workers=2, spread=elsewhere)) == whole


def test_cuts_are_even_and_whole() -> None:
    for n in (1, 2, 7, 100):
        for parts in (1, 3, 8, 200):
            bounds = cut(n, parts)
            assert [k for a, b in bounds for k in range(a, b)] == list(range(n))
            assert max(b - a for a, b in bounds) - min(b - a for a, b in bounds) <= 1

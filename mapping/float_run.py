"""The float engine: a float network run step by step in numpy, for calibration and as the reference of lowering.

It keeps the chip's time: a spike of step t arrives at t + 1 + delay, and a neuron of layer l is held in its initial
state before step l, so that it does at step t + l what a same-step model does at t.
Letters: B samples side by side, T steps, n neurons of a population.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapping.network import Network
from mapping.spec import with_defaults
from simulator.base.arrays import Floats
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.base.random import uniforms
from simulator.neurons.base import NeuronModel, get
from simulator.program.graph import Population, Projection, csr_to_dense
from simulator.program.shared import SharedMatrix, SharedProjection

# observe(step, population, port accumulators {port: [B, n]}, states {name: [B, n]}, output [B, n])
Observer = Callable[[int, Population, Mapping[str, Floats], Mapping[str, Floats], Floats], None]
_DENSE_FILL = 0.1  # above this share of synapses a matrix product beats a sparse one


@dataclass(frozen=True)
class _Running:
    population: Population
    model: NeuronModel
    state: dict[str, Floats]
    first_id: int


def run_float(network: Network, inputs: Mapping[str, Floats], steps: int, observe: Observer, seed: int = 0) -> None:
    """Run `steps` steps; `observe` sees every population that has started, after its update of each step.

    Args:
        network: float stage.
        inputs: input population -> values [B, T_in, n] given at steps 0..T_in-1; silent afterwards.
        steps: chip steps (samples' steps plus the deepest layer, so that the last input reaches the output).
        observe: called after each update.
        seed: of neurons that fire at random; sample b draws what a chip draws that runs the samples one after another, `steps`
            steps each.

    Raises:
        InputError: an integer network, or an input that is missing or of the wrong width.
    """
    if network.stage != "float":
        raise InputError("network", f"is in stage {network.stage!r}", "The float engine runs the float stage")
    network = with_defaults(network)
    batch = _check_inputs(network, inputs)
    running = _start_all(network, batch)
    at = np.arange(batch, dtype=np.int64) * steps
    arrive = [(q, _matrix(network, q)) for q in network.projections]
    sent: dict[str, list[Floats]] = {p.name: [] for p in network.populations}
    reach = 1 + max((q.delay for q in network.projections), default=0)
    for step in range(steps):
        fresh = {n: v[:, step] if step < v.shape[1] else np.zeros_like(v[:, 0]) for n, v in inputs.items()}
        for r in running:
            if step < r.population.layer:
                fresh[r.population.name] = np.zeros((batch, r.population.size))
                continue
            acc = {port: np.zeros((batch, r.population.size)) for port in r.model.ports}
            for q, matrix in arrive:
                if q.target == r.population.name and len(sent[q.source]) > q.delay:
                    acc[q.port] += sent[q.source][-1 - q.delay] @ matrix
            if r.model.draws:
                r.state["uniform"] = uniforms(seed, at + step, 1, r.first_id, r.population.size)[:, 0]
            out = _stepped(r, acc)
            fresh[r.population.name] = out
            observe(step, r.population, acc, r.state, out)
        for name, value in fresh.items():
            sent[name] = [*sent[name][-reach:], value]


def record(
    network: Network, inputs: Mapping[str, Floats], steps: int, probes: Sequence[tuple[str, str]], seed: int = 0
) -> dict[tuple[str, str], Floats]:
    """Return values [B, T, n] of (population, state) pairs; state ``out`` is what the population sends. `seed` as in `run_float`.

    Steps before a population starts (its layer) are 0.
    """
    batch = _check_inputs(network, inputs)
    kept = {p: np.zeros((batch, steps, network.population(p[0]).size)) for p in probes}

    def observe(step: int, population: Population, acc: Any, state: Mapping[str, Floats], out: Floats) -> None:
        for name, what in probes:
            if name == population.name:
                kept[name, what][:, step] = out if what == "out" else state[what]

    run_float(network, inputs, steps, observe, seed)
    return kept


def _start_all(network: Network, batch: int) -> list[_Running]:
    running, first = [], 0
    for p in network.populations:
        if p.model != INPUT_MODEL:
            running.append(_start(p, batch, first))
        first += p.size
    return running


def _start(population: Population, batch: int, first_id: int) -> _Running:
    model = get(population.model)
    if model.float_step is None:
        raise InputError(
            f"population {population.name!r}", f"its model {model.name!r} has no float form", "Run it on the chip"
        )
    state = {name: np.zeros((batch, population.size)) for name in model.float_states}
    for name in state.keys() & model.initial.keys():
        source = model.initial[name]
        state[name] = np.broadcast_to(population.params[source], (batch, population.size)).astype(np.float64)
    return _Running(population, model, state, first_id)


def _stepped(r: _Running, acc: dict[str, Floats]) -> Floats:
    assert r.model.float_step is not None
    try:
        return r.model.float_step(acc, r.state, r.population.params)
    except KeyError as error:
        where = f"population {r.population.name!r}"
        raise InputError(
            where, f"lacks the parameter {error} of model {r.model.name!r}", "Give it in `params`"
        ) from None


def _matrix(network: Network, q: Projection) -> Any:
    n_source, n_target = q.indptr.size - 1, network.population(q.target).size
    if isinstance(q, SharedProjection):
        return SharedMatrix(q, n_target)
    if q.n_synapses > _DENSE_FILL * n_source * n_target:
        return csr_to_dense(q, n_target).T.astype(np.float64)
    from scipy.sparse import csr_array

    return csr_array((q.weights.astype(np.float64), q.targets, q.indptr), shape=(n_source, n_target))


def _check_inputs(network: Network, inputs: Mapping[str, Floats]) -> int:
    batches = set()
    for p in network.populations:
        if p.model != INPUT_MODEL:
            continue
        if p.name not in inputs:
            raise InputError(f"input {p.name!r}", "has no values", f"Given: {sorted(inputs)}")
        value = inputs[p.name]
        if value.ndim != 3 or value.shape[2] != p.size:
            raise InputError(f"input {p.name!r}", f"has shape {value.shape}, needs [samples, steps, {p.size}]")
        batches.add(value.shape[0])
    if len(batches) != 1:
        raise InputError("inputs", f"have different numbers of samples: {sorted(batches)}")
    return int(batches.pop())

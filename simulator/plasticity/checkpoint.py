"""Checkpoints of learning, between two samples: weights, biases, optimiser and pruning words, counters, what was recorded.

Traces and neuron states are reset before every sample, so they are not in it. A resumed run gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.base.files import read_safetensors, write_safetensors
from simulator.base.reading import boundary, parse_object
from simulator.function.checkpoint import put, read_record, recorded
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.layers.diag import LayerLearner
from simulator.plasticity.layers.net import plastic
from simulator.plasticity.layers.readout import ReadoutLearner
from simulator.plasticity.layers.s6 import S6Learner
from simulator.plasticity.layers.update import Row
from simulator.plasticity.learner import Learner

FORMAT = "bimhw-learning-2"
Tensors = dict[str, Array]


def save_learning(learner: Learner, path: Path | str, notes: Mapping[str, Any] | None = None) -> None:
    """Write the state of a learner, whole or not at all.

    Args:
        learner: function first; the event-driven engine's own state is not in a checkpoint.
        path: file to write.
        notes: plain JSON values to keep beside it, given back by `load_learning`.
    """
    tensors = {name: np.asarray(view).copy() for name, view in _views(learner)}
    tensors |= {f"count.{k}": v for k, v in learner.counts.state().items()} | _recorded(learner)
    for name, row in _rows(learner):
        tensors[f"{name}.numbers"] = np.array([row.updates, row.bounded, row.rms.peak if row.rms else 0.0])
    for k, each in enumerate(learner.hidden):
        tensors[f"pruners.{k}"] = np.array([[p.theta, p.calls] for p in each.pruners.values()]).reshape(-1, 2)
        for key, p in each.pruners.items():
            if p.shadow is not None:
                tensors[f"shadow.{k}.{key}"] = p.shadow
    facts = {
        "format": FORMAT,
        "program": learner.program.sha256(),
        "seed": learner.seed,
        "numbers": [learner.steps_done, learner.samples, learner.learnt, learner.readout.updates],
        "updates": [each.updates for each in learner.hidden],
        "open": [[part.labelled, part.samples] for part in _parts(learner)],
        "notes": dict(notes or {}),
    }
    write_safetensors(Path(path), tensors, {"bimhw": json.dumps(facts, sort_keys=True)})


def load_learning(learner: Learner, path: Path | str) -> dict[str, Any]:
    """Put a fresh learner of the same program, configuration and seed to where the saved one was.

    Returns:
        The notes that were written with it.

    Raises:
        InputError: missing, truncated or altered file; a checkpoint of something else.
    """
    where = str(path)
    tensors, metadata = read_safetensors(Path(path), hashed=True)
    with boundary(where, "a checkpoint of this learner", "Delete it to start afresh"):
        facts = parse_object(metadata.get("bimhw", "{}"), where)
        if facts.get("format") != FORMAT:
            raise InputError(where, "is not a checkpoint of learning", "Delete it or give another path")
        for name, value in (("program", learner.program.sha256()), ("seed", learner.seed)):
            if facts[name] != value:
                raise InputError(where, f"is the checkpoint of another {name}", "Delete it to start afresh")
        _load(learner, tensors, facts)
        return dict(facts.get("notes", {}))


def _load(learner: Learner, tensors: Tensors, facts: dict[str, Any]) -> None:
    for name, view in _views(learner):
        put(np.asarray(view), tensors[name])
    learner.counts.load({k.removeprefix("count."): v for k, v in tensors.items() if k.startswith("count.")})
    for name, row in _rows(learner):
        row.updates, row.bounded = (int(n) for n in tensors[f"{name}.numbers"][:2])
        if row.rms:
            row.rms.peak = float(tensors[f"{name}.numbers"][2])
    for k, each in enumerate(learner.hidden):
        each.updates = int(facts["updates"][k])
        for (key, p), (theta, calls) in zip(each.pruners.items(), tensors[f"pruners.{k}"], strict=True):
            p.theta, p.calls, p.shadow = float(theta), int(calls), tensors.get(f"shadow.{k}.{key}")
    for layer in learner.layers:
        layer.reload()
    for part, numbers in zip(_parts(learner), facts["open"], strict=True):
        part.labelled, part.samples = numbers
    numbers = [int(n) for n in facts["numbers"]]
    learner.steps_done, learner.samples, learner.learnt, learner.readout.updates = numbers
    learner.forward.biases_changed()
    _load_recorded(learner, tensors)


def _parts(learner: Learner) -> list[LayerLearner | ReadoutLearner]:
    return [*learner.layers, learner.readout]


def _rows(learner: Learner) -> Iterator[tuple[str, Row]]:
    for k, layer in enumerate(learner.layers):
        yield from ((f"row.{k}.{name}", row) for name, row in layer.rows.items())
    for k, shared in enumerate(learner.shared):
        yield from ((f"row.shared.{k}.{name}", row) for name, row in shared.rows.items())
    yield from ((f"row.readout.{name}", row) for name, row in learner.readout.rows.items())


def _views(learner: Learner) -> Iterator[tuple[str, Array]]:
    """Yield every array that learning writes in place."""
    for k in plastic(learner.net):
        yield f"weights.{k}", learner.forward.weights[k]
    for n, layer in enumerate(learner.layers):
        yield f"live.{n}", layer.live
        yield f"words.{n}", layer.words
        yield f"g.{n}", layer.g
        yield f"omega.{n}", layer.omega
        yield f"reached.{n}", layer.reached
        if isinstance(layer, S6Learner):
            yield f"g.rates.{n}", layer.g_rates
    for n, shared in enumerate(learner.shared):
        yield f"live.shared.{n}", shared.live
        yield f"g.shared.{n}", shared.g
    yield "g.readout", learner.readout.g
    yield "reached.readout", learner.readout.reached
    yield "g.readout.bias", learner.readout.g_bias
    for name, row in _rows(learner):
        if row.rms:
            yield f"{name}.v", row.rms.v
        yield f"{name}.square", row.mean_square
        for i, block in enumerate(row.blocks):
            if block.weights.shape[0] == 1:
                yield f"{name}.bias.{i}", block.weights


def _recorded(learner: Learner) -> Tensors:
    if not isinstance(learner.forward, ChipForward):
        return {}
    noted = {} if learner.forward.active is None else {"noted": np.array(learner.forward.active, np.uint8)}
    return recorded(learner.forward.simulation) | noted


def _load_recorded(learner: Learner, tensors: Tensors) -> None:
    if not isinstance(learner.forward, ChipForward):
        return
    s = learner.forward.simulation
    if learner.forward.active is not None:
        learner.forward.active = list(tensors["noted"])
    put(s.active_of_neuron, tensors["active_of_neuron"])
    put(s.saturated_of_neuron, tensors["saturated_of_neuron"])
    s.record = read_record(tensors, s.layout.n_neurons)
    s.state.step = len(s.record.counts)
    learner.forward.steps_done = s.state.step

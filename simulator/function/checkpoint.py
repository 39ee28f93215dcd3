"""Checkpoints: everything of a simulation at a step boundary in one file; a resumed run gives the same bytes.

A checkpoint is a safetensors file with a content hash. It holds the dynamic state, the weights where they can change, what
was recorded so far, and the hashes of program and inputs, so that it is never continued with others.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.base.files import read_safetensors, write_safetensors
from simulator.base.locks import held
from simulator.base.reading import boundary, parse_object
from simulator.base.writing import check_output
from simulator.function.simulation import Simulation
from simulator.function.state import Record
from simulator.program.spikes import SpikeTrain, window

FORMAT = "bimhw-checkpoint-1"
Tensors = dict[str, Array]


def recorded(simulation: Simulation) -> Tensors:
    """Return what a simulation has recorded so far: its events and counters."""
    s, r = simulation, simulation.record
    tensors: Tensors = {
        "ids": np.concatenate([*r.ids, np.empty(0, np.int32)]),
        "counts": np.array(r.counts, np.int64),
        "active": np.array(r.active, np.int64),
        "saturated": np.array(r.saturated, np.int64),
        "resets": np.array(r.resets, np.int64),
        "active_of_neuron": s.active_of_neuron,
        "saturated_of_neuron": s.saturated_of_neuron,
    }
    payload = r.all_payloads()
    return tensors if payload is None else tensors | {"payload": payload}


def save_checkpoint(simulation: Simulation, path: Path | str, inputs_hash: str = "") -> None:
    """Write a simulation as it stands, whole or not at all.

    Args:
        simulation: between two steps.
        path: file to write.
        inputs_hash: `inputs_sha256` of the inputs of the whole run, if they are to be checked on resuming.
    """
    s, r = simulation, simulation.record
    tensors = recorded(simulation)
    for k, (words, ring) in enumerate(zip(s.state.words, s.state.rings, strict=True)):
        tensors |= {f"words.{k}": words, f"ring.{k}": ring}
    tensors |= {f"weights.{p.name}": p.weights for p in s.layout.synapses if p.name in s.changeable}
    tensors |= {f"probe.{a}.{b}": np.array(v, np.int32) for (a, b), v in r.probes.items()}
    if s.breakage is not None:
        tensors |= {f"lost.{k}": np.array(v, np.int64).reshape(-1, 4) for k, v in s.breakage.lost.items()}
    facts = {
        "format": FORMAT,
        "faults": _faults(s),
        "program": s.layout.program.sha256(),
        "inputs": inputs_hash,
        "seed": s.seed,
        "step": s.state.step,
        "probes": [list(p) for p in r.probes],
    }
    write_safetensors(Path(path), tensors, {"bimhw": json.dumps(facts, sort_keys=True)})


def load_checkpoint(simulation: Simulation, path: Path | str, inputs_hash: str = "") -> None:
    """Put a simulation, set up as the saved one was, to where it was saved.

    Raises:
        InputError: missing, truncated or altered file; a checkpoint of another program, seed, set of probes or inputs.
    """
    where = Path(path)
    tensors, metadata = read_safetensors(where, hashed=True)
    with boundary(where, "a checkpoint of this run", "Delete it to start afresh"):
        facts = parse_object(metadata.get("bimhw", "{}"), where)
        _check(simulation, facts, inputs_hash, str(where))
        _load(simulation, tensors, facts)


def _load(s: Simulation, tensors: Tensors, facts: dict[str, Any]) -> None:
    """Put everything back; each array must have the type and shape of what it replaces."""
    for p in s.layout.synapses:
        if f"weights.{p.name}" in tensors:
            put(s.weights(p.name), tensors[f"weights.{p.name}"])  # first: it widens the sums of its target
    for k in range(len(s.layout.cells)):
        put(s.state.words[k], tensors[f"words.{k}"])
        put(s.state.rings[k], tensors[f"ring.{k}"])
    put(s.active_of_neuron, tensors["active_of_neuron"])
    put(s.saturated_of_neuron, tensors["saturated_of_neuron"])
    if s.breakage is not None:
        kept = {k.removeprefix("lost."): v for k, v in tensors.items() if k.startswith("lost.")}
        s.breakage.lost = {k: [tuple(row) for row in v.tolist()] for k, v in kept.items()}
    s.record = read_record(tensors, s.layout.n_neurons, [*s.record.probes])
    s.state.step = int(facts["step"])
    if s.state.step != len(s.record.counts):
        raise ValueError(f"it is at step {s.state.step} and recorded {len(s.record.counts)}")


def put(view: Array, value: Array) -> None:
    """Copy `value` into `view`; raise `ValueError` where type or shape differ (numpy would convert and repeat)."""
    if value.dtype != view.dtype or value.shape != view.shape:
        raise ValueError(f"an array of {value.dtype} {value.shape} for one of {view.dtype} {view.shape}")
    view[...] = value


def read_record(tensors: Tensors, n_neurons: int, probes: Sequence[tuple[str, str]] = ()) -> Record:
    """Return what a checkpoint has recorded.

    Raises:
        ValueError: counts that do not sum to the events, or an event of a neuron that does not exist.
    """
    lists = {k: array("q", tensors[k].astype(np.int64, casting="safe").tobytes()) for k in _LISTS}
    ids, payload = tensors["ids"].astype(np.int32, casting="safe"), tensors.get("payload")
    steps = len(lists["counts"])
    if min(lists["counts"], default=0) < 0 or sum(lists["counts"]) != ids.size or len(lists["active"]) != steps:
        raise ValueError("its events and their counts differ")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < n_neurons:
        raise ValueError(f"it has events of neurons {ids.min()}..{ids.max()} of {n_neurons}")
    if payload is not None and payload.shape != ids.shape:
        raise ValueError("its events and their payloads differ")
    kept = {p: list(tensors[f"probe.{p[0]}.{p[1]}"]) for p in probes}
    counts, active, saturated, resets = (lists[k] for k in _LISTS)
    return Record([ids], [payload], counts, active, saturated, kept, resets.tolist())


_LISTS = ("counts", "active", "saturated", "resets")


def _check(simulation: Simulation, facts: dict[str, Any], inputs_hash: str, where: str) -> None:
    if facts.get("format") != FORMAT:
        raise InputError(where, "is not a bimhw checkpoint", "Delete it or give another path")
    expected = {
        "program": simulation.layout.program.sha256(),
        "inputs": inputs_hash,
        "seed": simulation.seed,
        "probes": [list(p) for p in simulation.record.probes],
        "faults": _faults(simulation),
    }
    for name, value in expected.items():
        if facts.get(name) != value:
            raise InputError(where, f"is the checkpoint of a run with other {name}", "Delete it to start afresh")


def _faults(simulation: Simulation) -> Any:
    """Return the faults as they come back from JSON."""
    return None if simulation.breakage is None else json.loads(msgspec.json.encode(simulation.breakage.faults))


def _inputs_hash(trains: Sequence[SpikeTrain], steps: int) -> str:
    digest = hashlib.sha256(str(steps).encode())
    for train in trains:
        digest.update(train.ptr.tobytes() + np.ascontiguousarray(train.ids).tobytes())
        if train.payload is not None:
            digest.update(np.ascontiguousarray(train.payload).tobytes())
    return digest.hexdigest()


def advance_saving(simulation: Simulation, inputs: SpikeTrain, steps: int, path: Path | str, every: int) -> None:
    """Run to step `steps`, from the checkpoint at `path` if there is one, saving to it after every `every` steps.

    A run that is killed goes on from its last checkpoint when it is started again with the same arguments.
    """
    advance_samples_saving(simulation, (inputs,), steps, path, every)


def advance_samples_saving(
    simulation: Simulation, samples: Sequence[SpikeTrain], steps: int, path: Path | str, every: int
) -> None:
    """Do the same for samples of `steps` steps each, with all dynamic state reset before each but the first."""
    if every < 1:
        raise InputError("checkpoint_every", f"is {every}", "Give 1 or more steps")
    check_output(path)
    with held(path):
        _advance_saving(simulation, samples, steps, path, every)


def _advance_saving(s: Simulation, samples: Sequence[SpikeTrain], steps: int, path: Path | str, every: int) -> None:
    key, total = _inputs_hash(samples, steps), steps * len(samples)
    if Path(path).exists():
        load_checkpoint(s, path, key)
    while s.state.step < total:
        k, start = divmod(s.state.step, steps)
        if k and not start and s.record.resets[-1:] != [s.state.step]:
            s.reset()
        stop = min(steps, start + every - s.state.step % every)
        inputs = samples[k]
        s.advance(window(inputs, min(start, inputs.steps), min(stop, inputs.steps)), stop - start)
        if not s.state.step % every or s.state.step == total:
            save_checkpoint(s, path, key)

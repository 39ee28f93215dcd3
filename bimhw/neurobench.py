"""`neurobench.json`: NeuroBench's metric names (2.3) for a run on the chip, and bimhw's own under ``bimhw.*``.

ParameterCount         weights (dense matrices whole, shared kernels once, sparse ones as stored) + biases of neurons
Footprint              bytes of weights, biases and state words as the chip stores them
ConnectionSparsity     zero weights / all weights of the dense matrices, 3 decimals
ActivationSparsity     silent neuron-steps / all neuron-steps, over all layers that emit, steps and samples
SynapticOperations     per sample: Effective_ACs where the source is binary, Effective_MACs where it is graded; Dense: all
MembraneUpdates        per sample: every neuron's membrane leaks in every step, so all updates
NeuronOperations       per sample: updates x arithmetic operations of the neuron model; every neuron is updated
ClassificationAccuracy share of right decisions
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bimhw.costs import Energy, energy
from bimhw.runs import RunFolder
from simulator.files import write_json
from simulator.graph import Projection
from simulator.neurons import base
from simulator.program import Program


def neurobench(run: RunFolder | Path | str, gpu: tuple[str, ...] = ()) -> dict[str, Any]:
    """The metrics of a run folder.

    Raises:
        InputError: not a run folder, or an unknown GPU.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    program, activity, result = folder.program(), folder.activity(), folder.result
    spikes = folder.spikes()
    events = np.bincount(spikes.ids, minlength=program.n_neurons).astype(np.int64)
    samples, steps = max(1, activity.samples), activity.steps
    silent = _activation_sparsity(program, events, steps)
    neuron_ops = sum(_ops(p.model) * p.size for p in program.populations) * steps / samples
    out: dict[str, Any] = {
        "ParameterCount": sum(_weights(program, q) for q in program.projections) + _biases(program),
        "Footprint": _footprint(program),
        "ConnectionSparsity": _connection_sparsity(program),
        "ActivationSparsity": silent.pop(""),
        "ActivationSparsityByLayer": silent,
        "SynapticOperations": _synaptic_operations(program, events, spikes.payload is not None, steps, samples),
        "MembraneUpdates": activity.total("neuron_updates") / samples,
        "NeuronOperations": {"Effective Neuron Ops": neuron_ops, "Neuron Dense Ops": neuron_ops},
    }
    if "accuracy" in result:
        out["ClassificationAccuracy"] = result["accuracy"]
    return out | _own(folder, energy(folder, gpu=gpu))


def write_neurobench(run: Path | str, path: Path, gpu: tuple[str, ...] = ()) -> None:
    """Write the metrics as JSON, whole or not at all."""
    write_json(path, neurobench(run, gpu))


def _weights(program: Program, q: Projection) -> int:
    if q.layout == "conv":
        return q.shared_words
    return _dense(program, q) if q.layout == "dense" else q.n_synapses


def _dense(program: Program, q: Projection) -> int:
    return program.population(q.source).size * program.population(q.target).size


def _biases(program: Program) -> int:
    names = ("bias", "b_z", "b_d", "b_c")
    return sum(p.size for p in program.populations for name in p.params if name in names)


def _footprint(program: Program) -> float:
    bits = float(sum(_weights(program, q) * q.weight_bits for q in program.projections))
    for p in program.populations:
        model = base.get(p.model)
        biases = sum(w.bits for w in model.params if w.name in ("bias", "b_z", "b_d", "b_c") and w.name in p.params)
        bits += p.size * (biases + sum(w.bits for w in model.states))
    return bits / 8


def _connection_sparsity(program: Program) -> float:
    dense = sum(_dense(program, q) for q in program.projections if q.layout != "conv")
    stored = sum(q.n_synapses - int((q.weights == 0).sum()) for q in program.projections if q.layout != "conv")
    return round(1 - stored / dense, 3) if dense else 0.0


def _activation_sparsity(program: Program, events: np.typing.NDArray[np.int64], steps: int) -> dict[str, float]:
    """By population that emits; the key "" is the whole."""
    out, fired, slots, first = {}, 0, 0, program.first_ids()
    for p in program.populations:
        if p.role == "input" or base.get(p.model).emits == "none":
            continue
        n = int(events[first[p.name] : first[p.name] + p.size].sum())
        out[p.name] = 1 - n / (p.size * steps) if p.size * steps else 0.0
        fired, slots = fired + n, slots + p.size * steps
    return {"": 1 - fired / slots if slots else 0.0} | out


def _synaptic_operations(
    program: Program, events: np.typing.NDArray[np.int64], graded: bool, steps: int, samples: int
) -> dict[str, float]:
    first, sums = program.first_ids(), {"Effective_MACs": 0, "Effective_ACs": 0, "Dense": 0}
    bits = int(dict(program.meta.get("input", {})).get("payload_bits", 0))
    for q in program.projections:
        source = program.population(q.source)
        rows = np.diff(q.indptr)
        met = int(events[first[q.source] : first[q.source] + rows.size] @ rows)
        is_graded = graded and (bits > 0 if source.role == "input" else base.get(source.model).emits == "graded")
        sums["Effective_MACs" if is_graded else "Effective_ACs"] += met
        sums["Dense"] += _dense(program, q) * steps
    return {name: n / samples for name, n in sums.items()}


def _ops(model: str) -> int:
    ops = base.get(model).ops
    return ops.mul + ops.add + ops.lut


def _own(folder: RunFolder, costs: Energy) -> dict[str, Any]:
    """System rows: energy, time, use of the chip."""
    f, report = costs.report.figures(), costs.report
    learning = costs.learning_uj_per_sample()
    step = costs.learning_step
    return {
        "bimhw.task": folder.manifest.get("task"),
        "bimhw.chip": report.chip,
        "bimhw.energy_uj_per_inference": f["total_uj_per_inference"],
        "bimhw.dynamic_uj_per_inference": f["dynamic_uj_per_inference"],
        "bimhw.pj_per_synop": f["total_pj_per_synop"],
        "bimhw.dynamic_pj_per_synop": f["dynamic_pj_per_synop"],
        "bimhw.pj_per_neuron_update": f["soma_pj_per_neuron_update"],
        "bimhw.nj_per_step": f["total_nj_per_step"],
        "bimhw.uj_per_learning_step": None if step is None else step.energy_pj() / 1e6,
        "bimhw.learning_uj_per_sample": None if learning is None else learning[1],
        "bimhw.latency_us_mean": folder.result.get("mean_latency_us"),
        "bimhw.latency_us_p99": folder.result.get("p99_latency_us"),
        "bimhw.samples_per_s": folder.result.get("samples_per_s"),
        "bimhw.energy_delay_product_js": f["energy_delay_product_js"],
        "bimhw.cores": folder.activity().cores_used,
        "bimhw.unknown": list(report.unknown),
        "bimhw.gpu": [
            {
                "gpu": c.gpu, "mode": c.mode, "batch": c.batch, "optimistic_uj": c.optimistic_uj,
                "realistic_uj": c.realistic_uj, "realistic_us": c.realistic_us,
            }
            for c in costs.gpu
        ],
    }  # fmt: skip

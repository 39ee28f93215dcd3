"""`neurobench.json`: NeuroBench's metric names (2.3) for a run on the chip, and bimhw's own under ``bimhw.*``.

ParameterCount         weights (dense matrices whole, zeros included; shared kernels once) + biases of neurons
Footprint              bytes of the stored weights, biases and state words as the chip stores them
ConnectionSparsity     zero weights / all weights of the dense matrices, 4 decimals
ActivationSparsity     silent neuron-steps / all neuron-steps, over all layers that emit, steps and samples
SynapticOperations     per sample, at weights that are not 0: Effective_ACs where the source is binary, Effective_MACs where
                       it is graded; Dense: all of the matrices in every step
MembraneUpdates        per sample: membranes that changed from one step to the next, and all of a sample's first step;
                       null where running again does not repeat the run (learning on the chip)
NeuronOperations       arithmetic operations of the neuron model x those updates (effective) or x all updates (dense)
ClassificationAccuracy share of right decisions

A sample has the network's T steps, as in NeuroBench: a layer that works l steps later on the chip is counted l steps later.
The values equal the package's on the same nets (``benchmarks/beside_neurobench.py``), but for Footprint (the package counts
floats of 4 bytes and a model's buffers) and for NeuronOperations' price of an update (the package has a table for four neurons).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bimhw.costs.compare import energy
from bimhw.costs.result import Energy
from bimhw.runs.folder import RunFolder
from bimhw.runs.membrane import membrane_updates, steps_of_samples
from bimhw.views.table import METRICS
from energy_models.spread import trust
from simulator.base.arrays import I64
from simulator.neurons import base
from simulator.program.graph import Projection
from simulator.program.program import Program
from simulator.program.shared import SharedProjection
from simulator.program.spikes import SpikeTrain


def neurobench(run: RunFolder | Path | str, gpu: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the metrics of a run folder.

    Raises:
        InputError: not a run folder, or an unknown GPU.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    program, activity, result = folder.program(), folder.activity(), folder.result
    spikes, samples = folder.spikes(), max(1, activity.samples)
    steps, chip_steps = steps_of_samples(program, spikes.steps, samples)
    events = _events(program, spikes, steps, chip_steps)
    silent = _activation_sparsity(program, events, steps * samples)
    updates = membrane_updates(folder)
    dense_ops = {p.name: _ops(p.model) * p.size * steps for p in program.populations}
    out: dict[str, Any] = {
        "ParameterCount": sum(_parameters(program, q) for q in program.projections) + _biases(program),
        "Footprint": _footprint(program),
        "ConnectionSparsity": _connection_sparsity(program),
        "ActivationSparsity": silent.pop(""),
        "ActivationSparsityByLayer": silent,
        "SynapticOperations": _synaptic_operations(program, events, spikes.payload is not None, steps, samples),
        "MembraneUpdates": None if updates is None else sum(updates.values()) / samples,
        "NeuronOperations": {
            "Effective Neuron Ops": None if updates is None else _effective(program, updates, dense_ops, samples),
            "Neuron Dense Ops": float(sum(dense_ops.values())),
        },
    }
    if "accuracy" in result:
        out["ClassificationAccuracy"] = result.get("accuracy")
    return out | _own(folder, energy(folder, gpu=gpu))


def _events(program: Program, spikes: SpikeTrain, steps: int, chip_steps: int) -> I64:
    """Count events of each neuron in its layer's `steps` steps of every sample."""
    step = np.repeat(np.arange(spikes.steps) % max(1, chip_steps), spikes.counts())
    late = chip_steps - steps
    first = np.concatenate([np.full(p.size, min(p.layer, late)) for p in program.populations])[spikes.ids]
    inside = (step >= first) & (step < first + steps)
    return np.bincount(spikes.ids[inside], minlength=program.n_neurons).astype(np.int64)


def _effective(program: Program, updates: dict[str, int], dense_ops: dict[str, int], samples: int) -> float:
    """Count operations of the updates that change a membrane; a model without a membrane is updated in every step."""
    per = {p.name: _ops(p.model) * updates[p.name] / samples for p in program.populations if p.name in updates}
    return float(sum(per.get(name, dense) for name, dense in dense_ops.items()))


def _parameters(program: Program, q: Projection) -> int:
    return q.shared_words if q.layout == "conv" else _dense(program, q)


def _stored(program: Program, q: Projection) -> int:
    return q.n_synapses if q.layout == "sparse" else _parameters(program, q)


def _dense(program: Program, q: Projection) -> int:
    return program.population(q.source).size * program.population(q.target).size


def _biases(program: Program) -> int:
    names = ("bias", "b_z", "b_d", "b_c")
    return sum(p.size for p in program.populations for name in p.params if name in names)


def _footprint(program: Program) -> float:
    bits = float(sum(_stored(program, q) * q.weight_bits for q in program.projections))
    for p in program.populations:
        model = base.get(p.model)
        biases = sum(w.bits for w in model.params if w.name in ("bias", "b_z", "b_d", "b_c") and w.name in p.params)
        bits += p.size * (biases + sum(w.bits for w in model.states))
    return bits / 8


def _connection_sparsity(program: Program) -> float:
    dense = sum(_dense(program, q) for q in program.projections if q.layout != "conv")
    stored = sum(q.n_synapses - int((q.weights == 0).sum()) for q in program.projections if q.layout != "conv")
    return round(1 - stored / dense, 4) if dense else 0.0


def _activation_sparsity(program: Program, events: I64, steps: int) -> dict[str, float]:
    """Return activation sparsity by population that emits; the key "" is the whole."""
    out, fired, slots, first = {}, 0, 0, program.first_ids()
    for p in program.populations:
        if p.role == "input" or base.get(p.model).emits == "none":
            continue
        n = int(events[first[p.name] : first[p.name] + p.size].sum())
        out[p.name] = 1 - n / (p.size * steps) if p.size * steps else 0.0
        fired, slots = fired + n, slots + p.size * steps
    return {"": 1 - fired / slots if slots else 0.0} | out


def _synaptic_operations(program: Program, events: I64, graded: bool, steps: int, samples: int) -> dict[str, float]:
    first, sums, dense = program.first_ids(), {"Effective_MACs": 0, "Effective_ACs": 0}, 0
    entry = program.facts.input
    bits = 0 if entry is None else entry.payload_bits
    for q in program.projections:
        source = program.population(q.source)
        rows = _effective_rows(q)
        met = int(events[first[q.source] : first[q.source] + rows.size] @ rows)
        is_graded = graded and (bits > 0 if source.role == "input" else base.get(source.model).emits == "graded")
        sums["Effective_MACs" if is_graded else "Effective_ACs"] += met
        dense += _dense(program, q) * steps
    return {name: n / samples for name, n in sums.items()} | {"Dense": float(dense)}


def _effective_rows(q: Projection) -> I64:
    """Count synapses of each source whose weight is not 0; shared rows hold no others."""
    if isinstance(q, SharedProjection):
        return np.diff(q.indptr)
    effective = np.concatenate([[0], np.cumsum(q.weights != 0)])
    rows: I64 = effective[q.indptr[1:]] - effective[q.indptr[:-1]]
    return rows


def _ops(model: str) -> int:
    ops = base.get(model).ops
    return ops.mul + ops.add + ops.lut


def _own(folder: RunFolder, costs: Energy) -> dict[str, Any]:
    """Return system rows: energy, time, use of the chip."""
    f, report = costs.report.figures(), costs.report
    best = costs.best_learning
    dense = next((c for c in costs.learning if c.plan.form == "dense"), None)
    row, kept = costs.rows()[0], folder.program().facts.fidelity
    return {
        "bimhw.task": folder.manifest.get("task"),
        "bimhw.chip": report.chip,
        "bimhw.fidelity": None if kept is None else kept.word,
        "bimhw.fidelity_reasons": [] if kept is None else list(kept.reasons),
        "bimhw.metrics": {k: folder.result[k] for k in METRICS if k in folder.result},
        "bimhw.steps_per_sample": report.steps * costs.ran / max(1, report.samples),
        "bimhw.dynamic_nj_per_step": f["dynamic_nj_per_step"],
        "bimhw.energy_uj_per_inference": f["total_uj_per_inference"],
        "bimhw.dynamic_uj_per_inference": f["dynamic_uj_per_inference"],
        "bimhw.pj_per_synop": f["total_pj_per_synop"],
        "bimhw.dynamic_pj_per_synop": f["dynamic_pj_per_synop"],
        "bimhw.pj_per_neuron_update": f["soma_pj_per_neuron_update"],
        "bimhw.nj_per_step": f["total_nj_per_step"],
        "bimhw.copies": max(costs.copies, costs.ran),
        "bimhw.full_uj_per_inference": None if costs.full is None else costs.full.figures()["total_uj_per_inference"],
        "bimhw.learning_form": None if best is None else best.plan.form,
        "bimhw.learning_uj_per_sample": None if best is None else best.uj_per_sample()[1],
        "bimhw.dense_learning_uj_per_sample": None if dense is None else dense.uj_per_sample()[1],
        "bimhw.learners_uj_per_sample": None if costs.learners is None else costs.learners.uj_per_sample()[1],
        "bimhw.energy_low_uj": row.low_uj,
        "bimhw.energy_high_uj": row.high_uj,
        "bimhw.learning_range_uj": None if best is None else list(best.uj_per_sample()[::2]),
        "bimhw.trust": row.word,
        "bimhw.learning_trust": None if best is None else trust(best.nominal.items),
        "bimhw.time_trust": row.time_word,
        "bimhw.time_ratios": None if costs.time_ratios is None else list(costs.time_ratios),
        "bimhw.note": NOTE,
        "bimhw.latency_us_mean": folder.result.get("mean_latency_us"),
        "bimhw.latency_us_p99": folder.result.get("p99_latency_us"),
        "bimhw.samples_per_s": folder.result.get("samples_per_s"),
        "bimhw.energy_delay_product_js": f["energy_delay_product_js"],
        "bimhw.cores": folder.activity().cores_used,
        "bimhw.unknown": list(report.unknown),
        "bimhw.gpu": [{k: getattr(c, k) for k in _GPU_KEYS} for c in costs.gpu],
    }


NOTE = (
    "energies, times and everything else of the chip are modelled, not measured on it: none of these figures is a result of "
    "NeuroBench's system track, and none may be submitted as one"
)
_GPU_KEYS = ("gpu", "mode", "case", "schedule", "batch", "low_uj", "uj", "high_uj", "us")

"""Trained models against their own torch module, an implementation that shares no code with the engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from bimhw.evidence.crosscheck.compare import Comparison, compare
from bimhw.evidence.crosscheck.inputs import Job
from bimhw.models.io import load_model
from bimhw.models.nets import as_net
from bimhw.runs.execute import execute
from bimhw.runs.request import How, Request
from simulator.base.arrays import Floats
from simulator.base.errors import InputError
from simulator.neurons.base import get
from simulator.program.graph import Population


def crosscheck_torch(model: str | Path | nn.Module, job: Job, seed: int = 0) -> Comparison:
    """Compare the spikes of every layer with those of the torch module in doubles, the chip's latency removed.

    A float network must be equal; a program's integers are reported, as they round. Neurons that fire at random draw the
    same numbers on both sides.

    Args:
        model: file or module of a family that a task runs.
        job: a float network, or a program with its float network.
        seed: of neurons that fire at random.

    Raises:
        InputError: a model without a torch module, or layers that do not meet.
    """
    if job.network is None or not isinstance(model, str | Path | nn.Module):
        raise InputError("--against torch", "needs a trained model (.pt, .safetensors)", "Give a program's as --model")
    module = load_model(model) if isinstance(model, str | Path) else model
    net = as_net(module, "--against torch").double()
    (inputs,) = job.values.values()
    with torch.no_grad():
        spikes = net.run_samples(torch.from_numpy(inputs)[:, None], seed=seed).spikes
    layers = [
        p
        for p in job.network.populations
        if p.role == "hidden" and get(p.model).emits == "binary" and not get(p.model).traits.serves
    ]
    if len(layers) != len(spikes):
        raise InputError("--against torch", f"found {len(layers)} spiking layers, the module has {len(spikes)}")
    steps = min(len(inputs), job.steps - max(p.layer for p in layers))
    ours = _in_float(job, layers, steps, seed) if job.program is None else _on_chip(job, layers, steps, seed)
    theirs = {p.name: s[:steps, 0].numpy() for p, s in zip(layers, spikes, strict=True)}
    stage, tolerance = ("float", 0.0) if job.program is None else ("integer", None)
    return compare(ours, theirs, {}, against="torch", stage=stage, tolerance=tolerance)


def _in_float(job: Job, layers: list[Population], steps: int, seed: int) -> dict[str, Floats]:
    from mapping.float_run import record

    assert job.network is not None
    values = {name: value[None] for name, value in job.values.items()}
    shown = record(job.network, values, job.steps, [(p.name, "out") for p in layers], seed)
    return {p.name: shown[p.name, "out"][0, p.layer : p.layer + steps] for p in layers}


def _on_chip(job: Job, layers: list[Population], steps: int, seed: int) -> dict[str, Floats]:
    assert job.program is not None
    first, places = job.program.first_ids(), {p.name: p for p in job.program.populations}
    (spikes,) = execute(Request(job.program, [job.train], None, job.steps, how=How("none", seed))).spikes
    out = {}
    for p in layers:
        at = places[p.name].layer
        out[p.name] = spikes.to_dense(first[p.name], p.size)[at : at + steps].astype(np.float64)
    return out

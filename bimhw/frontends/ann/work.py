"""`AnnWork`: what a ReLU network computes for one sample, counted as it runs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bimhw.frontends.ann.relus import Relu


@dataclass(frozen=True)
class AnnWork:
    """Exact counts of one sample.

    Attributes:
        macs: multiply-accumulates of the linear layers and convolutions.
        pointwise: operations element by element: one an output of any other layer.
        parameters: weights and biases.
        inputs, outputs: values of the whole network.
        activations: values that layers hand on.
        kernels: layers that run as a kernel of their own.
    """

    macs: int
    pointwise: int
    parameters: int
    inputs: int
    outputs: int
    activations: int
    kernels: int


def ann_work(module: nn.Module, x: Tensor) -> AnnWork:
    """Count the work of a sample by running `module` on the first one of `x`."""
    own = any(isinstance(m, Relu) for m in module.modules())
    free: tuple[type[nn.Module], ...] = (nn.Flatten, nn.Identity, nn.Dropout)
    if own:  # each call of a ReLU has a layer of its own, which is counted
        free += (nn.ReLU,)
    found = {"macs": 0, "pointwise": 0, "activations": 0, "kernels": 0}

    def count(layer: nn.Module, given: object, out: object) -> None:
        if not isinstance(out, Tensor) or isinstance(layer, free):
            return
        found["activations"] += out.numel()
        found["kernels"] += 1
        if isinstance(layer, nn.Linear):
            found["macs"] += out.numel() * layer.in_features
        elif isinstance(layer, nn.Conv1d | nn.Conv2d):
            found["macs"] += out.numel() * layer.weight[0].numel()
        else:
            found["pointwise"] += out.numel()

    handles = [m.register_forward_hook(count) for m in module.modules() if not list(m.children())]
    with torch.no_grad():
        out = module(x[:1])
    for handle in handles:
        handle.remove()
    parameters = sum(p.numel() for p in module.parameters())
    return AnnWork(parameters=parameters, inputs=x[0].numel(), outputs=out.numel(), **found)

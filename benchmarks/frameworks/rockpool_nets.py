"""Rockpool: LIFTorch with and without times of its own, LIFNeuronTorch, several spikes a step; its exporter's default sample."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIFNeuronTorch, LIFTorch, LinearTorch
from rockpool.nn.modules.torch.nir import to_nir
from torch import nn

from benchmarks.frameworks.common import HIDDEN, INPUTS, OUTPUTS, Made, Make, stimuli, uniform


@torch.no_grad()
def _stack(neuron: Any, gain: float = 1.0, dt: float = 1e-3, bias: bool = False) -> Made:
    generator = torch.Generator().manual_seed(0)
    layers: list[nn.Module] = []
    for n_in, n_out in ((INPUTS, HIDDEN), (HIDDEN, OUTPUTS)):
        linear = LinearTorch((n_in, n_out), has_bias=bias)
        linear.weight.data = (torch.randn(linear.weight.shape, generator=generator) + 0.3) * gain / n_in**0.5
        layers += [linear, neuron(n_out, dt)]
    net = Sequential(*layers)
    x = stimuli(INPUTS)
    out, _, _ = net(x.transpose(0, 1))
    return Made(to_nir(net), x, out.transpose(0, 1), "rockpool")


def _lif(n: int, dt: float, own: bool = False, theta: float = 1.0) -> nn.Module:
    mem, syn = (uniform(n, 5e-3, 3e-2), uniform(n, 4e-3, 2e-2, 3)) if own else (0.01, 0.02)
    return LIFTorch(n, tau_mem=mem, tau_syn=syn, bias=0.0, threshold=theta, dt=dt)


def _plain(n: int, dt: float) -> nn.Module:
    return LIFNeuronTorch(n, tau_mem=0.015, bias=0.0, dt=dt)


def cases() -> dict[str, Make]:
    """Name -> how to make it."""
    return {
        "rockpool-lif": partial(_stack, _lif, 0.3),
        "rockpool-lif-own": partial(_stack, partial(_lif, own=True), 0.3),
        "rockpool-lif-many": partial(_stack, partial(_lif, own=True), 1.0),
        "rockpool-lif-dt": partial(_stack, partial(_lif, theta=0.7), 0.5, 2e-3),
        "rockpool-lif-bias": partial(_stack, _lif, 0.3, 1e-3, True),
        "rockpool-neuron": partial(_stack, _plain),
    }

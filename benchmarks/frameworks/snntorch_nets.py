"""snnTorch: Leaky, Synaptic, RLeaky and RSynaptic under every reset, convolutions and pools."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir
from torch import Tensor, nn

from benchmarks.frameworks.common import HIDDEN, INPUTS, OUTPUTS, Made, Make, randomise, step_by_step, stimuli, uniform

ZERO_NOW = {"reset_mechanism": "zero", "reset_delay": False}
# how the neurons are made -> the profile that says so
RESETS: dict[str, tuple[dict[str, Any], Any]] = {
    "zero-now": (ZERO_NOW, "snntorch"),
    "zero": ({"reset_mechanism": "zero"}, "snntorch-zero-delay"),
    "subtract": ({}, "snntorch-subtract"),
    "subtract-now": ({"reset_delay": False}, "snntorch-subtract-now"),
    "none": ({"reset_mechanism": "none"}, {"dt": 1e-4, "reset": "none"}),
}


def _made(net: nn.Module, x: Tensor, profile: Any) -> Made:
    # exported from a copy: snnTorch's reset between two runs leaves the state of an RSynaptic as it is
    graph = export_to_nir(copy.deepcopy(net), x[0], ignore_dims=[0])
    return Made(graph, x, step_by_step(net, x), profile)


def _leaky(n: int, seed: int, **how: Any) -> nn.Module:
    return snn.Leaky(
        beta=uniform(n, 0.4, 0.97, seed), threshold=uniform(n, 0.6, 1.4, seed + 1), init_hidden=True, **how
    )


def _synaptic(n: int, seed: int, **how: Any) -> nn.Module:
    alpha, beta = uniform(n, 0.2, 0.8, seed + 2), uniform(n, 0.4, 0.9, seed)
    return snn.Synaptic(alpha=alpha, beta=beta, threshold=torch.ones(n), init_hidden=True, **how)


def _stack(neuron: Callable[..., nn.Module], gain: float, how: dict[str, Any], profile: Any) -> Made:
    layers = [nn.Linear(INPUTS, HIDDEN), neuron(HIDDEN, 3, **how)]
    layers += [nn.Linear(HIDDEN, OUTPUTS, bias=False), neuron(OUTPUTS, 5, **how)]
    return _made(randomise(nn.Sequential(*layers), gain), stimuli(INPUTS), profile)


def _recurrent(n: int, synaptic: bool, dense: bool, how: dict[str, Any], hidden: bool) -> nn.Module:
    links = {"linear_features": n} if dense else {"all_to_all": False, "V": uniform(n, -1, 1, 11)}
    options = {"beta": uniform(n, 0.4, 0.9), "init_hidden": hidden, **links, **how}
    return snn.RSynaptic(alpha=uniform(n, 0.2, 0.7, 9), **options) if synaptic else snn.RLeaky(**options)


class _StatesHandedOver(nn.Module):
    """The form that RSynaptic with reset_delay=False needs: its state goes in and out."""

    def __init__(self, dense: bool, how: dict[str, Any]) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, OUTPUTS)
        self.lif1 = _recurrent(HIDDEN, True, dense, how, hidden=False)
        self.lif2 = snn.Leaky(beta=uniform(OUTPUTS, 0.3, 0.9), threshold=torch.ones(OUTPUTS), **how)
        self.states: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if not self.states:
            self.states = [x.new_zeros(len(x), n) for n in (HIDDEN, HIDDEN, HIDDEN, OUTPUTS)]
        spikes, current, membrane = self.lif1(self.fc1(x), *self.states[:3])
        out, last = self.lif2(self.fc2(spikes), self.states[3])
        self.states = [spikes, current, membrane, last]
        return out


def _loop(synaptic: bool, dense: bool, how: dict[str, Any], profile: Any) -> Made:
    net: nn.Module = _StatesHandedOver(dense, how)
    if not synaptic:
        layers = [nn.Linear(INPUTS, HIDDEN), _recurrent(HIDDEN, False, dense, how, hidden=True)]
        net = nn.Sequential(*layers, nn.Linear(HIDDEN, OUTPUTS), _leaky(OUTPUTS, 5, **how))
    return _made(randomise(net, 0.8), stimuli(INPUTS), profile)


def _conv(
    conv: dict[str, Any], pool: tuple[int, ...] = (), how: dict[str, Any] = ZERO_NOW, profile: Any = "snntorch"
) -> Made:
    x = stimuli(2, 9, 8)
    first: list[nn.Module] = [nn.Conv2d(2, 4, **conv)]
    shape = first[0](x[0]).shape[1:]
    beta = uniform(int(shape.numel()), 0.4, 0.95).reshape(shape)
    first.append(snn.Leaky(beta=beta, threshold=torch.full(shape, 1.5), init_hidden=True, **how))
    first += [nn.AvgPool2d(*pool)] if pool else []
    width = nn.Sequential(first[0], *first[2:], nn.Flatten())(x[0]).shape[1]
    net = nn.Sequential(*first, nn.Flatten(), nn.Linear(width, OUTPUTS), _leaky(OUTPUTS, 5, **how))
    return _made(randomise(net, 0.8), x, profile)


def cases() -> dict[str, Make]:
    """Name -> how to make it."""
    out: dict[str, Make] = {}
    for name, (how, profile) in RESETS.items():
        out[f"snn-leaky-{name}"] = partial(_stack, _leaky, 1.0, how, profile)
        out[f"snn-synaptic-{name}"] = partial(_stack, _synaptic, 0.4, how, profile)
        for dense in (True, False):
            links = "dense" if dense else "own"
            if name != "none":
                out[f"snn-rleaky-{links}-{name}"] = partial(_loop, False, dense, how, profile)
                out[f"snn-rsynaptic-{links}-{name}"] = partial(_loop, True, dense, how, profile)
    out["snn-conv-stride"] = partial(_conv, {"kernel_size": 3, "stride": 2, "padding": 1})
    out["snn-conv-dilation"] = partial(_conv, {"kernel_size": 3, "dilation": 2, "padding": 2}, (2, 1))
    out["snn-conv-same"] = partial(_conv, {"kernel_size": 3, "padding": "same", "bias": False}, (3, 2))
    out["snn-conv-groups"] = partial(_conv, {"kernel_size": 3, "groups": 2})
    out["snn-conv-subtract"] = partial(_conv, {"kernel_size": 3}, (2,), {}, "snntorch-subtract")
    return out

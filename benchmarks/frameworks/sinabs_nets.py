"""sinabs: IAF, LIF and ExpLeak layers, several spikes a step, sum pools, convolutions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import sinabs
import sinabs.layers as sl
import torch
from sinabs.activation import MembraneReset, SingleSpike
from sinabs.nir import to_nir
from torch import Tensor, nn

from benchmarks.frameworks.common import (
    HIDDEN,
    INPUTS,
    OUTPUTS,
    SAMPLES,
    STEPS,
    Made,
    Make,
    randomise,
    stimuli,
    uniform,
)

Neuron = Callable[[int], nn.Module]


@torch.no_grad()
def _made(layers: list[nn.Module], x: Tensor, gain: float, grid: float = 0.0, profile: Any = "sinabs") -> Made:
    net = randomise(nn.Sequential(*layers), gain, grid)
    flat = x.transpose(0, 1).reshape(SAMPLES * STEPS, *x.shape[2:])
    out = net(flat)
    out = out.reshape(SAMPLES, STEPS, *out.shape[1:]).transpose(0, 1)
    sinabs.reset_states(net)
    return Made(to_nir(net, flat), x, out, profile)


def _iaf(n: int, **options: Any) -> nn.Module:
    return sl.IAFSqueeze(batch_size=SAMPLES, **options)


def _lif(n: int, tau: Tensor | float = 7.0, **options: Any) -> nn.Module:
    tau = tau if isinstance(tau, Tensor) else torch.full((n,), tau)
    return sl.LIFSqueeze(tau_mem=tau, spike_threshold=torch.ones(n), batch_size=SAMPLES, **options)


def _leak(n: int, **options: Any) -> nn.Module:
    return sl.ExpLeakSqueeze(tau_mem=torch.full((n,), 6.0), batch_size=SAMPLES, norm_input=False, **options)


def _stack(neuron: Neuron, gain: float = 0.8, last: Neuron | None = None, **how: Any) -> Made:
    layers = [
        nn.Linear(INPUTS, HIDDEN),
        neuron(HIDDEN),
        nn.Linear(HIDDEN, OUTPUTS, bias=False),
        (last or neuron)(OUTPUTS),
    ]
    return _made(layers, stimuli(INPUTS), gain, **how)


def _conv(conv: dict[str, Any], pool: nn.Module | None = None, flat: bool = False) -> Made:
    x = stimuli(3, 17) if flat else stimuli(2, 9, 8)
    first = (nn.Conv1d if flat else nn.Conv2d)(x.shape[2], 4, **conv)
    pools = [pool] if pool else []
    width = nn.Sequential(first, *pools, nn.Flatten())(x[0]).shape[1]
    return _made([first, _iaf(0), *pools, nn.Flatten(), nn.Linear(width, OUTPUTS), _iaf(0)], x, 0.5)


def cases() -> dict[str, Make]:
    """Name -> how to make it."""
    plain = {"dt": 1, "integrator": "exp", "reset": "subtract_now"}
    single = partial(_iaf, spike_fn=SingleSpike)
    return {
        "sinabs-iaf": partial(_stack, _iaf),
        "sinabs-iaf-threshold": partial(_stack, partial(_iaf, spike_threshold=torch.tensor(0.6))),
        "sinabs-iaf-ties": partial(_stack, _iaf, grid=0.125),
        "sinabs-iaf-least": partial(
            _stack, partial(_iaf, min_v_mem=-1.0), profile=plain | {"cmp": "multi", "v_min": -1.0}
        ),
        "sinabs-iaf-single": partial(_stack, single, profile=plain | {"cmp": ">="}),
        "sinabs-iaf-to-zero": partial(
            _stack, partial(single, reset_fn=MembraneReset()), profile=plain | {"cmp": ">=", "reset": "to_v_reset_now"}
        ),
        "sinabs-lif": partial(_stack, partial(_lif, norm_input=False)),
        "sinabs-lif-own": partial(_stack, lambda n: _lif(n, uniform(n, 3, 20), norm_input=False)),
        "sinabs-lif-normed": partial(
            _stack, partial(_lif, tau=4.0), 3.0, profile=plain | {"integrator": "exp_norm", "cmp": "multi"}
        ),
        "sinabs-lif-leak": partial(_stack, partial(_lif, norm_input=False), last=_leak),
        "sinabs-iaf-leak": partial(_stack, _iaf, last=_leak),
        "sinabs-conv": partial(_conv, {"kernel_size": 3, "padding": 1, "bias": False}, sl.SumPool2d(2)),
        "sinabs-conv-stride": partial(_conv, {"kernel_size": 3, "stride": 2}),
        "sinabs-conv-rectangular": partial(_conv, {"kernel_size": (2, 3)}, sl.SumPool2d(3, stride=2)),
        "sinabs-conv-groups": partial(_conv, {"kernel_size": 3, "groups": 2, "padding": 1}),
        "sinabs-conv-dilation": partial(_conv, {"kernel_size": 3, "dilation": 2, "padding": 2}, sl.SumPool2d(2)),
        "sinabs-conv1d": partial(_conv, {"kernel_size": 3, "stride": 2, "padding": 1}, flat=True),
    }

"""SpikingJelly: IF, LIF, parametric LIF and CUBALIF nodes, one step or many at once, convolutions in one and two dimensions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron, nir_exchange
from torch import Tensor, nn

from benchmarks.frameworks.common import HIDDEN, INPUTS, OUTPUTS, Made, Make, randomise, step_by_step, stimuli

Node = Callable[[], nn.Module]
DT = 1e-4  # the exporter's default


def _made(
    net: nn.Module,
    x: Tensor,
    steps: str = "s",
    dt: float = DT,
    told: float | None = None,
    profile: Any = "spikingjelly",
) -> Made:
    functional.set_step_mode(net, steps)
    with torch.no_grad():
        out = net(x) if steps == "m" else step_by_step(net, x)
    functional.reset_net(net)
    return Made(nir_exchange.export_to_nir(net, x if steps == "m" else x[0], dt=dt), x, out, profile, told)


def _stack(node: Node, gain: float = 1.0, grid: float = 0.0, **how: Any) -> Made:
    net = nn.Sequential(layer.Linear(INPUTS, HIDDEN), node(), layer.Linear(HIDDEN, OUTPUTS, bias=False), node())
    return _made(randomise(net, gain, grid), stimuli(INPUTS), **how)


def _conv(conv: dict[str, Any], steps: str, node: Node, flat: bool = False, gain: float = 0.8) -> Made:
    x = stimuli(3, 17) if flat else stimuli(2, 9, 8)
    first: list[nn.Module] = [(layer.Conv1d if flat else layer.Conv2d)(x.shape[2], 4, **conv), node()]
    first += [] if flat else [layer.AvgPool2d(2)]
    with torch.no_grad():
        width = nn.Sequential(first[0], *first[2:], nn.Flatten())(x[0]).shape[1]
    net = nn.Sequential(*first, layer.Flatten(), layer.Linear(width, OUTPUTS), node())
    return _made(randomise(net, gain), x, steps)


def cases() -> dict[str, Make]:
    """Name -> how to make it."""
    if_node = partial(neuron.IFNode, v_reset=0.0)
    lif = partial(neuron.LIFNode, tau=2.0, decay_input=False)
    halved = partial(neuron.LIFNode, tau=2.5, decay_input=True)
    cuba = partial(neuron.CUBALIFNode, c_decay=0.4, v_decay=0.7, v_reset=0.0)
    return {
        "sj-if": partial(_stack, if_node),
        "sj-if-dt": partial(_stack, if_node, dt=2e-3, profile=None),
        "sj-if-reset": partial(_stack, partial(neuron.IFNode, v_reset=-0.25, v_threshold=0.75)),
        "sj-if-ties": partial(_stack, if_node, grid=0.25),
        "sj-if-many": partial(_stack, if_node, steps="m"),
        "sj-lif": partial(_stack, lif),
        "sj-lif-dt": partial(_stack, lif, dt=1e-3, profile=None),
        "sj-lif-reset": partial(_stack, partial(neuron.LIFNode, tau=2.0, v_reset=0.2, decay_input=False)),
        "sj-lif-decayed-input": partial(_stack, halved, 2.5),
        "sj-lif-decayed-input-dt": partial(_stack, halved, 2.5, dt=5e-4, told=5e-4),
        "sj-lif-decayed-input-reset": partial(_stack, partial(neuron.LIFNode, tau=2.0, v_reset=-0.2), 2.5, steps="m"),
        "sj-plif": partial(_stack, partial(neuron.ParametricLIFNode, init_tau=3.0), 3.0),
        "sj-cuba": partial(_stack, cuba, 0.4),
        "sj-cuba-reset": partial(_stack, partial(neuron.CUBALIFNode, c_decay=0.4, v_decay=0.7, v_reset=0.1), 0.4),
        "sj-cuba-no-current": partial(_stack, partial(neuron.CUBALIFNode, c_decay=0.0, v_decay=0.5, v_reset=0.0), 0.8),
        "sj-conv2d": partial(_conv, {"kernel_size": 3, "padding": 1}, "s", lif),
        "sj-conv2d-stride": partial(_conv, {"kernel_size": 3, "padding": 1, "stride": 2}, "m", lif),
        "sj-conv2d-same": partial(
            _conv, {"kernel_size": 3, "padding": "same", "dilation": 2, "bias": False}, "m", if_node
        ),
        "sj-conv2d-cuba": partial(_conv, {"kernel_size": 3}, "m", cuba, gain=0.3),
        "sj-conv1d-stride": partial(_conv, {"kernel_size": 3, "padding": 1, "stride": 2}, "s", lif, True),
        "sj-conv1d-dilation": partial(_conv, {"kernel_size": 4, "dilation": 2}, "m", lif, True),
        "sj-conv1d-same": partial(_conv, {"kernel_size": 4, "padding": "same"}, "m", if_node, True),
    }

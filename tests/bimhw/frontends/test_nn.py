"""Stacks of `bimhw.nn` on a chip: the float engine computes what torch computes, for every order of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bimhw.nn as bnn
from bimhw.frontends.checkpoints import module_network
from bimhw.frontends.nn import nn_network
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from mapping.float_run import run_float
from simulator.base.errors import FitError


def linear(n: int, m: int) -> nn.Linear:
    layer = nn.Linear(n, m)
    nn.init.normal_(layer.weight, std=0.8)
    nn.init.normal_(layer.bias, std=0.1)
    return layer


def bim(n: int, m: int, **options: Any) -> bnn.BIM:
    return bnn.BIM(n, m, theta=0.2, **options)


STACKS = {
    "bim net": lambda: [bim(5, 8), bim(8, 6, output="filtered"), linear(6, 3)],
    "other constants": lambda: [bim(5, 8, psp="delta"), bim(8, 6, output="filtered", k_o=0.6), linear(6, 3)],
    "membrane": lambda: [bim(5, 8, output="membrane", k_membrane=0.4), linear(8, 3)],
    "s6 then lif": lambda: [
        bim(5, 8, kind="s6", n_states=2),
        linear(8, 6),
        bnn.LIF(0.8),
        bnn.Filter(0.7),
        linear(6, 3),
    ],
    "lif then bim": lambda: [linear(5, 8), bnn.LIF(0.9), bim(8, 6, psp="exp"), linear(6, 4), bnn.LI(0.8)],
    "spikes read": lambda: [bim(5, 8), linear(8, 3)],
    "spikes read of a mixed stack": lambda: [linear(5, 8), bnn.LIF(0.9), bim(8, 6), linear(6, 3)],
    "lif on top": lambda: [bim(5, 8), linear(8, 6), bnn.LIF(0.8), linear(6, 3)],
    "flattened": lambda: [
        nn.Flatten(2),
        bim(5, 8),
        nn.Flatten(2),
        linear(8, 6),
        bnn.LIF(0.8),
        nn.Flatten(2),
        bim(6, 4),
    ],
    "spikes out": lambda: [linear(5, 8), bnn.CubaLIF(0.5, 0.9), bim(8, 6)],
    "one layer": lambda: [bim(5, 6)],
}


@pytest.mark.parametrize("name", STACKS)
def test_the_float_engine_computes_what_torch_computes(name: str) -> None:
    torch.manual_seed(3)
    model = nn.Sequential(*STACKS[name]()).double()
    x = (torch.rand(20, 4, 5) < 0.4).double()
    with torch.no_grad():
        expected = model(x).numpy()
    network = nn_network(model)
    end = next(p for p in network.populations if p.role == "output")
    state = network.meta.get("output", {}).get("state")
    seen: list[np.ndarray] = []

    def observe(step: int, population: Any, drive: Any, states: Any, output: Any) -> None:
        if population.name == end.name:
            seen.append((states[state] if state else output).copy())

    run_float(network, {"input": x.numpy().transpose(1, 0, 2)}, 20 + end.layer, observe)
    np.testing.assert_allclose(np.stack(seen)[:20], expected, atol=1e-9)
    assert np.abs(expected).sum() > 0


def test_a_bim_net_stays_one() -> None:
    config = BimConfig(n_in=5, hidden=(8, 6), n_out=3, theta=0.2)
    net = BimNet(config)
    model = nn.Sequential(bim(5, 8), bim(8, 6, output="filtered"), nn.Linear(6, 3))
    for mine, own in zip(model[:2], net.layers, strict=True):
        mine.load_state_dict(own.state_dict())
    model[2].load_state_dict(net.readout.state_dict())
    a, b = nn_network(model), module_network(net)
    assert str(a) == str(b) and a.meta == b.meta
    for p, q in zip(a.projections, b.projections, strict=True):
        np.testing.assert_array_equal(p.weights, q.weights)


def test_filtered_values_inside_a_network_are_refused() -> None:
    with pytest.raises(FitError, match="readout neurons alone"):
        nn_network(nn.Sequential(bim(5, 8, output="filtered"), bim(8, 6)))
    with pytest.raises(FitError, match="gives no spikes"):
        nn_network(nn.Sequential(linear(5, 8), bim(8, 6)))
    with pytest.raises(FitError, match="takes 7 inputs"):
        nn_network(nn.Sequential(bim(5, 8), bim(7, 6)))

"""Learnable delays of `bimhw.nn.BIM`: offline, online, in windows, in files, on the chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bimhw.nn as bnn
from bimhw.compiler.pipeline import compile
from bimhw.frontends.nn import nn_network
from bimhw.learning.forms.bptt import run_compiled
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.loops import without_loops
from bimhw.models.bim.net import BimNet
from mapping.float_run import run_float
from simulator.base.errors import InputError
from tests.bimhw.models.test_delays import written_out

KINDS: list[dict[str, Any]] = [
    {},
    {"psp": "exp", "adapt_beta": 0.3},
    {"kind": "s6", "n_states": 3},
    {"delay_width": 3, "learn_a_log": True},
]


def layer(n_in: int = 5, **options: Any) -> bnn.BIM:
    return bnn.BIM(n_in, 7, theta=0.2, **({"output": "filtered", "channel_delays": 6} | options)).double()


def inputs(steps: int = 14, batch: int = 3) -> Tensor:
    return (torch.rand(steps, batch, 5, generator=torch.Generator().manual_seed(0)) < 0.4).double()


def weights_of(y: Tensor) -> Tensor:
    return torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-10, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("options", [*KINDS, {"kind": "complex"}], ids=str)
def test_offline_gradients_are_those_of_the_sum_written_out(options: dict[str, Any]) -> None:
    found = []
    for how in ("loops", "torch", "reference"):
        net, x = layer(**options), inputs().requires_grad_()
        if how == "reference":
            u = written_out(x, net.get_parameter("delay"), 6, net.config.delay_width)
            y, _ = net.scan(net.drive(u), net.initial_state(3))
        elif how == "torch":
            with without_loops():
                y = net(x)
        else:
            y = net(x)
        (y * weights_of(y)).sum().backward()
        assert x.grad is not None
        found.append(gradients(net) | {"x": x.grad})
    assert float(found[0]["delay"].abs().max()) > 1e-3
    equal(found[0], found[2])
    equal(found[1], found[2])


def test_the_delay_line_is_part_of_the_state() -> None:
    net, x = layer(), inputs()
    with torch.no_grad():
        whole, after = net.run(x)
        first, state = net.run(x[:4])
        second, end = net.run(x[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-12)
    assert torch.equal(end.line, after.line) and end.line.shape == (3, 6, 5)
    net.reset()
    steps = torch.stack([net.observe(u).detach() for u in x])
    torch.testing.assert_close(steps, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("form", ["seq", "tr"])
def test_sweeps_online_give_the_gradient_of_the_delays_too(options: dict[str, Any], form: str) -> None:
    net, x = layer(form=form, block=14, **options), inputs().requires_grad_()
    y = net(x)
    (y * weights_of(y)).sum().backward()
    wanted, to_x = gradients(net), x.grad
    net.zero_grad()
    for u, w in zip(x.detach(), weights_of(y), strict=True):
        (net.observe(u) * w).sum().backward()
    below = net.finish()
    equal(gradients(net), wanted)
    torch.testing.assert_close(below, to_x, rtol=1e-10, atol=1e-10)


def test_truncated_sweeps_cover_each_step_once() -> None:
    """With a lookback as long as the sequence, blocks add up to the whole gradient of the layer's own parameters."""
    net, x = layer(form="tr", block=4, lookback=14), inputs()
    y = net(x)
    (y * weights_of(y)).sum().backward()
    wanted = gradients(net)
    net.zero_grad()
    for u, w in zip(x, weights_of(y), strict=True):
        (net.observe(u) * w).sum().backward()
    net.finish()
    equal(gradients(net), wanted)


@pytest.mark.parametrize("form", ["rtrl", "blk"])
def test_forward_traces_are_exact_behind_fixed_delays(form: str) -> None:
    net, x = layer(form=form, block=5), inputs()
    y = net(x)
    (y * weights_of(y)).sum().backward()
    wanted = gradients(net)
    del wanted["delay"]
    net.zero_grad()
    for u, w in zip(x, weights_of(y), strict=True):
        (net.observe(u) * w).sum().backward()
    net.finish()
    equal(gradients(net), wanted)


def test_the_exact_same_step_credit_passes_undelayed_channels_alone() -> None:
    net, x = layer(output="spikes"), inputs()
    for u in x[:-1]:
        net.observe(u)
    last = x[-1].clone().requires_grad_()
    net.observe(last).sum().backward()
    axons = net.axons
    assert axons is not None and last.grad is not None
    assert bool((axons.steps == 0).any())
    assert not last.grad[:, axons.steps > 0].any() and last.grad[:, axons.steps == 0].any()


def test_a_stack_is_the_bim_net_on_the_host_and_on_the_chip(tmp_path: Path) -> None:
    config = BimConfig(n_in=5, hidden=(8, 6), n_out=3, theta=0.2, hidden_delays=4, channel_delays=2)
    net = BimNet(config)
    model = nn.Sequential(
        bnn.BIM(5, 8, theta=0.2, channel_delays=2),
        bnn.BIM(8, 6, theta=0.2, output="filtered", k_o=0.8, channel_delays=4),
        nn.Linear(6, 3),
    )
    nn.init.normal_(net.readout.weight)
    for mine, own in zip(model[:2], net.layers, strict=True):
        mine.load_state_dict(own.state_dict())
    model[2].load_state_dict(net.readout.state_dict())
    x = inputs().float()
    torch.testing.assert_close(model(x), run_compiled(net, x).logits)
    again = bnn.load(bnn.save(model, tmp_path / "m.pt"))
    torch.testing.assert_close(again(x), model(x))
    payloads = x.numpy().transpose(1, 0, 2).astype(np.int32)
    a, b = (compile(m, "loihi2", calibration=payloads, mapping="blocks").program for m in (again, net))
    assert a.sha256() == b.sha256()
    delays = {q.delay for q in a.projections if q.target == "layer2"}
    assert delays == set(net.layer(1).axons.steps.tolist())  # type: ignore[union-attr]


def test_a_layer_between_others_computes_the_same_on_the_chip() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 8), bnn.LIF(0.9), layer(8, channel_delays=4), nn.Linear(7, 3)).double()
    x = inputs(20)
    network = nn_network(model)
    end, seen = next(p for p in network.populations if p.role == "output"), []

    def observe(step: int, population: Any, drive: Any, states: Any, output: Any) -> None:
        if population.name == end.name:
            seen.append(states["y"].copy())

    run_float(network, {"input": x.numpy().transpose(1, 0, 2)}, 20 + end.layer, observe)
    np.testing.assert_allclose(np.stack(seen)[:20], model(x).detach().numpy(), atol=1e-9)


def test_options_of_a_network_are_refused_and_half_precision_runs() -> None:
    with pytest.raises(InputError, match="hidden_delays"):
        bnn.BIM(5, 7, hidden_delays=3)
    net = bnn.BIM(5, 7, channel_delays=3).bfloat16()
    y = net(inputs().bfloat16())
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert net.get_parameter("delay").grad is not None

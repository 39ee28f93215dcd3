"""`bimhw.nn.BIM`: offline equal to autograd on every path, online equal to BPTT, inside other people's models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import bimhw.nn as bnn
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from simulator.base.errors import InputError

KINDS: list[dict[str, Any]] = [
    {},
    {"psp": "delta", "reset": "hard", "refractory": 2},
    {"psp": "exp", "adapt_beta": 0.3},
    {"kind": "s6", "n_states": 3},
    {"kind": "s6", "n_states": 2, "discretisation": "euler", "detach_reset": False},
    {"learn_a_log": True, "detach_reset": False},
]


def layer(output: str = "filtered", **options: Any) -> bnn.BIM:
    return bnn.BIM(5, 7, output=output, theta=0.2, **options).double()  # type: ignore[arg-type]


def inputs(steps: int = 12, batch: int = 3) -> Tensor:
    torch.manual_seed(0)
    return (torch.rand(steps, batch, 5) < 0.4).double()


def gradients(module: torch.nn.Module) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


def bptt(module: bnn.BIM, x: Tensor, weight: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    drive = module.drive(x)
    y, _ = module.scan(drive, module.initial_state(x.shape[1], drive.z))
    (y * weight).sum().backward()
    return gradients(module)


def equal(a: dict[str, Tensor], b: dict[str, Tensor], tolerance: float = 1e-10) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=tolerance, atol=tolerance, msg=name)
    assert any(float(g.abs().max()) > 1e-4 for g in a.values())


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("output", ["spikes", "filtered", "membrane"])
def test_forward_is_the_scan_and_its_gradient(options: dict[str, Any], output: str) -> None:
    net, x = layer(output, **options), inputs()
    weight = torch.randn(12, 3, 7, dtype=torch.float64)
    expected = bptt(net, x, weight)
    net.zero_grad()
    y = net(x)
    (y * weight).sum().backward()
    equal(gradients(net), expected)
    with torch.no_grad():
        torch.testing.assert_close(net(x), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("output", ["spikes", "filtered", "membrane"])
def test_observe_is_exact_for_any_loss(options: dict[str, Any], output: str) -> None:
    """A random linear loss at every step, then its sum by BPTT."""
    net, x = layer(output, **options), inputs()
    weight = torch.randn(12, 3, 7, dtype=torch.float64)
    expected = bptt(net, x, weight)
    net.zero_grad()
    for t, step in enumerate(x):
        (net.observe(step) * weight[t]).sum().backward()
    equal(gradients(net), expected)


@pytest.mark.parametrize("form", ["rtrl", "seq", "blk"])
def test_forms_agree_with_bptt(form: str) -> None:
    net, x = layer(form=form, block=5), inputs()
    weight = torch.randn(12, 3, 7, dtype=torch.float64)
    expected = bptt(net, x, weight)
    net.zero_grad()
    for t, step in enumerate(x):
        net.observe(step)
        if t % 2:
            net.backward(weight[t])
    net.finish()
    odd = weight.clone()
    odd[::2] = 0
    got = gradients(net)
    equal(got, bptt(net, x, odd))
    assert got.keys() == expected.keys()


def test_tr_with_a_long_lookback_is_exact() -> None:
    net, x = layer(form="tr", block=4, lookback=100), inputs()
    weight = torch.randn(12, 3, 7, dtype=torch.float64)
    expected = bptt(net, x, weight)
    net.zero_grad()
    for t, step in enumerate(x):
        (net.observe(step) * weight[t]).sum().backward()
    net.finish()
    equal(gradients(net), expected)


def test_seq_through_a_stack_is_exact() -> None:
    """`finish` hands dL/dx down; the stack's gradient is that of BPTT."""
    lower, upper = layer("spikes", form="seq"), bnn.BIM(7, 4, output="filtered", form="seq", theta=0.2).double()
    x, weight = inputs(), torch.randn(12, 3, 4, dtype=torch.float64)
    both = torch.nn.Sequential(lower, upper)
    (both(x) * weight).sum().backward()
    expected = gradients(both)
    both.zero_grad()
    for t, step in enumerate(x):
        (upper.observe(lower.observe(step)) * weight[t]).sum().backward()
    lower.finish(upper.finish())
    equal(gradients(both), expected)


def test_a_sequential_is_the_bim_net() -> None:
    config = BimConfig(n_in=5, hidden=(7, 6), n_out=3, theta=0.2)
    net = BimNet(config).double()
    net.readout.weight.data.normal_()
    model = torch.nn.Sequential(
        bnn.BIM(5, 7, theta=0.2), bnn.BIM(7, 6, output="filtered", theta=0.2), torch.nn.Linear(6, 3)
    ).double()
    for mine, own in zip(model[:2], net.layers, strict=True):
        mine.load_state_dict(own.state_dict())
    model[2].load_state_dict(net.readout.state_dict())
    x = inputs()
    torch.testing.assert_close(model(x), net(x), rtol=1e-12, atol=1e-12)


def test_layers_before_and_after_learn_online() -> None:
    """An embedding below and a head above get gradients; the embedding's is the same-step Jacobian's."""
    torch.manual_seed(1)
    below, core, head = torch.nn.Linear(5, 5).double(), layer(psp="delta", k_o=0.5), torch.nn.Linear(7, 2).double()
    x = inputs(1)
    y = head(core.observe(below(x[0])))
    y.square().sum().backward()
    got = gradients(torch.nn.ModuleList([below, core, head]))
    for module in (below, core, head):
        module.zero_grad()
    head(core(below(x)))[0].square().sum().backward()  # one step: same-step credit is all there is
    equal(got, gradients(torch.nn.ModuleList([below, core, head])))


def test_bfloat16_under_autocast() -> None:
    net = bnn.BIM(5, 7, output="filtered")
    x = inputs().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = net(x)
        step = net.observe(x[0])
    assert y.dtype == torch.float32 and step.dtype == torch.float32
    y.sum().backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


def test_meaningless_calls_are_refused() -> None:
    net, x = layer(), inputs()
    with pytest.raises(InputError, match="output 'spike'"):
        layer("spike")
    with pytest.raises(InputError, match="belongs to a whole network"):
        layer(input_delays=(0, 1))
    with pytest.raises(InputError, match="form 'bptt'"):
        layer(form="bptt")
    with pytest.raises(InputError, match="shape"):
        net(x[0])
    first = net.observe(x[0])
    net.observe(x[1])
    with pytest.raises(InputError, match="once a step"):
        first.sum().backward()
    with pytest.raises(InputError, match="batch"):
        net.observe(x[0][:1])
    net.reset()
    net.observe(x[0][:1])


def test_state_dict_and_copies() -> None:
    import copy

    net, x = layer(), inputs()
    twin = copy.deepcopy(net)
    other = layer(seed=5)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(twin(x), net(x))
    torch.testing.assert_close(other(x), net(x))


@pytest.mark.parametrize("kind", ["diag", "complex"])
def test_loops_have_no_second_derivative(kind: str) -> None:
    layer, x = bnn.BIM(4, 5, kind=kind), torch.ones(3, 1, 4, requires_grad=True)
    with pytest.raises(InputError, match="no derivative of its own"):
        torch.autograd.grad(layer(x).sum(), x, create_graph=True)

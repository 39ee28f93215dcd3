"""`bimhw.nn` on other devices and types: shapes on ``meta``, half precision, torch.compile; equal results where a card is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bimhw.nn as bnn
from bimhw.models.bim.loops import without_loops

DEVICES = ["cuda"] if torch.cuda.is_available() else []
MODULES: dict[str, dict[str, Any]] = {
    "diag": {},
    "adaptive": {"adapt_beta": 0.2},
    "s6": {"kind": "s6", "n_states": 2},
    "complex": {"kind": "complex", "norm": "batch", "state_gain": "variance"},
}


def stack(name: str) -> nn.Sequential:
    torch.manual_seed(0)
    if name == "p-spikessm":
        return nn.Sequential(bnn.PSpikeSSM(5, 8, layers=2, n_states=3), bnn.Filter(0.8), nn.Linear(8, 3)).eval()
    options = MODULES[name] | {"theta": 0.2}
    top = bnn.BIM(8, 6, output="filtered", **options)
    return nn.Sequential(bnn.BIM(5, 8, **options), top, nn.Linear(6, 3))


def inputs(steps: int = 6) -> Tensor:
    return (torch.rand(steps, 2, 5, generator=torch.Generator().manual_seed(1)) < 0.5).float()


def learnt(net: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    net.zero_grad()
    y = net(x)
    y.square().sum().backward()
    return y.detach(), [p.grad.clone() for p in net.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", [*MODULES, "p-spikessm"])
def test_nothing_is_made_on_another_device(name: str) -> None:
    """On ``meta`` an operation between two devices fails, so all state lies where the inputs are."""
    net = stack(name).to("meta")
    y, gradients = learnt(net, inputs().to("meta"))
    assert y.shape == (6, 2, 3) and {g.device.type for g in gradients} == {"meta"}


@pytest.mark.parametrize("form", ["rtrl", "seq", "tr", "blk"])
def test_online_state_lies_on_the_device(form: str) -> None:
    layer = bnn.BIM(5, 8, form=form, block=2).to("meta")
    for step in inputs(3).to("meta"):
        layer.observe(step).sum().backward()
    layer.finish()
    assert layer.w_in.grad.device.type == "meta"


@pytest.mark.parametrize("name", MODULES)
def test_plain_torch_is_the_compiled_loop(name: str) -> None:
    net, x = stack(name).double(), inputs(12).double()
    expected = learnt(net, x)
    with without_loops():
        got = learnt(net, x)
    for a, b in zip([expected[0], *expected[1]], [got[0], *got[1]], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", [*MODULES, "p-spikessm"])
def test_half_precision_weights(name: str, dtype: torch.dtype) -> None:
    net = stack(name).to(dtype)
    y, gradients = learnt(net, inputs().to(dtype))
    assert y.dtype == dtype and all(g.dtype == dtype and bool(g.isfinite().all()) for g in gradients)


@pytest.mark.parametrize("form", ["rtrl", "seq"])
def test_half_precision_online(form: str) -> None:
    layer = bnn.BIM(5, 8, form=form, output="filtered", theta=0.2)
    exact = bnn.BIM(5, 8, form=form, output="filtered", theta=0.2)
    layer.bfloat16()
    exact.load_state_dict(layer.state_dict())
    for net in (layer, exact):
        for step in inputs():
            net.observe(step.to(net.w_in.dtype)).sum().backward()
        net.finish()
    torch.testing.assert_close(layer.w_in.grad.float(), exact.w_in.grad, rtol=0.1, atol=0.05)


def test_bfloat16_under_autocast_for_p_spikessm() -> None:
    net, x = stack("p-spikessm"), inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = net[0](x)
    assert y.dtype == torch.float32
    y.sum().backward()
    assert all(p.grad is not None for p in net[0].parameters())


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # torch's own
def test_compiled_by_torch() -> None:
    """The loops stay outside of torch's graph, so that what is around them may be compiled."""
    net, x = stack("diag"), inputs(3)
    expected = learnt(net, x)
    got = learnt(torch.compile(net, backend="eager"), x)
    assert torch.equal(expected[0], got[0]) and all(torch.equal(a, b) for a, b in zip(expected[1], got[1], strict=True))


@pytest.mark.skipif(not DEVICES, reason="no card")
@pytest.mark.parametrize("name", [*MODULES, "p-spikessm"])
def test_the_card_gives_the_same(name: str) -> None:
    net, x = stack(name).double(), inputs(12).double()
    expected = learnt(net, x)
    got = learnt(net.to("cuda"), x.to("cuda"))
    for a, b in zip([expected[0], *expected[1]], [got[0], *got[1]], strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=1e-8, atol=1e-8)

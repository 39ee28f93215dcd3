"""`bimhw.nn` on other devices and types: shapes on ``meta``, half precision, torch.compile; equal results where a card is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import bimhw.nn as bnn
from bimhw.frontends.nn import nn_network
from bimhw.models.bim.loops import without_loops
from simulator.base.errors import InputError

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


@pytest.mark.parametrize("form", ["rtrl", "seq", "tr", "blk"])
def test_half_precision_online(form: str) -> None:
    layer = bnn.BIM(5, 8, form=form, block=4, lookback=9, output="filtered", theta=0.2)
    exact = bnn.BIM(5, 8, form=form, block=4, lookback=9, output="filtered", theta=0.2)
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


@pytest.mark.parametrize("kind", ["double", "half", "bfloat16"])
def test_another_type_within_a_sequence_is_refused(kind: str) -> None:
    layer = bnn.BIM(5, 8, output="filtered")
    layer.observe(inputs()[0]).sum().backward()
    getattr(layer, kind)()
    with pytest.raises(InputError, match=r"the sequence began as torch\.float32 on cpu.*reset"):
        layer.observe(inputs()[1])
    layer.reset()
    assert layer.observe(inputs()[1]).shape[1] == 8


def test_transforms_of_torch_func_and_export() -> None:
    """What follows each operation gets the plain ones: per-sample gradients equal those of one sample at a time."""
    torch.manual_seed(0)
    layer, x = bnn.BIM(5, 8, output="filtered", theta=0.2).double(), inputs(3).double()
    parameters = {name: p.detach() for name, p in layer.named_parameters()}

    def loss(given: dict[str, torch.Tensor], sample: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, given, (sample[:, None],)).square().sum()

    per_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1))(parameters, x)
    for i in range(2):
        layer.zero_grad()
        layer(x[:, i : i + 1]).square().sum().backward()
        torch.testing.assert_close(per_sample["w_in"][i], layer.w_in.grad, rtol=1e-10, atol=1e-10)
    exported = torch.export.export(layer, (x,)).module()
    torch.testing.assert_close(exported(x), layer(x), rtol=1e-12, atol=1e-12)


def test_pruned_by_torch() -> None:
    """Training sees the mask; what needs the parameter itself says how to make it one."""
    torch.manual_seed(0)
    layer, x = bnn.BIM(5, 8, theta=0.2), inputs(3)
    prune.l1_unstructured(layer, "w_in", 0.5)
    layer(x).sum().backward()
    assert torch.equal(layer.w_in_orig.grad != 0, layer.w_in_mask * layer.w_in_orig.grad != 0)
    with pytest.raises(InputError, match=r"online learning needs.*prune\.remove\(layer, 'w_in'\)"):
        layer.observe(x[0])
    with pytest.raises(InputError, match="a chip needs the parameter itself"):
        nn_network(layer)
    with pytest.raises(InputError, match="a file needs the parameter itself"):
        bnn.save(layer, "never.pt")
    prune.remove(layer, "w_in")
    assert nn_network(layer).populations


def test_weights_without_numbers_are_refused() -> None:
    net = nn.Sequential(bnn.BIM(5, 8), nn.Linear(8, 3)).to("meta")
    for use in (nn_network, lambda n: bnn.save(n, "never.pt")):
        with pytest.raises(InputError, match="'meta', which holds no numbers"):
            use(net)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "s5"}, "kind 's5': is not known. Kinds: diag, s6, complex"),
        ({"hidden": 8.0}, "hidden: is .8.0,.: Expected `int`"),
        ({"nosuch": 1}, "BIM: option 'nosuch': is not known"),
        ({"n_out": 3}, "n_out: belongs to a whole network"),
        ({"detach_reset": "no"}, "detach_reset: is 'no': Expected `bool`"),
    ],
)
def test_wrong_options_are_one_line(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        bnn.BIM(**({"n_in": 5, "hidden": 8} | wrong))
    with pytest.raises(InputError, match=r"is a ndarray\. Give a torch\.Tensor"):
        bnn.BIM(5, 8)(inputs().numpy())  # type: ignore[arg-type]

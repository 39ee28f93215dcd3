"""Residual layers of `bimhw.nn` and sums in one's own forward: the chip's network computes what torch computes, in files too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bimhw.nn as bnn
from bimhw.compiler.pipeline import compile
from bimhw.frontends import load_network
from bimhw.learning.forms.bptt import run_compiled
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from mapping.float_run import record
from simulator.base.errors import FitError, InputError
from tests.bimhw.models.test_delays import equal

STEPS = 16


def bim(n: int = 6, **options: Any) -> bnn.BIM:
    return bnn.BIM(n, 6, theta=0.2, **options)


def block(n: int = 6) -> bnn.Residual:
    return bnn.Residual(nn.Linear(n, n), bnn.LIF(0.8, theta=0.3))


class Own(nn.Module):
    """A forward of one's own: a sum, a longer branch, and a sum in place, the other way round."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(6, 6), bnn.LIF(0.9, theta=0.3)) if plain else bim()
        self.second, self.weight, self.third = (
            bim() if not plain else block().layers,
            nn.Linear(6, 6),
            bnn.LIF(0.8, theta=0.3),
        )
        self.fourth = nn.Sequential(nn.Linear(6, 6), bnn.LIF(0.7, theta=0.3))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = x + self.second(x)
        x = self.third(self.weight(x)) + x
        x += self.fourth(x)
        return self.head(x)


def models() -> dict[str, nn.Module]:
    torch.manual_seed(5)
    made: dict[str, nn.Module] = {
        "a BIM network": nn.Sequential(bim(), bnn.Residual(bim()), bnn.Residual(bim()), bim(), nn.Linear(6, 3)),
        "the last one too": nn.Sequential(bim(), bnn.Residual(bim()), bnn.Residual(bim()), nn.Linear(6, 3)),
        "a filter behind": nn.Sequential(bim(), bnn.Residual(bim()), bnn.Filter(0.7), nn.Linear(6, 3)),
        "two layers in one": nn.Sequential(bim(), bnn.Residual(bim(), bim()), nn.Linear(6, 3)),
        "one in another": nn.Sequential(bim(), bnn.Residual(bnn.Residual(bim()), block(), bim()), nn.Linear(6, 3)),
        "around the input": nn.Sequential(bnn.Residual(bim()), bnn.Residual(bim()), nn.Linear(6, 3)),
        "plain between": nn.Sequential(nn.Linear(6, 6), bnn.LIF(0.9), block(), bnn.Residual(bim()), nn.Linear(6, 3)),
        "s6 and delays": nn.Sequential(
            bim(), bnn.Residual(bim(kind="s6", n_states=2)), bnn.Residual(bim(channel_delays=4)), nn.Linear(6, 3)
        ),
        "own forward": Own(plain=False),
        "own forward of plain neurons": nn.Sequential(Own(plain=True), bnn.LI(0.5)),
        "plain neurons": nn.Sequential(
            nn.Linear(6, 6), bnn.LIF(0.9, theta=0.3), block(), block(), nn.Linear(6, 3), bnn.LI(0.5)
        ),
    }
    return made


@pytest.fixture(scope="module")
def x() -> Tensor:
    return (torch.rand(STEPS, 2, 6, generator=torch.Generator().manual_seed(0)) < 0.4).double()


def on_chip_time(model: nn.Module, x: Tensor) -> Any:
    """Return the network's outputs [T, B, C], the readout's state or membrane, at the steps of the sample."""
    network = load_network(model)
    end = next(p for p in network.populations if p.role == "output")
    word = "y" if end.model.startswith("readout") else "v"
    seen = record(network, {"input": x.numpy().transpose(1, 0, 2)}, STEPS + end.layer, [(end.name, word)])
    return seen[end.name, word][:, end.layer :].transpose(1, 0, 2)


@pytest.mark.parametrize("name", models())
def test_the_network_computes_what_torch_computes(name: str, x: Tensor) -> None:
    model = models()[name].double()
    with torch.no_grad():
        wanted = model(x).numpy()
    assert np.abs(wanted).max() > 0.05
    np.testing.assert_allclose(on_chip_time(model, x), wanted, atol=1e-9)


def test_sums_of_spikes_are_read_more_than_once(x: Tensor) -> None:
    """Else the cases above would show nothing."""
    for name in ("a BIM network", "own forward"):
        model = models()[name].double()
        values: list[Tensor] = []
        head = next(m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 3)
        if name == "a BIM network":
            head = model[3]  # type: ignore[index]
        head.register_forward_hook(lambda m, given, y, to=values: to.append(given[0].detach()))
        model(x)
        assert float(values[0].max()) >= 2


def test_a_stack_is_the_residual_bim_net_on_the_host_and_on_the_chip(tmp_path: Path, x: Tensor) -> None:
    net = BimNet(BimConfig(n_in=6, hidden=(6, 6, 6, 6), n_out=3, theta=0.2, k_o=0.0, residual=True))
    nn.init.normal_(net.readout.weight)
    model = models()["a BIM network"]
    for mine, own in zip((m for m in model.modules() if isinstance(m, bnn.BIM)), net.layers, strict=True):
        mine.load_state_dict(own.state_dict())
    model[4].load_state_dict(net.readout.state_dict())  # type: ignore[index]
    x = x.float()
    torch.testing.assert_close(model(x), run_compiled(net, x).logits)
    again = bnn.load(bnn.save(model, tmp_path / "m.pt"))
    payloads = x.numpy().transpose(1, 0, 2).astype(np.int32)
    programs = [compile(m, "loihi2", calibration=payloads, mapping="blocks").program for m in (again, net)]
    assert programs[0].sha256() == programs[1].sha256()


@pytest.mark.parametrize("name", models())
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_files_keep_the_sums(name: str, suffix: str, tmp_path: Path, x: Tensor) -> None:
    model, x = models()[name].float(), x.float()
    again = bnn.load(bnn.save(model, tmp_path / f"m.{suffix}"))
    with torch.no_grad():
        assert torch.equal(again(x), model(x))


def test_gradients_go_both_ways(x: Tensor) -> None:
    """Against the sum written out: the same layers called by hand."""
    model = models()["one in another"].double()
    first, outer, head = model  # type: ignore[misc]
    inner, plain, last = outer.layers
    found = []
    for how in ("layers", "by hand"):
        model.zero_grad()
        if how == "layers":
            y = model(x)
        else:
            a = first(x)
            b = a + inner.layers(a)
            c = b + plain.layers(b)
            y = head(a + last(c))
        y.square().sum().backward()
        found.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    equal(*found)
    assert float(found[0]["0.w_in"].abs().max()) > 0


def test_what_does_not_add_up_is_refused_by_name(x: Tensor) -> None:
    narrow = bnn.Residual(nn.Linear(6, 5), bnn.LIF(0.9))
    with pytest.raises(InputError, match=r"Residual: makes \(16, 2, 5\) of \(16, 2, 6\)"):
        narrow(x.float())
    with pytest.raises(InputError, match="Residual: has no layers"):
        bnn.Residual()
    with pytest.raises(FitError, match=r"'1.0': makes 5 values of 6, which do not add up"):
        load_network(nn.Sequential(bim(), narrow, nn.Linear(5, 3)))
    with pytest.raises(FitError, match="nothing reads the sum"):
        load_network(nn.Sequential(bim(), bnn.Residual(bim())))
    with pytest.raises(FitError, match="gives no spikes"):
        load_network(nn.Sequential(bim(), bnn.Residual(nn.Linear(6, 6)), bim()))


def test_sums_that_are_no_residual_connection_are_named() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.head = bim(), bim(), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.a(x) + self.b(x))

    with pytest.raises(FitError, match=r"no chain of layers.* x \+ layer\(x\)"):
        load_network(Twice())


def test_sweeps_online_are_exact_around_a_layer(x: Tensor) -> None:
    """`lower.finish(down + middle.finish(down))`, against autograd of the whole sequence."""
    layers = [bnn.BIM(6, 6, theta=0.2, form="seq", seed=s).double() for s in range(3)]
    layers[2] = bnn.BIM(6, 6, theta=0.2, form="seq", seed=2, output="filtered", k_o=0.8).double()
    lower, middle, upper = layers
    weights = torch.randn(STEPS, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    a = lower(x)
    (upper(a + middle(a)) * weights).sum().backward()
    wanted = {
        f"{i}.{n}": p.grad.clone() for i, m in enumerate(layers) for n, p in m.named_parameters() if p.grad is not None
    }
    for m in layers:
        m.zero_grad()
    for step, w in zip(x, weights, strict=True):
        a = lower.observe(step)
        (upper.observe(a + middle.observe(a)) * w).sum().backward()
    down = upper.finish()
    assert down is not None
    beside = middle.finish(down)
    assert beside is not None
    lower.finish(down + beside)
    found = {
        f"{i}.{n}": p.grad.clone() for i, m in enumerate(layers) for n, p in m.named_parameters() if p.grad is not None
    }
    equal({n: found[n] for n in wanted}, wanted)
    assert float(wanted["0.w_in"].abs().max()) > 1e-4

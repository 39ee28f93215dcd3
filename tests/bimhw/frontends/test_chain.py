"""A torch module with a forward of its own is the stack of the layers it calls, or is refused by what breaks the chain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import bimhw
import bimhw.nn as bnn
from bimhw.frontends.chain import flat_layers
from simulator.base.errors import FitError


class Block(nn.Module):
    """A BIM layer behind an identity, as users nest their modules."""

    def __init__(self, n: int, m: int, output: str = "spikes") -> None:
        super().__init__()
        self.skip, self.core = nn.Identity(), bnn.BIM(n, m, theta=0.2, output=output)

    def forward(self, x: Tensor, state: None = None) -> Tensor:
        out: Tensor = self.core(self.skip(x))
        return out


class Net(nn.Module):
    """Its layers are made in another order than forward calls them."""

    def __init__(self, end: Callable[[Net, Tensor, Tensor], Tensor] = lambda net, s, x: net.head(s)) -> None:
        super().__init__()
        self.head, self.upper, self.lower, self.end = nn.Linear(6, 3), Block(8, 6, "filtered"), Block(5, 8), end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self, self.upper(self.lower(x)), x)


def test_a_forward_of_its_own_is_the_sequence_it_calls(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Net().double()
    layers = dict(flat_layers(net))
    assert list(layers) == ["lower.core", "upper.core", "head"]
    sequence = nn.Sequential(*layers.values())
    x = (torch.rand(12, 2, 5) < 0.4).double()
    torch.testing.assert_close(sequence(x), net(x), rtol=0, atol=0)
    assert str(bimhw.load_network(net)) == str(bimhw.load_network(sequence))
    loaded = bnn.load(bnn.save(net, tmp_path / "net.pt"))
    torch.testing.assert_close(loaded.double()(x), net(x), rtol=1e-6, atol=1e-6)
    assert bimhw.compile(nn.Sequential(*Net().children())[-1:], "loihi2").program.n_neurons > 0


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (lambda net, s, x: net.head(s).mean(0), r"'mean' \(call method\)"),
        (lambda net, s, x: net.head(torch.relu(s)), r"'relu' \(call function\)"),
        (lambda net, s, x: net.head(s + s), r"'add' \(call function\)"),
        (lambda net, s, x: net.head(net.head(s)), "'head' is called twice"),
        (lambda net, s, x: net.head(x), "'head' does not read the one before"),
        (lambda net, s, x: s, None),
        (lambda net, s, x: x, "does not return what its last layer gives"),
        (lambda net, s, x: net.head(s) if s.sum() > 0 else s, "cannot be followed"),
        (lambda net, s, x: torch.stack([net.head(v) for v in s]), "cannot be followed"),
    ],
)
def test_what_breaks_a_chain_is_named(end: Callable[[Net, Tensor, Tensor], Tensor], message: str | None) -> None:
    net = Net(end)
    if message is None:
        assert [name for name, _ in flat_layers(net)] == ["lower.core", "upper.core"]
        return
    with pytest.raises(FitError, match=r"module 'Net' \(Net\).*" + message):
        bimhw.compile(net, "loihi2")


def test_a_recurrent_layer_of_torch_is_named() -> None:
    class WithGru(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.core = nn.GRU(5, 8), bnn.BIM(8, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.core(self.gru(x)[0])

    with pytest.raises(FitError, match=r"layer 'gru' \(GRU\): has no form on a chip"):
        bimhw.compile(WithGru(), "loihi2")
    with pytest.raises(FitError, match=r"layer '0\.gru' \(GRU\)"):
        bimhw.compile(nn.Sequential(WithGru(), nn.Linear(6, 3)), "loihi2")

"""The compiled dense traces equal autograd whatever the sizes (they lie in blocks of 16), and their plain twin; float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from bimhw.learning.forms.packed import PackedTraces
from bimhw.learning.forms.packed_s6 import PackedS6Traces
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.traces import LayerTraces, trace_words
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, Init

T, C = 9, 3


def make(m: int, h: int, batch: int, seed: int, **options: Any) -> tuple[BimNet, torch.Tensor, torch.Tensor]:
    config = BimConfig(n_in=m, hidden=(h,), n_out=C, theta=0.3, tau_m=4.0, learn_a_log=True, **options)
    net, generator = BimNet(config, seed, Init(gain_in=4.0)).double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.startswith("readout") or name.endswith(".a_log"):
                p.add_(0.5 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    x = (torch.rand(T, batch, m, generator=generator) < 0.5).double()
    return net, x, torch.randint(C, (T, batch), generator=generator)


def summed(net: BimNet, x: torch.Tensor, y: torch.Tensor, plain: bool = False) -> dict[str, torch.Tensor]:
    """Gradients of the loss of every second step, and the readout's last spikes."""
    learner = RtrlLearner(net, x.shape[1])
    if plain:
        learner.traces = [LayerTraces(net.layer(0), x.shape[1])]
    total = {n: torch.zeros_like(p) for n, p in net.named_parameters()}
    for t, (u, target) in enumerate(zip(x, y, strict=True)):
        gradients = learner.observe(u, target if t % 2 else None).gradients
        assert (gradients is not None) == bool(t % 2)
        for name, g in (gradients or {}).items():
            total[name] += g
    return total


def relative(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return max(float((a[n].double() - g.double()).abs().max() / g.abs().max().clamp_min(1e-12)) for n, g in b.items())


@settings(deadline=None, max_examples=40)
@given(
    m=st.integers(1, 40),
    h=st.integers(1, 40),
    batch=st.integers(1, 5),
    psp=st.sampled_from(["delta", "exp", "alpha"]),
    seed=st.integers(0, 99),
)
def test_any_size_equals_autograd(m: int, h: int, batch: int, psp: str, seed: int) -> None:
    net, x, y = make(m, h, batch, seed, psp=psp)
    logits = net.run(x).logits
    loss = sum(functional.cross_entropy(logits[t], y[t]) for t in range(1, T, 2))
    assert isinstance(loss, torch.Tensor)
    names, parameters = zip(*net.named_parameters(), strict=True)
    exact = dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))
    assert relative(summed(net, x, y), exact) <= 1e-10


@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
@pytest.mark.parametrize("readout", ["spike", "membrane"])
def test_equals_the_plain_traces(psp: str, readout: str) -> None:
    net, x, y = make(33, 20, 4, 1, psp=psp, readout=readout, reset="hard", detach_reset=False, refractory=1)
    assert relative(summed(net, x, y), summed(net, x, y, plain=True)) <= 1e-10


@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
def test_float32_is_as_close_as_its_rounding(psp: str) -> None:
    net, x, y = make(33, 20, 4, 3, psp=psp)
    exact, spikes = summed(net, x, y), net.run(x).spikes[0]
    net.float()
    assert torch.equal(
        net.run(x.float()).spikes[0], spikes.float()
    )  # no spike turned over: the gradients are comparable
    assert 0.02 < float(spikes.detach().mean()) < 0.9
    assert relative(summed(net, x.float(), y), exact) <= 2e-5


@settings(deadline=None, max_examples=25)
@given(
    m=st.integers(1, 40),
    h=st.integers(1, 20),
    batch=st.integers(1, 4),
    states=st.sampled_from([1, 2, 3, 16, 18]),
    psp=st.sampled_from(["delta", "exp", "alpha"]),
    discretisation=st.sampled_from(["euler", "zoh"]),
    seed=st.integers(0, 99),
)
def test_s6_of_any_size_equals_the_plain_traces(
    m: int, h: int, batch: int, states: int, psp: str, discretisation: str, seed: int
) -> None:
    """The plain traces equal autograd (`test_rtrl_exact`)."""
    net, x, y = make(m, h, batch, seed, psp=psp, kind="s6", n_states=states, discretisation=discretisation)
    assert isinstance(RtrlLearner(net, batch).traces[0], PackedS6Traces)
    assert relative(summed(net, x, y), summed(net, x, y, plain=True)) <= 1e-11


@pytest.mark.parametrize("readout", ["spike", "membrane"])
@pytest.mark.parametrize("options", [{"reset": "hard", "refractory": 1}, {"reset": "hard", "detach_reset": False}])
def test_s6_of_any_reset_equals_the_plain_traces(readout: str, options: dict[str, Any]) -> None:
    net, x, y = make(20, 9, 3, 1, kind="s6", n_states=2, readout=readout, k_o=0.0, **options)
    assert relative(summed(net, x, y), summed(net, x, y, plain=True)) <= 1e-11


@pytest.mark.parametrize("kind", ["diag", "s6"])
@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
@pytest.mark.parametrize(("k_o", "adapt"), [(0.0, 0.0), (0.8, 0.2)])
def test_words_are_those_of_the_tensors_held(kind: str, psp: str, k_o: float, adapt: float) -> None:
    n = 1 if kind == "diag" else 3
    net = BimNet(BimConfig(kind=kind, n_states=n, psp=psp, k_o=k_o, adapt_beta=adapt, n_in=7, hidden=(5,), n_out=2))
    plain = LayerTraces(net.layer(0), 2)
    held = [plain.ex, plain.er, plain.ei, plain.ev, plain.ea] + ([plain.ef] if k_o else [])
    assert trace_words(net.layer(0)) == sum(t.numel() for t in held) // 2
    if not adapt:
        packed = PackedTraces if kind == "diag" else PackedS6Traces
        padded = sum(v.numel() for v in packed(net.layer(0), 2).state().values()) // 2
        assert trace_words(net.layer(0)) <= padded

"""Compiled BPTT against autograd over the step-by-step equations, in float64."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from bimhw.learning.forms.bptt import run_compiled
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, NetState, Run

GRID = list(
    itertools.product(["delta", "exp", "alpha"], ["soft", "hard"], [0, 2], ["spike", "membrane"], [True, False])
)


def _scalar(run: Run) -> Tensor:
    """Return a loss that reaches logits, spikes and every state after the last step."""
    weights = torch.linspace(-1.0, 1.0, run.logits.numel(), dtype=torch.float64).view_as(run.logits)
    loss = (weights * run.logits.square()).sum()
    for n, (s, state) in enumerate(zip(run.spikes, run.state.layers, strict=True), 1):
        slope = torch.linspace(0.5, 1.5, s.numel(), dtype=torch.float64).view_as(s)
        loss = loss + (slope * s).sum() * 0.1
        for k, part in enumerate((state.x, state.r, state.i, state.v, state.f), 1):
            loss = loss + 0.01 * n * k * part.square().sum()
    return loss


@pytest.mark.parametrize(("psp", "reset", "refractory", "readout", "detach"), GRID)
def test_gradients_are_those_of_autograd(psp: str, reset: str, refractory: int, readout: str, detach: bool) -> None:
    config = BimConfig(
        n_in=4,
        hidden=(6, 5),
        n_out=3,
        learn_a_log=True,
        dense_readout=True,
        theta=0.1,
        input_delays=(0, 2),
        psp=psp,
        reset=reset,
        refractory=refractory,
        readout=readout,
        k_membrane=0.3,
        detach_reset=detach,
    )
    net = BimNet(config, 3).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        net.readout.weight.normal_(generator=generator)
        net.layer(1).get_parameter("a_log").normal_(generator=generator)
    x = torch.rand(12, 3, 4, dtype=torch.float64, generator=generator)
    gradients, losses = [], []
    for run in (net.run, lambda x, state: run_compiled(net, x, state)):
        net.zero_grad()
        first: Run = run(x[:5], None)
        loss = _scalar(run(x[5:], first.state))  # the state in between carries gradients
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()))
        gradients.append({n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None})
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        assert float(expected.abs().max()) > 1e-6
        torch.testing.assert_close(gradients[1][name], expected, rtol=1e-10, atol=1e-12)


def test_other_layers_fall_back_to_autograd() -> None:
    net = BimNet(BimConfig(n_in=3, hidden=(4,), n_out=2, adapt_beta=0.2), 0)
    x = torch.rand(6, 2, 3)
    state: NetState = net.initial_state(2)
    assert torch.equal(run_compiled(net, x, state).logits, net.run(x, state).logits)

"""The compiled forward loop against the tensor operations, in float64: equal spikes, values equal to rounding."""

from __future__ import annotations

import itertools

import pytest
import torch

from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet

GRID = list(itertools.product(["delta", "exp", "alpha"], ["soft", "hard"], [0, 2], ["spike", "membrane"]))


@pytest.mark.parametrize(("psp", "reset", "refractory", "readout"), GRID)
def test_loop_is_the_cell(psp: str, reset: str, refractory: int, readout: str) -> None:
    options = {"psp": psp, "reset": reset, "refractory": refractory, "readout": readout, "k_membrane": 0.3}
    config = BimConfig(n_in=4, hidden=(6, 5), n_out=3, learn_a_log=True, dense_readout=True, theta=0.1, **options)
    net = BimNet(config, 3).double()
    with torch.no_grad():
        net.readout.weight.normal_(generator=torch.Generator().manual_seed(0))
        net.layer(1).get_parameter("a_log").normal_(generator=torch.Generator().manual_seed(1))
    x = torch.rand(40, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    slow = net.run(x)
    with torch.no_grad():
        fast = net.run(x)
        halves = [net.run(x[:15])]
        halves.append(net.run(x[15:], halves[0].state))
    for a, b in zip(slow.spikes, fast.spikes, strict=True):
        assert torch.equal(a, b)
        assert 0.0 < float(a.detach().mean()) < 1.0
    torch.testing.assert_close(fast.logits, slow.logits.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.cat([h.logits for h in halves]), fast.logits, rtol=1e-12, atol=1e-12)


def test_records_agree_step_by_step() -> None:
    net = BimNet(BimConfig(n_in=4, hidden=(6,), n_out=3, refractory=1, input_delays=(0, 1)), 2).double()
    x = torch.rand(20, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    slow, fast = net.initial_state(3), net.initial_state(3)
    for u in x:
        _, slow, (a,) = net.step(u, slow)
        with torch.no_grad():
            _, fast, (b,) = net.step(u, fast)
        for name in ("delta", "abar", "gain", "x_old", "x_new", "v_pre", "m", "s", "a_old"):
            torch.testing.assert_close(getattr(b, name), getattr(a, name).detach(), rtol=1e-12, atol=1e-14)

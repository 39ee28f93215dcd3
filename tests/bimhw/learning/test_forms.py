"""SEQ, TR and BLK against autograd and dense RTRL."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bimhw.learning.forms.blk import BlockLearner
from bimhw.learning.forms.lazy import LazyLearner
from bimhw.learning.forms.learner import Learner, add
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.seq import SweepLearner
from bimhw.models.bim.events import by_events
from bimhw.models.bim.net import BimNet
from tests.thinned import every, first

_spec = importlib.util.spec_from_file_location("exact_help", Path(__file__).with_name("test_rtrl_exact.py"))
assert _spec is not None
assert _spec.loader is not None
_help = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_help)
net_of, data, by_autograd, B = _help.net_of, _help.data, _help.by_autograd, _help.B


def total_of(learner: Learner, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    total: dict[str, torch.Tensor] = {}
    for u, t in zip(x, y, strict=True):
        gradients = learner.observe(u, t).gradients
        if gradients is not None:
            add(total, gradients)
    rest = learner.finish()
    if rest is not None:
        add(total, rest)
    return total


def relative(net: BimNet, mine: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> float:
    worst = 0.0
    for name, g in exact.items():
        scale = float(g.abs().max())
        assert scale > 1e-6, f"{name}: the gradient is vacuous"
        worst = max(worst, float((mine[name] - g).abs().max()) / scale)
    return worst


GRID = list(itertools.product(["delta", "exp", "alpha"], ["soft", "hard"], [True, False], [0, 2]))
KINDS = [("diag", 1, "zoh"), ("s6", 3, "zoh"), ("s6", 3, "euler")]


@pytest.mark.parametrize(("psp", "reset", "detach", "refractory"), every(5, GRID))
@pytest.mark.parametrize(("kind", "n", "disc"), KINDS)
def test_seq_is_bptt(kind: str, n: int, disc: str, psp: str, reset: str, detach: bool, refractory: int) -> None:
    options: dict[str, Any] = {"kind": kind, "n_states": n, "discretisation": disc}
    net = net_of(7, psp=psp, reset=reset, detach_reset=detach, refractory=refractory, **options)
    x, y = data(11)
    assert relative(net, total_of(SweepLearner(net, B), x, y), by_autograd(net, x, y)[0]) <= 1e-10


@pytest.mark.parametrize(("kind", "n", "disc"), KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {"hidden": (6, 5), "dense_readout": True},
        {"hidden": (6, 5, 4), "psp": "delta"},
        {"hidden": (6, 5), "readout": "membrane", "k_membrane": 0.5, "dense_readout": True},
        {"hidden": (6, 5), "adapt_beta": 0.3, "detach_reset": False},
        {"hidden": (6, 5), "adapt_beta": 0.3, "reset": "hard", "detach_reset": False, "refractory": 1},
    ],
)
def test_seq_is_exact_for_stacks(kind: str, n: int, disc: str, options: dict[str, Any]) -> None:
    net = net_of(5, theta=0.1, kind=kind, n_states=n, discretisation=disc, **options)
    x, y = data(12)
    assert relative(net, total_of(SweepLearner(net, B), x, y), by_autograd(net, x, y)[0]) <= 1e-10


@pytest.mark.parametrize("seed", first(20, range(60)))
def test_random_stacks(seed: int) -> None:
    """Any configuration with two or three layers: SEQ is exact everywhere, dense RTRL in the top layer and the readout."""
    rng = np.random.default_rng(seed)
    options = {
        **_help.random_options(seed),
        "hidden": tuple(int(h) for h in rng.integers(4, 8, rng.integers(2, 4))),
        "dense_readout": bool(rng.random() < 0.5),
    }
    x, y = data(seed + 500, graded=bool(seed % 2))
    nets = (net_of(seed + 1000 * k, **options) for k in range(40))
    net = next(n for n in nets if min(float(s.detach().mean()) for s in n.run(x).spikes) > 0.02)
    exact = by_autograd(net, x, y)[0]
    assert relative(net, total_of(SweepLearner(net, B), x, y), exact) <= 1e-10
    top = {n: g for n, g in exact.items() if n.startswith((f"layers.{net.config.n_layers - 1}.", "readout"))}
    assert relative(net, total_of(RtrlLearner(net, B), x, y), top) <= 1e-10


@pytest.mark.parametrize("block", first(3, [3, 20, 64, 1, 7]))
@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
@pytest.mark.parametrize(("reset", "detach", "refractory"), [("soft", True, 0), ("soft", False, 2), ("hard", False, 1)])
def test_blk_is_bptt(psp: str, block: int, reset: str, detach: bool, refractory: int) -> None:
    net = net_of(6, psp=psp, reset=reset, detach_reset=detach, refractory=refractory)
    x, y = data(13, graded=True)
    assert relative(net, total_of(BlockLearner(net, B, block=block), x, y), by_autograd(net, x, y)[0]) <= 1e-10


def test_blk_reads_the_membrane() -> None:
    net = net_of(6, readout="membrane", k_membrane=0.4)
    x, y = data(13)
    assert relative(net, total_of(BlockLearner(net, B, block=6), x, y), by_autograd(net, x, y)[0]) <= 1e-10


@pytest.mark.parametrize("credit", ["filt-win", "filt-inst", "direct", "dfa", "local"])
def test_blk_is_dense_rtrl_for_every_credit_rule(credit: str) -> None:
    net = net_of(8, hidden=(6, 5), theta=0.3, dense_readout=True)
    x, y = data(14)
    dense = total_of(RtrlLearner(net, B, credit, 3), x, y)
    assert relative(net, total_of(BlockLearner(net, B, credit, 3, block=6), x, y), dense) <= 1e-10


def test_tr_approaches_the_exact_gradient_with_its_lookback() -> None:
    net = net_of(8)
    x, y = data(15)
    exact = by_autograd(net, x, y)[0]["layers.0.w_delta"]
    errors = []
    for lookback in (0, 4, 20):
        mine = total_of(SweepLearner(net, B, block=4, lookback=lookback), x, y)["layers.0.w_delta"]
        errors.append(float((mine - exact).norm() / exact.norm()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[0] > 0.1
    assert errors[2] <= 1e-12


@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
@pytest.mark.parametrize(("reset", "detach", "refractory"), [("soft", True, 0), ("soft", False, 2), ("hard", False, 1)])
def test_lazy_is_dense_rtrl_with_an_update_at_every_step(psp: str, reset: str, detach: bool, refractory: int) -> None:
    """Weights and spikes after 120 steps of SGD at every step are those of the dense traces."""
    nets = [net_of(6, psp=psp, reset=reset, detach_reset=detach, refractory=refractory) for _ in range(2)]
    start = nets[0].layer(0).weight("in").detach().clone()
    lr, spikes, learners = 0.1, [[], []], (RtrlLearner(nets[0], 1), LazyLearner(nets[1], 0.1))
    generator = torch.Generator().manual_seed(4)
    x = (torch.rand(120, 1, 5, generator=generator) < 0.3).double()
    y = torch.randint(0, 3, (120, 1), generator=generator)
    for u, t in zip(x, y, strict=True):
        for net, learner, seen in zip(nets, learners, spikes, strict=True):
            gradients = learner.observe(u, t).gradients
            assert gradients is not None
            with torch.no_grad():
                for name, g in gradients.items():
                    net.get_parameter(name).sub_(g, alpha=lr)
            seen.append(learner.records[0].s)
    learners[1].finish()
    assert torch.equal(torch.stack(spikes[0]), torch.stack(spikes[1]))
    assert 0.02 < float(torch.stack(spikes[0]).mean()) < 0.8
    ends = [{n: p.detach() for n, p in net.named_parameters()} for net in nets]
    assert (ends[0]["layers.0.w_in"] - start).abs().max() > 0.02
    for name, a, b in ((n, ends[0][n], ends[1][n]) for n in ends[0]):
        assert float((a - b).abs().max() / a.abs().max()) <= 1e-10, name


@pytest.mark.parametrize("hidden", [(6,), (6, 5)])
@pytest.mark.parametrize(
    ("psp", "reset", "detach", "refractory"), [("delta", "soft", True, 0), ("alpha", "hard", False, 2)]
)
def test_whole_sequences_are_steps(
    psp: str, reset: str, detach: bool, refractory: int, hidden: tuple[int, ...]
) -> None:
    net = net_of(7, psp=psp, reset=reset, detach_reset=detach, refractory=refractory, theta=0.03, hidden=hidden)
    x, y = data(11)
    labelled = torch.arange(len(x)) >= 5
    steps, total = SweepLearner(net, B), 0.0
    for u, use in zip(x, labelled, strict=True):
        total += steps.observe(u, y[0] if use else None).loss or 0.0
    expected = steps.finish()
    whole = SweepLearner(net, B)
    assert whole.takes_sequences
    loss, mine, rates = whole.sequence(x, y[0], labelled)
    assert expected is not None
    assert relative(net, mine, expected) <= 1e-10
    assert loss == pytest.approx(total / 15, rel=1e-12)
    assert all(0 < r < 1 for r in rates)
    assert whole.counts == steps.counts


def test_events_give_the_product_of_matrices() -> None:
    rng = torch.Generator().manual_seed(0)
    p, u = torch.randn(40, 7, generator=rng).double(), torch.randn(40, 90, generator=rng).double()
    u[torch.rand(40, 90, generator=rng) < 0.97] = 0
    assert torch.allclose(by_events(p, u), p.T @ u, atol=1e-13)
    assert not by_events(p, torch.zeros(40, 3).double()).any()

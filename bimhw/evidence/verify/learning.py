"""Checks of the learning rules: autograd, the double sum over spike pairs, the matrix exponential, the target reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bimhw.evidence.verify.check import Setting
from bimhw.learning.forms.learner import Learner, add
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, Init

_T, _M, _H, _C, _B = 16, 5, 6, 3, 2


def random_net(seed: int, **options: Any) -> BimNet:
    """Draw a float64 BIM-D layer: kernel, reset, refractory, surrogate, time constants."""
    rng = np.random.default_rng(seed)
    tau_m = float(rng.uniform(2, 8))
    near = rng.random() < 0.3
    drawn: dict[str, Any] = {
        "psp": str(rng.choice(["delta", "exp", "alpha"])),
        "reset": str(rng.choice(["soft", "hard"])),
        "detach_reset": bool(rng.integers(2)),
        "refractory": int(rng.integers(3)),
        "surrogate": str(rng.choice(["fast_sigmoid", "triangle"])),
        "surrogate_width": 1.0,
        "tau_m": tau_m,
        "tau_s": tau_m + float(rng.choice([1e-7, 1e-3])) if near else float(rng.uniform(0.5, 4)),
        "learn_a_log": True,
    }
    config = BimConfig(n_in=_M, hidden=(_H,), n_out=_C, **(drawn | options))
    return BimNet(config, seed, Init(gain_in=3.0, gain_c=0.6)).double()


def random_sequence(seed: int) -> tuple[Tensor, Tensor]:
    """Draw inputs [T, B, M] and labels [T, B]."""
    rng = np.random.default_rng(seed)
    x = (rng.random((_T, _B, _M)) < 0.4).astype(np.float64)
    return torch.from_numpy(x), torch.from_numpy(rng.integers(0, _C, (_T, _B)))


def autograd(net: BimNet, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Compute the gradient of the summed cross-entropy by backpropagation through time."""
    logits = net.run(x).logits
    loss = torch.stack([functional.cross_entropy(o, t) for o, t in zip(logits, y, strict=True)]).sum()
    names, params = zip(*net.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, params), strict=True))


def by_rule(learner: Learner, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Compute the gradient summed over the steps of a learner."""
    total: dict[str, Tensor] = {}
    for u, t in zip(x, y, strict=True):
        gradients = learner.observe(u, t).gradients
        if gradients is not None:
            add(total, gradients)
    rest = learner.finish()
    if rest is not None:
        add(total, rest)
    return total


def _worst(setting: Setting, cases: range, learner: Callable[[BimNet], Learner]) -> float:
    worst = 0.0
    for seed in cases:
        net = random_net(seed)
        x, y = random_sequence(seed)
        exact, mine = autograd(net, x, y), by_rule(learner(net), x, y)
        for name, g in exact.items():
            scale = float(g.abs().max())
            if scale > 0:
                worst = max(worst, float((mine[name] - g).abs().max()) / scale)
    return worst


def rtrl(setting: Setting) -> float:
    """Return the largest relative error of dense RTRL against autograd."""
    from bimhw.learning.forms.rtrl import RtrlLearner

    return _worst(setting, setting.cases(8, 60), lambda net: RtrlLearner(net, _B))


def forms(setting: Setting) -> float:
    """Return the largest relative error of SEQ and BLK against autograd."""
    from bimhw.learning.forms.blk import BlockLearner
    from bimhw.learning.forms.seq import SweepLearner

    cases = setting.cases(4, 30)
    seq = _worst(setting, cases, lambda net: SweepLearner(net, _B))
    return max(seq, _worst(setting, cases, lambda net: BlockLearner(net, _B, block=5)))


def stdp(setting: Setting) -> float:
    """Return the largest difference of the STDP traces from the double sum over all pairs."""
    from bimhw.learning.rules.stdp import StdpSettings, StdpTraces

    worst = 0.0
    for seed in setting.cases(20, 200):
        rng = np.random.default_rng(seed)
        c = StdpSettings(
            a_plus=float(rng.uniform(0.1, 3)), a_minus=float(rng.uniform(0.1, 3)),
            tau_plus=float(rng.uniform(1, 30)), tau_minus=float(rng.uniform(1, 30)),
        )  # fmt: skip
        pre, post = rng.random((2, 100)) < rng.uniform(0, 0.6, 2)[:, None]
        traces = StdpTraces(c, 1, 1, 1, torch.zeros(1, dtype=torch.float64))
        for u, s in zip(pre, post, strict=True):
            both = [torch.tensor([[float(v)]], dtype=torch.float64) for v in (u, s)]
            traces.step(*both)
        lag = np.flatnonzero(post)[:, None] - np.flatnonzero(pre)[None, :]
        window = np.where(lag >= 0, c.a_plus * np.exp(-lag / c.tau_plus), -c.a_minus * np.exp(lag / c.tau_minus))
        worst = max(worst, abs(float(traces.take()) - float(window.sum())))
    return worst


def psp(setting: Setting) -> float:
    """Return the largest difference of the alpha kernel's recurrence from the matrix exponential of its equations."""
    from scipy.linalg import expm

    from simulator.neurons.psp import psp_constants

    worst = 0.0
    for seed in setting.cases(20, 200):
        rng = np.random.default_rng(seed)
        tau_m = float(rng.uniform(1, 20))
        tau_s = tau_m * (1 + float(rng.choice([0.0, 1e-6, 1e-2]))) if seed % 2 else float(rng.uniform(0.5, 20))
        k = psp_constants("alpha", tau_m, tau_s)
        a = np.array([[-1 / tau_s, 0, 0], [1, -1 / tau_s, 0], [0, 1 / tau_m, -1 / tau_m]])
        p, y, v, i, r = expm(a), np.zeros(3), 0.0, 0.0, 0.0
        for q in rng.normal(size=60):
            y[0] += k.c * q / tau_s
            y = p @ y
            r += k.c * q
            v, i, r = k.kap * v + k.p_vi * i + k.p_vr * r, k.b * r + k.rho * i, k.rho * r
            worst = max(worst, abs(v - y[2]) / max(1.0, abs(k.c)))
    return worst


def pruning(setting: Setting) -> float:
    """Return the largest distance of the mean sparsity over 100 calls from its target."""
    from bimhw.learning.pruning import MatrixPruner, PruneSettings

    w = setting.rng().normal(size=(60, 80))
    worst = 0.0
    for rho in (0.0, 0.5, 0.9, 0.99):
        pruner = MatrixPruner(PruneSettings(rho=rho, mode="resampled"))
        shares = [1 - pruner.call(w).mean() for _ in range(300)]
        worst = max(worst, abs(float(np.mean(shares[-100:])) - rho))
    return worst

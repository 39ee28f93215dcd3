"""RTRL gradients against autograd (BPTT) in float64: equal to rounding for every parameter."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, Init
from tests.thinned import every, first

T, M, H, C, B = 20, 5, 6, 3, 3


def net_of(seed: int, **options: Any) -> BimNet:
    options = {"n_in": M, "hidden": (H,), "n_out": C, "tau_m": 5.0, "tau_s": 2.0, "learn_a_log": True, **options}
    net = BimNet(BimConfig(**options), seed, Init(gain_in=3.0, gain_c=0.6)).double()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.startswith("readout") or name.endswith((".a_log", ".b_in", ".d")):
                p.add_(0.5 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return net


def data(seed: int, graded: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    x = (rng.random((T, B, M)) < 0.35) * (rng.random((T, B, M)) if graded else 1.0)
    return torch.from_numpy(np.asarray(x, dtype=np.float64)), torch.from_numpy(rng.integers(0, C, (T, B)))


def by_autograd(net: BimNet, x: torch.Tensor, y: torch.Tensor) -> tuple[dict[str, torch.Tensor], float]:
    run = net.run(x)
    loss = sum(functional.cross_entropy(o, t) for o, t in zip(run.logits, y, strict=True))
    assert isinstance(loss, torch.Tensor)
    names, params = zip(*((n, p) for n, p in net.named_parameters() if p.requires_grad), strict=True)
    grads = torch.autograd.grad(loss, params)
    return dict(zip(names, grads, strict=True)), float(run.spikes[-1].detach().mean())


def by_traces(net: BimNet, x: torch.Tensor, y: torch.Tensor, **options: Any) -> dict[str, torch.Tensor]:
    learner = RtrlLearner(net, B, **options)
    total = {n: torch.zeros_like(p) for n, p in net.named_parameters()}
    for u, t in zip(x, y, strict=True):
        gradients = learner.observe(u, t).gradients
        assert gradients is not None
        for name, g in gradients.items():
            total[name] += g
    return total


def worst(net: BimNet, seed: int, layers: tuple[int, ...] = (0,), graded: bool = False) -> tuple[float, float]:
    """(largest relative error over the parameters of these layers and the readout, spike rate)."""
    x, y = data(seed, graded)
    exact, rate = by_autograd(net, x, y)
    mine = by_traces(net, x, y)
    prefixes = ("readout", *(f"layers.{i}." for i in layers))
    errors = []
    for name, g in exact.items():
        if name.startswith(prefixes):
            scale = float(g.abs().max())
            assert scale > 1e-6, f"{name}: the gradient is vacuous"
            errors.append(float((mine[name] - g).abs().max()) / scale)
    return max(errors), rate


GRID = list(
    itertools.product(["delta", "exp", "alpha"], ["soft", "hard"], [True, False], [0, 2], ["fast_sigmoid", "triangle"])
)


@pytest.mark.parametrize(("psp", "reset", "detach", "refractory", "surrogate"), every(5, GRID))
@pytest.mark.parametrize(("kind", "n", "disc"), [("diag", 1, "zoh"), ("s6", 3, "zoh"), ("s6", 3, "euler")])
def test_one_layer_is_exact(
    kind: str, n: int, disc: str, psp: str, reset: str, detach: bool, refractory: int, surrogate: str
) -> None:
    seed = 0
    net = net_of(
        seed + 7,
        kind=kind,
        n_states=n,
        discretisation=disc,
        psp=psp,
        reset=reset,
        detach_reset=detach,
        refractory=refractory,
        surrogate=surrogate,
        surrogate_width=1.0 if surrogate == "triangle" else 0.5,
    )
    error, rate = worst(net, 11)
    assert error <= 1e-10
    assert 0.02 < rate < 0.7


def random_options(seed: int) -> dict[str, Any]:
    """Any configuration."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["diag", "s6"])
    tau = float(rng.uniform(1.5, 8))
    return {
        "kind": str(kind),
        "n_states": 1 if kind == "diag" else int(rng.integers(1, 4)),
        "discretisation": str(rng.choice(["euler", "zoh"])),
        "psp": str(rng.choice(["delta", "exp", "alpha"])),
        "psp_norm": "dc",
        "tau_m": tau,
        "tau_s": tau if rng.random() < 0.2 else float(rng.uniform(0.7, 5)),
        "theta": float(rng.uniform(0.1, 0.4)),
        "reset": str(rng.choice(["soft", "hard"])),
        "detach_reset": bool(rng.random() < 0.5),
        "refractory": int(rng.integers(0, 4)),
        "surrogate": str(rng.choice(["fast_sigmoid", "triangle"])),
        "surrogate_width": float(rng.uniform(0.6, 2)),
        "k_o": float(rng.choice([0.0, 0.5, 0.9])),
        "readout": str(rng.choice(["spike", "spike", "membrane"])),
        "k_membrane": float(rng.choice([0.0, 0.6])),
        "adapt_beta": float(rng.choice([0.0, 0.0, 0.2])),
        "input_delays": (0,) if rng.random() < 0.7 else (0, 2),
    }


@pytest.mark.parametrize("seed", first(80, range(220)))
def test_random_configurations_are_exact(seed: int) -> None:
    options, graded = random_options(seed), bool(seed % 2)
    x, _ = data(seed + 1000, graded)
    nets = (net_of(seed + 1000 * k, **options) for k in range(20))
    net = next(n for n in nets if float(n.run(x).spikes[0].detach().mean()) > 0.02)  # a silent net tests nothing
    assert worst(net, seed + 1000, graded=graded)[0] <= 1e-10


@pytest.mark.parametrize("gap", [0.0, 1e-9, 2e-6, -1e-4, 1e-2])
@pytest.mark.parametrize("psp", ["exp", "alpha"])
def test_near_equal_time_constants(psp: str, gap: float) -> None:
    assert worst(net_of(3, psp=psp, tau_m=3.0, tau_s=3.0 + gap), 5, graded=True)[0] <= 1e-10


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("psp", ["delta", "alpha"])
def test_adaptive_threshold_is_exact(reset: str, detach: bool, psp: str) -> None:
    net = net_of(4, psp=psp, reset=reset, detach_reset=detach, adapt_beta=0.3, adapt_rho=0.8)
    error, rate = worst(net, 6)
    assert error <= 1e-10
    assert rate > 0.02


@pytest.mark.parametrize(
    ("k_o", "k_membrane", "readout"), [(0.0, 0.0, "spike"), (0.8, 0.0, "membrane"), (0.8, 0.6, "membrane")]
)
@pytest.mark.parametrize("kind", ["diag", "s6"])
def test_readouts_and_taps_are_exact(kind: str, k_o: float, k_membrane: float, readout: str) -> None:
    net = net_of(
        5,
        kind=kind,
        n_states=2 if kind == "s6" else 1,
        k_o=k_o,
        k_membrane=k_membrane,
        readout=readout,
        input_delays=(0, 1, 3),
    )
    assert worst(net, 7, graded=True)[0] <= 1e-10


@pytest.mark.parametrize("readout", ["spike", "membrane"])
def test_top_layer_of_a_stack_is_exact(readout: str) -> None:
    assert worst(net_of(9, hidden=(7, H), readout=readout), 8, layers=(1,))[0] <= 1e-10


@pytest.mark.parametrize(
    ("kind", "n", "psp", "words"),
    [("diag", 1, "alpha", 4.66), ("diag", 1, "delta", 2.67), ("s6", 4, "alpha", 23.8), ("s6", 16, "alpha", 67.1)],
)
def test_trace_words_per_parameter(kind: str, n: int, psp: str, words: float) -> None:
    net = BimNet(BimConfig(kind=kind, n_states=n, psp=psp, n_in=64, hidden=(64,), n_out=2))
    parameters = sum(p.numel() for p in net.layer(0).parameters())
    assert RtrlLearner(net, 2).memory_words / parameters == pytest.approx(words, abs=0.05)


def test_pruned_synapses_get_no_gradient() -> None:
    net = net_of(2)
    net.add_mask("layers.0.mask_in", torch.rand(H, M, generator=torch.Generator().manual_seed(0)) > 0.5)
    assert worst(net, 3)[0] <= 1e-10
    g = by_traces(net, *data(3))["layers.0.w_in"]
    assert g[~net.layer(0).get_buffer("mask_in")].abs().max() == 0

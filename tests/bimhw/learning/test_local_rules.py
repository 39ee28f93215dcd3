"""Local rules of leaky networks against their definitions: autograd through graphs with cuts, and sums over pairs of times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

import bimhw
from bimhw.learning.local_rules.learner import LocalLearner
from bimhw.learning.rules.kinds.leaky import RULES
from bimhw.models.leaky.config import LeakyConfig
from bimhw.models.leaky.net import LeakyNet
from simulator.base.errors import InputError

BY_NAME = {rule.name: rule for rule in RULES}
STEPS, BATCH = 7, 2


class Spike(torch.autograd.Function):
    """An own copy of the step function, so that the oracle shares nothing with the code."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, width: float, reached: bool) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.width = width
        return (distance >= 0 if reached else distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None, None]:
        (d,) = ctx.saved_tensors
        return grad[0] * ctx.width**2 / (ctx.width + d.abs()) ** 2, None, None


class Case:
    """A random network, inputs, labels and labelled steps."""

    def __init__(self, seed: int, *, hidden: tuple[int, ...], adaptive: bool = False, recurrent: bool = False) -> None:
        rng = np.random.default_rng(seed)
        torch.set_default_dtype(torch.float64)
        try:
            self.config = LeakyConfig(
                n_in=3, hidden=hidden, n_out=3, keep=rng.uniform(0.3, 0.95), theta=rng.uniform(0.4, 1.2),
                adapt_jump=rng.uniform(0.05, 0.5) if adaptive else 0.0, adapt_keep=rng.uniform(0.5, 0.98),
                recurrent=recurrent, k_o=rng.uniform(0, 0.9), surrogate_width=rng.uniform(0.3, 1.5),
            )  # fmt: skip
            self.net = LeakyNet(self.config, seed).double()
        finally:
            torch.set_default_dtype(torch.float32)
        self.x = torch.from_numpy(rng.integers(0, 3, (STEPS, BATCH, 3)) / 2.0)
        self.y = torch.from_numpy(rng.integers(0, 3, BATCH))
        self.labelled = rng.random(STEPS) < 0.6
        self.labelled[-1] = True

    def learnt(self, name: str) -> tuple[dict[str, Tensor], LocalLearner]:
        """Return the sum over all steps of the gradients that a rule gives."""
        learner = LocalLearner(self.net, BY_NAME[name], BATCH, seed=5)
        total: dict[str, Tensor] = {}
        for x, labelled in zip(self.x, self.labelled, strict=True):
            result = learner.observe(x, self.y if labelled else None)
            for key, g in (result.gradients or {}).items():
                total[key] = total.get(key, torch.zeros_like(g)) + g
        return total, learner

    def weights(self) -> dict[str, Tensor]:
        """Return leaves that autograd follows."""
        return {k: v.detach().clone().requires_grad_() for k, v in self.net.named_parameters()}

    def layer(
        self, w: dict[str, Tensor], k: int, inputs: list[Tensor], *, cut_reset: bool
    ) -> list[tuple[Tensor, Tensor]]:
        """Run a layer on inputs of all steps; own spikes of the last step are cut. Return (v - A, z) of each step."""
        c = self.config
        r = a = z = torch.zeros(BATCH, c.hidden[k], dtype=torch.float64)
        out = []
        for x in inputs:
            drive = x @ w[f"layers.{k}.weight"].T
            if c.recurrent:
                drive = drive + z.detach() @ w[f"layers.{k}.recurrent"].T
            a = c.adapt_keep * (a + z) if c.adapt_jump else a
            v = c.keep * r + drive
            d = v - c.theta - c.adapt_jump * a
            z = Spike.apply(d, c.surrogate_width, c.adapt_jump > 0)
            amount = (c.theta + c.adapt_jump * a) * z
            r = v - (amount.detach() if cut_reset else amount)
            out.append((d, z))
        return out

    def loss(self, logits: list[Tensor]) -> Tensor:
        """Return the sum of the cross-entropies of all labelled steps."""
        return sum(functional.cross_entropy(o, self.y) for o, on in zip(logits, self.labelled, strict=True) if on)

    def readout(self, w: dict[str, Tensor], spikes: list[Tensor], *, cut_past: bool = False) -> list[Tensor]:
        """Return the logits of all steps; `cut_past`: the filter's past counts as a constant for what is below."""
        k, f, out = self.config.k_o, torch.zeros_like(spikes[0]), []
        for z in spikes:
            f = k * (f.detach() if cut_past else f) + (1 - k) * z
            out.append(f @ w["readout.weight"].T)
        return out


def equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert set(found) == set(wanted)
    for name, g in wanted.items():
        assert float((found[name] - g).abs().max()) <= 1e-10, name


def gradients(loss: Tensor, w: dict[str, Tensor]) -> dict[str, Tensor]:
    found = torch.autograd.grad(loss, list(w.values()), allow_unused=True)
    return {k: torch.zeros_like(v) if g is None else g for (k, v), g in zip(w.items(), found, strict=True)}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_e_prop_is_autograd_with_cut_spikes(seed: int, adaptive: bool, recurrent: bool) -> None:
    """Bellec et al. 2020: dE/dW where spikes count as constants as inputs of neurons and as resets."""
    case = Case(seed, hidden=(4,), adaptive=adaptive, recurrent=recurrent)
    w = case.weights()
    spikes = [z for _, z in case.layer(w, 0, list(case.x), cut_reset=True)]
    equal(case.learnt("e-prop")[0], gradients(case.loss(case.readout(w, spikes)), w))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_ottt_is_autograd_through_space_alone(seed: int) -> None:
    """Xiao et al. 2022: u(t) = W a(t) less resets, the trace's past counts as a constant; three layers."""
    case = Case(seed, hidden=(4, 3, 4))
    w, c = case.weights(), case.config
    traces = [torch.zeros(BATCH, m, dtype=torch.float64) for m in (3, 4, 3)]
    resets = [torch.zeros(BATCH, h, dtype=torch.float64) for h in c.hidden]
    top = []
    for x in case.x:
        s = x
        for k in range(3):
            traces[k] = c.keep * traces[k].detach() + s
            u = traces[k] @ w[f"layers.{k}.weight"].T - resets[k]
            s = Spike.apply(u - c.theta, c.surrogate_width, False)
            resets[k] = c.keep * (resets[k] + c.theta * s.detach())
        top.append(s)
    equal(case.learnt("ottt")[0], gradients(case.loss(case.readout(w, top, cut_past=True)), w))


def _instant_signals(case: Case, w: dict[str, Tensor], d: list[list[Tensor]], t: int, error: Tensor) -> list[Tensor]:
    """Return dL(t)/dz^l(t) through the same step: by autograd of a linear net whose slopes stand still."""
    c = case.config
    out = [(1 - c.k_o) * error @ w["readout.weight"]]
    for k in range(len(c.hidden) - 1, 0, -1):
        psi = c.surrogate_width**2 / (c.surrogate_width + d[k][t].abs()) ** 2
        out.insert(0, (psi * out[0]) @ w[f"layers.{k}.weight"])
    return [o.detach() for o in out]


def _by_jacobian(case: Case, decays: list[float]) -> dict[str, Tensor]:
    """Return sum_t L(t) sum_(s <= t) k^(t-s) dz(s)/dW, each layer's own derivative by autograd with its inputs cut."""
    w = case.weights()
    inputs, layers = list(case.x), []
    for k in range(len(case.config.hidden)):
        layers.append(case.layer(w, k, inputs, cut_reset=False))
        inputs = [z.detach() for _, z in layers[-1]]
    logits = [o.detach() for o in case.readout(w, inputs)]
    d = [[d.detach() for d, _ in layer] for layer in layers]
    hot = functional.one_hot(case.y, 3)
    objective: Tensor = torch.zeros((), dtype=torch.float64)
    for t in np.flatnonzero(case.labelled):
        error = (torch.softmax(logits[t], -1) - hot) / BATCH
        for layer, decay, signal in zip(layers, decays, _instant_signals(case, w, d, t, error), strict=True):
            for s in range(t + 1):
                objective = objective + (signal * layer[s][1]).sum() * decay ** (t - s)
    out = gradients(objective, w)
    w = case.weights()
    out["readout.weight"] = gradients(case.loss(case.readout(w, inputs)), w)["readout.weight"]
    return out


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_ostl_is_the_full_derivative_inside_each_layer(seed: int, adaptive: bool) -> None:
    """Bohnstingl et al. 2022: spatial signals of the step times dz/dW through the layer's whole past, resets included."""
    case = Case(seed, hidden=(4, 3), adaptive=adaptive)
    equal(case.learnt("ostl")[0], _by_jacobian(case, [0.0, 0.0]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_otpe_filters_the_derivative_by_the_layer_above(seed: int, adaptive: bool) -> None:
    case = Case(seed, hidden=(4, 3), adaptive=adaptive)
    equal(case.learnt("otpe")[0], _by_jacobian(case, [case.config.keep, case.config.k_o]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_otpe_of_one_layer_is_the_exact_gradient(seed: int, adaptive: bool) -> None:
    """Summe et al. 2023: with a leaky readout above, nothing is left out: plain autograd of the whole network."""
    case = Case(seed, hidden=(5,), adaptive=adaptive)
    w = case.weights()
    spikes = [z for _, z in case.layer(w, 0, list(case.x), cut_reset=False)]
    equal(case.learnt("otpe")[0], gradients(case.loss(case.readout(w, spikes)), w))


def _forward(case: Case) -> tuple[list[list[Tensor]], list[list[Tensor]], list[list[Tensor]], list[Tensor]]:
    """Return inputs (own last spikes included), distances and spikes of each layer, and logits; nothing is followed."""
    with torch.no_grad():
        w, seen, ds, zs = case.weights(), [], [], []
        inputs = list(case.x)
        for k, h in enumerate(case.config.hidden):
            layer = case.layer(w, k, inputs, cut_reset=True)
            z = [z for _, z in layer]
            last = [torch.zeros(BATCH, h, dtype=torch.float64), *z[:-1]]
            seen.append(
                [torch.cat([x, b], 1) if case.config.recurrent else x for x, b in zip(inputs, last, strict=True)]
            )
            ds.append([d for d, _ in layer])
            zs.append(z)
            inputs = z
        return seen, ds, zs, case.readout(w, inputs)


def _check_sums(case: Case, name: str, signals: Any, pair: Any) -> None:
    """Compare a rule with sum_t L_j(t) sum_s pair(t, s, psi_j, x_i), written out over all pairs of steps."""
    found, learner = case.learnt(name)
    c = case.config
    seen, ds, zs, logits = _forward(case)
    hot = functional.one_hot(case.y, 3).double()
    for k in range(len(c.hidden)):
        psi = [c.surrogate_width**2 / (c.surrogate_width + d.abs()) ** 2 for d in ds[k]]
        total = torch.zeros(c.hidden[k], seen[k][0].shape[1], dtype=torch.float64)
        for t in np.flatnonzero(case.labelled):
            error = (torch.softmax(logits[t], -1) - hot) / BATCH
            signal = signals(learner, k, t, error, hot / BATCH, zs, ds)
            for b in range(BATCH):
                for s in range(t + 1):
                    total += signal[b][:, None] * pair(t, s, [p[b] for p in psi], [x[b] for x in seen[k]])
        below = 3 if k == 0 else c.hidden[k - 1]
        assert float((found[f"layers.{k}.weight"] - total[:, :below]).abs().max()) <= 1e-10
        if c.recurrent:
            assert float((found[f"layers.{k}.recurrent"] - total[:, below:]).abs().max()) <= 1e-10


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_s_tllr_is_its_sum_over_pairs_of_steps(seed: int, recurrent: bool) -> None:
    """Apolinario and Roy 2025: psi_j(t) x_i(s) l^(t-s) causal, x_i(t) psi_j(s) m^(t-s) acausal for s < t."""
    case = Case(seed, hidden=(4, 3), recurrent=recurrent)
    rule = LocalLearner(case.net, BY_NAME["s-tllr"], BATCH).eligibility[0].pairing

    def pair(t: int, s: int, psi: list[Tensor], x: list[Tensor]) -> Tensor:
        causal = psi[t][:, None] * x[s] * rule.pre ** (t - s)
        return causal + (rule.acausal * rule.post ** (t - s) * psi[s][:, None] * x[t] if s < t else 0)

    def signal(learner: Any, k: int, t: int, error: Tensor, label: Tensor, zs: Any, ds: Any) -> Tensor:
        return _instant_signals(case, case.weights(), ds, t, error)[k]

    _check_sums(case, "s-tllr", signal, pair)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_etlp_hears_the_label_alone(seed: int, recurrent: bool) -> None:
    """Quintana et al. 2024: - B y* psi_j(t) sum_s alpha^(t-s) x_i(s)."""
    case = Case(seed, hidden=(4, 3), recurrent=recurrent)

    def pair(t: int, s: int, psi: list[Tensor], x: list[Tensor]) -> Tensor:
        return psi[t][:, None] * x[s] * case.config.keep ** (t - s)

    def signal(learner: Any, k: int, t: int, error: Tensor, label: Tensor, zs: Any, ds: Any) -> Tensor:
        return -(1 - case.config.k_o) * label @ learner.signals.random[k]

    _check_sums(case, "etlp", signal, pair)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_e_prop_of_a_deep_net_hears_a_random_broadcast(seed: int, recurrent: bool) -> None:
    case = Case(seed, hidden=(4, 3), recurrent=recurrent)
    c = case.config

    def pair(t: int, s: int, psi: list[Tensor], x: list[Tensor]) -> Tensor:
        return sum(c.k_o ** (t - q) * psi[q][:, None] * x[s] * c.keep ** (q - s) for q in range(s, t + 1))

    def signal(learner: Any, k: int, t: int, error: Tensor, label: Tensor, zs: Any, ds: Any) -> Tensor:
        back = learner.signals.random[k] if k == 0 else case.net.readout.get_parameter("weight").detach()
        return (1 - c.k_o) * error @ back

    _check_sums(case, "e-prop", signal, pair)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_decolle_is_autograd_of_its_local_losses(seed: int) -> None:
    """Kaiser et al. 2020: each layer's fixed random readout has a loss of its own; u = W trace less resets."""
    case = Case(seed, hidden=(4, 3))
    found, learner = case.learnt("decolle")
    w, c = case.weights(), case.config
    seen, _, zs, _ = _forward(case)
    total: Tensor = torch.zeros((), dtype=torch.float64)
    for k, g in enumerate(learner.signals.random):
        trace, reset = torch.zeros_like(seen[k][0]), torch.zeros_like(zs[k][0])
        for t in range(STEPS):
            trace = c.keep * trace + seen[k][t]
            s = Spike.apply(trace @ w[f"layers.{k}.weight"].T - reset - c.theta, c.surrogate_width, False)
            reset = c.keep * (reset + c.theta * s.detach())
            if case.labelled[t]:
                total = total + functional.cross_entropy(s @ g.T, case.y)
    wanted = gradients(total, w)
    wanted["readout.weight"] = gradients(case.loss(case.readout(w, zs[-1])), w)["readout.weight"]
    equal(found, wanted)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_delta_is_the_gradient_of_the_readout_alone(seed: int, adaptive: bool, recurrent: bool) -> None:
    case = Case(seed, hidden=(4, 3), adaptive=adaptive, recurrent=recurrent)
    w = case.weights()
    _, _, zs, _ = _forward(case)
    equal(case.learnt("delta")[0], gradients(case.loss(case.readout(w, zs[-1])), w))


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_learner_goes_on_from_its_checkpoint(name: str) -> None:
    case = Case(3, hidden=(4, 3))
    whole, broken = (LocalLearner(case.net, BY_NAME[name], BATCH, seed=1) for _ in range(2))
    for x in case.x[:4]:
        whole.observe(x, case.y)
        broken.observe(x, case.y)
    fresh = LocalLearner(case.net, BY_NAME[name], BATCH, seed=1)
    fresh.restore(broken.checkpoint())
    for x in case.x[4:]:
        ours, theirs = whole.observe(x, case.y).gradients, fresh.observe(x, case.y).gradients
        assert ours is not None and theirs is not None
        for key, g in ours.items():
            assert torch.equal(g, theirs[key])
    assert fresh.memory_words == whole.memory_words > 0


def test_a_rule_refuses_what_it_is_not_defined_for() -> None:
    with pytest.raises(InputError, match="rule 'ottt': is not defined for recurrent layers"):
        LocalLearner(Case(0, hidden=(3,), recurrent=True).net, BY_NAME["ottt"], 1)
    with pytest.raises(InputError, match="rule 'decolle': is not defined for ALIF"):
        LocalLearner(Case(0, hidden=(3,), adaptive=True).net, BY_NAME["decolle"], 1)
    with pytest.raises(InputError, match="rule 'e-prop': is for leaky networks"):
        bimhw.train("digits", family="bim", rule="e-prop", epochs=1)
    with pytest.raises(InputError, match="rule 'rtrl': does not train the family leaky"):
        bimhw.train("digits", family="leaky", rule="rtrl", epochs=1)

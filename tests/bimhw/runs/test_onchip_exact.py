"""On-chip learning in wide words against autograd, and against a plain RTRL loop in the chip's time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from simulator.plasticity.config import LearnConfig
from simulator.plasticity.learner import Learner
from tests.bimhw.runs.onchip_nets import C, M, T, autograd, disturb, float_program, sample


def random_net(seed: int, **fields) -> BimNet:
    return disturb(BimNet(BimConfig(n_in=M, n_out=C, psp_norm="dc", **fields), seed), seed)


def gradients(net: BimNet, x, labels, config: LearnConfig):
    """All gradient sums of one sample by parameter name, the weights kept as they are."""
    learner = Learner(float_program(net), config)
    sums: dict[str, np.ndarray] = {}

    def keep(name, value):
        sums[name] = sums.get(name, 0) + value

    def of_layer(k, layer):
        def update(lr):
            for p, port in enumerate(("in", "delta", "c")):
                keep(f"layers.{k}.w_{port}", layer.g[p, :-1].T.copy())
                keep(f"layers.{k}.b_{port}", layer.g[p, -1].copy())
            keep(f"layers.{k}.d", layer.g[3, 0].copy())
            layer.g[:] = 0
            layer.labelled = 0

        return update

    def of_readout(lr):
        keep("readout.weight", learner.readout.g.T.copy())
        keep("readout.bias", learner.readout.g_bias[0].copy())
        learner.readout.g[:] = 0
        learner.readout.g_bias[:] = 0

    for k, layer in enumerate(learner.layers):
        layer.update = of_layer(k, layer)
    learner.readout.update = of_readout
    return sums, learner.sample(x, labels)


kinds = st.fixed_dictionaries(
    {
        "psp": st.sampled_from(["delta", "exp", "alpha"]),
        "reset": st.sampled_from(["soft", "hard"]),
        "detach_reset": st.booleans(),
        "refractory": st.sampled_from([0, 2]),
        "surrogate": st.sampled_from(["fast_sigmoid", "triangle"]),
        "surrogate_width": st.sampled_from([0.5, 1.5]),
        "readout": st.sampled_from(["spike", "spike", "membrane"]),
        "input_delays": st.sampled_from([(0,), (0, 2)]),
    }
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), kinds, st.sampled_from(["dense", "seq", "blk", "tr"]), st.integers(1, T))
def test_gradient_of_one_layer_is_autograds(seed, kind, form, block):
    net = random_net(seed, hidden=(5,), k_o=0.8, **kind)
    x, labels = sample(seed)
    want, logits = autograd(net, x, labels)
    config = LearnConfig(
        words="wide", form=form, block=block, history=T, surrogate=kind["surrogate"],
        surrogate_width=kind["surrogate_width"], detach_reset=kind["detach_reset"],
    )  # fmt: skip
    got, result = gradients(net, x, labels, config)
    assert np.abs(result.scores - logits).max() < 1e-10
    assert set(got) == set(want)
    for name, g in want.items():
        assert np.abs(got[name] - g).max() <= 1e-9 * max(np.abs(g).max(), 1e-3), name
    assert max(np.abs(g).max() for g in want.values()) > 1e-3


@pytest.mark.parametrize("credit", ["filt-win", "direct"])
@pytest.mark.parametrize("dense_readout", [True, False])
def test_two_layers_follow_the_credit_rule(credit, dense_readout):
    """The top layer is exact; the lower one equals the torch learner's rule (another implementation)."""
    if credit == "direct" and not dense_readout:
        pytest.skip("the rule needs the dense readout")
    from bimhw.learning.forms.rtrl import RtrlLearner

    net = random_net(3, hidden=(5, 4), dense_readout=dense_readout, psp="alpha")
    x, labels = sample(3)
    got, result = gradients(net, x, labels, LearnConfig(words="wide", form="seq", credit=credit))
    oracle, want = RtrlLearner(net, 1, credit), {}
    for t in range(T):
        target = torch.tensor([labels[t]]) if labels[t] >= 0 else None
        step = oracle.observe(torch.from_numpy(x[t])[None], target)
        assert np.abs(step.logits[0].numpy() - result.scores[t]).max() < 1e-10
        for name, value in (step.gradients or {}).items():
            want[name] = want.get(name, 0) + value.numpy()
    for name, value in got.items():
        assert np.abs(value - want[name]).max() <= 1e-9 * max(np.abs(want[name]).max(), 1e-3), name
    assert np.abs(got["layers.0.w_in"]).max() > 1e-3


class PlainChip:
    """Per-step RTRL + STDP in the chip's time, written step by step from the equations (delta kernel, soft detached reset).

    Every weight is read where the chip reads it: a synapse when the spike is sent, a bias when the neuron is updated, the
    feedback when the error or message is made; the traces of model step tau are advanced when its error has come.
    """

    def __init__(self, net: BimNet, lr: float, lam: float, kappa: float, rms: bool) -> None:
        c = net.config
        self.c, self.k, self.lr, self.lam, self.kappa, self.rms = c, c.constants(), lr, lam, kappa, rms
        self.p = {n: v.detach().numpy().copy() for n, v in net.named_parameters()}
        self.v = dict.fromkeys(self.p, 0.0)
        self.n = dict.fromkeys(self.p, 0)

    def run(self, x, labels):
        c, depth, p = self.c, self.c.n_layers, self.p
        lags = [2 * (depth - 1 - k) + 2 for k in range(depth)]
        state = [{n: np.zeros(h) for n in ("x", "v", "sb")} for h in c.hidden]
        sent = [np.zeros(c.n_in)] + [np.zeros(h) for h in c.hidden]
        arrive = [{q: np.zeros(h) for q in ("in", "delta", "c")} for h in c.hidden]
        lines = [np.zeros(c.n_in if k == 0 else c.hidden[k - 1]) for k in range(depth)]
        score_in = np.zeros(c.n_out)
        y, scores, errors = p["readout.bias"].copy(), [], {}
        notes = [{} for _ in c.hidden]
        e = [np.zeros((4, (c.n_in if k == 0 else c.hidden[k - 1]) + 1, h, 3)) for k, h in enumerate(c.hidden)]
        pre = [np.zeros(a.shape[1] - 1) for a in e]
        post, delta, delayed = [np.zeros(h) for h in c.hidden], [{} for _ in c.hidden], [[] for _ in c.hidden]
        for now in range(len(x) + depth + 1 + depth):
            for k in range(depth):
                if 0 <= now - k - 1 < len(x):
                    notes[k][now - k - 1] = self.neuron(k, state[k], arrive[k], lines[k])
                    sent[k + 1] = notes[k][now - k - 1]["s"]
                else:
                    sent[k + 1] = np.zeros(c.hidden[k])
            if now >= 1:  # the readout integrates whatever has arrived
                y = c.k_o * y + (1 - c.k_o) * (score_in + p["readout.bias"])
            tau = now - depth - 1
            if 0 <= tau < len(x):
                scores.append(y.copy())
                if labels[tau] >= 0:
                    q = np.exp(y - y.max())
                    errors[tau] = q / q.sum() - np.eye(c.n_out)[labels[tau]]
            sent[0] = x[now] if now < len(x) else np.zeros(c.n_in)
            for k in range(depth):
                lines[k] = sent[k].copy()
                arrive[k] = {q: p[f"layers.{k}.w_{q}"] @ sent[k] for q in ("in", "delta", "c")}
            score_in = self.to_readout(sent, delayed)
            self.learn(now, len(x), errors, notes, e, pre, post, delta, lags)
        return np.array(scores)

    def to_readout(self, sent, delayed):
        total, start, depth = 0.0, 0, self.c.n_layers
        for k, h in enumerate(self.c.hidden):
            delayed[k].append(self.p["readout.weight"][:, start : start + h] @ sent[k + 1])
            if len(delayed[k]) > depth - 1 - k:
                total = total + delayed[k][len(delayed[k]) - depth + k]
            start += h
        return total

    def neuron(self, k, s, arrive, u):
        p, c = self.p, self.c
        z, d, cc = (arrive[q] + p[f"layers.{k}.b_{q}"] for q in ("in", "delta", "c"))
        abar = 1 / (1 + np.exp(d))
        x_old, s["x"] = s["x"], z + abar * (s["x"] - z)
        gain = self.k.p_vi * self.k.c
        v = self.k.kap * s["v"] + gain * (cc * s["x"] + p[f"layers.{k}.d"] * z)
        spike = (v >= c.theta).astype(float)
        s["v"] = v - c.theta * spike
        s["sb"] = c.k_o * s["sb"] + (1 - c.k_o) * spike
        psi = 1 / (1 + np.abs(v - c.theta) / c.surrogate_width) ** 2
        g = -abar * (1 - abar) * (x_old - z)
        return {"u": np.append(u, 1.0), "z": z, "c": cc, "abar": abar, "x": s["x"], "g": g, "psi": psi, "s": spike,
                "sb": s["sb"].copy(), "gain": gain}  # fmt: skip

    def learn(self, now, steps, errors, notes, e, pre, post, delta, lags):
        depth, p, c = self.c.n_layers, self.p, self.c
        heads = np.split(p["readout.weight"], np.cumsum(c.hidden)[:-1], axis=1)
        tau = now - depth - 1 - 1
        updates = []
        if tau in errors:
            for k in range(depth):
                delta[k][tau] = heads[k].T @ errors[tau]
            feature = np.concatenate([notes[k][tau]["sb"] for k in range(depth)])
            updates += [("readout.weight", np.outer(errors[tau], feature)), ("readout.bias", errors[tau])]
        for k in range(depth - 1, 0, -1):
            at = now - (k + 1) - lags[k]
            if at in errors:
                below = p[f"layers.{k}.w_in"].T @ (notes[k][at]["psi"] * delta[k][at])
                delta[k - 1][at] = delta[k - 1][at] + below
        for k in range(depth):
            at = now - (k + 1) - lags[k]
            if 0 <= at < steps:
                updates += self.visit(k, notes[k][at], e[k], pre[k], post[k], delta[k].get(at))
        for name, g in updates:
            self.apply(name, g)

    def visit(self, k, r, e, pre, post, delta):
        c, p = self.c, self.p
        d = p[f"layers.{k}.d"]
        lines = r["u"][:, None]
        ex, ev, esb = e[..., 0], e[..., 1], e[..., 2]
        ex[0] = r["abar"] * ex[0] + (1 - r["abar"]) * lines
        ex[1] = r["abar"] * ex[1] + r["g"] * lines
        eq = np.stack(
            [r["c"] * ex[0] + d * lines, r["c"] * ex[1], r["x"] * lines, np.broadcast_to(r["z"], ex[0].shape)]
        )
        ev[:] = self.k.kap * ev + r["gain"] * eq
        esb[:] = c.k_o * esb + (1 - c.k_o) * r["psi"] * ev
        u, s = r["u"][:-1], r["s"]
        plus = np.exp(-1 / 5.0)
        pre *= plus
        post *= plus
        pre += u
        self.omega = getattr(self, "omega", {})
        self.omega[k] = self.omega.get(k, 0) + np.outer(s, pre) - 0.7 * np.outer(post, u)
        post += s
        if delta is None:
            return []
        g, out = delta * esb, []
        for q, port in enumerate(("in", "delta", "c")):
            w = self.lam * g[q, :-1].T
            if q == 0:
                w = w - (1 - self.lam) * self.kappa * self.omega[k]
            out += [(f"layers.{k}.w_{port}", w), (f"layers.{k}.b_{port}", self.lam * g[q, -1])]
        self.omega[k] = 0
        return [*out, (f"layers.{k}.d", self.lam * g[3, 0])]

    def apply(self, name, g):
        self.n[name] += 1
        scale = 1.0
        if self.rms:
            square = (g * g).mean(axis=1, keepdims=True) if g.ndim == 2 else g * g
            self.v[name] = self.v[name] + 0.01 * (square - self.v[name])
            scale = 1 / (np.sqrt(self.v[name] / (1 - 0.99 ** self.n[name])) + 1e-8)
        w = self.p[name] - self.lr * scale * g
        bound = 8.0 if name == "readout.weight" else 4.0 if ".w_" in name else np.inf
        self.p[name] = np.clip(w, -bound, bound)


@pytest.mark.parametrize("hidden", [(6,), (6, 5)])
@pytest.mark.parametrize("optimiser", ["sgd", "rms"])
@pytest.mark.parametrize("lam", [1.0, 0.6])
def test_online_update_is_rtrl_and_stdp_in_the_chips_time(hidden, optimiser, lam):
    net = random_net(5, hidden=hidden, psp="delta", dense_readout=True, k_o=0.7)
    kappa, lr = 0.02, 0.05 if optimiser == "sgd" else 0.01
    rule = "rtrl" if lam == 1.0 else "hybrid"
    config = LearnConfig(words="wide", rule=rule, optimiser=optimiser, lr=lr, lam=lam, kappa=kappa, a_minus=0.7)
    learner, oracle = Learner(float_program(net), config), PlainChip(net, lr, lam, kappa, optimiser == "rms")
    start = {n: v.copy() for n, v in oracle.p.items()}
    for seed in range(3):
        x, labels = sample(seed)
        got = learner.sample(x, labels)
        assert np.abs(got.scores - oracle.run(x, labels)).max() < 1e-9
    names = [f"readout.layer{k + 1}" for k in range(len(hidden))]
    index = {q.name: k for k, q in enumerate(learner.program.projections)}
    weights = np.concatenate([learner.forward.weights[index[n]] for n in names]).T
    assert np.abs(weights - oracle.p["readout.weight"]).max() < 1e-9
    for k in range(len(hidden)):
        for ours, port in (("z", "in"), ("d", "delta"), ("c", "c")):
            w = learner.forward.weights[index[f"layer{k + 1}.{ours}"]].T
            want = oracle.p[f"layers.{k}.w_{port}"]
            assert np.abs(w - want).max() < 1e-9
            assert np.abs(w - start[f"layers.{k}.w_{port}"]).max() > 1e-3  # it moved
        assert np.abs(learner.forward.params[f"layer{k + 1}"]["D"] - oracle.p[f"layers.{k}.d"]).max() < 1e-9

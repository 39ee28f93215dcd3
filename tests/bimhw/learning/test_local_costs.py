"""Costs of the local rules: a plain-Python twin of each rule gives the learner's gradients and counts its multiplications."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bimhw.learning.local_rules.learner import LocalLearner, LocalRule
from bimhw.learning.rules.kinds.leaky import RULES
from bimhw.models.leaky.config import LeakyConfig
from bimhw.models.leaky.net import LeakyNet, LeakyRecord
from simulator.plasticity.operations import LocalLayer, LocalOperations, local_operations

STEPS, HIDDEN, M, C = 6, (4, 3), 5, 3
CASES = [(rule, recurrent, adaptive) for rule in RULES[1:] for recurrent in (False, True) for adaptive in (False, True)]
CASES = [(r, rec, ada) for r, rec, ada in CASES if (r.recurrent or not rec) and (r.adaptive or not ada)]


def rule_costs(rule: LocalRule, config: LeakyConfig) -> tuple[LocalOperations, ...]:
    """Costs of a rule in each hidden layer, from the table of operations."""
    out = []
    for k, (m, h) in enumerate(zip((config.n_in, *config.hidden), config.hidden, strict=False)):
        above = config.hidden[k + 1] if k + 1 < config.n_layers else 0
        layer = LocalLayer(m + h * config.recurrent, h, config.n_out, above, config.adaptive)
        out.append(local_operations(rule.eligibility, rule.signal, bool(rule.filtered), layer))
    return tuple(out)


class Counter:
    """Multiplications that were done; products with a spike are additions and go through `gate`."""

    def __init__(self) -> None:
        self.done = 0

    def mul(self, a: float, b: float) -> float:
        self.done += 1
        return a * b


def gate(spike: float, value: float) -> float:
    assert spike in (0, 1)
    return value if spike else 0.0


class TwinLayer:
    """One layer of a rule in loops over neurons and inputs, from the equations of docs/rules.md."""

    def __init__(self, rule: LocalRule, c: LeakyConfig, layer: int, counter: Counter) -> None:
        m, h = (c.n_in, *c.hidden)[layer], c.hidden[layer]
        self.rule, self.c, self.n = rule, c, counter
        self.m, self.h, self.below = m + h * c.recurrent, h, m
        zero = lambda: [[0.0] * self.m for _ in range(h)]  # noqa: E731 - a one-line helper of this test
        self.eps, self.post, self.psi = [0.0] * self.m, [0.0] * h, [0.0] * h
        self.raised, self.e, self.q, self.f = zero(), zero(), zero(), zero()
        self.threshold, self.spikes, self.x = [0.0] * h, [0.0] * h, [0.0] * self.m
        top = layer == c.n_layers - 1
        self.k = (c.k_o if top or rule.filtered == "readout" else c.keep) if rule.filtered else None
        self.dense = rule.eligibility == "full" or c.adaptive or self.k is not None

    def step(self, x: list[float], record: LeakyRecord) -> None:
        c, mul, kind, self.x = self.c, self.n.mul, self.rule.eligibility, x
        v, a, z = (t[0].tolist() for t in (record.v, record.threshold, record.s))
        slopes = [1 / (1 + abs(v[j] - a[j]) / c.surrogate_width) ** 2 for j in range(self.h)]
        if kind == "pair":
            self.post = [mul(0.5, self.post[j] + self.psi[j]) for j in range(self.h)]
            self.eps = [mul(0.8, self.eps[i]) + x[i] for i in range(self.m)]
        if kind == "trace":
            self.eps = [mul(c.keep, self.eps[i]) + x[i] for i in range(self.m)]
        for j in range(self.h):
            for i in range(self.m):
                if kind == "full":
                    before = self.q[j][i] - mul(self.threshold[j], self.e[j][i])
                    if c.adaptive:
                        before -= gate(self.spikes[j], mul(c.adapt_jump, self.raised[j][i]))
                    self.q[j][i] = mul(c.keep, before) + x[i]
                if kind != "pair" and self.dense:
                    inside = self.q[j][i] if kind == "full" else self.eps[i]
                    if c.adaptive:
                        self.raised[j][i] = mul(c.adapt_keep, self.raised[j][i] + self.e[j][i])
                        inside -= mul(c.adapt_jump, self.raised[j][i])
                    self.e[j][i] = mul(slopes[j], inside)
                if self.k is not None:
                    self.f[j][i] = mul(self.k, self.f[j][i]) + self.e[j][i]
        self.psi, self.threshold, self.spikes = slopes, a, z

    def signal(self, error: list[float], label: int, w: dict[str, Any], above: TwinLayer | None) -> list[float]:
        mul, kind = self.n.mul, self.rule.signal
        if kind == "label":
            return [-w["gain"] * w["random"][label][j] for j in range(self.h)]
        if kind == "local":
            score = [sum(gate(self.spikes[j], row[j]) for j in range(self.h)) for row in w["random"]]
            p = np.exp(score) / np.sum(np.exp(score)) - np.eye(C)[label]
            return [sum(mul(w["random"][k][j], p[k]) for k in range(C)) for j in range(self.h)]
        if kind == "chain" and above is not None:
            down = [mul(above.psi[i], above.l[i]) if above.dense else above.gated[i] for i in range(above.h)]
            return [sum(mul(w["above"][i][j], down[i]) for i in range(above.h)) for j in range(self.h)]
        matrix = w["readout"] if above is None else w["random"]
        return [sum(mul(matrix[k][j], error[k]) for k in range(C)) for j in range(self.h)]

    def gradient(self, signal: list[float]) -> list[list[float]]:
        mul, self.l = self.n.mul, signal
        if self.dense:
            held = self.e if self.k is None else self.f
            return [[mul(signal[j], held[j][i]) for i in range(self.m)] for j in range(self.h)]
        self.gated = [mul(signal[j], self.psi[j]) for j in range(self.h)]
        out = [[mul(self.gated[j], self.eps[i]) for i in range(self.m)] for j in range(self.h)]
        if self.rule.eligibility == "pair":
            late = [mul(-0.2, mul(signal[j], self.post[j])) for j in range(self.h)]
            out = [[out[j][i] + gate(self.x[i], late[j]) for i in range(self.m)] for j in range(self.h)]
        return out


def test_the_delta_rule_learns_the_readout_alone_and_costs_nothing_below() -> None:
    net, rules = LeakyNet(LeakyConfig(n_in=M, hidden=HIDDEN, n_out=C), 1), {rule.name: rule for rule in RULES}
    x, label = torch.ones(1, M), torch.tensor([1])
    delta, eprop = (LocalLearner(net, rules[name], 1).observe(x, label).gradients for name in ("delta", "e-prop"))
    assert delta is not None and eprop is not None
    assert torch.equal(delta["readout.weight"], eprop["readout.weight"])
    assert not any(delta[f"layers.{k}.weight"].any() for k in range(len(HIDDEN)))
    assert not any(any(vars(cost).values()) for cost in rule_costs(rules["delta"], net.config))


@pytest.mark.parametrize(("rule", "recurrent", "adaptive"), CASES, ids=lambda v: getattr(v, "name", str(v)))
def test_the_table_counts_what_a_twin_multiplies(rule: LocalRule, recurrent: bool, adaptive: bool) -> None:
    config = LeakyConfig(
        n_in=M, hidden=HIDDEN, n_out=C, recurrent=recurrent, adapt_jump=0.2 if adaptive else 0.0, keep=0.7, k_o=0.6
    )
    net = LeakyNet(config, 1).double()
    learner = LocalLearner(net, rule, 1, seed=3)
    counter = Counter()
    twins = [TwinLayer(rule, config, k, counter) for k in range(len(HIDDEN))]
    costs = rule_costs(rule, config)
    x = torch.from_numpy(np.random.default_rng(2).integers(0, 2, (STEPS, 1, M)).astype(float))
    for t in range(STEPS):
        before = [s.z for s in learner.state]
        label = t % C if t >= 2 else None
        result = learner.observe(x[t], None if label is None else torch.tensor([label]))
        for k, (twin, cost) in enumerate(zip(twins, costs, strict=True)):
            counter.done = 0
            own = before[k][0].tolist() if recurrent else []
            twin.step(learner.records[k].x[0].tolist() + own, learner.records[k])
            assert counter.done == cost.step_macs
        if label is None:
            continue
        assert result.gradients is not None
        gain = 1 - config.k_o
        p = torch.softmax(result.logits[0], 0) - torch.eye(C, dtype=torch.float64)[label]
        for k in reversed(range(len(HIDDEN))):
            counter.done = 0
            above = twins[k + 1] if k + 1 < len(HIDDEN) else None
            w = {
                "gain": gain, "random": learner.signals.random[k].tolist(), "readout": net.readout.weight.tolist(),
                "above": None if above is None else net.layers[k + 1].get_parameter("weight").tolist(),
            }  # fmt: skip
            found = twins[k].gradient(twins[k].signal((gain * p).tolist(), label, w, above))
            assert counter.done == costs[k].label_macs
            wanted = result.gradients[f"layers.{k}.weight"]
            np.testing.assert_allclose(np.array(found)[:, : twins[k].below], wanted, atol=1e-12)
    assert learner.memory_words == sum(cost.words for cost in costs) + HIDDEN[-1]

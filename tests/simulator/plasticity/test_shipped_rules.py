"""Each shipped rule file in a running simulation against its equations, written out again in exact fractions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest

from simulator.base.random import STREAM_TRACE, random_word
from simulator.function.simulation import Simulation
from simulator.plasticity.rules.product_hook import ProductLearning
from simulator.plasticity.rules.products import STREAM_PRODUCTS
from simulator.plasticity.rules.rule_file import read_rules, shipped_rules
from simulator.plasticity.words.counts import LearnCounts
from simulator.program.graph import Population, Projection
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain
from tests.thinned import first

M, H, T = 4, 3, 20
Change = Callable[..., Fraction]


class Stated(NamedTuple):
    """What a file is meant to hold: traces (impulse, tau), third factors (what, tau), changes in units of a word."""

    traces: Mapping[str, tuple[int, int]]
    factors: Mapping[str, tuple[str, int]]
    dw: Change
    dt: Change | None = None


def power(n: int, value: int) -> Fraction:
    return Fraction(2) ** n * value


SLOPE, ERROR, X1 = ("slope", 0), ("error", 0), {"x1": (32, 4)}
DELTA = Stated({"x1": (16, 4)}, {"u1": ERROR}, lambda u1, x1, **_: power(-12, u1 * x1))
HIDDEN = {
    "e-prop": Stated(
        X1, {"u1": SLOPE, "u2": ERROR},
        lambda u2, t, **_: power(-15, u2 * t), lambda u1, x1, t, **_: power(-6, u1 * x1) - power(-2, t),
    ),
    "ottt": Stated(X1, {"u1": SLOPE, "u2": ERROR}, lambda u1, u2, x1, **_: power(-19, u1 * u2 * x1)),
    "etlp": Stated(X1, {"u1": SLOPE, "u2": ("random_label", 0)}, lambda u1, u2, x1, **_: power(-20, u1 * u2 * x1)),
    "s-tllr": Stated(
        X1, {"u1": SLOPE, "u2": ERROR, "u3": ("slope", 3)},
        lambda u1, u2, u3, x1, x0, **_: power(-19, u1 * u2 * x1) - power(-18, u3 * u2 * x0),
    ),
    "ostl": Stated(
        X1, {"u1": SLOPE, "u2": ERROR},
        lambda u1, u2, x1, t, **_: power(-19, u1 * u2 * (x1 + t)),
        lambda u1, x1, t, **_: -power(-2, t) - power(-9, 3 * u1 * (x1 + t)),
    ),
    "e-prop-alif": Stated(
        X1, {"u1": SLOPE, "u2": ERROR},
        lambda u1, u2, x1, t, **_: power(-19, u1 * u2 * (x1 - t)),
        lambda u1, x1, t, **_: power(-11, 3 * u1 * (x1 - t)) - power(-8, 5 * t),
    ),
    "decolle": Stated(X1, {"u1": SLOPE, "u2": ("local_error", 0)}, lambda u1, u2, x1, **_: power(-20, u1 * u2 * x1)),
    "r-stdp": Stated(
        {"x1": (16, 4), "y1": (16, 4)}, {"u1": ("surprise", 0)},
        lambda u1, t, **_: power(-11, u1 * t),
        lambda x1, y0, y1, x0, t, **_: power(-2, x1 * y0 - y1 * x0) - power(-3, t),
    ),
    "sdsp": Stated(
        {"y1": (16, 8), "y2": (8, 16)}, {},
        lambda x0, y1, y2, **_: power(-10, x0 * y1 * (y1 - 24)) - power(-9, x0 * y2),
    ),
}  # fmt: skip
READOUT = dict.fromkeys(("delta", *HIDDEN), DELTA) | {
    "prototype": Stated({"x1": (16, 4)}, {"u1": ("label", 0)}, lambda u1, x1, **_: power(0, u1 * (x1 - 20))),
    "tempotron": Stated(
        {"x1": (16, 4)}, {"u1": ("peak", 0), "u2": ERROR},
        lambda u2, t, **_: power(-9, u2 * t), lambda u1, x1, t, **_: power(0, u1 * x1 - u1 * t),
    ),
}  # fmt: skip
PARTS = [(name, part) for part, stated in (("hidden", HIDDEN), ("readout", READOUT)) for name in stated]
SOURCES = {"x1": 0, "x2": 1, "y1": 2, "y2": 3, "y3": 4}


def network(rng: np.random.Generator) -> Program:
    on = rng.random((M, H)) < 0.7
    on[0, 0] = True
    indptr = np.concatenate([[0], np.cumsum(on.sum(axis=1))]).astype(np.int64)
    params = {k: np.asarray(v, np.int32) for k, v in {"bias": 0, "vth": 150, "v_reset": 0, "soft": 1}.items()}
    populations = (Population("a", "input", M, role="input"), Population("b", "if", H, params))
    weights, targets = rng.integers(-60, 128, on.sum()).astype(np.int8), np.nonzero(on)[1].astype(np.int32)
    return Program(
        "", "", populations, (Projection("a-b", "a", "b", "in", indptr, targets, weights, 0, 1),),
        np.array([HOST] * M + [0] * H, np.int32),
    )  # fmt: skip


def moved(z: int, by: Fraction, low: int, high: int, r: int) -> int:
    a = max(low << 7, min(high << 7, (z << 7) + math.floor(by * 128)))
    return z if by == 0 else max(low, min(high, (a + r) >> 7))


def traced(value: int, impulse: int, tau: int, events: int, r: int) -> int:
    value = (value * round(2**16 * math.exp(-1 / tau)) + (r & 0xFFFF)) >> 16
    return min(127, value + ((256 * impulse * events + ((r >> 16) & 0xFF)) >> 8 if events else 0))


class Twin:
    """The layer and its rule in Python's integers."""

    def __init__(self, program: Program, stated: Stated, seed: int) -> None:
        q = program.projections[0]
        self.stated, self.seed, self.weights = stated, seed, q.weights.tolist()
        self.synapses = [(j, int(q.indices[at])) for j in range(M) for at in range(q.indptr[j], q.indptr[j + 1])]
        self.tags, self.v, self.arriving = [0] * len(self.synapses), [0] * H, [0] * H
        self.traces = {n: [0] * (M if n[0] == "x" else H) for n in stated.traces}
        self.filtered, self.last = {u: [0] * H for u in stated.factors}, [0] * M

    def step(self, t: int, sent: list[int], raw: Mapping[str, list[int]]) -> None:
        """Follow a step with the spikes of all sources and the third factors as they come."""
        fired = [0] * H
        for i in range(H):
            self.v[i] += self.arriving[i]
            fired[i] = int(self.v[i] >= 150)
            self.v[i] -= 150 * fired[i]
        self.arriving = [0] * H
        for at, (j, i) in enumerate(self.synapses):
            self.arriving[i] += 2 * sent[j] * self.weights[at]
        events = {"x": self.last, "y": fired}
        for name, (impulse, tau) in self.stated.traces.items():
            for k, value in enumerate(self.traces[name]):
                r = int(random_word(self.seed, t, k + M * (name[0] == "y"), STREAM_TRACE + 512 * SOURCES[name]))
                self.traces[name][k] = traced(value, impulse, tau, events[name[0]][k], r)
        self._learn(t, fired, self._heard(raw))
        self.last = sent

    def _heard(self, raw: Mapping[str, list[int]]) -> Mapping[str, list[int]]:
        """Return the third factors, filtered where the file filters them."""
        out = dict(raw)
        for name, (_, tau) in self.stated.factors.items():
            if tau:
                f = self.filtered[name]
                f[:] = [
                    ((a * round(2**16 * math.exp(-1 / tau))) >> 16) + 256 * b for a, b in zip(f, raw[name], strict=True)
                ]
                out[name] = [max(-128, min(127, a >> 8)) for a in f]
        return out

    def _learn(self, t: int, fired: list[int], u: Mapping[str, list[int]]) -> None:
        for words, change, low, high, stream in (
            (self.tags, self.stated.dt, -256, 255, 512),
            (self.weights, self.stated.dw, -128, 127, 0),
        ):
            for at, (j, i) in enumerate(self.synapses) if change else ():
                seen = {n: row[j if n[0] == "x" else i] for n, row in self.traces.items()}
                seen |= {n: row[i] for n, row in u.items()} | {"x0": self.last[j], "y0": fired[i], "t": self.tags[at]}
                r = int(random_word(self.seed, t, j << 32 | i, STREAM_PRODUCTS + stream)) & 127
                words[at] = moved(words[at], change(**seen), low, high, r)


def test_every_shipped_rule_is_stated() -> None:
    assert set(shipped_rules()) == {name for name, _ in PARTS}


@pytest.mark.parametrize("seed", first(3, range(60)))
@pytest.mark.parametrize(("name", "part"), PARTS)
def test_a_shipped_rule_is_its_equations(name: str, part: str, seed: int) -> None:
    stated = (HIDDEN if part == "hidden" else READOUT)[name]
    rule = next(r for r in read_rules(name).rules if (r.projections == ("readout",)) == (part == "readout"))
    assert {f"u{k}": (f.of, f.tau) for k, f in rule.factors.items()} == dict(stated.factors)
    rng = np.random.default_rng(seed)
    program = network(rng)
    sent = (rng.random((T, M)) < 0.4).astype(int)
    raw = {u: rng.integers(-128, 128, (T, H)) for u in stated.factors}
    simulation, twin = Simulation(program, seed=seed), Twin(program, stated, seed)
    hook = ProductLearning(simulation, "a-b", rule, LearnCounts(2))

    def host(simulation: Simulation) -> None:
        for u, values in raw.items():
            hook.raw[int(u[1])] = values[simulation.state.step - 1]

    simulation.step_hooks += [host, hook]
    simulation.advance(SpikeTrain.from_dense(sent.astype(np.int32)), T)
    for t in range(T):
        twin.step(t, sent[t].tolist(), {u: values[t].tolist() for u, values in raw.items()})
    assert hook.weights.tolist() == twin.weights
    assert hook.tags.tolist() == twin.tags
    assert simulation.state.words[1][0].tolist() == twin.v

"""Catalyst N1's noise, traces, dendrites, trees and homeostasis against a plain transcription of their description."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.events.machines.n1.run import run_core
from simulator.events.machines.n1.state import Options, program_core

THRESHOLD, LEAK, REST, REFRACTORY, NOISE, EPOCH, TARGET, ETA, PARENTS, DV, DU = 0, 1, 2, 3, 5, 11, 13, 14, 15, 16, 17
PARENT, JOIN, SENDS, NOISE_TARGET, V_MIN, V_MAX = 22, 23, 24, 29, 30, 31
DENDRITES, TAUS = (8, 9, 10), (6, 19, 7, 20, 21)  # ids of thresholds; of tau of trace1, x2, trace2, y2, y3
DEFAULTS = {PARENT: 127, SENDS: 1, V_MIN: -(1 << 15), V_MAX: (1 << 15) - 1, EPOCH: 1}


def wrap(x: int, bits: int) -> int:
    return (x + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def lost(a: int, d: int) -> int:
    """Floor of a d / 4096, one more away from zero where it leaves a remainder."""
    whole, rest = divmod(a * d, 4096)
    return whole + (0 if not rest else 1 if a >= 0 else -1)


class Twin:
    """A core whose synapses have no delays and each its own target."""

    def __init__(self, params: list[dict[int, int]], pool: list[tuple[int, int, int, int]], o: Options) -> None:
        self.p, self.pool, self.o, n = [DEFAULTS | words for words in params], pool, o, len(params)
        self.lfsr, self.epoch, self.epoch_step = 0xACE1, 0, 0
        self.v, self.u, self.held, self.total, self.spent = ([0] * n for _ in range(5))
        self.dendrites, self.traces = [[0] * n for _ in range(3)], [[0] * n for _ in range(5)]
        self.kept: list[int] = []

    def step(self, external: list[tuple[int, int]]) -> tuple[list[tuple[int, int]], int]:
        """Return (neuron, payload) of the spikes sent, and the cycles."""
        for i, value in external:
            self.total[i] = value
        cycles = 2
        for source in self.kept[:64]:
            cycles += 3
            for at, target, weight, compartment in self.pool:
                if at == source:
                    cycles += 6
                    self.arrive(target, weight, compartment)
        self.kept, sent = [], []
        for i in range(len(self.p)):
            payload = self.neuron(i)
            cycles += 4 + 3 * (payload > 0 and self.p[i][PARENT] != 127)
            if payload and self.p[i][SENDS]:
                self.kept.append(i)
                sent.append((i, payload))
        self.epoch = 0 if self.epoch + 1 >= self.p[0][EPOCH] else self.epoch + 1
        return sent, cycles + 1

    def arrive(self, target: int, weight: int, compartment: int) -> None:
        if compartment:
            row = self.dendrites[compartment - 1]
            row[target] = wrap(row[target] + weight, 16)
        else:
            self.total[target] = wrap(self.total[target] + weight, 24)

    def branches(self, i: int) -> int:
        """Sum what dendrites 3, 2, 1 pass on: above its threshold to its parent, a parent below itself, or to the soma."""
        soma, extra = 0, {1: 0, 2: 0, 3: 0}
        for k in (3, 2, 1):
            above = wrap(self.dendrites[k - 1][i] + extra[k], 16) - self.p[i].get(DENDRITES[k - 1], 0)
            self.dendrites[k - 1][i] = 0
            parent = self.p[i].get(PARENTS, 0) >> 2 * (k - 1) & 3
            if parent == 0:
                soma += wrap(max(0, above), 16)
            elif parent < k:
                extra[parent] += wrap(max(0, above), 16)
        return wrap(soma, 16)

    def random(self) -> int:
        """Return the register's word before its shift: a rotation to the right, then the taps if the bit was 1."""
        word = self.lfsr
        self.lfsr = (word >> 1 | (word & 1) << 15) ^ (0xB400 if word & 1 else 0)
        return word

    def noise(self, i: int, word: int) -> int:
        mask = min((self.p[i].get(NOISE, 0) & 15) << (self.p[i].get(NOISE, 0) >> 4 & 31), 0xFFFF)
        return (word & mask & 0x7FFF) - (mask >> 1 & 0x7FFF) if self.o.noise else 0

    def neuron(self, i: int) -> int:
        """Update one; return the payload of its spike, 0 if silent."""
        p, word = self.p[i], self.random()
        own = self.total[i]
        x = wrap(own + (self.branches(i) if self.o.dendritic else 0), 24)
        self.total[i] = 0
        n, where, v, u = self.noise(i, word), p.get(NOISE_TARGET, 0), self.v[i], self.u[i]
        threshold = p[THRESHOLD] + n * (where == 0)
        payload = min(max(wrap(wrap(v, 16) + x - p[LEAK] - threshold, 24), 1), 255)
        cuba = bool(p.get(DV, 0) or p.get(DU, 0))
        if cuba:
            reached = wrap(v - lost(v, p.get(DV, 0)) + u + n * (where == 1), 24)
            self.u[i] = wrap(u - lost(u, p.get(DU, 0)) + x + n * (where == 2), 24)
        else:
            reached, self.u[i] = wrap(wrap(v, 16) + x - p[LEAK], 24), 0
        fired = not self.held[i] and reached >= threshold
        silent = reached if cuba or wrap(wrap(v, 16) + x, 24) > p[LEAK] else p[REST]
        after = p[REST] if self.held[i] or fired else silent
        self.held[i] = p[REFRACTORY] if fired else max(self.held[i] - 1, 0)
        self.v[i] = min(max(after, p[V_MIN]), p[V_MAX])
        self.fade(i, word, fired)
        self.balance(i, fired)
        if fired and p[PARENT] != 127:
            join = p.get(JOIN, 0)
            self.join(i, p[PARENT], join & 3, (threshold, v, u, own)[join >> 2 & 3 if cuba else 0], own)
        return payload * fired

    def fade(self, i: int, word: int, fired: bool) -> None:
        low, high, tau = word & 255, word >> 8, [self.p[i].get(k, 0) for k in TAUS]
        masks = [(1 << t) - 1 for t in tau]
        random = [low & masks[0], low ^ (high & masks[1]), high & masks[2],
                  ((word & 15) << 4 | word >> 12) & masks[3], word >> 4 & 255 & masks[4]]  # fmt: skip
        for k in range(5):
            x = self.traces[k][i]
            less = max(1, (x >> tau[k]) + (random[k] < (x & masks[k])))
            self.traces[k][i] = 100 if fired else max(0, x - less)

    def balance(self, i: int, fired: bool) -> None:
        p = self.p[i]
        if self.epoch + 1 < self.p[0][EPOCH]:
            self.spent[i] += fired
            return
        target, eta = p.get(TARGET, 0), p.get(ETA, 0)
        if target and self.spent[i] > target:
            p[THRESHOLD] = min(p[THRESHOLD] + eta, 4000)
        elif target and self.spent[i] < target:
            p[THRESHOLD] = max(p[THRESHOLD] - eta, 250)
        self.spent[i] = int(fired)

    def join(self, i: int, parent: int, how: int, x: int, own: int) -> None:
        old = own if parent == i else self.total[parent]
        ways: list[Callable[[], int]] = [
            lambda: wrap(old + x, 24), lambda: x if abs(x) > abs(old) else old, lambda: wrap(old | x, 24), lambda: old,
        ]  # fmt: skip
        self.total[parent] = ways[how]()


def drawn(rng: np.random.Generator, n: int, o: Options, epoch: int, tree: bool) -> list[dict[int, int]]:
    """Draw the parameters of a core over the range of each word."""

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    out: list[dict[int, int]] = []
    for _ in range(n):
        words = {THRESHOLD: pick(1, 900), LEAK: pick(0, 60), REST: pick(-30, 30), REFRACTORY: pick(0, 3), EPOCH: epoch}
        words |= {k: pick(0, 7) for k in TAUS}
        if rng.random() < 0.4:
            words |= {DV: pick(0, 4095), DU: pick(1, 4095)}
        if o.noise:
            words |= {NOISE: pick(0, 15) | pick(0, 16) << 4, NOISE_TARGET: pick(0, 3)}
        if o.dendritic:
            words |= {k: pick(-50, 300) for k in DENDRITES} | {PARENTS: pick(0, 63)}
        if epoch > 1:
            words |= {TARGET: pick(0, 6), ETA: pick(0, 200)}
        if tree and rng.random() < 0.6:
            words |= {PARENT: pick(0, n - 1), JOIN: pick(0, 15), SENDS: pick(0, 1)}
        out.append(words)
    return out


def rows(values: Any, width: int) -> Any:
    return np.array(values, np.int64).reshape(-1, width)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_cores_are_the_twins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, steps = int(rng.integers(4, 25)), 25
    o = Options(noise=int(rng.integers(2)), dendritic=int(rng.integers(2)))
    params = drawn(rng, n, o, int(rng.choice([1, 4, 9])), bool(rng.integers(2)))
    pool = [
        (i, int(rng.integers(n)), int(rng.integers(-900, 900)), int(rng.integers(4)))
        for i in range(n)
        for _ in range(int(rng.integers(0, 5)))
    ]
    counts = np.bincount([i for i, *_ in pool], minlength=n)
    first = np.cumsum(counts) - counts
    external = [
        (t, int(rng.integers(n)), int(rng.integers(-99, 3000)))
        for t in range(steps)
        for _ in range(int(rng.integers(4)))
    ]
    core = program_core(
        n, rows([(i, k, v) for i, words in enumerate(params) for k, v in words.items()], 3),
        rows([(a, *row) for a, row in enumerate(pool)], 5), rows([], 2),
        rows([(i, int(first[i]), int(counts[i]), 0) for i in range(n)], 4), rows([], 2),
    )  # fmt: skip
    run = run_core(core, o, steps, rows(external, 3), rows([], 2))
    twin = Twin(params, pool, o)
    for t in range(steps):
        sent, cycles = twin.step([(i, value) for step, i, value in external if step == t])
        assert run.spikes[run.spikes[:, 0] == t][:, 2:].tolist() == [list(s) for s in sent], t
        assert (run.v[t].tolist(), run.u[t].tolist()) == (twin.v, twin.u), t
        assert run.cycles[t] == cycles, t
    assert core.traces.tolist() == twin.traces
    assert core.params[THRESHOLD].tolist() == [words[THRESHOLD] for words in twin.p]
    assert core.dendrites.tolist() == twin.dendrites

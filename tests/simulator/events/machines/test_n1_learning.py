"""Catalyst N1's microcode and three-factor pass against a plain transcription of their description."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.events.machines.n1.run import run_core
from simulator.events.machines.n1.state import Options, program_core
from tests.simulator.events.machines.test_n1_extras import THRESHOLD, Twin, drawn, rows, wrap

HALT, TAU_REWARD = 13 << 28, 12


class LearningTwin(Twin):
    """A core that learns; its rows of the index have format 0, or 2 where they share one entry."""

    def __init__(self, params: Any, pool: Any, o: Options, index: list[tuple[int, int, int]], code: list[int]) -> None:
        super().__init__(params, [], o)
        n = len(params)
        self.index, self.code, self.reward = index, code, 0
        self.source, self.target, self.w, self.compartment = (list(c) for c in zip(*pool, strict=True))
        self.e, self.tag, self.delay = ([0] * len(pool) for _ in range(3))
        self.reverse = [[a for a, j in enumerate(self.target) if j == i][:32] for i in range(n)]
        self.last, self.fired = [0] * n, [False] * n

    def learning_step(self, external: list[tuple[int, int]], reward: int) -> tuple[list[tuple[int, int]], int]:
        """Walk the kept spikes, update, learn; return (neuron, payload) and cycles."""
        walked, learns = 0, self.epoch == 0
        for i, value in external:
            self.total[i] = value
        for i in self.kept[:64]:
            base, count, form = self.index[i]
            walked += 3 + (6 * count if form == 0 or not count else 5 * count + 1)
            for k in range(count):
                a = base if form else base + k
                j = (self.target[a] + k) % len(self.p) if form else self.target[a]
                self.arrive(j, self.w[a], self.compartment[a])
        self.kept, at = [], self.epoch
        sent, cycles = self.step([])
        for i, on in enumerate(self.fired):
            self.last[i] = at if on else self.last[i]
        if learns and (any(self.fired) or not self.o.skip_idle):
            for mode in range(2 if self.o.learn else 0):
                cycles += len(self.p) + 1 + sum(self.visit(mode, i) for i, on in enumerate(self.fired) if on)
            cycles += self.three_factor() if self.o.threefactor else 0
        down = max(self.reward >> self.p[0][TAU_REWARD], 1) if self.reward > 0 else self.reward >> self.p[0][TAU_REWARD]
        self.reward = wrap(self.reward - down + reward, 16)
        return sent, walked + cycles

    def neuron(self, i: int) -> int:
        """Note who fired, sent or not."""
        payload = super().neuron(i)
        self.fired[i] = payload > 0
        return payload

    def visit(self, mode: int, i: int) -> int:
        if mode:
            return 32 * 6 + sum(self.run(1, a, self.source[a]) for a in self.reverse[i])
        base, count, form = self.index[i]
        entries = range(base, base + count) if form == 0 else ()
        return 2 + sum(6 + self.run(0, a, self.target[a]) for a in entries)

    def run(self, mode: int, a: int, other: int) -> int:
        """Run one synapse's program; return 2 cycles an instruction."""
        r = [t[other] for t in self.traces] + [self.w[a], self.delay[a], self.tag[a], self.e[a], self.reward]
        r += [self.last[other]] + [0] * 5
        pc, done = 128 * self.o.threefactor + 64 * mode, 0
        while True:
            word = self.code[pc % 256]
            op, d, x, y, s = word >> 28, word >> 24 & 15, r[word >> 20 & 15], r[word >> 16 & 15], word >> 13 & 7
            pc, done = pc + 1, done + 1
            if op == 13:
                return 2 * done
            if 1 <= op <= 8:
                r[d] = wrap((x + y, x - y, x * y >> s, x >> s, x << s, max(x, y), min(x, y), word)[op - 1], 16)
            elif op in (11, 12):
                pc += (x == 0) == (op == 11)
            elif op == 9:
                self.w[a] = wrap(r[5] + (self.lfsr & 1), 16)
            elif op:
                {10: self.e, 14: self.delay, 15: self.tag}[op][a] = {10: r[8], 14: r[6] & 63, 15: r[7]}[op]

    def three_factor(self) -> int:
        for a, e in enumerate(self.e):
            if self.reward:
                self.w[a] = min(max(wrap(self.w[a] + wrap(e * self.reward >> 7, 16), 16), 0), 2000)
            self.e[a] = e - (max(e >> 3, 1) if e > 0 else e >> 3)
        return 3 * len(self.e) + 1


def program(rng: np.random.Generator) -> list[int]:
    """Draw words that store something and then halt, though a skip jump over one halt; no store of a delay."""
    out = []
    for start in range(4):
        ops = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15], int(rng.integers(2, 40)))
        words = [int(op) << 28 | int(rng.integers(1 << 28)) for op in ops]
        words += [(9, 10, 15, 9)[start] << 28, HALT, HALT]
        out += words + [0] * (64 - len(words))
    return out


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_programs_are_the_twins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, steps = int(rng.integers(3, 20)), 15
    o = Options(
        learn=int(rng.random() < 0.9), threefactor=int(rng.integers(2)), skip_idle=int(rng.integers(2)),
        dendritic=int(rng.integers(2)),
    )  # fmt: skip
    params = drawn(rng, n, o, int(rng.choice([1, 1, 2, 5])), bool(rng.integers(2)))
    for words in params:
        words |= {THRESHOLD: int(rng.integers(1, 900)), TAU_REWARD: int(rng.integers(16))}
    params = [words | {TAU_REWARD: params[-1][TAU_REWARD]} for words in params]  # one register of the core
    pool, index = [], []
    for i in range(n):
        form, count = int(rng.choice([0, 0, 2])), int(rng.integers(0, 12))
        index.append((len(pool), count, form))
        for _ in range(min(count, 1) if form else count):
            pool.append((i, int(rng.integers(n)), int(rng.integers(-900, 1500)), int(rng.integers(4))))
    pool = pool or [(0, 0, 1, 0)]
    code = program(rng)
    external = [(t, int(rng.integers(n)), int(rng.choice([300, 900, 30000]))) for t in range(steps) for _ in range(4)]
    reward = [(t, int(rng.choice([-32768, -90, 40, 300, 32767]))) for t in range(steps) if rng.random() < 0.4]
    core = program_core(
        n, rows([(i, k, v) for i, words in enumerate(params) for k, v in words.items()], 3),
        rows([(a, *row) for a, row in enumerate(pool)], 5), rows([], 2),
        rows([(i, *row) for i, row in enumerate(index)], 4), rows(list(enumerate(code)), 2),
    )  # fmt: skip
    run = run_core(core, o, steps, rows(external, 3), rows(reward, 2), range(steps))
    twin = LearningTwin(params, pool, o, index, code)
    for t in range(steps):
        sent, cycles = twin.learning_step([(i, x) for s, i, x in external if s == t], dict(reward).get(t, 0))
        assert run.spikes[run.spikes[:, 0] == t][:, 2:].tolist() == [list(s) for s in sent], t
        assert run.cycles[t] == cycles, t
        for name, own in (("weight", twin.w), ("eligibility", twin.e), ("tag", twin.tag)):
            assert run.snaps[name][t][: len(pool)].tolist() == own, (name, t)
    assert core.traces.tolist() == twin.traces

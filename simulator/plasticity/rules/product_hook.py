"""Rules of products in a running simulation: traces and third factors at every step, the rule at every learning epoch.

A source's event is a spike that arrives (sent 1 + delay steps ago), a target's one a spike sent in the step. Traces and third
factors are updated before the rule is applied. Changed weights act on spikes from the next step on. Where delays are learnt, each
synapse has its own, and a source's event is the spike on its arrival at the core, 1 step after it was sent.

Epochs begin with the sample and end with it at the latest. A third factor that is not filtered is the sum of what came in the
epoch; slope and peak are those of its last step.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from simulator.base.arrays import I32, AnyInts
from simulator.function.simulation import Simulation
from simulator.plasticity.rules.products import STREAM_PRODUCTS, Products, apply_products, graded_trace_step
from simulator.plasticity.rules.rule_file import Rounding, Rule
from simulator.plasticity.words.counts import LearnCounts

OF_THE_STEP = ("slope", "peak")  # third factors that are states, not events
BOUNDS = {"mixed": (-256, 254), "excitatory": (0, 255), "inhibitory": (-256, 0)}
TAG = (-256, 255)
FACTOR_MAX = 127
_KINDS = 8  # random streams of one projection's traces


class ProductLearning:
    """A step hook that learns one projection.

    Args:
        simulation: whose weights change in place.
        projection: its name.
        rule: its rule.
        counts: where operations are counted.
        epoch: steps between two applications.
        sign, rounding: of the weights.
        shift: a graded spike of payload 2^shift counts as one spike in the traces.
        most_delay: of a synapse, in steps, where the rule changes delays.

    Attributes:
        raw: int32 [10, H], third factors of the step to come; what makes them writes them.
        tags, delays: int32 [nnz].
    """

    def __init__(
        self,
        simulation: Simulation,
        projection: str,
        rule: Rule,
        counts: LearnCounts,
        epoch: int = 1,
        sign: Literal["mixed", "excitatory", "inhibitory"] = "mixed",
        rounding: Rounding = "stochastic",
        shift: int = 0,
        most_delay: int = 0,
    ) -> None:
        self.rule, self.counts, self.epoch, self.rounding = rule, counts, epoch, rounding
        self.weights, self.most_delay = simulation.weights(projection), most_delay
        self.delayed = bool(rule.dd.scale.size)
        if self.delayed:
            self.delays = simulation.delays(projection, most_delay)
        layout = simulation.layout
        self.number = next(k for k, s in enumerate(layout.synapses) if s.name == projection)
        s = self.synapses = layout.synapses[self.number]
        bits = min(8 * self.weights.dtype.itemsize, layout.program.projections[self.number].weight_bits or 64)
        self.bounds = max(BOUNDS[sign][0], -(1 << (bits - 1))), min(BOUNDS[sign][1], (1 << (bits - 1)) - 1)
        self.source, self.target = layout.cells[s.source], layout.cells[s.target]
        m, h = self.source.size, self.target.size
        self.x, self.y = np.zeros((3, m), np.int32), np.zeros((4, h), np.int32)
        self.raw, self.u = np.zeros((10, h), np.int32), np.zeros((10, h), np.int32)
        self._filtered = np.zeros((10, h), np.int64)
        self._steps, self._epochs = 0, 0  # of the epoch so far, and those that are over
        self.tags = np.zeros(self.weights.size, np.int32)
        if not self.delayed:
            self.delays = np.full(self.weights.size, s.delay, np.int32)
        self._arriving = np.zeros((1 if self.delayed else s.delay + 1, m), np.int32)
        self.shift = shift if layout.graded[s.source] else 0
        self.tagged = bool(rule.dt.scale.size)
        words = rule.names()
        self._clocks = {k for k in range(1, 10) if f"u{k}" in words and k not in rule.factors}

    def reset(self) -> None:
        """Begin a new sample: zero traces, tags and third factors."""
        for a in (self.x, self.y, self.raw, self.u, self._filtered, self.tags, self._arriving):
            a[...] = 0
        self._steps = 0

    def __call__(self, simulation: Simulation, last: bool = False) -> None:
        """Follow a step; `last`: of its sample."""
        step = simulation.state.step - 1
        slot = step % len(self._arriving)
        arrived = self._arriving[slot].copy()
        self._arriving[slot] = sent_in(simulation, self.source.first, self.source.size)
        sent = sent_in(simulation, self.target.first, self.target.size)
        self._traces(simulation.seed, step, arrived, sent)
        self.x[0] |= arrived != 0
        self.y[0] |= sent != 0
        self._factors()
        self._steps += 1
        if last or self._steps == self.epoch:
            self._apply(simulation.seed, self._epochs)
            self._steps, self._epochs = 0, self._epochs + 1
        self.raw[...] = 0

    def _traces(self, seed: int, step: int, arrived: I32, sent: I32) -> None:
        words, key = 0, np.array([seed, step], np.uint64)
        for name, trace in self.rule.traces.items():
            row, pre = int(name[1]), name[0] == "x"
            cell, values = (self.source, self.x[row]) if pre else (self.target, self.y[row])
            events, shift = (arrived, self.shift) if pre else ((sent != 0).astype(np.int32), 0)
            kind = _KINDS * self.number + row - 1 + (0 if pre else 2)
            graded_trace_step(values, events, shift, trace.decay_word, trace.impulse_word, key, cell.first, kind)
            words += values.size
        self.counts.add("stdp_rmw", self.synapses.target, words)
        self.counts.add("random", self.synapses.target, words)

    def _factors(self) -> None:
        for k, factor in self.rule.factors.items():
            if not factor.tau:
                before = 0 if factor.of in OF_THE_STEP or not self._steps else self.u[k]
                self.u[k] = np.clip(before + self.raw[k], -FACTOR_MAX - 1, FACTOR_MAX)
                continue
            decay = round(2**16 * math.exp(-1 / factor.tau))
            self._filtered[k] = ((self._filtered[k] * decay) >> 16) + (self.raw[k].astype(np.int64) << 8)
            self.u[k] = np.clip(self._filtered[k] >> 8, -FACTOR_MAX - 1, FACTOR_MAX)
            self.counts.add("stdp_rmw", self.synapses.target, self.u.shape[1])

    def _apply(self, seed: int, epoch: int) -> None:
        self.u[0] = 1
        for k in self._clocks:
            self.u[k] = epoch % 2**k == 0
        self._change(self.tags, self.rule.dt, TAG, seed, epoch, 1)
        self._change(self.delays, self.rule.dd, (0, self.most_delay), seed, epoch, 2)
        self._change(self.weights, self.rule.dw, self.bounds, seed, epoch, 0)
        self.x[0], self.y[0] = 0, 0

    def _change(self, z: AnyInts, rule: Products, bounds: tuple[int, int], seed: int, epoch: int, kind: int) -> None:
        """Apply dt, dd or dw, and count what it does: the synapses whose products can differ from 0 are visited."""
        if not rule.scale.size or not self._can_change(rule):
            return
        s = self.synapses
        key = np.array(
            [seed, epoch, STREAM_PRODUCTS + 512 * (2 * self.number + kind % 2) + 256 * (kind // 2)], np.uint64
        )
        apply_products(
            s.indptr, s.indices, z, self.weights, self.tags, self.x, self.y, self.delays, self.u,
            rule.factors, rule.scale, rule.unit, *bounds, key, self.rounding == "nearest", self.rounding == "unbiased",
        )  # fmt: skip
        self.counts.add("stdp_events", s.target, z.size)
        self.counts.add("weight_mac", s.target, z.size * int((rule.factors[:, :, 0] >= 0).sum()))
        self.counts.add("random", s.target, 0 if self.rounding == "nearest" else z.size)

    def _can_change(self, rule: Products) -> bool:
        """Return whether any product may differ from 0: one of whose plain factors is 0 everywhere cannot."""
        return any(all(c != 0 or self._any(v) for v, c, _ in factors.tolist() if v >= 0) for factors in rule.factors)

    def _any(self, variable: int) -> bool:
        if variable < 3:
            return bool(self.x[variable].any())
        if variable < 7:
            return bool(self.y[variable - 3].any())
        if variable < 10:
            return bool((self.weights, self.tags, self.delays)[variable - 7].any())
        return bool(self.u[variable - 10].any())


def sent_in(simulation: Simulation, first: int, size: int) -> I32:
    """Return the payloads that a population's neurons sent in the last step, 0 for none."""
    ids, payload = simulation.events
    lo, hi = np.searchsorted(ids, (first, first + size))
    out = np.zeros(size, np.int32)
    out[ids[lo:hi] - first] = payload[lo:hi] if payload.size else 1
    return out

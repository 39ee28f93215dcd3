"""Loihi's learning engine in a running simulation: traces at every step, the rule at every learning epoch.

    simulation.step_hooks.append(LoihiLearning(simulation, "a-b", LoihiRule(pairwise_stdp(4, 4, -6)), pre=(Trace(64, 8),), ...))

A pre-synaptic event is a spike that arrives (sent 1 + delay steps ago), a post-synaptic one a spike sent in the step. Traces are
updated before the rule is applied; x0 and y0 say whether there was an event since the last epoch. Changed weights act on
spikes from the next step on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.base.arrays import Bools
from simulator.base.errors import InputError
from simulator.function.simulation import Simulation
from simulator.plasticity.rules.loihi import LoihiRule, Trace, trace_step
from simulator.plasticity.words.counts import LearnCounts

_EPOCHS = range(1, 64)  # a 6-bit word
_KINDS = 8  # random streams of one projection's traces


class LoihiLearning:
    """A step hook that learns one projection.

    Args:
        simulation: whose weights change in place.
        projection: name of the projection.
        rule: for its weights.
        pre: traces x1, x2 of the source.
        post: traces y1, y2, y3 of the target.
        epoch: steps between two applications of the rule.

    Attributes:
        counts: operations (``learn_stdp_rmw``, ``learn_stdp_events``, ``learn_random``).

    Raises:
        InputError: no such projection, too many traces, an epoch out of 1..63.
    """

    def __init__(
        self,
        simulation: Simulation,
        projection: str,
        rule: LoihiRule,
        pre: Sequence[Trace] = (),
        post: Sequence[Trace] = (),
        epoch: int = 1,
    ) -> None:
        if epoch not in _EPOCHS:
            raise InputError("learning epoch", f"is {epoch} steps", "It is a 6-bit word: 1 to 63")
        if len(pre) > 2 or len(post) > 3:
            raise InputError(
                "learning traces", f"are {len(pre)} pre and {len(post)} post", "There are x1, x2, y1, y2, y3"
            )
        self.rule, self.pre, self.post, self.epoch = rule, tuple(pre), tuple(post), epoch
        self.weights = simulation.weights(projection)
        layout = simulation.layout
        self.number = next(k for k, s in enumerate(layout.synapses) if s.name == projection)
        self.synapses = layout.synapses[self.number]
        self.bits = simulation.layout.program.projections[self.number].weight_bits
        self.source, self.target = layout.cells[self.synapses.source], layout.cells[self.synapses.target]
        m, h = self.source.size, self.target.size
        self.x, self.y = np.zeros((3, m), np.int32), np.zeros((4, h), np.int32)
        self.arriving = np.zeros((self.synapses.delay + 1, m), bool)
        self.counts = LearnCounts(len(layout.cells))

    def __call__(self, simulation: Simulation) -> None:
        """Learn after a step."""
        step = simulation.state.step - 1
        slot = step % len(self.arriving)
        arrived = self.arriving[slot].copy()
        self.arriving[slot] = self._fired(simulation, self.source.first, self.source.size)
        fired = self._fired(simulation, self.target.first, self.target.size)
        self.counts.at(step)
        self._traces(simulation.seed, step, arrived, fired)
        self.x[0] |= arrived
        self.y[0] |= fired
        if (step + 1) % self.epoch == 0:
            self._apply((step + 1) // self.epoch - 1)

    def _traces(self, seed: int, step: int, arrived: Bools, fired: Bools) -> None:
        first = _KINDS * self.number
        for k, trace in enumerate(self.pre):
            trace_step(
                self.x[1 + k], arrived, trace.decay_word, trace.impulse_word, seed, step, self.source.first, first + k
            )
        for k, trace in enumerate(self.post):
            trace_step(
                self.y[1 + k], fired, trace.decay_word, trace.impulse_word, seed, step, self.target.first, first + 2 + k
            )
        words = len(self.pre) * arrived.size + len(self.post) * fired.size
        self.counts.add("stdp_rmw", self.synapses.target, words)
        self.counts.add("random", self.synapses.target, words)

    def _apply(self, epoch: int) -> None:
        s = self.synapses
        if self.x[0].any() or self.y[0].any() or any(p.gate.startswith("u") for p in self.rule.products):
            visited = self.rule.apply(s.indptr, s.indices, self.weights, self.x, self.y, epoch, self.number, self.bits)
            self.counts.add("stdp_events", s.target, visited)
            self.counts.add("random", s.target, visited)
        self.x[0], self.y[0] = 0, 0

    @staticmethod
    def _fired(simulation: Simulation, first: int, size: int) -> Bools:
        ids = simulation.events[0]
        lo, hi = np.searchsorted(ids, (first, first + size))
        out = np.zeros(size, bool)
        out[ids[lo:hi] - first] = True
        return out

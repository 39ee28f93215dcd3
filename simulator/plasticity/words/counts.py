"""Operations of learning, counted as they happen; they become `learn_*` counters of an `Activity`.

Names (one unit each; ``rmw``: a stored word read, changed and written):
``learn_trace_rmw`` synaptic eligibility words, ``learn_trace_mac`` their multiply-accumulates, ``learn_carry_mac`` block
propagators, ``learn_sweep_mac`` backward sweep, ``learn_events`` synaptic events replayed (an add each, a MAC for graded
inputs), ``learn_history_write`` / ``learn_history_read`` history words, ``learn_lut`` table look-ups, ``learn_weight_mac``
gradient sums (delta x trace), ``learn_weight_updates`` weights written,
``learn_neuron_word_updates`` biases and skip weights written, ``learn_optimiser_rmw``, ``learn_optimiser_mac``,
``learn_random`` 16-bit random numbers, ``learn_error_words`` graded error words sent, ``learn_error_mac`` third factor,
``learn_error_messages`` graded words between layers (filt-Win), ``learn_shared_words`` graded words with sums over channels
(s6: to the neurons of B and C), ``learn_stdp_rmw`` pre/post traces, ``learn_stdp_events``
synaptic STDP words changed, ``learn_feature_rmw`` traces that the readout learns from, ``learn_prune_ops``.

The learning phase of a core (docs/timing.md) takes the time of the synaptic words that it reads, changes and writes in the
step: `TOUCHED`.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from simulator.base.arrays import I32, I64
from simulator.program.activity import Count

# Synaptic words that are read, changed and written; each takes ``learn_synapse`` of the chip file in the learning phase.
TOUCHED = frozenset(("trace_rmw", "events", "stdp_events", "weight_updates"))
_SHARED = -2  # a core that is not known: the population's operations are shared out to its cores


class LearnCounts:
    """Counters by kind, chip step, population and core."""

    def __init__(self, n_populations: int) -> None:
        self.n_populations = n_populations
        self.step = 0  # the chip step that operations belong to
        self._by_population: dict[str, I64] = defaultdict(lambda: np.zeros(n_populations, np.int64))
        self._by_step: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self._on_core: dict[str, dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
        self._now: dict[int, int] = {}  # synaptic words touched in the present step, by core
        self._touched = array("q")  # rows of step, population, core, words

    def at(self, step: int) -> None:
        """Note that all that follows happens in this chip step."""
        self.step = step
        self._now = {}

    def add(self, name: str, population: int, n: int, core: int = _SHARED) -> None:
        """Count `n` operations of a kind on a core, or shared out to all cores of a population by their neurons."""
        if n:
            key = f"learn_{name}"
            self._by_population[key][population] += n
            self._by_step[key][self.step] += n
            self._on_core[key][population, core] += n
            if name in TOUCHED:
                self._touched.extend((self.step, population, core, n))
                self._now[core] = self._now.get(core, 0) + n

    def touched_now(self, core: int) -> int:
        """Return the synaptic words that a core read, changed and wrote in the present step so far."""
        return self._now.get(core, 0)

    def total(self, name: str) -> int:
        """Return the total of a counter (``learn_...``)."""
        return int(self._by_population[name].sum()) if name in self._by_population else 0

    def totals(self) -> dict[str, int]:
        """Return all totals by name."""
        return {name: int(v.sum()) for name, v in sorted(self._by_population.items())}

    def counts(self, steps: int, cores: I32, sizes: Sequence[int], n_cores: int) -> dict[str, Count]:
        """Return the counts as counters of an `Activity`."""
        out = {}
        for name, by_population in self._by_population.items():
            by_step = np.zeros(steps, np.int64)
            for step, n in self._by_step[name].items():
                by_step[step] += n
            by_core, shared = np.zeros(n_cores + 1, np.int64), np.zeros(self.n_populations, np.int64)
            for (population, core), n in self._on_core[name].items():
                if core == _SHARED:
                    shared[population] += n
                else:
                    by_core[core] += n
            out[name] = Count(by_core + _by_core(shared, cores, sizes, n_cores), by_step, by_population.copy())
        return out

    def touched(self, steps: range, cores: I32, sizes: Sequence[int], n_cores: int) -> I64:
        """Return the synaptic words that each core read, changed and wrote in these chip steps, int64 [steps, cores]."""
        rows = np.array(self._touched, np.int64).reshape(-1, 4)
        rows = rows[(rows[:, 0] >= steps.start) & (rows[:, 0] < steps.stop)]
        out = np.zeros((len(steps), n_cores + 1), np.int64)
        shared = rows[:, 2] == _SHARED
        known = rows[~shared]
        np.add.at(out, (known[:, 0] - steps.start, known[:, 2]), known[:, 3])
        for step, population, _, n in rows[shared].tolist():
            each = np.zeros(self.n_populations, np.int64)
            each[population] = n
            out[step - steps.start] += _by_core(each, cores, sizes, n_cores)
        return out[:, :n_cores]

    def forget(self, steps: range) -> dict[str, I64]:
        """Return the operations of each of these steps, the last ones done, by counter; let go of what is of single steps."""
        out = {}
        for name, by_step in self._by_step.items():
            out[name] = np.zeros(len(steps), np.int64)
            at = np.fromiter(by_step.keys(), np.int64, len(by_step)) - steps.start
            out[name][at] = np.fromiter(by_step.values(), np.int64, len(by_step))
            by_step.clear()
        del self._touched[:]
        return out

    def state(self) -> dict[str, I64]:
        """Return all that a resumed run needs."""
        out = {}
        for name, v in self._by_population.items():
            steps = self._by_step[name]
            out[f"{name}.population"] = v.copy()
            out[f"{name}.step"] = np.array([list(steps), list(steps.values())], np.int64).reshape(2, -1)
            on = self._on_core[name]
            out[f"{name}.core"] = np.array([(*key, n) for key, n in on.items()], np.int64).reshape(-1, 3)
        out["touched.rows"] = np.array(self._touched, np.int64)
        return out

    def load(self, state: dict[str, I64]) -> None:
        """Continue from `state`."""
        for key, v in state.items():
            name, kind = key.rsplit(".", 1)
            if kind == "population":
                self._by_population[name] = v.copy()
            elif kind == "core":
                self._on_core[name] = defaultdict(int, {(int(p), int(c)): int(n) for p, c, n in v})
            elif kind == "rows":
                self._touched = array("q", v.tolist())
            else:
                self._by_step[name] = defaultdict(int, {int(s): int(n) for s, n in v.T})


def _by_core(by_population: I64, cores: I32, sizes: Sequence[int], n_cores: int) -> I64:
    """Share exact integers: whole parts first, the rest one by one to the cores with the most neurons."""
    out = np.zeros(n_cores + 1, np.int64)
    start = 0
    for size, total in zip(sizes, by_population, strict=True):
        used, neurons = np.unique(cores[start : start + size], return_counts=True)
        start += size
        share = total * neurons // size
        share[np.argsort(-neurons, kind="stable")[: total - share.sum()]] += 1
        np.add.at(out, used, share)
    return out

"""Operations of learning, counted as they happen; they become `learn_*` counters of an `Activity`.

Names (one unit each; ``rmw``: a stored word read, changed and written):
``learn_trace_rmw`` synaptic eligibility words, ``learn_trace_mac`` their multiply-accumulates, ``learn_carry_mac`` block
propagators, ``learn_sweep_mac`` backward sweep, ``learn_events`` synaptic events replayed (an add each, a MAC for graded
inputs), ``learn_history_write`` / ``learn_history_read`` history words, ``learn_lut`` table look-ups, ``learn_weight_mac``
gradient sums (delta x trace), ``learn_weight_updates`` weights written,
``learn_neuron_word_updates`` biases and skip weights written, ``learn_optimiser_rmw``, ``learn_optimiser_mac``,
``learn_random`` 16-bit random numbers, ``learn_error_words`` graded error words sent, ``learn_error_mac`` third factor,
``learn_error_messages`` graded words between layers (filt-Win), ``learn_stdp_rmw`` pre/post traces, ``learn_stdp_events``
synaptic STDP words changed, ``learn_feature_rmw`` traces that the readout learns from, ``learn_prune_ops``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simulator.activity import Count

I64 = npt.NDArray[np.int64]


class LearnCounts:
    """Counters by kind, chip step and population."""

    def __init__(self, n_populations: int) -> None:
        self.n_populations = n_populations
        self._step = 0
        self._by_population: dict[str, I64] = defaultdict(lambda: np.zeros(n_populations, np.int64))
        self._by_step: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))

    def at(self, step: int) -> None:
        """All that follows happens in this chip step."""
        self._step = step

    def add(self, name: str, population: int, n: int) -> None:
        """Count `n` operations of a kind at a population's cores."""
        if n:
            self._by_population[f"learn_{name}"][population] += n
            self._by_step[f"learn_{name}"][self._step] += n

    def total(self, name: str) -> int:
        """Total of a counter (``learn_...``)."""
        return int(self._by_population[name].sum()) if name in self._by_population else 0

    def totals(self) -> dict[str, int]:
        """All totals by name."""
        return {name: int(v.sum()) for name, v in sorted(self._by_population.items())}

    def counts(self, steps: int, cores: npt.NDArray[np.int32], sizes: Sequence[int], n_cores: int) -> dict[str, Count]:
        """As counters of an `Activity`; a population's operations are shared out to its cores by their neurons."""
        out = {}
        for name, by_population in self._by_population.items():
            by_step = np.zeros(steps, np.int64)
            for step, n in self._by_step[name].items():
                by_step[step] += n
            out[name] = Count(_by_core(by_population, cores, sizes, n_cores), by_step, by_population.copy())
        return out

    def state(self) -> dict[str, npt.NDArray[np.int64]]:
        """All that a resumed run needs."""
        out = {}
        for name, v in self._by_population.items():
            steps = self._by_step[name]
            out[f"{name}.population"] = v.copy()
            out[f"{name}.step"] = np.array([list(steps), list(steps.values())], np.int64).reshape(2, -1)
        return out

    def load(self, state: dict[str, npt.NDArray[np.int64]]) -> None:
        """Continue from `state`."""
        for key, v in state.items():
            name, kind = key.rsplit(".", 1)
            if kind == "population":
                self._by_population[name] = v.copy()
            else:
                self._by_step[name] = defaultdict(int, {int(s): int(n) for s, n in v.T})


def _by_core(by_population: I64, cores: npt.NDArray[np.int32], sizes: Sequence[int], n_cores: int) -> I64:
    """Exact integer shares: whole parts first, the rest one by one to the cores with the most neurons."""
    out = np.zeros(n_cores + 1, np.int64)
    start = 0
    for size, total in zip(sizes, by_population, strict=True):
        used, neurons = np.unique(cores[start : start + size], return_counts=True)
        start += size
        share = total * neurons // size
        share[np.argsort(-neurons, kind="stable")[: total - share.sum()]] += 1
        np.add.at(out, used, share)
    return out

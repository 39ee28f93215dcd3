"""Third factors of a rule file: what the host and the neurons make of a step, as words of 8 bits.

The error is made from the scores of the step by the host, as in `simulator.plasticity.rules.third_factor`; it meets the traces of
the step in which it arrives, one step for each layer later than the spikes that caused it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from simulator.base.arrays import I32, I64, Bools, Floats
from simulator.base.errors import InputError
from simulator.base.random import random_word
from simulator.function.layout import Cells, Synapses
from simulator.function.simulation import Simulation
from simulator.plasticity.rules.product_hook import FACTOR_MAX, ProductLearning, sent_in
from simulator.plasticity.rules.rule_file import LOCAL, FactorText
from simulator.plasticity.rules.third_factor import softmax

_SIGNS = 0x51  # stream of the random signs
_MEAN = 0.99  # of the expected reward
_THRESHOLDS = ("theta", "vth", "threshold")
_POTENTIALS = ("V", "v", "y")
_RAISED = (("a", "jump"), ("A", "beta"))  # the raised part of a threshold, and what a spike adds


class Answer(NamedTuple):
    """Answer at a labelled step: scores [C], label, whether it is the last of its sample."""

    scores: Floats
    label: int
    last: bool


@dataclass(eq=False)
class Factors:
    """Makes the third factors of all projections that learn.

    Attributes:
        simulation: that runs.
        learning: its projections.
        readout: the population whose scores are judged.
        seed: of random signs.
        expected: running mean of the reward.
        critic: the same of each label.
    """

    simulation: Simulation
    learning: list[ProductLearning]
    readout: str
    seed: int
    expected: float = 0.0
    critic: dict[int, float] = field(default_factory=dict)
    _highest: dict[int, I32] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find what each third factor is made of, before anything is learnt."""
        for each in self.learning:
            for factor in each.rule.factors.values():
                if factor.of in ("slope", "peak"):
                    self._potential_row(each.target)
                if factor.of == "slope":
                    self._threshold(each.target)
                elif factor.of == "error" and each.target.name != self.readout:
                    self._weights_back(each.target)

    def reset(self) -> None:
        """Begin a new sample."""
        self._highest.clear()

    def make(self, answer: Answer | None) -> None:
        """Write the third factors of the step that was just done."""
        wanted = {f.of for each in self.learning for f in each.rule.factors.values()}
        for each in self.learning:
            for k, factor in each.rule.factors.items():
                local = factor.of in LOCAL
                if local or (answer is not None and (factor.at == "label" or answer.last)):
                    each.raw[k] = self._value(each, factor, answer)
                    self._count(each, factor.of)
        if answer is not None and wanted & {"reward", "surprise", "critic"}:
            right = int(answer.scores.argmax()) == answer.label
            self.expected = _MEAN * self.expected + (1 - _MEAN) * right
            self.critic[answer.label] = _MEAN * self.critic.get(answer.label, 0.0) + (1 - _MEAN) * right

    def _value(self, each: ProductLearning, factor: FactorText, answer: Answer | None) -> I32 | int:
        of = factor.of
        if of == "spikes":
            return self._heard(factor.population, factor.neuron)
        if of == "slope":
            return self._slope(each.target)
        if of == "peak":
            return self._peak(each)
        assert answer is not None
        right = int(answer.scores.argmax()) == answer.label
        if of == "reward":
            return 1 if right else -1
        if of == "surprise":
            return round(64 * (right - self.expected))
        if of == "critic":
            return round(64 * (right - self.critic.get(answer.label, 0.0)))
        one = np.zeros(answer.scores.size)
        one[answer.label] = 1.0
        scores = self._own_scores(each.target, one.size) if of == "local_error" else answer.scores
        word = one - softmax(scores) if of.endswith("error") else one
        return self._spread(each, word, of)

    def _own_scores(self, cell: Cells, classes: int) -> Floats:
        """Return the scores of a hidden layer's own fixed readout: its signs over the root of its size."""
        if cell.name == self.readout:
            raise InputError("third factor local_error", "is of a hidden layer, not of the readout", "Take error")
        scores: Floats = sent_in(self.simulation, cell.first, cell.size) @ signs(self.seed, cell.size, classes)
        return np.asarray(scores / cell.size**0.5)

    def _heard(self, population: str, neuron: int | None) -> int:
        """Return what a neuron of a population sent in the step, or all of them in sum; a word of 8 bits."""
        cell = next(c for c in self.simulation.layout.cells if c.name == population)
        sent = sent_in(self.simulation, cell.first, cell.size)
        if neuron is not None:
            sent = sent[neuron : neuron + 1]
        return int(np.clip(sent.sum(), -FACTOR_MAX, FACTOR_MAX))

    def _spread(self, each: ProductLearning, word: Floats, of: str) -> I32:
        """Bring a word for each class to the target's neurons: its own, through the readout's weights, or random signs."""
        if each.target.name == self.readout:
            return np.round(word * (1 if of.endswith("label") else FACTOR_MAX)).astype(np.int32)
        if of.startswith(("random", "local")):
            back = signs(self.seed, each.target.size, word.size)
        else:
            back = self._back(each.target, word.size)
        value = back @ word * FACTOR_MAX
        return np.clip(np.round(value), -FACTOR_MAX, FACTOR_MAX).astype(np.int32)

    def _back(self, cell: Cells, classes: int) -> Floats:
        """Return the weights from a population to the readout, [n, C], in units of their bound."""
        s = self._weights_back(cell)
        out = np.zeros((cell.size, classes))
        out[np.repeat(np.arange(cell.size), np.diff(s.indptr)), s.first + s.indices.astype(np.int64)] = s.weights
        return out / 128.0

    def _weights_back(self, cell: Cells) -> Synapses:
        layout = self.simulation.layout
        for s in layout.synapses:
            if layout.cells[s.source] is cell and layout.cells[s.target].name == self.readout:
                return s
        raise InputError(
            f"third factor of {cell.name!r}",
            f"is the error, and no weights lead from there to {self.readout!r}",
            "Take random_error",
        )

    def _potential(self, cell: Cells) -> I64:
        """Return the potential of each neuron before a soft reset."""
        k = self.simulation.layout.cells.index(cell)
        v: I64 = self.simulation.state.words[k][self._potential_row(cell)].astype(np.int64)
        if not any(w.name in _THRESHOLDS for w in cell.model.params):  # a readout: it never spikes
            return v
        return np.asarray(v + self._reached(cell) * self._fired(cell))

    def _fired(self, cell: Cells) -> Bools:
        return np.asarray(sent_in(self.simulation, cell.first, cell.size) != 0)

    def _potential_row(self, cell: Cells) -> int:
        return _found(_POTENTIALS, [w.name for w in cell.model.states], cell, "potential")

    def _threshold(self, cell: Cells) -> I64:
        row = _found(_THRESHOLDS, [w.name for w in cell.model.params], cell, "threshold")
        return np.broadcast_to(np.asarray(cell.params[row], np.int64), cell.size)

    def _reached(self, cell: Cells) -> I64:
        """Return the threshold that the potential was held against: with its raised part, less what the spike itself added."""
        theta, states = self._threshold(cell), [w.name for w in cell.model.states]
        if not cell.model.traits.adaptive:
            return theta
        raised, jump = next(pair for pair in _RAISED if pair[0] in states)
        k, row = self.simulation.layout.cells.index(cell), [w.name for w in cell.model.params].index(jump)
        now = self.simulation.state.words[k][states.index(raised)].astype(np.int64)
        return np.asarray(theta + now - np.asarray(cell.params[row], np.int64) * self._fired(cell))

    def _slope(self, cell: Cells) -> I32:
        v, theta = self._potential(cell), self._threshold(cell)
        slope = FACTOR_MAX * np.maximum(0, theta - np.abs(v - self._reached(cell))) // np.maximum(theta, 1)
        return np.asarray(slope, np.int32)

    def _peak(self, each: ProductLearning) -> I32:
        v = self._potential(each.target)
        before = self._highest.setdefault(id(each), np.full(v.size, -(2**62), np.int64))
        higher = v > before
        np.maximum(before, v, out=before)
        return higher.astype(np.int32)

    def _count(self, each: ProductLearning, of: str) -> None:
        target = each.synapses.target
        if of == "spikes":
            each.counts.add("error_words", target, 1)
            return
        if of in ("slope", "peak"):
            each.counts.add("lut", target, each.target.size)
            return
        label, hidden = of.endswith("label"), each.target.name != self.readout
        classes = next(c.size for c in self.simulation.layout.cells if c.name == self.readout)
        scalar = of in ("reward", "surprise", "critic")
        own = of == "local_error"  # the label alone comes from outside
        each.counts.add("error_words", target, 1 if scalar or label or own else classes)
        if hidden and not scalar:
            each.counts.add("error_mac", target, each.target.size * (1 if label else classes))
        if own:
            each.counts.add("error_mac", target, classes * int(self._fired(each.target).sum()))
            each.counts.add("lut", target, classes)


def _found(wanted: Sequence[str], words: Sequence[str], cell: Cells, what: str) -> int:
    """Return the place of the first wanted word among those of a neuron."""
    for name in wanted:
        if name in words:
            return words.index(name)
    raise InputError(
        f"third factor of {cell.name!r}", f"needs a {what}, and {cell.model.name} has none", "Take another"
    )


def signs(seed: int, neurons: int, classes: int) -> Floats:
    """Return fixed random signs [neurons, classes], each by its own counter."""
    bits = [[int(random_word(seed, c, n, _SIGNS)) & 1 for c in range(classes)] for n in range(neurons)]
    return 2.0 * np.array(bits) - 1.0

"""The learning net: forward steps, error, late visits and updates in the chip's time, one sample after another.

With L layers, layer l does model step tau at chip step tau + l, the readout has its scores of tau at tau + R, R = L + 1, and
the C error words broadcast then arrive everywhere at tau + R + 1. Layer L visits tau at that step; with filt-Win the message of
layer l + 1 arrives one step later, so layer l visits tau at tau + R + 1 + (L - l); with `direct` all visit it at once. Updates
take effect at the end of the chip step: spikes of the next step go through the new weights (a spike of step t is multiplied
in step t and arrives at t + 1). A sample of T steps takes T + R + 1 + (L - 1) chip steps. Traces and state are reset between
samples; the optimiser's words are not. An s6 layer takes two steps (layer l does tau at tau + 2 l, R = 2 L + 1), and the sums
that its sweep sends to the neurons of B and C arrive a step later: a sample takes one more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulator.base.arrays import I64, Array, Floats
from simulator.base.errors import FitError, InputError
from simulator.plasticity.config import LearnConfig
from simulator.plasticity.forward import ChipForward, WideForward
from simulator.plasticity.layers.diag import LayerLearner
from simulator.plasticity.layers.net import Layer, Net, filled, learning_net, live_synapses
from simulator.plasticity.layers.parts import Part, parts_of
from simulator.plasticity.layers.readout import ReadoutLearner
from simulator.plasticity.layers.s6 import S6Learner, SharedLearner
from simulator.plasticity.rules.third_factor import error, softmax, through_layer
from simulator.plasticity.words.counts import LearnCounts
from simulator.plasticity.words.words import narrow, wide, widths
from simulator.program.program import Program

Moments = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class SampleResult:
    """Result of one sample: mean cross-entropy of the labelled steps, scores [T, C], spikes of each layer."""

    loss: float
    scores: Floats
    spikes: tuple[int, ...]


class Learner:
    """A net that learns, batch 1.

    Args:
        program: integer and prepared (see `prepare`), or a float program for wide words.
        config: of the learning, with binary points for chip words.
        seed: of stochastic rounding.
        timed: note what `simulator.plasticity.timing` needs to time it afterwards.
    """

    def __init__(self, program: Program, config: LearnConfig, seed: int = 0, timed: bool = False) -> None:
        self.program, self.config, self.seed = program, config, seed
        self.net = learning_net(program)
        _check(program, self.net, config)
        self.counts = LearnCounts(len(program.populations))
        self.forward = WideForward(program, self.net) if config.wide else self._chip(program)
        if timed and isinstance(self.forward, ChipForward):
            self.forward.active = []
        self.depth = len(self.net.layers)
        self.answer = self.net.readout.layer  # chip steps from a model step to its scores
        self._number = {p.name: k for k, p in enumerate(program.populations)}
        self._keys = len(program.projections)  # of random numbers: projections, then biases
        self.layers = [self._layer(k, layer) for k, layer in enumerate(self.net.layers)]
        self.shared = [self._shared(each) for each in self.layers if isinstance(each, S6Learner)]
        self._mask()
        name = self.net.readout.name
        self.readout = ReadoutLearner(
            self.net, self._parts(name), self._number[name], self.forward, config, _moments(config, name), self.counts, seed,
            self._keys,
        )  # fmt: skip
        self.steps_done, self.samples, self.learnt, self.lr = 0, 0, 0, config.lr
        self._gain = [np.zeros(layer.h) for layer in self.layers]
        self._reach = 2 + max(g.delay for layer in self.net.layers for g in layer.groups)

    def _layer(self, k: int, layer: Layer) -> LayerLearner:
        name, config = layer.population.name, self.config
        if config.learn_a_log and not layer.states:
            raise FitError(
                f"population {name!r}", "takes its decay from one table (a = 1), so its A_log cannot learn",
                "Learn without learn_a_log",
            )  # fmt: skip
        kind = S6Learner if layer.states else LayerLearner
        learner = kind(
            layer, self._parts(name), k, self._number[name], self.forward, config, self._lag(k), _table(config, name),
            _moments(config, name), self.counts, self.seed, self._keys,
        )  # fmt: skip
        self._keys += len(learner.bias_names)
        return learner

    def _shared(self, of: S6Learner) -> SharedLearner:
        learner = SharedLearner(
            of, self._parts(of.shared_name), self._number[of.shared_name], self.forward, self.config,
            _moments(self.config, of.shared_name), self.counts, self.seed, self._keys,
        )  # fmt: skip
        self._keys += 1
        return learner

    @property
    def hidden(self) -> list[LayerLearner | SharedLearner]:
        """Layers with weight matrices below the readout's."""
        return [*self.layers, *self.shared]

    def _parts(self, population: str) -> tuple[Part, ...]:
        first = self.program.first_ids()[population]
        return parts_of(self.program.core[first : first + self.program.population(population).size])

    def _mask(self) -> None:
        """Prune synapses that a prepared program does not hold."""
        for learner in self.layers:
            for group in learner.layer.groups:
                for p, k in enumerate(group.projections):
                    if self.program.projections[k].plastic:
                        learner.live[p, group.start : group.start + group.size] = live_synapses(self.program, k)
        for shared in self.shared:
            for group in shared.of.layer.groups:
                if self.program.projections[group.shared].plastic:
                    live = live_synapses(self.program, group.shared)
                    shared.live[0, group.start : group.start + group.size] = live

    def _lag(self, k: int) -> int:
        """Return the chip steps from layer k's (0-based) model step to its late visit."""
        below = self.depth - 1 - k
        number = self.net.layers[k].number
        return self.net.readout.layer + 1 - number + (below if self.config.credit == "filt-win" else 0)

    def chip_steps(self, steps: int) -> int:
        """Return the chip steps of a sample of `steps` steps."""
        deeper = self.depth - 1 if self.config.credit == "filt-win" else 0
        return steps + self.answer + 1 + deeper + bool(self.shared)

    def sample(self, x: Array, labels: I64, learn: bool = True) -> SampleResult:
        """Present one sample and learn from it.

        Args:
            x: [T, n_in], integer payloads (wide words: real values).
            labels: [T], the class of each labelled step, -1 elsewhere.
            learn: False: only look.

        Raises:
            InputError: shapes or labels that do not fit.
        """
        self._check(x, labels)
        steps = len(x)
        for layer in self.layers:
            layer.begin(steps)
        self.readout.begin(steps)
        for shared in self.shared:
            shared.begin()
        self._x, self._labels, self._learn = x, labels, learn
        self._scores = np.zeros((steps, self.net.readout.size))
        self._errors: dict[int, Floats] = {}
        self._loss = np.zeros(2)
        self._sent: dict[str, Floats] = {}
        for p in self.program.populations:
            self._sent[p.name] = np.zeros((self._reach, p.size))
        self._spikes = [0] * self.depth
        self._drive(x, self.chip_steps(steps))
        self.steps_done += self.chip_steps(steps)
        self.samples += 1
        self.learnt += learn
        if learn and self.config.prune_target and self.learnt % self.config.prune_every == 0:
            for hidden in self.hidden:
                hidden.prune()
        return SampleResult(float(self._loss[0] / max(self._loss[1], 1)), self._scores, tuple(self._spikes))

    def _chip(self, program: Program) -> ChipForward:
        formats, unit = binary_points(program)
        return ChipForward(filled(program, self.net), self.net, formats, unit, self.seed)

    def _drive(self, x: Array, steps: int) -> None:
        """Drive the net's own steps, with `_after` behind each."""
        self.forward.run(x, steps, lambda c: None, self._after)

    def _check(self, x: Array, labels: I64) -> None:
        n_in = self.program.populations[0].size
        if x.ndim != 2 or x.shape[1] != n_in or not len(x):
            raise InputError("sample", f"has shape {x.shape}", f"Needs [steps, {n_in}] with at least one step")
        if labels.shape != (len(x),):
            raise InputError(
                "labels", f"have shape {labels.shape}, not ({len(x)},)", "Give -1 where a step has no label"
            )
        if labels.size and not -1 <= int(labels.min()) <= int(labels.max()) < self.net.readout.size:
            raise InputError(
                "labels", f"hold {int(labels.min())}..{int(labels.max())}; classes are 0..{self.net.readout.size - 1}"
            )

    def _after(self, c: int) -> None:
        self.counts.at(self.steps_done + c)
        self._observe(c)
        self._count_spikes(c)
        self._score(c)
        if self._learn:
            self._third_factor(c)
            self._visits(c)
        self._remember(c)

    def _remember(self, c: int) -> None:
        """Keep what was sent in this step; it arrives later."""
        for p in self.program.populations:
            self._sent[p.name][c % self._reach] = self.forward.sent(p.name)

    def _observe(self, c: int) -> None:
        """Let each layer that did a model step of the sample keep it, with what arrived for it."""
        for learner in self.layers:
            tau = c - learner.layer.number
            if self._learn and 0 <= tau < len(self._x):
                learner.observe(tau, self._arrived(learner, c))

    def _count_spikes(self, c: int) -> None:
        for k, learner in enumerate(self.layers):
            tau = c - learner.layer.number
            if not self._learn:
                self._spikes[k] += int(np.count_nonzero(self.forward.sent(learner.layer.population.name)))
            elif 0 <= tau < len(self._x):
                self._spikes[k] += int(learner.spikes[tau % learner.ring].sum())

    def _arrived(self, learner: LayerLearner, c: int) -> Floats:
        """Return what a layer's input lines brought in chip step c."""
        u = np.zeros(learner.m1 - 1)
        for g in learner.layer.groups:
            if c - 1 - g.delay >= 0:
                u[g.start : g.start + g.size] = self._sent[g.source][(c - 1 - g.delay) % self._reach]
        return u

    def _score(self, c: int) -> None:
        """Compute the readout's scores of a step, and the error words that it sends."""
        tau = c - self.answer
        if not 0 <= tau < len(self._x):
            return
        o = self.forward.scores()
        self._scores[tau] = o
        label = int(self._labels[tau])
        if label < 0:
            return
        self._loss += (-np.log(max(softmax(o)[label], 1e-300)), 1)
        if self._learn:
            cfg = self.config
            self._errors[tau] = error(o, label, cfg.error_at, 0 if cfg.wide else cfg.error_bits)
            core = self.readout.parts[0].core
            self.counts.add("error_words", self.readout.population, o.size, core)
            if cfg.error_at == "core":
                self.counts.add("lut", self.readout.population, o.size, core)

    def _third_factor(self, c: int) -> None:
        """Make the error that arrives now each layer's direct part; add the messages of upper layers."""
        for k, learner in enumerate(self.layers):
            for part in learner.parts:
                self.direct_error(k, part, c)
        for k in range(self.depth - 1, 0, -1):
            for part in self.layers[k].parts:
                self.send_message(k, part, c)
            for part in self.layers[k - 1].parts:
                self.take_message(k - 1, part, c)

    def direct_error(self, k: int, part: Part, c: int) -> None:
        """Take, at a core of layer k, the error words that arrive now, through its copies of the readout's weights."""
        tau = c - self.answer - 1
        if tau in self._errors:
            learner = self.layers[k]
            back = self.readout.back(k, self._errors[tau], part.columns)
            learner.set_delta(tau, back if back.size else np.zeros(part.size), mine=part.columns)
            self.counts.add("error_mac", learner.population, back.size * self._errors[tau].size, part.core)

    def send_message(self, k: int, part: Part, c: int) -> None:
        """Send, at a core of layer k (filt-Win), the words psi delta of the step that it visits now to the layer below."""
        upper, tau = self.layers[k], self.visited(k, c)
        if k and self.config.credit == "filt-win" and tau in self._errors:
            gain = upper.message_gain(tau, part.columns)
            self._gain[k][part.columns] = gain
            self.counts.add("error_messages", upper.population, int(np.count_nonzero(gain)), part.core)

    def take_message(self, k: int, part: Part, c: int) -> None:
        """Take, at a core of layer k (filt-Win), words from the layer above, through its copies of that layer's input weights."""
        if k + 1 == self.depth or self.config.credit != "filt-win":
            return
        upper, lower, tau = self.layers[k + 1], self.layers[k], self.visited(k + 1, c)
        if tau in self._errors:
            group = next(g for g in upper.layer.groups if g.source == lower.layer.population.name)
            p, gain = group.projections[0], self._gain[k + 1]
            w = self.forward.weights[p][part.columns] * self.forward.units[p]
            lower.set_delta(tau, through_layer(w, gain, np.ones(gain.size)), add=True, mine=part.columns)
            self.counts.add("error_mac", lower.population, int(np.count_nonzero(gain)) * part.size, part.core)

    def visited(self, k: int, c: int) -> int:
        """Return the model step that layer k (0-based) visits in chip step c."""
        return c - self.layers[k].layer.number - self.layers[k].lag

    def _visits(self, c: int) -> None:
        """Make late visits, then the updates that are due (all visits of a step see the weights of its start)."""
        due: list[LayerLearner | SharedLearner | ReadoutLearner] = []
        for shared in self.shared:
            shared.take()
            for part in shared.parts:
                shared.visit_part(part)
            due += [shared] if shared.due else []
        for learner in self.layers:
            tau = self.visited(learner.index, c)
            if 0 <= tau < len(self._x) and self.config.hidden and learner.visit(tau, tau in self._errors):
                due.append(learner)
        tau = c - self.answer - 1
        if 0 <= tau < len(self._x) and self.readout.visit(tau, self._errors.get(tau), self.layers):
            due.append(self.readout)
        for each in due:
            each.update(self.lr)
        if due:
            self.forward.biases_changed()


def _check(program: Program, net: Net, config: LearnConfig) -> None:
    if config.wide and any(np.issubdtype(q.weights.dtype, np.integer) for q in program.projections):
        raise InputError(
            "learning: words", "are wide (float64), and the program computes in integers",
            "Take words=chip, or give a float program (simulator.plasticity.learn)",
        )  # fmt: skip
    for layer, head in zip(net.layers, net.from_layer, strict=True):
        if config.credit == "direct" and config.gradient and head is None:
            raise InputError(
                "credit 'direct'", f"brings no error to {layer.population.name!r}, which the readout does not read",
                "Take filt-win, or train with dense_readout",
            )  # fmt: skip


def binary_points(program: Program) -> tuple[Mapping[str, Mapping[str, int]], float]:
    """Return binary points of a program's states as the compiler noted them, and the value of an input payload of 1.

    Raises:
        InputError: it does not say them.
    """
    meta = program.meta
    if "formats" not in meta:
        raise InputError("program", "does not say the binary points of its states", "Compile it again: bimhw compile")
    return meta["formats"], float(meta["input"]["scale"])


def _table(config: LearnConfig, population: str) -> Floats:
    if config.wide or population not in config.fracs:
        return wide()
    bits = widths(config.trace_bits, config.history_bits, config.adjoint_bits, config.accumulator_bits)
    return narrow({k: f for k, f in config.fracs[population].items() if k in bits}, bits)


def _moments(config: LearnConfig, population: str) -> dict[str, float]:
    """Return the values of the smallest second-moment word by row, stored beside the words' binary points as ``v_<row>``."""
    fracs = config.fracs.get(population, {})
    return {k.removeprefix("v_"): 2.0**-f for k, f in fracs.items() if k.startswith("v_")}

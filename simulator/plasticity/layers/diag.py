"""One BIM-D layer that learns: its history, traces or propagators, gradient sums and update.

Everything is addressed by the model's step tau; layer l does at chip step tau + l what the model does at tau, and the error of
tau reaches it later, so the history keeps tau until then. The forms (`simulator.plasticity.kinds.diag`)
differ only in what they do at the late visit. What a step does to the
neurons of one core is a method with a `Part`; the methods without do all parts, one after another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.base.arrays import U64, Floats
from simulator.base.errors import InputError
from simulator.base.random import STREAM_ELIGIBILITY
from simulator.plasticity.config import LearnConfig
from simulator.plasticity.forms.base import C_D, PARTS_OF
from simulator.plasticity.forms.record import R_S, R_V, SURROGATES, history_words
from simulator.plasticity.forward import Forward
from simulator.plasticity.layers.net import Layer
from simulator.plasticity.layers.parts import Part
from simulator.plasticity.layers.update import Block, Row, bias_block
from simulator.plasticity.methods import chip_form
from simulator.plasticity.operations import HISTORY_WORDS, KERNEL_OPERATIONS
from simulator.plasticity.rules.pruning import Pruner
from simulator.plasticity.rules.stdp import balanced_a_minus, stdp_step
from simulator.plasticity.words.counts import LearnCounts
from simulator.plasticity.words.words import H_C, H_DELTA, H_PSI, K_FEATURE, K_TRACE, LSB, put_all


@dataclass(frozen=True)
class Visit:
    """A late visit: model step, whether it carries an error, and the reach of the sweep that is due (0: none)."""

    tau: int
    labelled: bool
    fresh: int
    reach: int


class LayerLearner:
    """Learning state of one layer (BIM-D; of s6: `s6_layer.S6Learner`).

    Args:
        layer: the layer.
        parts: its neurons by core.
        index: 0-based.
        population: number of its population in the program.
        forward: the running net.
        config: of the learning.
        lag: chip steps from a neuron's step to the arrival of its error.
        words: word table; updated with saturations and peaks.
        moments: value of the smallest second-moment word by row name (chip words).
        counts: where operations are counted.
        seed: of stochastic rounding.
        keys: first random-number key of its bias rows.
    """

    ports: tuple[str, ...] = ("in", "d", "c")
    bias_names: tuple[str, ...] = ("b_z", "b_d", "b_c", "D")

    def __init__(
        self, layer: Layer, parts: tuple[Part, ...], index: int, population: int, forward: Forward, config: LearnConfig,
        lag: int, words: Floats, moments: dict[str, float], counts: LearnCounts, seed: int, keys: int,
    ) -> None:  # fmt: skip
        self.parts, self.seed = parts, seed
        self.layer, self.index, self.population, self.forward = layer, index, population, forward
        self.config, self.lag, self.words, self.counts = config, lag, words, counts
        self.m1, self.h = layer.lines + 1, layer.size
        self.costs, self.form = KERNEL_OPERATIONS[layer.psp], chip_form(config.form)
        self.const = forward.constants(index)
        self.theta, self.a = forward.theta_and_a(index)
        self.hard = bool(np.any(layer.population.params["hard"]))
        self.live = np.ones((len(self.ports), self.m1, self.h), np.uint8)
        self.record = np.zeros((self.record_rows, self.h))
        self.decay = np.array([np.exp(-1 / config.tau_plus), np.exp(-1 / config.tau_minus)])
        a_minus = config.a_minus or balanced_a_minus(config.a_plus, config.tau_plus, config.tau_minus)
        self.amplitude = np.array([config.a_plus, a_minus])
        self.rows = self._rows(moments, seed, keys)
        used = [K_TRACE + 5 * p + part for p in range(3) for part in PARTS_OF[layer.psp] if p < 2 or part]
        self.fast = config.gradient and self.form.narrow and bool(words[LSB, used].all())
        if config.trace_rounding == "stochastic" and words[LSB].any() and config.gradient and not self.fast:
            raise InputError(
                f"population {layer.population.name!r}", "has traces that calibration never saw, so they have no unit",
                "Calibrate with more samples, or round traces to nearest",
            )  # fmt: skip
        self.updates, self.labelled, self.samples = 0, 0, -1  # labelled: steps since the last update
        self._kappa: tuple[int, float] = (-1, 0.0)  # of which update
        self.g, self.omega = np.zeros((4, self.m1, self.h)), np.zeros((self.m1 - 1, self.h))
        self.reached = np.zeros(self.h, bool)  # by a third factor other than 0 since the last update
        self.pruners = self._pruners(seed)
        self.begin(1)

    @property
    def record_rows(self) -> int:
        """Rows of the record of a step."""
        return 8

    @property
    def history_rows(self) -> int:
        """Rows of the history of a step."""
        return 8

    @property
    def history_words(self) -> int:
        """History words that a neuron keeps of a step."""
        return HISTORY_WORDS

    def _pruners(self, seed: int) -> dict[int, Pruner]:
        c = self.config
        keys = [k for group in self.layer.groups for k in group.projections]
        return {k: Pruner(c.prune_target, c.prune_mode, k, seed) for k in keys} if c.prune_target else {}

    def prune(self) -> None:
        """Call the pruning controller of each matrix once."""
        for port in self.ports:
            for b in self.rows[port].blocks:
                if b.key in self.pruners:
                    looked = self.pruners[b.key].call(b.weights, b.live, float(np.mean(b.unit)))
                    self.counts.add("prune_ops", self.population, looked)

    def _rows(self, moments: dict[str, float], seed: int, keys: int) -> dict[str, Row]:
        c, rows = self.config, {}
        for p, port in enumerate(self.ports):
            blocks = []
            for group in self.layer.groups:
                k = group.projections[p]
                live = self.live[p, group.start : group.start + group.size]
                limit = c.bound("zdc"[p]) if c.wide else 2 ** (c.weight_bits - 1) - 1
                blocks.append(Block(self.forward.weights[k], live, self.forward.units[k], limit, k))
            rows[port] = Row(blocks, c, seed, moments.get(port, 0.0))
        for p, name in enumerate(self.bias_names):
            each = bias_block(self.forward, self.layer.population.name, name, self._limit(name), keys + p)
            rows[name] = Row([each], c, seed, moments.get(name, 0.0))
        return rows

    def _limit(self, name: str) -> float:
        """Return the largest stored value of a bias word (wide words: largest value)."""
        return np.inf if self.config.wide else 2 ** (15 if name == "D" else 23) - 1

    def reload(self) -> None:
        """Read again what other words hold copies of (after a checkpoint)."""
        view, unit = self.forward.bias(self.layer.population.name, "D")
        self.const[C_D] = view * (unit or 1.0)

    def begin(self, steps: int) -> None:
        """Begin a sample of `steps` steps: empty history, traces 0."""
        c = self.config
        self.steps = steps
        self.ring = max(self.form.kept(c, steps), 1) + self.lag + 2
        self.hist = np.zeros((self.ring, self.history_rows, self.h))
        self.events = np.zeros((self.ring, self.m1))
        self.touched = np.zeros(self.m1, bool)  # lines that carried something in this sample; all others' traces are 0
        self.touched[[0, -1]] = True
        self.spikes, self.features = np.zeros((self.ring, self.h)), np.zeros((self.ring, self.h))
        self.feature = np.zeros(self.h)
        traces = c.gradient and self.form.traces
        self.e = np.zeros((4, 5, self.m1, self.h)) if traces else np.zeros((4, 5, 1, 1))
        if self.fast:
            self.e = np.zeros((4, self.m1, 5, self.h))
        self.pre, self.post = np.zeros((len(self.parts), self.m1 - 1)), np.zeros(self.h)
        self.open = 0  # steps since the last sweep
        self.samples += 1
        self.s = np.broadcast_to(np.eye(5), (self.h, 5, 5)).copy()
        self.deferred = np.zeros((self.h, 5))

    def observe(self, tau: int, u: Floats) -> None:
        """Keep what learning will need of model step `tau`, which the layer has done with inputs u [M]."""
        self.arrive(tau, u)
        for part in self.parts:
            self.observe_part(part, tau)

    def arrive(self, tau: int, u: Floats) -> None:
        """Note the inputs of a model step; all cores of the layer got them."""
        self.events[tau % self.ring, :-1], self.events[tau % self.ring, -1] = u, 1.0
        self.touched[:-1] |= u != 0

    def observe_part(self, part: Part, tau: int) -> None:
        """Do what `observe` does at one core."""
        slot, c, mine = tau % self.ring, self.config, part.columns
        record = part.take(self.record)
        self.forward.record(self.index, record, mine)
        part.give(self.record, record)
        self.spikes[slot, mine] = record[R_S]
        k = self.const[6, 0]
        value = record[R_V] if self.layer.membrane else record[R_S]
        self.feature[mine] = k * self.feature[mine] + (1 - k) * value
        put_all(self.feature[mine], K_FEATURE, self.words)
        self.features[slot, mine] = self.feature[mine]
        self.counts.add("feature_rmw", self.population, part.size, part.core)
        if c.gradient:
            row = part.take(self.hist[slot])
            self._keep(record, part, slot, row)
            part.give(self.hist[slot], row)
            self.counts.add("history_write", self.population, self.history_words * part.size, part.core)
            self.counts.add("lut", self.population, part.size, part.core)

    def _keep(self, record: Floats, part: Part, slot: int, row: Floats) -> None:
        """Fill a core's history words of a step from its record."""
        c, mine = self.config, part.columns
        history_words(
            record, self.theta[mine], self.a[mine], self.hard, c.detach_reset, SURROGATES[c.surrogate],
            c.surrogate_width, row, self.words,
        )  # fmt: skip

    def set_delta(self, tau: int, delta: Floats, add: bool = False, mine: slice = slice(None)) -> None:
        """Set the third factor dL/dfeature of model step `tau` at some neurons (or add a part of it)."""
        row = self.hist[tau % self.ring, H_DELTA, mine]
        row[:] = row + delta if add else delta
        put_all(row, H_DELTA, self.words)

    def message_gain(self, tau: int, mine: slice = slice(None)) -> Floats:
        """Return psi delta of model step `tau` (readout on the membrane: (c + D) delta), what filt-Win sends down."""
        w = self.hist[tau % self.ring][:, mine]
        gain = w[H_C] + self.const[7, mine] if self.layer.membrane else w[H_PSI]
        return np.asarray(gain * w[H_DELTA])

    def visit(self, tau: int, labelled: bool) -> bool:
        """Make the late visit of model step `tau`, its error known; return True when an update is due."""
        visit, due = self.open_visit(tau, labelled)
        together = len(self.parts) > 1 and self.config.gradient and self.form.step_all is not None
        if together and self.form.step_all is not None:
            self.form.step_all(self, tau, labelled)
        for part in self.parts:
            self.visit_part(part, visit, stepped=together)
        return due

    def open_visit(self, tau: int, labelled: bool) -> tuple[Visit, bool]:
        """Count the step (as every core does for itself): what its visit is to do, and whether an update is due after it."""
        c, last = self.config, tau == self.steps - 1
        self.open += 1
        self.labelled += labelled
        due, fresh = last or (self.form.blocks and self.open >= c.block), self.open
        if due:
            self.open = 0
        sweeps = due and c.gradient and self.form.sweep is not None
        reach = fresh + (c.history if self.form.lookback else 0) if sweeps else 0
        return Visit(tau, labelled, fresh, reach), update_due(c, self.labelled, last, due, self.samples)

    def visit_part(self, part: Part, visit: Visit, stepped: bool = False) -> None:
        """Do what a late visit does at one core; its traces are `stepped` already where all cores' were at once."""
        if visit.labelled:
            self.reached[part.columns] |= self.hist[visit.tau % self.ring, H_DELTA, part.columns] != 0
        if self.config.stdp:
            self._stdp(part, visit.tau)
        if self.config.gradient:
            step = self.form.count_step if stepped else self.form.step
            if step is not None:
                step(self, part, visit.tau, visit.labelled)
        if visit.reach:
            self._sweep(part, visit)

    def count(self, name: str, part: Part, n: int) -> None:
        """Count operations of a kind at a core."""
        self.counts.add(name, self.population, n, part.core)

    def noise(self, part: Part) -> U64:
        """Return the keys of the rounding of a part's traces in this step."""
        stochastic = self.config.trace_rounding == "stochastic"
        stream = STREAM_ELIGIBILITY + 256 * 20 * self.index
        return np.array([stochastic, self.seed, self.counts.step, stream, part.lo], np.uint64)

    def _stdp(self, part: Part, tau: int) -> None:
        """Step STDP at a core: it holds the post-synaptic traces of its neurons, and pre-synaptic ones of all input lines."""
        slot, mine = tau % self.ring, part.columns
        omega, live = part.take(self.omega), part.take(self.live)
        pre = self.pre[self.parts.index(part)]
        rmw, written = stdp_step(
            self.events[slot, :-1], self.spikes[slot, mine], pre, self.post[mine], omega, live[0, :-1], self.decay,
            self.amplitude, self.config.pairing == "nearest", self.words,
        )  # fmt: skip
        part.give(self.omega, omega)
        self.count("stdp_rmw", part, rmw)
        self.count("stdp_events", part, written)

    def _sweep(self, part: Part, visit: Visit) -> None:
        if self.form.sweep is not None:
            self.form.sweep(self, part, visit)

    def update(self, lr: float) -> None:
        """Apply the gradient sums to weights and biases, and clear them."""
        for part in self.parts:
            self.update_part(part, lr)
        self.close_update()

    def update_part(self, part: Part, lr: float) -> None:
        """Do what an update does at one core."""
        c, number, mine = self.config, self.updates, part.columns
        on = self.reached[mine] if c.skip_zero else np.ones(part.size, bool)
        if c.stdp and self._kappa[0] != number:
            self._kappa = number, self.rows["in"].kappa(self.g[0, :-1], self.omega)
        for p, port in enumerate(self.ports):
            if not c.gradient and (p or not c.stdp):
                continue
            row, g = self.rows[port], self.g[p, :-1, mine]
            u = row.hybrid(g, self.omega[:, mine], self._kappa[1]) if p == 0 and c.stdp else c.share * g
            row.apply(u, part, lr, number, self.counts, self.population, None if p == 0 and c.stdp else on)
        if c.gradient and c.learn_biases:
            for name in self.bias_names:
                g = c.share * self.bias_gradient(name)[:, mine]
                self.rows[name].apply(g, part, lr, number, self.counts, self.population, on, bias=True)

    def bias_gradient(self, name: str) -> Floats:
        """Return gradient sums [1, H] of a word that each neuron has of its own."""
        return self.g[3, :1] if name == "D" else self.g["zdc".index(name[-1]), -1:]

    def close_update(self) -> None:
        """Close an update of all cores: the sums begin anew."""
        if self.config.gradient and self.config.learn_biases:
            self.reload()
        self.updates += 1
        self.g[:] = 0.0
        self.omega[:] = 0.0
        self.reached[:] = False
        self.labelled = 0


def update_due(c: LearnConfig, labelled: int, last: bool, swept: bool, samples: int) -> bool:
    """Return whether the gradient sums are to be applied after a step.

    Args:
        c: configuration.
        labelled: labelled steps since the last update.
        last: the step ends its sample.
        swept: a sweep has just brought the sums up to date (or would have).
        samples: samples seen, this one included.
    """
    if c.accumulate > 1:
        return last and samples % c.accumulate == 0
    if chip_form(c.form).sweep is None:
        return labelled > 0 and (labelled >= c.every or last)
    return swept

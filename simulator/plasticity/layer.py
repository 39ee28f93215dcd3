"""One BIM-D layer that learns: its history, traces or propagators, gradient sums and update.

Everything is addressed by the model's step tau; layer l does at chip step tau + l what the model does at tau, and the error of
tau reaches it later, so the history keeps tau until then. The forms differ only in what they do at the late visit:
dense advances all traces (they trail the neuron by the error's way), seq/tr/blk collect and sweep.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.plasticity import block
from simulator.plasticity.config import LearnConfig
from simulator.plasticity.counts import LearnCounts
from simulator.plasticity.dense import dense_narrow
from simulator.plasticity.forward import Forward
from simulator.plasticity.net import Layer
from simulator.plasticity.pruning import Pruner
from simulator.plasticity.record import R_S, R_V, SURROGATES, history_words
from simulator.plasticity.rtrl import C_D, PARTS_OF, dense_step, trace_words
from simulator.plasticity.stdp import balanced_a_minus, stdp_step
from simulator.plasticity.sweep import HISTORY_WORDS, SWEEP_MACS, replay, sweep
from simulator.plasticity.update import Block, Row, full
from simulator.plasticity.words import H_C, H_DELTA, H_PSI, K_FEATURE, K_TRACE, LSB, put_all

Floats = npt.NDArray[np.float64]
_TRACE_MACS = (
    (4, 4, 3),
    (5, 5, 4),
    (11, 11, 9),
)  # multiply-accumulates of one synapse at in, d, c by kernel (all 31: alpha)


class LayerLearner:
    """Learning state of one layer.

    Args:
        layer: the layer.
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

    def __init__(
        self, layer: Layer, index: int, population: int, forward: Forward, config: LearnConfig, lag: int, words: Floats,
        moments: dict[str, float], counts: LearnCounts, seed: int, keys: int,
    ) -> None:  # fmt: skip
        self.layer, self.index, self.population, self.forward = layer, index, population, forward
        self.config, self.lag, self.words, self.counts = config, lag, words, counts
        self.m1, self.h = layer.lines + 1, layer.size
        self.const = forward.constants(index)
        self.theta, self.a = forward.theta_and_a(index)
        self.hard = bool(np.any(layer.population.params["hard"]))
        self.live = np.ones((3, self.m1, self.h), np.uint8)
        self.record = np.zeros((8, self.h))
        self.decay = np.array([np.exp(-1 / config.tau_plus), np.exp(-1 / config.tau_minus)])
        a_minus = config.a_minus or balanced_a_minus(config.a_plus, config.tau_plus, config.tau_minus)
        self.amplitude = np.array([config.a_plus, a_minus])
        self.rows = self._rows(moments, seed, keys)
        used = [K_TRACE + 5 * p + part for p in range(3) for part in PARTS_OF[layer.psp] if p < 2 or part]
        self.fast = config.gradient and config.form == "dense" and bool(words[LSB, used].all())
        self.updates, self.labelled, self.samples = 0, 0, -1  # labelled: steps since the last update
        self.g, self.omega = np.zeros((4, self.m1, self.h)), np.zeros((self.m1 - 1, self.h))
        self.pruners = self._pruners(seed)
        self.begin(1)

    def _pruners(self, seed: int) -> dict[int, Pruner]:
        c = self.config
        keys = [k for group in self.layer.groups for k in group.projections]
        return {k: Pruner(c.prune_target, c.prune_mode, k, seed) for k in keys} if c.prune_target else {}

    def prune(self) -> None:
        """One call of the pruning controller of each matrix."""
        for port in ("in", "d", "c"):
            for b in self.rows[port].blocks:
                if b.key in self.pruners:
                    looked = self.pruners[b.key].call(b.weights, b.live, float(np.mean(b.unit)))
                    self.counts.add("prune_ops", self.population, looked)

    def _rows(self, moments: dict[str, float], seed: int, keys: int) -> dict[str, Row]:
        c, rows = self.config, {}
        for p, port in enumerate(("in", "d", "c")):
            blocks = []
            for group in self.layer.groups:
                k = group.projections[p]
                live = self.live[p, group.start : group.start + group.size]
                limit = c.bound("zdc"[p]) if c.wide else 2 ** (c.weight_bits - 1) - 1
                blocks.append(Block(self.forward.weights[k], live, self.forward.units[k], limit, k))
            rows[port] = Row(blocks, c, seed, moments.get(port, 0.0))
        for p, name in enumerate(("b_z", "b_d", "b_c", "D")):
            view, unit = self.forward.bias(self.layer.population.name, name)
            limit = np.inf if c.wide else 2 ** (15 if name == "D" else 23) - 1
            each = Block(view.reshape(1, -1), full((1, self.h)), np.full(self.h, unit or 1.0), limit, keys + p)
            rows[name] = Row([each], c, seed, moments.get(name, 0.0))
        return rows

    def reload(self) -> None:
        """Read again what other words hold copies of (after a checkpoint)."""
        view, unit = self.forward.bias(self.layer.population.name, "D")
        self.const[C_D] = view * (unit or 1.0)

    def begin(self, steps: int) -> None:
        """Before a sample of `steps` steps: empty history, traces 0."""
        c = self.config
        self.steps = steps
        need = {"dense": 0, "seq": steps, "tr": c.block + c.history, "blk": c.block}[c.form]
        self.ring = max(need, 1) + self.lag + 2
        self.hist, self.events = np.zeros((self.ring, 8, self.h)), np.zeros((self.ring, self.m1))
        self.spikes, self.features = np.zeros((self.ring, self.h)), np.zeros((self.ring, self.h))
        self.feature = np.zeros(self.h)
        traces = c.gradient and c.form in ("dense", "blk")
        self.e = np.zeros((4, 5, self.m1, self.h)) if traces else np.zeros((4, 5, 1, 1))
        if self.fast:
            self.e = np.zeros((4, self.m1, 5, self.h))
        self.pre, self.post = np.zeros(self.m1 - 1), np.zeros(self.h)
        self.open = 0  # steps since the last sweep
        self.samples += 1
        self._begin_block()

    def _begin_block(self) -> None:
        self.s = np.broadcast_to(np.eye(5), (self.h, 5, 5)).copy()
        self.deferred = np.zeros((self.h, 5))

    def observe(self, tau: int, u: Floats) -> None:
        """The layer has done model step `tau` with inputs u [M]: keep what learning will need."""
        slot, c = tau % self.ring, self.config
        self.forward.record(self.index, self.record)
        self.events[slot, :-1], self.events[slot, -1] = u, 1.0
        self.spikes[slot] = self.record[R_S]
        k = self.const[6, 0]
        value = self.record[R_V] if self.layer.membrane else self.record[R_S]
        self.feature = k * self.feature + (1 - k) * value
        put_all(self.feature, K_FEATURE, self.words)
        self.features[slot] = self.feature
        self.counts.add("feature_rmw", self.population, self.h)
        if c.gradient:
            history_words(
                self.record, self.theta, self.a, self.hard, c.detach_reset, SURROGATES[c.surrogate], c.surrogate_width,
                self.hist[slot], self.words,
            )  # fmt: skip
            self.counts.add("history_write", self.population, HISTORY_WORDS * self.h)
            self.counts.add("lut", self.population, self.h)

    def set_delta(self, tau: int, delta: Floats, add: bool = False) -> None:
        """The third factor dL/dfeature of model step `tau` [H] (or a part that is added)."""
        row = self.hist[tau % self.ring, H_DELTA]
        row[:] = row + delta if add else delta
        put_all(row, H_DELTA, self.words)

    def message_gain(self, tau: int) -> Floats:
        """psi delta of model step `tau` (readout on the membrane: (c + D) delta), what filt-Win sends down."""
        w = self.hist[tau % self.ring]
        gain = w[H_C] + self.const[7] if self.layer.membrane else w[H_PSI]
        return np.asarray(gain * w[H_DELTA])

    def visit(self, tau: int, labelled: bool) -> bool:
        """The late visit of model step `tau`, its error known; True when an update is due."""
        c, last = self.config, tau == self.steps - 1
        self.open += 1
        self.labelled += labelled
        if c.stdp:
            self._stdp(tau)
        if c.gradient:
            self._form_step(tau, labelled)
        due = last or (c.form in ("tr", "blk") and self.open >= c.block)
        if due and c.gradient and c.form != "dense":
            self._sweep(tau)
        if due:
            self.open = 0
        return update_due(c, self.labelled, last, due, self.samples)

    def _form_step(self, tau: int, labelled: bool) -> None:
        slot, c = tau % self.ring, self.config
        if c.form == "dense":
            live = self.live
            step = dense_narrow if self.fast else dense_step
            step(
                self.e, self.g, self.events[slot], self.hist[slot], self.const, live, self.layer.psp,
                self.layer.membrane, labelled, self.words,
            )  # fmt: skip
            synapses = live[:, :-1].sum(axis=(1, 2), dtype=np.int64)
            words = trace_words(self.layer.psp)
            self.counts.add("trace_rmw", self.population, int(np.dot(synapses, words[:3])))
            self.counts.add("trace_mac", self.population, int(np.dot(synapses, _TRACE_MACS[self.layer.psp])))
            if labelled:
                touched = self._touched(tau)
                self.counts.add("weight_mac", self.population, int(live[:, :-1, touched].sum(dtype=np.int64)))
        elif c.form == "blk":
            block.forward(
                self.hist[slot],
                self.const,
                self.layer.psp,
                self.layer.membrane,
                labelled,
                self.s,
                self.deferred,
                self.words,
            )
            self.counts.add("carry_mac", self.population, self.h * _CARRY_MACS[self.layer.psp])

    def _touched(self, tau: int) -> npt.NDArray[np.bool_]:
        delta = self.hist[tau % self.ring, H_DELTA]
        return delta != 0 if self.config.skip_zero else np.ones(self.h, bool)

    def _stdp(self, tau: int) -> None:
        slot = tau % self.ring
        rmw, written = stdp_step(
            self.events[slot, :-1], self.spikes[slot], self.pre, self.post, self.omega, self.live[0, :-1], self.decay,
            self.amplitude, self.config.pairing == "nearest", self.words,
        )  # fmt: skip
        self.counts.add("stdp_rmw", self.population, rmw)
        self.counts.add("stdp_events", self.population, written)

    def _sweep(self, tau: int) -> None:
        """Backward over what is new (and L older steps for tr), and the replay of its events."""
        c, psp, membrane = self.config, self.layer.psp, self.layer.membrane
        reach = self.open + (c.history if c.form == "tr" else 0)
        order = np.arange(tau, max(tau - reach, -1), -1) % self.ring
        if c.form == "blk":
            block.carry(self.e, self.g, self.s, self.deferred, self.live, self.words)
            synapses = self.live[:, :-1].sum(axis=(1, 2), dtype=np.int64)
            parts = len(PARTS_OF[psp])
            self.counts.add("trace_rmw", self.population, int(np.dot(synapses, trace_words(psp)[:3])))
            self.counts.add("trace_mac", self.population, int(synapses.sum()) * parts * (parts + 3) // 2)
        p = np.zeros((order.size, 3, self.h))
        fresh = min(self.open, order.size)
        sweep(self.hist, order, fresh, self.const, psp, membrane, p, self.g[3, 0], self.words)
        done = replay(self.events, order, p, self.live, self.g, self.words)
        if c.form == "blk":
            done += block.inject(
                self.hist, self.events, order, self.const, psp, membrane, self.live, self.e, self.words
            ) * (len(PARTS_OF[psp]))
            self._begin_block()
        self.counts.add("sweep_mac", self.population, order.size * self.h * SWEEP_MACS[psp])
        self.counts.add("history_read", self.population, order.size * self.h * HISTORY_WORDS)
        self.counts.add("events", self.population, done)

    def update(self, lr: float) -> None:
        """Apply the gradient sums to weights and biases, and clear them."""
        c, number = self.config, self.updates
        self.updates += 1
        for p, port in enumerate(("in", "d", "c")):
            if not c.gradient and (p or not c.stdp):
                continue
            row, g = self.rows[port], self.g[p, :-1]
            u = row.hybrid(g, self.omega) if p == 0 and c.stdp else c.share * g
            row.apply(u, lr, number, self.counts, self.population)
        if c.gradient and c.learn_biases:
            for p, name in enumerate(("b_z", "b_d", "b_c")):
                self.rows[name].apply(c.share * self.g[p, -1:], lr, number, self.counts, self.population, True)
            self.rows["D"].apply(c.share * self.g[3, :1], lr, number, self.counts, self.population, True)
            self.reload()
        self.g[:] = 0.0
        self.omega[:] = 0.0
        self.labelled = 0


def update_due(c: LearnConfig, labelled: int, last: bool, swept: bool, samples: int) -> bool:
    """Whether the gradient sums are to be applied after a step.

    Args:
        c: configuration.
        labelled: labelled steps since the last update.
        last: the step ends its sample.
        swept: a sweep has just brought the sums up to date (or would have).
        samples: samples seen, this one included.
    """
    if c.accumulate > 1:
        return last and samples % c.accumulate == 0
    if c.form == "dense":
        return labelled > 0 and (labelled >= c.every or last)
    return swept


_CARRY_MACS = (10, 20, 35)  # S <- M S with M, S lower triangular of 3, 4, 5 states

"""One s6 layer that learns, by SEQ or TR: its neurons, and the 2 N neurons that compute B and C for all of them.

A core sweeps back over its own neurons and sends 2 N words a step, the sums of its neurons' products of B and C, to the
neurons of B and C; they arrive a step later, are added up, and the events of the same steps are walked again there. So the
update of W_B and W_C comes one chip step after that of the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.base.arrays import I64, Floats
from simulator.base.errors import FitError
from simulator.neurons.membrane import CONST_FRAC
from simulator.neurons.s6 import LOG_FRAC
from simulator.plasticity.config import LearnConfig
from simulator.plasticity.forms.record import SURROGATES
from simulator.plasticity.forms.s6 import s6_history, s6_sweep
from simulator.plasticity.forms.sweep import replay
from simulator.plasticity.forward import Forward
from simulator.plasticity.layers.diag import LayerLearner, Visit
from simulator.plasticity.layers.net import Layer
from simulator.plasticity.layers.parts import Part
from simulator.plasticity.layers.update import Block, weights_and_bias
from simulator.plasticity.methods import chip_form
from simulator.plasticity.operations import KERNEL_OPERATIONS, s6_history_words, s6_sweep_macs
from simulator.plasticity.rules.pruning import Pruner
from simulator.plasticity.words.counts import LearnCounts
from simulator.plasticity.words.words import H_DELTA, H_PSI, K_PB, K_PCN, K_SUM_BC, LSB, SATURATED

_A_LOG_LIMIT = 3.0  # beyond, a decay is 0 or 1 to rounding
RATE_BITS = 24  # of e^A_log and e^-A_log
SUM_BITS = 24  # of a graded word that carries a sum over channels


class S6Learner(LayerLearner):
    """Learning state of the neurons of an s6 layer; arguments as `LayerLearner`.

    Attributes:
        outbox: what the sweep of this step sends to the neurons of B and C: ring slots of its steps (newest first) and
            the products [n, 2 N]; None where nothing was swept.
    """

    ports = ("in", "d")

    def __init__(self, layer: Layer, parts: tuple[Part, ...], index: int, *rest: Any) -> None:
        config: LearnConfig = rest[2]
        if config.gradient and not chip_form(config.form).shared:
            raise FitError(
                f"population {layer.population.name!r}",
                f"is an s6 layer, whose traces of shared B and C would take words for every channel; form {config.form!r} "
                "keeps such traces",
                "Learn with form seq (or tr)",
            )
        rates = [f"l{n}" for n in range(layer.states)] if config.learn_a_log else []
        self.bias_names = ("b_z", "b_d", "D", *rates)
        self.states = layer.states
        self.g_rates = np.zeros((len(rates), layer.size))
        super().__init__(layer, parts, index, *rest)
        self._load_rates()

    @property
    def shared_name(self) -> str:
        """Population of the neurons that compute B and C."""
        assert self.layer.shared is not None
        return self.layer.shared.name

    @property
    def record_rows(self) -> int:
        """See `decode`."""
        return 8 + 4 * self.states

    @property
    def history_rows(self) -> int:
        """See `s6_sweep`."""
        return 8 + 2 * self.states

    @property
    def history_words(self) -> int:
        """See `s6_sweep`."""
        return s6_history_words(self.states)

    def begin(self, steps: int) -> None:
        """Begin a sample of `steps` steps."""
        super().begin(steps)
        self.bc = np.zeros((self.ring, 2 * self.states))
        self.outbox: tuple[I64, Floats] | None = None
        self.due = False  # an update is due at the end of the step

    def _limit(self, name: str) -> float:
        if name.startswith("l"):
            return _A_LOG_LIMIT if self.config.wide else _A_LOG_LIMIT * 2**LOG_FRAC
        return super()._limit(name)

    def reload(self) -> None:
        """Read again what other words hold copies of."""
        super().reload()
        self._load_rates()

    def _load_rates(self) -> None:
        """Load e^A_log and e^-A_log [2, N, H]."""
        log = self.forward.log_rates(self.index)
        self.rates = np.exp(np.stack([log, -log]))
        if not self.config.wide:
            self.rates = np.round(self.rates * 2.0**CONST_FRAC) * 2.0**-CONST_FRAC

    def _keep(self, record: Floats, part: Part, slot: int, row: Floats) -> None:
        c = self.config
        s6_history(
            record, self.theta[part.columns], self.hard, c.detach_reset, SURROGATES[c.surrogate], c.surrogate_width, row,
            self.bc[slot], self.words,
        )  # fmt: skip
        self.count("history_write", part, 2 * self.states)  # B and C, once a core

    def message_gain(self, tau: int, mine: slice = slice(None)) -> Floats:
        """Return psi delta of model step `tau` (readout on the membrane: delta), what filt-Win sends down."""
        w = self.hist[tau % self.ring][:, mine]
        return np.asarray(w[H_DELTA] if self.layer.membrane else w[H_PSI] * w[H_DELTA])

    def open_visit(self, tau: int, labelled: bool) -> tuple[Visit, bool]:
        """See `LayerLearner.open_visit`."""
        visit, self.due = super().open_visit(tau, labelled)
        return visit, self.due

    def bias_gradient(self, name: str) -> Floats:
        """See `LayerLearner.bias_gradient`; ``l<n>``: of A_log."""
        return self.g_rates[int(name[1:]), None] if name.startswith("l") else super().bias_gradient(name)

    def _sweep(self, part: Part, visit: Visit) -> None:
        layer = self.layer
        oldest = max(visit.tau - visit.reach, -1)
        order = np.arange(visit.tau, oldest, -1) % self.ring
        before = oldest % self.ring if oldest >= 0 else -1
        if self.outbox is None:
            self.outbox = order, np.zeros((order.size, 2 * self.states))
        hist, const, live, g = part.take(self.hist), part.take(self.const), part.take(self.live), part.take(self.g)
        rates, g_rates = part.take(self.rates), part.take(self.g_rates)
        p, psp = np.zeros((order.size, 2, part.size)), layer.psp
        s6_sweep(
            hist, self.bc, order, before, min(visit.fresh, order.size), const, rates, psp, layer.membrane, layer.zoh, p,
            self.outbox[1], g[3, 0], g_rates, self.words,
        )  # fmt: skip
        done = replay(self.events, order, p, live, g, self.words)
        part.give(self.g, g)
        part.give(self.g_rates, g_rates)
        macs = s6_sweep_macs(KERNEL_OPERATIONS[psp], self.states, layer.zoh, self.config.learn_a_log)
        self.count("sweep_mac", part, order.size * part.size * macs)
        self.count("history_read", part, order.size * (part.size * self.history_words + 2 * self.states))
        self.count("events", part, done)
        self.count("shared_words", part, order.size * 2 * self.states)

    def close_update(self) -> None:
        """Close an update of all cores: the sums begin anew."""
        super().close_update()
        self.g_rates[:] = 0.0


class SharedLearner:
    """Learning state of the neurons of B and C of one s6 layer.

    Args:
        of: the layer's learner.
        parts: the neurons by core.
        population: their number in the program.
        forward: the running net.
        config: of the learning.
        moments: value of the smallest second-moment word by row name (chip words).
        counts: where operations are counted.
        seed: of stochastic rounding.
        key: random-number key of the bias row.
    """

    def __init__(
        self, of: S6Learner, parts: tuple[Part, ...], population: int, forward: Forward, config: LearnConfig,
        moments: dict[str, float], counts: LearnCounts, seed: int, key: int,
    ) -> None:  # fmt: skip
        shared = of.layer.shared
        assert shared is not None
        self.of, self.parts, self.population, self.config, self.counts = of, parts, population, config, counts
        self.name, size = shared.name, shared.size
        self.live = np.ones((1, of.m1, size), np.uint8)
        self.g = np.zeros((1, of.m1, size))
        limit = config.bound("c") if config.wide else 2 ** (config.weight_bits - 1) - 1
        blocks = [
            Block(forward.weights[g.shared], self.live[0, g.start : g.start + g.size], forward.units[g.shared], limit, g.shared)
            for g in of.layer.groups
        ]  # fmt: skip
        self.rows = weights_and_bias(
            forward, self.name, blocks, config, seed, moments, 16, key
        )  # a bias of what is sent
        keys = [g.shared for g in of.layer.groups]
        self.pruners = {k: Pruner(config.prune_target, config.prune_mode, k, seed) for k in keys if config.prune_target}
        self.updates, self.due = 0, False
        self.inbox: tuple[I64, Floats] | None = None

    def begin(self) -> None:
        """Begin a sample."""
        self.inbox, self.due = None, False

    def take(self) -> None:
        """Take, at the beginning of a step, the words that the layer's cores sent in the step before."""
        self.inbox, self.of.outbox = self.of.outbox, None
        self.due, self.of.due = self.inbox is not None and self.of.due, False
        if self.inbox is not None:
            self._saturate(self.inbox[1])

    def _saturate(self, p: Floats) -> None:
        """Saturate sums of products as graded words."""
        n, words = self.of.states, self.of.words
        for k, mine in ((K_PB, slice(0, n)), (K_PCN, slice(n, None))):
            if words[LSB, k]:
                limit = (2.0 ** (SUM_BITS - 1) - 1) * words[LSB, k]
                words[SATURATED, k] += np.count_nonzero(np.abs(p[:, mine]) > limit)
                np.clip(p[:, mine], -limit, limit, out=p[:, mine])

    def visit_part(self, part: Part) -> None:
        """Walk, at a core of these neurons, the events of the steps that were swept."""
        if self.inbox is None:
            return
        order, p = self.inbox
        g, live = part.take(self.g), part.take(self.live)
        mine = np.ascontiguousarray(p[:, None, part.columns])
        done = replay(self.of.events, order, mine, live, g, self.of.words, K_SUM_BC)
        part.give(self.g, g)
        self.counts.add("events", self.population, done, part.core)

    def update(self, lr: float) -> None:
        """Apply the gradient sums to weights and biases, and clear them."""
        for part in self.parts:
            self.update_part(part, lr)
        self.close_update()

    def update_part(self, part: Part, lr: float) -> None:
        """Do what an update does at one core."""
        share, mine = self.config.share, part.columns
        args = (part, lr, self.updates, self.counts, self.population)
        self.rows["w"].apply(share * self.g[0, :-1, mine], *args)
        if self.config.learn_biases:
            self.rows["b"].apply(share * self.g[0, -1:, mine], *args, bias=True)

    def close_update(self) -> None:
        """Close an update of all cores: the sums begin anew."""
        self.updates += 1
        self.g[:] = 0.0

    def prune(self) -> None:
        """Call the pruning controller of each matrix once."""
        for b in self.rows["w"].blocks:
            if b.key in self.pruners:
                looked = self.pruners[b.key].call(b.weights, b.live, float(np.mean(b.unit)))
                self.counts.add("prune_ops", self.population, looked)

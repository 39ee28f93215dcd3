"""The readout that learns: G_ci += e_c feature_i at each labelled step, from traces of the spikes that it receives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.base.arrays import Floats
from simulator.plasticity.config import LearnConfig
from simulator.plasticity.forward import Forward
from simulator.plasticity.layers.diag import LayerLearner, update_due
from simulator.plasticity.layers.net import Net
from simulator.plasticity.layers.parts import Part
from simulator.plasticity.layers.update import Block, full, weights_and_bias
from simulator.plasticity.methods import chip_form
from simulator.plasticity.rules.third_factor import row_sums
from simulator.plasticity.words.counts import LearnCounts


class ReadoutLearner:
    """Learning state of the readout.

    Args:
        net: the net.
        parts: the readout's neurons by core.
        population: number of the readout in the program.
        forward: the running net.
        config: of the learning.
        moments: value of the smallest second-moment word by row name (chip words).
        counts: where operations are counted.
        seed: of stochastic rounding.
        key: random-number key of its bias row.
    """

    def __init__(
        self, net: Net, parts: tuple[Part, ...], population: int, forward: Forward, config: LearnConfig,
        moments: dict[str, float], counts: LearnCounts, seed: int, key: int,
    ) -> None:  # fmt: skip
        self.parts = parts
        self.population, self.config, self.counts = population, config, counts
        self.forward, self.projections, self.name = forward, net.from_layer, net.readout.name
        n_out = net.readout.size
        limit = config.readout_range if config.wide else 2 ** (config.weight_bits - 1) - 1
        blocks = []
        for k in net.from_layer:
            if k is not None:
                w = forward.weights[k]
                blocks.append(Block(w, full((w.shape[0], n_out)), forward.units[k], limit, k))
        self.rows = weights_and_bias(forward, self.name, blocks, config, seed, moments, 24, key)
        self.updates, self.labelled, self.samples = 0, 0, -1
        self.g = np.zeros((sum(b.weights.shape[0] for b in blocks), n_out))
        self.g_bias = np.zeros((1, n_out))
        self.reached = np.zeros(n_out, bool)  # by an error word other than 0 since the last update
        self.begin(1)

    def begin(self, steps: int) -> None:
        """Begin a sample."""
        self.steps, self.open = steps, 0
        self.samples += 1

    def back(self, layer: int, e: Floats, mine: slice = slice(None)) -> Floats:
        """Return Wo_l^T e of some neurons of a layer; zeros where the readout does not read the layer."""
        k = self.projections[layer]
        if k is None:
            return np.zeros(0)
        return row_sums(self.forward.weights[k][mine], self.forward.units[k] * e)

    def visit(self, tau: int, e: Floats | None, layers: Sequence[LayerLearner]) -> bool:
        """Take the error of model step `tau` (None: unlabelled); True when an update is due."""
        due = self.open_visit(tau, e is not None)
        for part in self.parts:
            self.visit_part(part, tau, e, layers)
        return due

    def open_visit(self, tau: int, labelled: bool) -> bool:
        """Count the step (as every core does for itself); True when an update is due after it."""
        c, last = self.config, tau == self.steps - 1
        self.open += 1
        self.labelled += labelled
        due = last or (chip_form(c.form).blocks and self.open >= c.block)
        if due:
            self.open = 0
        return update_due(c, self.labelled, last, due, self.samples)

    def visit_part(self, part: Part, tau: int, e: Floats | None, layers: Sequence[LayerLearner]) -> None:
        """Do what a visit does at one core of the readout."""
        if e is None:
            return
        mine = part.columns
        features = [x.features[tau % x.ring] for x, k in zip(layers, self.projections, strict=True) if k is not None]
        self.g[:, mine] += np.outer(np.concatenate(features), e[mine])
        self.g_bias[:, mine] += e[mine]
        self.reached[mine] |= e[mine] != 0
        touched = int(np.count_nonzero(e[mine])) if self.config.skip_zero else part.size
        self.counts.add("weight_mac", self.population, self.g.shape[0] * touched, part.core)

    def update(self, lr: float) -> None:
        """Apply the gradient sums to weights and bias, and clear them."""
        for part in self.parts:
            self.update_part(part, lr)
        self.close_update()

    def update_part(self, part: Part, lr: float) -> None:
        """Do what an update does at one core of the readout."""
        mine, number = part.columns, self.updates
        on = self.reached[mine] if self.config.skip_zero else np.ones(part.size, bool)
        self.rows["w"].apply(self.g[:, mine], part, lr, number, self.counts, self.population, on)
        if self.config.learn_biases:
            self.rows["b"].apply(self.g_bias[:, mine], part, lr, number, self.counts, self.population, on, bias=True)

    def close_update(self) -> None:
        """Close an update of all cores: the sums begin anew."""
        self.updates += 1
        self.g[:] = 0.0
        self.g_bias[:] = 0.0
        self.reached[:] = False
        self.labelled = 0

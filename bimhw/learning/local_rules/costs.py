"""Costs of a local rule on a network: operations, words and packets, by layer, from the table of operations."""

from __future__ import annotations

from bimhw.learning.local_rules.learner import LocalRule
from bimhw.models.leaky.config import LeakyConfig
from simulator.plasticity.operations import LocalLayer, LocalOperations, local_operations


def rule_costs(rule: LocalRule, config: LeakyConfig) -> tuple[LocalOperations, ...]:
    """Return the costs of a rule in each hidden layer; the readout keeps and filters H_top words more."""
    out = []
    for k, (m, h) in enumerate(zip((config.n_in, *config.hidden), config.hidden, strict=False)):
        above = config.hidden[k + 1] if k + 1 < config.n_layers else 0
        layer = LocalLayer(m + h * config.recurrent, h, config.n_out, above, config.adaptive)
        out.append(local_operations(rule.eligibility, rule.signal, bool(rule.filtered), layer))
    return tuple(out)

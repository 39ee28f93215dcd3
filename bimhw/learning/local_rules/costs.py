"""Costs of a local rule on a network: operations, words and packets, by layer, from the table of operations."""

from __future__ import annotations

from collections.abc import Sequence

from bimhw.learning.local_rules.learner import LocalRule
from bimhw.models.leaky.config import LeakyConfig
from simulator.base.errors import InputError
from simulator.plasticity.operations import LocalLayer, LocalOperations, local_operations


def rule_costs(rule: LocalRule, config: LeakyConfig) -> tuple[LocalOperations, ...]:
    """Return the costs of a rule in each hidden layer; the readout keeps and filters H_top words more."""
    out = []
    for k, (m, h) in enumerate(zip((config.n_in, *config.hidden), config.hidden, strict=False)):
        above = config.hidden[k + 1] if k + 1 < config.n_layers else 0
        layer = LocalLayer(m + h * config.recurrent, h, config.n_out, above, config.adaptive)
        out.append(local_operations(rule.eligibility, rule.signal, bool(rule.filtered), layer))
    return tuple(out)


def error_packets(rule: LocalRule, config: LeakyConfig, cores: Sequence[int]) -> int:
    """Return the packets of error and label that a labelled step sends to the hidden layers, a word each.

    Args:
        rule: the rule.
        config: of the network.
        cores: of each hidden layer; each gets every word that its layer needs.

    Raises:
        InputError: not a number of cores for each layer.
    """
    if len(cores) != config.n_layers or min(cores) < 1:
        raise InputError(
            "cores", f"are {list(cores)} for {config.n_layers} layers", "Give one number from 1 on a layer"
        )
    return sum(cost.error_words * n for cost, n in zip(rule_costs(rule, config), cores, strict=True))

"""Demands of a rule file on a chip: an engine for sums of products, and the words of traces, tags, delays and third factors."""

from __future__ import annotations

from collections.abc import Sequence

from mapping.learning_limits import check_memory, usage_with
from simulator.base.errors import FitError
from simulator.chips.chip import Chip
from simulator.chips.load import chip_names, load_chip
from simulator.plasticity.budget import Item
from simulator.plasticity.rules.product_hook import ProductLearning
from simulator.plasticity.rules.rule_file import ReadRules
from simulator.program.program import Program

PRODUCTS = "products"  # in `capabilities.learning`: sums of products of the user's own
_TRACE_BITS, _TAG_BITS, _DELAY_BITS, _FACTOR_BITS = 7, 9, 6, 8


def check_engine(chip: Chip, rules: ReadRules) -> None:
    """Raise `FitError` for a chip that does not learn by sums of products.

    Its file lists ``*``, ``products`` or the rule's name under ``capabilities.learning``.
    """
    if not _learns(chip, rules):
        known = chip.capabilities.learning
        others = (name for name in chip_names() if _learns(load_chip(name), rules))
        raise FitError(
            f"rule file {rules.file.name!r}",
            f"needs a chip that learns by sums of products, and chip {chip.name!r} learns by {', '.join(known) or 'no rule'}",
            f"Chips that do: {', '.join(others)}. Or learn on the host (bimhw train)",
        )


def _learns(chip: Chip, rules: ReadRules) -> bool:
    return bool({"*", PRODUCTS, rules.file.name} & set(chip.capabilities.learning))


def rule_memory(learning: Sequence[ProductLearning]) -> list[Item]:
    """Return the words of rules, by the population that they teach; its cores share them."""
    items = []
    for each in learning:
        name, rule = each.target.name, each.rule
        traces = sum(each.source.size if trace[0] == "x" else each.target.size for trace in rule.traces)
        items += [
            Item(name, "traces", traces, _TRACE_BITS, "neuron"),
            Item(name, "tags", each.tags.size * each.tagged, _TAG_BITS, "synapse"),
            Item(name, "delays", each.delays.size * each.delayed, _DELAY_BITS, "synapse"),
            Item(name, "third factors", each.target.size * len(rule.factors), _FACTOR_BITS, "neuron"),
        ]
    return [item for item in items if item.words]


def check_room(program: Program, chip: Chip, learning: Sequence[ProductLearning]) -> None:
    """Raise `FitError` for a core whose memory does not hold the words of the rules."""
    check_memory(
        usage_with(program, chip, rule_memory(learning)),
        "Leave out tags (dt) and delays (dd), or spread the layer over more cores (neurons_per_core)",
    )

"""Cost of one learning rule for a layer, from its table of operations, or the command that prices it."""

from __future__ import annotations

import msgspec

from bimhw.learning.rules.registry import forms, learning_rule, rules
from simulator.base.errors import InputError, unknown_name
from simulator.plasticity.operations import LOCAL_RULES, LocalLayer, local_operations
from simulator.plasticity.rules.rule_file import shipped_rules

_MEASURED = ("rtrl", "bptt", "dense", "seq")


class RuleCost(msgspec.Struct, frozen=True, kw_only=True):
    """Costs of a local rule in one layer of leaky neurons under the readout, a sequence (letters as in docs/rules.md).

    Attributes:
        rule: its name.
        words: kept from step to step.
        step_macs: MACs of every step.
        label_macs: MACs of a labelled step.
        slopes: look-ups of psi, in every step or at labelled ones.
        error_words: words of error or label that each core gets at a labelled step.
        random_words: entries of a fixed random matrix.
        trust: of every figure: exact counts, without a range.
    """

    rule: str
    words: int
    step_macs: int
    label_macs: int
    slopes: int
    error_words: int
    random_words: int
    trust: str = "counted"


def rule_cost(rule: str, inputs: int = 64, hidden: int = 64, classes: int = 10) -> RuleCost:
    """Return what a rule costs in a layer, counted.

    Args:
        rule: name of a local rule of leaky networks.
        inputs: M.
        hidden: neurons H.
        classes: C of the readout.

    Raises:
        InputError: an unknown rule, or one that another command prices; the message names it.
    """
    if rule not in LOCAL_RULES:
        raise priced_elsewhere(rule)
    made = LOCAL_RULES[rule]
    cost = local_operations(made.eligibility, made.signal, bool(made.filtered), LocalLayer(inputs, hidden, classes))
    return RuleCost(
        rule=rule, words=cost.words, step_macs=cost.step_macs, label_macs=cost.label_macs,
        slopes=cost.step_slopes + cost.label_slopes, error_words=cost.error_words, random_words=cost.matrix_words,
    )  # fmt: skip


def is_rule(name: str) -> bool:
    """Return whether a name is that of a rule, of a form or of a shipped rule file."""
    return name in rules() or name in forms() or name in shipped_rules()


def priced_elsewhere(name: str) -> InputError:
    """Return the error that says which command prices a rule or form."""
    if not is_rule(name):
        return unknown_name("rule", name, sorted({*rules(), *forms(), *shipped_rules()}))
    if name in LOCAL_RULES:
        way = f"Take `bimhw learning-cost --rule {name}`, or `bimhw codesign RUN` of a leaky network"
    elif name in _MEASURED:
        way = "Take `bimhw learning-cost` without --rule, which measures RTRL, SEQ and BPTT"
    elif name in forms():
        way = "Take `bimhw codesign RUN`, which prices every form"
    elif name in shipped_rules():
        way = f"Take `bimhw rules TASK --rule {name}`, which runs it"
    elif learning_rule(name).online:
        way = f"Take `bimhw learn PROGRAM --rule {name}`, which runs it, then `bimhw energy` of that run"
    else:
        way = f"It learns offline on the host: `bimhw train --rule {name}` prints its words"
    return InputError(f"rule {name!r}", "is not priced here", way)

"""Rules of a model's config, checked alike by every family."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial

from simulator.base.errors import InputError

Rule = tuple[str, bool, str]
"""Field, whether it keeps the rule, the rule in words."""


def common_rules(config: object, positive: Sequence[str] = (), decays: Sequence[str] = ("k_o",)) -> list[Rule]:
    """Return the rules of sizes and input scale that every family has, of its positive fields and its fields in [0, 1)."""
    value = partial(getattr, config)
    hidden: tuple[int, ...] = value("hidden")
    return [
        *((n, value(n) >= 1, "must be at least 1") for n in ("n_in", "n_out")),
        ("hidden", bool(hidden) and min(hidden) >= 1, "needs at least one layer of at least one neuron"),
        *((n, 0 <= value(n) < 1, "must be in [0, 1)") for n in decays),
        *((n, 0 < value(n) < math.inf, "must be positive") for n in ("input_scale", *positive)),
    ]


def check_rules(config: object, rules: Iterable[Rule]) -> None:
    """Raise `InputError` on the first rule that a config breaks.

    Args:
        config: of a model.
        rules: in the order in which they are checked.
    """
    for name, ok, rule in rules:
        if not ok:
            raise InputError(f"model config: {name}", f"is {getattr(config, name)!r}, {rule}", "Correct it")

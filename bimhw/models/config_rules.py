"""Rules of a model's config, checked alike by every family."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.base.errors import InputError


def check_rules(config: object, rules: Iterable[tuple[str, bool, str]]) -> None:
    """Raise `InputError` on the first rule that a config breaks.

    Args:
        config: of a model.
        rules: field, whether it keeps the rule, the rule in words.
    """
    for name, ok, rule in rules:
        if not ok:
            raise InputError(f"model config: {name}", f"is {getattr(config, name)!r}, {rule}", "Correct it")

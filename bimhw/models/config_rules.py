"""Rules of a model's config, checked alike by every family."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from simulator.base.errors import InputError, check_fields, unknown_name

Value = TypeVar("Value")
Rule = tuple[str, bool, str]
"""Field, whether it keeps the rule, the rule in words."""

LATER_FIELDS = {"hidden_delays": 0, "channel_delays": 0, "delay_width": 1, "learn_delays": True, "residual": False}
"""Fields that came after the first files were written, and their defaults."""


def without_later_fields(content: Value) -> Value:
    """Return a config as plain containers without later fields at their defaults, so that files and hashes stay as they were."""
    if not isinstance(content, dict):
        return content
    kept = {k: without_later_fields(v) for k, v in content.items() if k not in LATER_FIELDS or v != LATER_FIELDS[k]}
    return cast(Value, kept)


def common_rules(config: object, positive: Sequence[str] = (), decays: Sequence[str] = ("k_o",)) -> list[Rule]:
    """Return the rules of sizes and input scale that every family has, of its positive fields and its fields in [0, 1).

    Raises:
        InputError: a field of another type, which no rule could be asked of.
    """
    check_types(config)
    value = partial(getattr, config)
    hidden: tuple[int, ...] = value("hidden")
    return [
        *((n, value(n) >= 1, "must be at least 1") for n in ("n_in", "n_out")),
        ("hidden", bool(hidden) and min(hidden) >= 1, "needs at least one layer of at least one neuron"),
        *((n, 0 <= value(n) < 1, "must be in [0, 1)") for n in decays),
        *((n, 0 < value(n) < math.inf, "must be positive") for n in ("input_scale", *positive)),
    ]


def check_types(config: object, where: str = "model config: ") -> None:
    """Raise `InputError` on the first field of a config whose value is of another type than it says.

    Args:
        config: a struct.
        where: what stands before a name in the message.
    """
    for name, kind in _hints(type(config)).items():
        value = getattr(config, name)
        if isinstance(value, msgspec.Struct):
            continue
        try:
            msgspec.convert(_plain(value), kind)
        except msgspec.ValidationError as error:
            if names := _names(kind):
                raise unknown_name(f"{where}{name}", value, names) from error
            raise InputError(f"{where}{name}", f"is {value!r}: {error}", f"Give another {name}") from error


def _names(kind: object) -> tuple[str, ...]:
    """Return the names that a type of literals lists, of a union of such types all; else none."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    parts = [_names(part) for part in get_args(kind)]
    return tuple(name for part in parts for name in part) if parts and all(parts) else ()


_HINTS: dict[type, dict[str, object]] = {}  # types of the fields of each class of configs that was made


def _hints(kind: type) -> dict[str, object]:
    if kind not in _HINTS:
        fields = {field.name for field in msgspec.structs.fields(kind)}
        _HINTS[kind] = {name: hint for name, hint in get_type_hints(kind).items() if name in fields}
    return _HINTS[kind]


def _plain(value: object) -> object:
    """Return numpy's scalars as Python's."""
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def check_rules(config: object, rules: Iterable[Rule]) -> None:
    """Raise `InputError` on the first rule that a config breaks.

    Args:
        config: of a model.
        rules: in the order in which they are checked.
    """
    check_fields("model config: ", config, rules)

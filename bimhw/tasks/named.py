"""Values that a command line gives by name: ``NAME=VALUE`` texts, numbers and yes/no understood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.base.errors import InputError

_WORDS: dict[str, Any] = {"yes": True, "true": True, "no": False, "false": False, "none": None}


def named_values(texts: Sequence[str], what: str, example: str) -> dict[str, Any]:
    """The values by name; a ``-`` in a name is read as ``_``.

    Args:
        texts: ``NAME=VALUE`` each.
        what: what they are, for the message.
        example: a right one, for the message.

    Raises:
        InputError: a text without ``=``.
    """
    out = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"{what} {text!r}", "has no `=`", f"Write NAME=VALUE, e.g. {example}")
        out[key.strip().replace("-", "_")] = _value(value.strip())
    return out


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

"""Values that a command line gives by name: ``NAME=VALUE`` texts, numbers and yes/no understood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.base.errors import InputError

_WORDS: dict[str, Any] = {"yes": True, "true": True, "no": False, "false": False, "none": None}


def named_values(texts: Sequence[str], what: str, example: str) -> dict[str, Any]:
    """Return the values by name; a ``-`` in a name is read as ``_``.

    Args:
        texts: ``NAME=VALUE`` each.
        what: what they are, for the message.
        example: a right one, for the message.

    Raises:
        InputError: a text without ``=``.
    """
    out = {}
    for text in texts:
        key, value = split_pair(text, what, example)
        out[key.replace("-", "_")] = read_value(value)
    return out


def split_pair(text: str, what: str, example: str) -> tuple[str, str]:
    """Return the name and the text of ``NAME=VALUE``.

    Raises:
        InputError: no ``=``, no name or no value.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key or not value:
        raise InputError(f"{what} {text!r}", "is not NAME=VALUE", f"For example: {example}")
    return key, value


def read_value(text: str) -> Any:
    """Return a number, True, False or None where the text is one (yes, no and none too), else the text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

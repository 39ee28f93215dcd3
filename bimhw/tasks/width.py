"""Values a step that a network's inputs take: the delta code makes two inputs (ON and OFF) of each."""

from __future__ import annotations

from simulator.base.errors import InputError


def values_of(width: int, encoding: str | None) -> int:
    """Return the values a step for a network of `width` inputs.

    Raises:
        InputError: the delta code for an odd number of inputs.
    """
    if encoding == "delta" and width % 2:
        raise InputError(
            "encoding 'delta'", f"makes two inputs of each value, and the network has {width}", "Use another code"
        )
    return width // 2 if encoding == "delta" else width


def inputs_text(values: int, encoding: str | None) -> str:
    """Return the inputs of a network that takes so many values a step, in words."""
    return f"{2 * values} inputs, ON and OFF of {values} values" if encoding == "delta" else f"{values} inputs"

"""Options of quantisation and memory layout."""

from __future__ import annotations

from typing import Literal

import msgspec

from simulator.base.errors import InputError

DEFAULT_BITS = 8  # of a stored weight


class CompileOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of the compiler.

    Attributes:
        bits: bits of a stored weight, 1 to 9.
        per_row: a scale for each target neuron, or for each channel that shares a kernel, instead of one for each projection.
        free_scales: scales need not be powers of two; costs one multiply a port and update.
        state_bits: bits of a state word, 8 to 24.
        layout: how synapses lie in memory; ``auto`` takes the smaller.
    """

    bits: int = DEFAULT_BITS
    per_row: bool = False
    free_scales: bool = False
    state_bits: int = 16
    layout: Literal["auto", "sparse", "dense"] = "auto"

    def __post_init__(self) -> None:
        for name, low, high in (("bits", 1, 9), ("state_bits", 8, 24)):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"option {name}", f"is {getattr(self, name)}, must be {low} to {high}")


def width(bits: int | None) -> int:
    """Return the bits of a weight that were asked for, or the usual ones."""
    return DEFAULT_BITS if bits is None else bits

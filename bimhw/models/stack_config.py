"""Config of a stored torch stack: its layers and what their constructors take. Needs no torch."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

FAMILY: Final = "stack"
Options = dict[str, Any]


class LayerSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One layer: its kind and what its constructor takes."""

    kind: str
    options: Options = {}


class StackConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A stack of layers.

    Attributes:
        family: tells these files from those of other families.
        layers: first to last.
        input_shape: of one sample and step, where the first layer does not tell it.
        input_scale: the stack reads a task's integer payloads times this.
    """

    family: Literal["stack"] = FAMILY
    layers: tuple[LayerSpec, ...]
    input_shape: tuple[int, ...] | None = None
    input_scale: float = 1.0

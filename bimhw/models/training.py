"""Interface of a family of models to training, and tested settings by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from torch import Tensor

    from bimhw.models.net import Net, NetRun


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a family's config, of `TrainSettings` and of its initial scales that differ from their defaults."""

    config: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    init: dict[str, Any] = {}


@dataclass(frozen=True)
class Training:
    """Training of a family.

    Attributes:
        init: msgspec struct of the scales of the initial weights.
        presets: tested settings by name.
        preset_of: name of a task -> name of the preset that it takes where none is named.
        run: network and seed -> function that takes a batch of inputs [T, B, n_in] through it with gradients.
        rules: learning rules that train it; None: every rule.
        prunes: whether its synapses have masks.
        regular: whether `run` carries the gradient of spikes, which the rate regulariser needs.
    """

    init: type[msgspec.Struct]
    presets: Mapping[str, Preset]
    preset_of: Callable[[str], str]
    run: Callable[[Net, int], Callable[[Tensor], NetRun]]
    rules: tuple[str, ...] | None = None
    prunes: bool = False
    regular: bool = True

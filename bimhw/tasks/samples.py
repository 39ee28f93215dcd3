"""`Samples`: recorded samples laid out for one network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from simulator.base.arrays import I32, Array, Bools, Floats


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples that fit one network.

    Attributes:
        x: [B, T, n]; integers are payloads, real values are still to be quantised. A static input is a view of one step.
        y: int64 [B] labels, float64 [B, C] or [B, T, C] values for regression, or None.
        out: [B, T, m], recorded outputs of the network's own framework, or None.
        notes: what was found by shape.
        targets, recorded: y and out of single outputs, by the output's name.
    """

    x: Array
    y: Array | None
    out: Array | None
    notes: tuple[str, ...]
    targets: Mapping[str, Array] = field(default_factory=dict)
    recorded: Mapping[str, Array] = field(default_factory=dict)

    def payloads(self, scale: float | Floats, bits: int = 16) -> I32:
        """Return integers [B, T, n]: real values over `scale` (one, or one a column), rounded and held in words of `bits`;
        integers as they are."""
        step = self.x[:, :1] if self.x.strides[1] == 0 else self.x  # a static input is one step
        if np.issubdtype(step.dtype, np.integer) or step.dtype == np.bool_:
            whole = step.astype(np.int32)
        else:
            top = 2 ** (bits - 1) - 1 if bits else 1
            whole = np.clip(np.rint(step / scale), -top - 1 if bits else 0, top).astype(np.int32)
        return np.broadcast_to(whole, self.x.shape)

    def as_values(self) -> Samples:
        """Return the samples with whole numbers as real values; a static input stays a view of one step."""
        step = self.x[:, :1] if self.x.strides[1] == 0 else self.x
        return replace(self, x=np.broadcast_to(step.astype(np.float64), self.x.shape))

    def kept(self, at: Bools, scale: float | Floats, bits: int = 16) -> Array:
        """Return the payloads of the samples `at`. Counts stay in narrow words: at four bytes each they fill the memory first."""
        x = self.x[at]
        narrow = x.dtype in (np.uint8, np.int8, np.int16)
        return np.ascontiguousarray(x if narrow else replace(self, x=x).payloads(scale, bits))

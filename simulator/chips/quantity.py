"""A number of a chip with its unit, its source and how far it can be trusted."""

from __future__ import annotations

from typing import Literal

import msgspec

Quality = Literal["measured", "simulated", "fitted", "scaled", "assumed", "unverified"]


class Quantity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sourced number.

    Attributes:
        value: the nominal value, or ``None`` where nothing was ever published: it then stays unknown in reports.
        unit: ``pJ``, ``ns``, ``mW``, ``1`` (a count), ...
        source: who says so (paper, file, measurement).
        quality: measured, simulated (pre-silicon), fitted, scaled, assumed or unverified.
        where: place in the source.
        note: anything a reader must know.
        low: lower end of the stated range.
        high: upper end of the stated range.
    """

    value: float | None
    unit: str
    source: str
    quality: Quality
    where: str = ""
    note: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def known(self) -> bool:
        """True if a nominal value exists."""
        return self.value is not None

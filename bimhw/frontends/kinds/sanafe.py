"""SANA-FE network files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from bimhw.frontends.registry import FrontEnd, register
from mapping.network import Network
from simulator.chips.chip import Chip


class SanafeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options for reading a SANA-FE network file.

    Attributes:
        steps: to run; by default as many as the longest list of input spikes has, or 100.
        cores_per_tile: of the architecture, which takes the file's mapping over.
        units: of the architecture's cores, by kind; a chip that is imported from one says them.
        resting: whether neurons at rest are charged their update: ``free`` is SANA-FE's rule with its buffer before the soma.
    """

    steps: int | None = None
    cores_per_tile: int | None = None
    units: dict[str, tuple[str, ...]] = {}
    resting: Literal["charged", "free"] = "charged"


def _read(path: Path, options: SanafeOptions) -> Network:
    from bimhw.frontends.sanafe.network import sanafe_network

    free = options.resting == "free"
    return sanafe_network(path, options.steps, options.cores_per_tile, rest_is_free=free, units=options.units)


def _of_chip(chip: Chip) -> Mapping[str, object]:
    """Return what an imported architecture says of how its networks are read."""
    return {"cores_per_tile": chip.topology.cores_per_router, "units": chip.units} if chip.units else {}


register(
    FrontEnd(
        "sanafe", "SANA-FE network files (.yaml)", SanafeOptions, _read, suffixes=(".yaml", ".yml"), of_chip=_of_chip
    )
)

"""NIR graphs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bimhw.frontends.registry import FrontEnd, register
from mapping.network import Network


class NirOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a .nir file is run.

    Attributes:
        profile: name or JSON file, see `bimhw.frontends.nir.profile`.
        dt: time step.
    """

    profile: str | None = None
    dt: float | None = None


def _read(path: Path, options: NirOptions) -> Network:
    from bimhw.frontends.nir.lower import read_network

    return read_network(path, options.profile, options.dt)


def _outline(path: Path, options: NirOptions) -> Network | None:
    from bimhw.frontends.nir.lower import read_outline

    return read_outline(path, options.profile, options.dt)


register(FrontEnd("nir", ".nir files", NirOptions, _read, suffixes=(".nir",), outline=_outline))

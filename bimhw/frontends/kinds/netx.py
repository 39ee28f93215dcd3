"""lava-dl's netx files."""

from __future__ import annotations

from pathlib import Path

from bimhw.frontends.registry import FrontEnd, NoOptions, register
from mapping.network import Network


def _read(path: Path, options: NoOptions) -> Network:
    from bimhw.frontends.netx.network import netx_network

    return netx_network(path)


register(FrontEnd("netx", "lava-dl netx files (.net)", NoOptions, _read, suffixes=(".net",)))

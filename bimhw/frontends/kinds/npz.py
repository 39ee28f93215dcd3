"""Plain network files: integers, with their own input spikes and perhaps a mapping."""

from __future__ import annotations

from pathlib import Path

from bimhw.frontends.registry import FrontEnd, NoOptions, register
from mapping.network import Network


def _read(path: Path, options: NoOptions) -> Network:
    from bimhw.frontends.npz import read_plain

    return read_plain(path).network


register(FrontEnd("npz", "plain network files (.npz)", NoOptions, _read, suffixes=(".npz",)))

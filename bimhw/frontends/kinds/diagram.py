"""Component diagrams."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bimhw.frontends.registry import FrontEnd, register
from mapping.network import Network


class DiagramOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options for reading a component diagram.

    Attributes:
        connections_seed: of the random connections.
    """

    connections_seed: int = 0


def _read(path: Path, options: DiagramOptions) -> Network:
    from bimhw.frontends.diagram.skeleton import from_diagram

    return from_diagram(path, seed=options.connections_seed).network


register(FrontEnd("diagram", "component diagrams (.json)", DiagramOptions, _read, suffixes=(".json",)))

"""Several chips as one system: meshes side by side, with slower links between them and a barrier across all of them.

Column x of the system is column x % width of chip x // width. A packet between chips takes the east-west links of the rows
in between; a link from chip to chip has a longer hop and is occupied longer by a packet (its flits go one after another over
few wires), so it saturates first and back-pressure reaches into the chips. Cores are numbered chip after chip.

`simulator.chips.system.with_chips(chip, n)` (or the name ``loihi2-x4``) gives the system as a `Chip`, which everything
takes: mapper, engines, counters, energy. `system_mesh` gives its `Mesh` alone, with a link of one's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.base.errors import InputError
from simulator.chips.chip import Chip, Link
from simulator.chips.quantity import Quantity
from simulator.chips.system import with_chips
from simulator.program.program import HOST, Program
from simulator.timing.contract import Mesh
from simulator.timing.scale import mesh_of, tiles_in_use


@dataclass(frozen=True)
class ChipLink:
    """A link between two chips.

    Attributes:
        hop_ns: grant -> head in the next chip's buffer.
        packet_ns: how long one packet occupies the link; 1 / packet_ns is its bandwidth.
        barrier_ns: barrier token from chip to chip.
    """

    hop_ns: float
    packet_ns: float
    barrier_ns: float

    def quantities(self) -> Link:
        """Return the same as numbers of a chip."""
        return Link(*(_given(value) for value in (self.hop_ns, self.packet_ns, self.barrier_ns)))


def system_mesh(chip: Chip, n_chips: int, link: ChipLink, program: Program | None = None) -> Mesh:
    """Return the mesh of `n_chips` chips in a row; with a program, its used routers set the barrier and its traffic the host.

    Raises:
        InputError: no chips, a time that is not above 0, or a chip without timing.
    """
    for name in ("hop_ns", "packet_ns"):
        if getattr(link, name) <= 0:
            raise InputError(f"chip link: {name}", f"is {getattr(link, name)}; it must be above 0")
    if link.barrier_ns < 0:
        raise InputError("chip link: barrier_ns", f"is {link.barrier_ns}; it must not be negative")
    tiles, host = _use(program, chip) if program is not None else (None, False)
    return mesh_of(with_chips(chip, n_chips, link.quantities()), tiles, host)


def _given(value: float) -> Quantity:
    return Quantity(value, "ns", "given by the caller", "assumed")


def _use(program: Program, chip: Chip) -> tuple[int, bool]:
    """Return the used routers of the busiest chip, and whether anything lives outside."""
    host = bool((program.core == HOST).any()) or any(p.role == "output" for p in program.populations)
    return tiles_in_use(np.unique(program.core[program.core != HOST]), chip), host

"""Several chips as one system: meshes side by side, with slower links between them and a barrier across all of them.

Column x of the system is column x % width of chip x // width. A packet between chips takes the east-west links of the rows
in between; a link from chip to chip has a longer hop and is occupied longer by a packet (its flits go one after another over
few wires), so it saturates first and back-pressure reaches into the chips. Cores are numbered chip after chip.

The result is a `Mesh`: every engine and the event-driven simulator run it like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.chip import Chip
from simulator.errors import InputError
from simulator.program import HOST, Program
from simulator.timing.contract import Mesh
from simulator.timing.scale import costs_of, mesh_of


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


def system_mesh(chip: Chip, n_chips: int, link: ChipLink, program: Program | None = None) -> Mesh:
    """The mesh of `n_chips` chips in a row; with a program, its used routers set the barrier and its traffic the host.

    Raises:
        InputError: no chips, a time that is not above 0, or a chip without timing.
    """
    if n_chips < 1:
        raise InputError("n_chips", f"is {n_chips}; it must be at least 1")
    for name in ("hop_ns", "packet_ns"):
        if getattr(link, name) <= 0:
            raise InputError(f"chip link: {name}", f"is {getattr(link, name)}; it must be above 0")
    if link.barrier_ns < 0:
        raise InputError("chip link: barrier_ns", f"is {link.barrier_ns}; it must not be negative")
    tiles, host = _use(program, chip) if program is not None else (None, False)
    one, tick = mesh_of(chip, tiles, host), costs_of(chip).tick_ns
    return replace(
        one,
        width=one.width * n_chips,
        chip_width=one.width,
        chip_hop_ticks=max(1, round(link.hop_ns / tick)),
        chip_flits=max(one.flits, round(link.packet_ns / tick)),
        chip_barrier_ticks=round(link.barrier_ns / tick),
    )


def _use(program: Program, chip: Chip) -> tuple[int, bool]:
    """Used routers of the busiest chip, and whether anything lives outside."""
    per = chip.topology.cores_per_router
    routers = np.unique(program.core[program.core != HOST] // per)
    by_chip = np.bincount(routers // (chip.topology.width * chip.topology.height))
    host = bool((program.core == HOST).any()) or any(p.role == "output" for p in program.populations)
    return int(by_chip.max(initial=1)), host

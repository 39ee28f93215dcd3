"""Systems of several chips of one kind, as one `Chip`."""

from __future__ import annotations

import msgspec

from simulator.base.errors import InputError
from simulator.chips.chip import MOST_CHIPS, MOST_MESH_CORES, Chip, Link, Topology


def with_chips(chip: Chip, n_chips: int, link: Link | None = None) -> Chip:
    """Return a system of several chips of one kind, side by side; what is broken on the chip is broken on each.

    Args:
        chip: one chip.
        n_chips: how many; 1 gives the chip itself.
        link: between two of them; by default the chip's own.

    Raises:
        InputError: a number that is not 1..`MOST_CHIPS`, more cores than `MOST_MESH_CORES`, or a chip that is a system already.
    """
    t = chip.topology
    if not 1 <= n_chips <= MOST_CHIPS:
        raise InputError(
            f"n_chips of {chip.name!r}", f"is {n_chips}; it must be 1..{MOST_CHIPS}", "Give another number"
        )
    if n_chips * t.chip_cores > MOST_MESH_CORES:
        cores = f"gives {n_chips * t.chip_cores:,} cores; a system has at most {MOST_MESH_CORES:,}"
        raise InputError(f"n_chips of {chip.name!r}", cores, "Give fewer")
    if n_chips == 1:
        return chip
    if t.chips > 1:
        raise InputError(f"chip {chip.name!r}", f"is a system of {t.chips} chips already", "Start from a single chip")
    broken = tuple(k * t.chip_cores + core for k in range(n_chips) for core in t.broken_cores)
    return msgspec.structs.replace(
        chip,
        name=f"{chip.name}-x{n_chips}",
        title=f"{n_chips} x {chip.title}",
        topology=msgspec.structs.replace(t, chips=n_chips, broken_cores=broken),
        link=link or chip.link,
    )


def one_of(chip: Chip) -> Chip:
    """Return one chip of a system: its first; a single chip itself."""
    t = chip.topology
    if t.chips == 1:
        return chip
    broken = tuple(core for core in t.broken_cores if core < t.chip_cores)
    name = chip.name.removesuffix(f"-x{t.chips}")
    return msgspec.structs.replace(
        chip,
        name=name,
        title=chip.title.removeprefix(f"{t.chips} x "),
        topology=msgspec.structs.replace(t, chips=1, broken_cores=broken, host_port=_first(t)),
    )


def _first(t: Topology) -> tuple[int, int]:
    """Return the host's port, as if it were at the first chip."""
    return t.host_port[0] % t.width, t.host_port[1]

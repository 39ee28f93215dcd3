"""A program and its chip: a chip file of the user's own travels inside the program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from simulator.base.errors import InputError
from simulator.base.reading import boundary
from simulator.chips.chip import Chip
from simulator.chips.load import chip_names, load_chip
from simulator.chips.rules import check_chip
from simulator.program.program import HOST, Program

_KEY = "chip_file"


def with_chip(meta: Mapping[str, Any], chip: Chip) -> dict[str, Any]:
    """Return the meta of a program for a chip; it holds the chip's content unless the chip comes with bimhw."""
    built_in = _comes_with_bimhw(chip.name) and load_chip(chip.name).sha256() == chip.sha256()
    plain = {k: v for k, v in meta.items() if k != _KEY}
    return plain if built_in else plain | {_KEY: json.loads(msgspec.json.encode(chip))}


def _comes_with_bimhw(name: str) -> bool:
    base, _, n = name.rpartition("-x")
    return name in chip_names() or (base in chip_names() and n.isdecimal())


def chip_of_program(program: Program) -> Chip:
    """Return the chip that a program was compiled for.

    Raises:
        InputError: it is no chip that comes with bimhw, and its content is not in the program; it lacks a core of the program.
    """
    content = program.meta.get(_KEY)
    if content is None:
        chip = load_chip(program.chip)
    else:
        with boundary("program: chip_file", "a chip", "Compile it again"):
            chip = msgspec.convert(content, Chip)
            check_chip(chip, "program: chip_file")
    check_cores(program, chip)
    return chip


def check_cores(program: Program, chip: Chip, cores: int | None = None) -> None:
    """Raise `InputError` unless every neuron is on the host or on a core that the chip has, and that works.

    A kernel that counts by core takes every core for one of the mesh.

    Args:
        program: mapped.
        chip: it is to run on.
        cores: of a mesh other than the chip's own.
    """
    n = chip.topology.mesh_cores if cores is None else cores
    worst = int(program.core.max(initial=HOST))
    if worst >= n:
        raise InputError(
            f"program: core {worst}",
            f"cannot be reached; chip {chip.name!r} has a mesh of {n} cores (0..{n - 1})",
            "Map the program again for this chip",
        )
    broken = set(np.unique(program.core).tolist()) & set(chip.topology.broken_cores)
    if broken:
        raise InputError(
            f"program: cores {sorted(broken)}", f"are broken on chip {chip.name!r}", "Map the program again"
        )

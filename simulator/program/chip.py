"""A program and its chip: a chip file of the user's own travels inside the program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.chips.load import chip_names, load_chip
from simulator.program.program import Program

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
        InputError: it is no chip that comes with bimhw, and its content is not in the program.
    """
    content = program.meta.get(_KEY)
    if content is None:
        return load_chip(program.chip)
    try:
        return msgspec.convert(content, Chip)
    except msgspec.ValidationError as error:
        raise InputError("program: chip_file", str(error), "Compile it again") from error

"""The schema of a program file's header: what a decoder may rely on, with every range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from simulator.base.errors import InputError
from simulator.program.meta import MAX_NEURONS, Name, Size, program_meta

MAX_DELAY = 63  # of the file format; a chip file gives its own maximum


class PopulationHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A population but for its arrays."""

    name: Name
    model: Name
    size: Size
    layer: Annotated[int, msgspec.Meta(ge=0, le=10**6)]
    role: Literal["input", "hidden", "output"]
    shape: Annotated[tuple[Size, ...], msgspec.Meta(max_length=16)]
    params: tuple[Name, ...]
    tables: tuple[Name, ...]


class ProjectionHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A projection but for its arrays."""

    name: Name
    source: Name
    target: Name
    port: Name
    delay: Annotated[int, msgspec.Meta(ge=0, le=MAX_DELAY)]
    exponent: Annotated[int, msgspec.Meta(ge=0, le=31)]
    weight_bits: Annotated[int, msgspec.Meta(ge=1, le=64)]
    layout: Literal["dense", "sparse", "conv"]
    shared_words: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    plastic: Annotated[str, msgspec.Meta(max_length=200)]
    channels: Annotated[int, msgspec.Meta(ge=1, le=MAX_NEURONS)] | None = None  # of shared rows; None: none are shared
    channel_words: Annotated[int, msgspec.Meta(ge=0, le=2**40)] = 0
    first: Annotated[int, msgspec.Meta(ge=0, le=MAX_NEURONS)] = 0


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parts of a program that are no arrays."""

    format: str
    chip: Name
    chip_sha256: Annotated[str, msgspec.Meta(max_length=64)]
    populations: tuple[PopulationHeader, ...]
    projections: tuple[ProjectionHeader, ...]
    learning: dict[str, Any]
    meta: dict[str, Any]


class Facts(dict[str, Any]):
    """The meta of a program: a fact that is missing is an error of the program, not of the code that reads it."""

    def __missing__(self, key: str) -> Any:
        raise InputError("program", f"says nothing of its {key!r}", "Compile its model with bimhw compile")


def check_meta(meta: Mapping[str, Any], names: set[str]) -> None:
    """Raise `InputError` unless the facts that bimhw reads have their types and ranges and name populations in `names`."""
    facts = program_meta(meta)
    named = [
        *facts.outputs,
        *(one.population for one in facts.exits),
        *(end.population for end in (facts.input, facts.output) if end is not None and end.population),
    ]
    for name in named:
        if name not in names:
            raise InputError(
                "program: meta", f"names the population {name!r}, which does not exist", "Compile it again"
            )
    if facts.output is not None and facts.output.window and facts.chip_steps is not None:
        last = max(facts.output.window)
        if last >= facts.chip_steps:
            raise InputError(
                "program: meta", f"decides at step {last} of {facts.chip_steps} (counted from 0)", "Compile it again"
            )

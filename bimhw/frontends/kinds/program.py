"""Compiled programs: their integers, free to be mapped again, on the same chip or on another that runs their neurons."""

from __future__ import annotations

from pathlib import Path

from bimhw.frontends.registry import FrontEnd, NoOptions, register
from mapping.copies import copies_of
from mapping.network import Network
from simulator.base.errors import InputError
from simulator.program.program import Program

_OF_A_MAPPING = ("mapping", "notes")


def _accepts(model: object) -> bool:
    return isinstance(model, Program)


def _read(model: Path | Program, options: NoOptions) -> Network:
    program = model if isinstance(model, Program) else Program.load(model)
    where = "program" if isinstance(model, Program) else str(model)
    if program.facts.relays.populations:
        raise InputError(where, "holds relay neurons of its mapping", "Compile its model again")
    if copies_of(program) > 1:
        raise InputError(where, "holds copies of its network", "Compile its model again without copies")
    if program.learning:
        raise InputError(where, "learns on its own chip", "Compile its model again")
    meta = {name: value for name, value in program.meta.items() if name not in _OF_A_MAPPING}
    return Network("integer", program.populations, program.projections, meta, program.inputs, program.core)


register(
    FrontEnd("program", "compiled programs (.bimhw)", NoOptions, _read, suffixes=(".bimhw",), accepts=_accepts, rank=30)
)

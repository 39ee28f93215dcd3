"""`compile --copies`: the compiled network again on the cores that it leaves free."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from bimhw.compiler.report import resource_figures
from bimhw.compiler.result import CompileResult
from mapping.copies import most_copies, replicate
from mapping.usage import usage
from simulator.base.errors import InputError
from simulator.chips.chip import Chip

Copies = int | Literal["max"]


def with_copies(result: CompileResult, chip: Chip, copies: Copies) -> CompileResult:
    """Return a compilation whose program holds so many copies of its network; each runs a sample of its own.

    Args:
        result: of one network.
        chip: that it is mapped to.
        copies: number of copies, the first included, or ``max``.

    Raises:
        InputError: neither a number from 1 on nor ``max``.
        FitError: more copies than the free cores hold.
    """
    if copies != "max" and (not isinstance(copies, int) or copies < 1):
        raise InputError("copies", f"is {copies!r}", "Give a number from 1 on, or max")
    most = most_copies(result.program, chip)
    program = replicate(result.program, chip, most if copies == "max" else copies)
    if program is result.program or copies == 1:
        return result
    on_chip = program.core[program.core >= 0]
    count = len(program.populations) // len(result.program.populations)
    report = dict(result.report) | {
        "copies": count,
        "program_sha256": program.sha256(),
        "neurons": int(on_chip.size),
        "synapses": count * result.report["synapses"],
        "axons": count * result.report["axons"],
        "cores": len(set(on_chip.tolist())),
        "resources": resource_figures(usage(program, chip)),
    }
    return replace(result, program=program, report=report)

"""Copies of a mapped network on the cores that it leaves free: many samples at once, one barrier, one chip's static power.

Copy k lies on the k-th run of free cores, in the order of the first copy's cores. Its populations and projections are named
``p#k``; those of the first copy keep their names and ids, so whatever reads a program of one network reads the first copy.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapping.limits import check_limits
from mapping.usage import usage
from simulator.base.errors import FitError
from simulator.base.names import COPY_MARK
from simulator.chips.chip import Chip
from simulator.program.program import HOST, Program

MARK = COPY_MARK
COPIES = "copies"  # key of the meta


def copies_of(program: Program) -> int:
    """Return how many copies of its network a program holds."""
    return int(program.meta.get(COPIES, 1))


def first_copy(program: Program) -> Program:
    """Return the program of the first copy alone."""
    copies = copies_of(program)
    if copies == 1:
        return program
    populations = program.populations[: len(program.populations) // copies]
    projections = program.projections[: len(program.projections) // copies]
    core = program.core[: program.n_neurons // copies]
    meta = {k: v for k, v in program.meta.items() if k != COPIES}
    return replace(program, populations=populations, projections=projections, core=core, meta=meta)


def free_cores(program: Program, chip: Chip) -> list[int]:
    """Return the cores of the chip that work and that the program does not use."""
    used = set(program.core[program.core != HOST].tolist())
    t = chip.topology
    return [c for c in range(t.mesh_cores) if c not in used and t.works(c)]


def most_copies(program: Program, chip: Chip) -> int:
    """Return how many copies of the program the chip holds, itself included."""
    return 1 + len(free_cores(program, chip)) // max(1, program.cores_used)


def replicate(program: Program, chip: Chip, copies: int) -> Program:
    """Place copies of a mapped program beside one another.

    Args:
        program: a mapped program.
        chip: that it is mapped to.
        copies: of the network, the first included.

    Returns:
        One program; population ``p`` of copy k >= 1 is ``p#k``.

    Raises:
        FitError: more copies than the free cores hold.
    """
    most = most_copies(program, chip)
    if not 1 <= copies <= most:
        raise FitError(f"{copies} copies", f"do not fit chip {chip.name!r}", f"It holds at most {most} of this program")
    used = np.unique(program.core[program.core != HOST])
    free = np.array(free_cores(program, chip), np.int32)
    populations, projections, core = list(program.populations), list(program.projections), [program.core]
    for k in range(1, copies):
        own = free[(k - 1) * used.size : k * used.size]
        place = np.full(int(used.max(initial=0)) + 1, HOST, np.int32)
        place[used] = own
        populations += [replace(p, name=f"{p.name}#{k}") for p in program.populations]
        projections += [
            replace(q, name=f"{q.name}#{k}", source=f"{q.source}#{k}", target=f"{q.target}#{k}")
            for q in program.projections
        ]
        core.append(np.where(program.core == HOST, HOST, place[np.maximum(program.core, 0)]).astype(np.int32))
    many = replace(
        program, populations=tuple(populations), projections=tuple(projections), core=np.concatenate(core),
        meta=dict(program.meta) | ({COPIES: copies} if copies > 1 else {}),
    )  # fmt: skip
    if chip.core_limits:
        check_limits(many, chip, usage(many, chip))  # other cores may hold less than those of the first copy
    return many

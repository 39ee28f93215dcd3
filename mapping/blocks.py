"""The first mapper: contiguous blocks of neurons in logical order, as many a core as its limits allow.

Each population starts on a core of its own while there are cores enough; else populations share cores, up to every limit.
"""

from __future__ import annotations

from dataclasses import replace

import numba as nb
import numpy as np

from mapping.limits import check_core_count, check_limits
from mapping.network import Network
from mapping.patterned import least_axons
from mapping.problem import NEEDS, MappingProblem, channels_onto, make_problem
from mapping.usage import Resource, usage
from simulator.base.arrays import I32, Floats
from simulator.base.errors import FitError
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.program.chip import with_chip
from simulator.program.graph import Population
from simulator.program.program import HOST, Program

Cores = I32
_AXONS = ("in_axons", "out_axons")


def map_blocks(
    network: Network, chip: Chip, neurons_per_core: int | None = None
) -> tuple[Program, tuple[Resource, ...]]:
    """Map by contiguous blocks; the blocks are halved while a core has too many axons.

    Args:
        network: integer stage.
        chip: its limits are obeyed.
        neurons_per_core: a smaller cap than the chip's, to spread the network.

    Raises:
        FitError: more cores needed than the chip has, or a limit that no spreading can meet.
    """
    program, resources = pack(make_problem(network, chip), neurons_per_core)
    check_limits(program, chip, resources)
    check_core_count(program, chip)
    return program, resources


def pack_blocks(
    network: Network,
    chip: Chip,
    neurons_per_core: int | None = None,
    axons: tuple[str, ...] = _AXONS,
    unlimited_axons: bool = True,
) -> tuple[Program, tuple[Resource, ...]]:
    """State the problem and `pack` it."""
    return pack(make_problem(network, chip), neurons_per_core, axons, unlimited_axons=unlimited_axons)


def pack(
    problem: MappingProblem,
    neurons_per_core: int | None = None,
    axons: tuple[str, ...] = _AXONS,
    share: bool = False,
    unlimited_axons: bool = True,
) -> tuple[Program, tuple[Resource, ...]]:
    """Pack blocks onto as many cores as it takes; axon limits that stay broken are left to the caller.

    Args:
        problem: network and chip.
        neurons_per_core: as in `map_blocks`.
        axons: names of the resources for which blocks are halved.
        share: let populations share cores even where there are enough for each to start on its own.
        unlimited_axons: as in `usage`.

    Raises:
        FitError: a single neuron that needs more than a core has.
    """
    _check_fan_in(problem)
    cap = min(neurons_per_core or problem.n, max(1, problem.n))
    while True:
        program = _assign(problem, cap, share)
        resources = usage(program, problem.chip, unlimited_axons)
        over = [r.name for r in resources if r.over]
        if not any(name in axons for name in over) or cap == 1:
            return program, resources
        fullest = int(np.bincount(program.core[program.core != HOST]).max())
        cap = (min(cap, fullest) + 1) // 2


def _check_fan_in(problem: MappingProblem) -> None:
    """Raise `FitError` where a neuron of a network that is counted, not unrolled, needs more axons than any core has."""
    limit = problem.chip.limits.in_axons_per_core.value
    least, name = max(((least_axons(q), q.target) for q in problem.network.projections), default=(0, ""))
    if limit is not None and least > limit:
        raise FitError(
            f"population {name!r}",
            f"has a neuron with {least:,} inputs, and a core of chip {problem.chip.name!r} has {limit:,.0f} in_axons",
            "Reduce its fan-in, or choose a chip with more axons per core",
        )


def _assign(problem: MappingProblem, cap: int, share: bool) -> Program:
    topology = problem.chip.topology
    blocks = _blocks(problem, cap, own_cores=not share)
    if int(blocks.max(initial=-1)) + 1 > problem.chip.n_cores:
        blocks = _blocks(problem, cap, own_cores=False)
    beyond = topology.mesh_cores  # numbers of cores that the chip lacks, for `fit` to count
    numbers = np.concatenate([problem.cores, np.arange(beyond, beyond + blocks.size)])
    core = np.where(blocks >= 0, numbers[np.maximum(blocks, 0)], HOST).astype(np.int32)
    return to_program(problem.network, problem.chip, core)


def to_program(network: Network, chip: Chip, core: Cores) -> Program:
    """Place the neurons of a network on these cores."""
    return Program(
        chip.name, chip.sha256(), network.populations, network.projections, core, {}, with_chip(network.meta, chip)
    )


def _blocks(problem: MappingProblem, cap: int, own_cores: bool) -> Cores:
    """Block number of every neuron in logical order, a place in the problem's cores; `HOST` for inputs."""
    rooms = np.minimum(problem.rooms, [cap, np.inf, np.inf, np.inf])
    most = rooms.max(axis=0, initial=0.0)
    rooms = np.concatenate([rooms, most[None]])  # of cores that the chip lacks
    parts: list[Cores] = []
    at, block, used = 0, -1, np.full(4, np.inf)
    for p, shared in zip(problem.network.populations, problem.shared, strict=True):
        if p.model == INPUT_MODEL:
            parts.append(np.full(p.size, HOST, np.int32))
            continue
        own = problem.need[at : at + p.size]
        length, kernel = channels_onto(problem.network, p)
        shared = shared - kernel * (p.size // length)
        _check_one(p, own.max(axis=0), most - shared - kernel, problem.chip)
        out = np.empty(p.size, np.int32)
        block = _fill(own, shared, length, kernel, rooms, used, block, own_cores, out)
        parts.append(out)
        at += p.size
    return np.concatenate(parts)


@nb.njit(cache=True, nogil=True)
def _fill(need, shared, length, kernel, rooms, used, block, fresh, out):  # type: ignore[no-untyped-def]
    """Put a population's neurons on blocks one after another; `used` is the load of the last block. Return the last block.

    Block b has rooms[b], those behind the last row that row. The first neuron on a block brings the shared words, and the first
    of each channel of `length` neurons its `kernel`. A block too small for a neuron stays as it is.
    """
    last = rooms.shape[0] - 1
    held = False
    for i in range(need.shape[0]):
        full = fresh and i == 0
        while True:
            room = rooms[min(max(block, 0), last)]
            for r in range(need.shape[1]):
                extra = 0.0 if held else shared[r]
                if not held or i % length == 0:
                    extra += kernel[r]
                full |= used[r] + need[i, r] + extra > room[r]
            if not full or (block >= last and used.max() == 0.0):
                break
            block += 1
            used[:] = 0.0
            full, held = False, False
        for r in range(need.shape[1]):  # word by word: an array expression takes memory for every neuron
            if not held or i % length == 0:
                used[r] += kernel[r]
            if not held:
                used[r] += shared[r]
            used[r] += need[i, r]
        held = True
        out[i] = block
    return block


def _check_one(p: Population, need: Floats, room: Floats, chip: Chip) -> None:
    for what, value, limit in zip(NEEDS, need, room, strict=True):
        if limit < 0:
            raise FitError(
                f"population {p.name!r}",
                f"shares {'kernels' if what == NEEDS[1] else 'tables, parameters and kernels'} that take {-limit:,.0f} bits "
                f"more than a core of chip {chip.name!r} has for {what}",
                "Use fewer weight bits, fewer channels, or one A_log for all neurons",
            )
        if value > limit:
            raise FitError(
                f"population {p.name!r}",
                f"has a neuron that needs {value:,.0f} {what}, and a core of chip {chip.name!r} has {limit:,.0f}",
                "Use fewer weight bits, prune its inputs, or split its fan-in over several neurons",
            )


def with_meta(program: Program, **facts: object) -> Program:
    """Add facts to a program's meta."""
    return replace(program, meta=dict(program.meta) | facts)

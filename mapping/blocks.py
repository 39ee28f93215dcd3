"""The first mapper: contiguous blocks of neurons in logical order, as many a core as its limits allow.

Each population starts on a core of its own while there are cores enough; else populations share cores.
"""

from __future__ import annotations

from dataclasses import replace

import numba as nb
import numpy as np
import numpy.typing as npt

from mapping.limits import check_core_count, check_limits
from mapping.network import Network
from mapping.placement import usable_cores
from mapping.usage import Resource, core_limits, usage
from mapping.words import dense_bits, index_bits, kernel_bits, neuron_bits, shared_bits, stored_for
from simulator.base.errors import FitError
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.program.chip import with_chip
from simulator.program.graph import Population
from simulator.program.program import HOST, Program

Cores = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]
_AXONS = ("in_axons", "out_axons")
_ROOMS = ("neurons", "synapse_bytes", "state_bytes", "memory_bytes")
_NEEDS = ("neurons", "synapse bits", "state bits", "bits of synapses and states")  # columns of `need_of`


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
    program, resources = pack_blocks(network, chip, neurons_per_core)
    check_limits(program, chip, resources)
    check_core_count(program, chip)
    return program, resources


def pack_blocks(
    network: Network, chip: Chip, neurons_per_core: int | None = None, axons: tuple[str, ...] = _AXONS
) -> tuple[Program, tuple[Resource, ...]]:
    """As `map_blocks`, but on as many cores as it takes, and with axon limits that stay broken left to the caller.

    Args:
        network, chip, neurons_per_core: as there.
        axons: names of the resources for which blocks are halved.

    Raises:
        FitError: a single neuron that needs more than a core has.
    """
    network = stored_for(network, chip)
    most = max((p.size for p in network.populations if p.model != INPUT_MODEL), default=1)
    cap = min(neurons_per_core or most, most)
    while True:
        program = _assign(network, chip, cap)
        resources = usage(program, chip)
        over = [r.name for r in resources if r.over]
        if not any(name in axons for name in over) or cap == 1:
            return program, resources
        cap = (cap + 1) // 2


def _assign(network: Network, chip: Chip, cap: int) -> Program:
    cores = usable_cores(chip.topology)
    blocks = _blocks(network, chip, cap, cores, own_cores=True)
    if _cores_in(blocks) > chip.n_cores:
        blocks = _blocks(network, chip, cap, cores, own_cores=False)
    beyond = chip.topology.mesh_cores  # numbers of cores that the chip lacks, for `fit` to count
    numbers = np.concatenate([cores, np.arange(beyond, beyond + blocks.size)])
    core = np.where(blocks >= 0, numbers[np.maximum(blocks, 0)], HOST).astype(np.int32)
    return to_program(network, chip, core)


def to_program(network: Network, chip: Chip, core: Cores) -> Program:
    """The program of a network whose neurons sit on these cores."""
    return Program(
        chip.name, chip.sha256(), network.populations, network.projections, core, {}, with_chip(network.meta, chip)
    )


def _cores_in(blocks: Cores) -> int:
    return int(blocks.max(initial=-1)) + 1


def need_of(network: Network) -> F64:
    """What each neuron on the chip needs: 1 neuron, bits of synapses, of states, of both; float64 [n, 4], logical order."""
    parts = []
    for p in network.populations:
        if p.model != INPUT_MODEL:
            synapses, state = _synapse_bits(network, p), float(neuron_bits(p))
            parts.append(np.stack([np.ones(p.size), synapses, np.full(p.size, state), synapses + state], axis=1))
    return np.concatenate(parts) if parts else np.zeros((0, 4))


def rooms_of(network: Network, chip: Chip, cores: Cores, kernels_of: str = "") -> F64:
    """What each of these cores has of the same four, less what its neurons share; float64 [cores, 4], infinite if unknown.

    Shared are the words of all populations, and the kernels of the convolutions onto population `kernels_of`, or onto all.
    """
    kernels = kernel_bits(network, kernels_of)
    shared = sum(shared_bits(p) for p in network.populations)
    if not chip.core_limits:
        cores = cores[:1]
    last = int(cores.max(initial=-1)) + 1
    neurons, synapses, state, memory = (core_limits(chip, f"{name}_per_core", last)[cores] for name in _ROOMS)
    return np.stack([neurons, 8 * synapses - kernels, 8 * state - shared, 8 * memory - shared - kernels], axis=1)


def _blocks(network: Network, chip: Chip, cap: int, cores: Cores, own_cores: bool) -> Cores:
    """Block number of every neuron in logical order, a place in `cores`; `HOST` for inputs."""
    need = need_of(network)
    parts: list[Cores] = []
    at, block, used = 0, -1, np.full(4, np.inf)
    for p in network.populations:
        if p.model == INPUT_MODEL:
            parts.append(np.full(p.size, HOST, np.int32))
            continue
        # populations that share no core share no kernels
        rooms = rooms_of(network, chip, cores, p.name if own_cores else "")
        rooms = np.minimum(rooms, [cap, np.inf, np.inf, np.inf])
        own = need[at : at + p.size]
        _check_one(p, own.max(axis=0), rooms.max(axis=0), chip)
        rooms = np.concatenate([rooms, rooms.max(axis=0)[None]])  # of cores that the chip lacks
        out = np.empty(p.size, np.int32)
        block = _fill(own, rooms, used, block, own_cores, out)
        parts.append(out)
        at += p.size
    return np.concatenate(parts)


@nb.njit(cache=True, nogil=True)
def _fill(need, rooms, used, block, fresh, out):  # type: ignore[no-untyped-def]
    """Put neurons on blocks one after another; `used` is the load of the last block. Returns the last block.

    Block b has rooms[b], those behind the last row that row. A block too small for the neuron stays as it is.
    """
    last = rooms.shape[0] - 1
    for i in range(need.shape[0]):
        full = fresh and i == 0
        while True:
            room = rooms[min(max(block, 0), last)]
            for r in range(need.shape[1]):
                full |= used[r] + need[i, r] > room[r]
            if not full or (block >= last and used.max() == 0.0):
                break
            block += 1
            used[:] = 0.0
            full = False
        used += need[i]
        out[i] = block
    return block


def _check_one(p: Population, need: npt.NDArray[np.float64], room: npt.NDArray[np.float64], chip: Chip) -> None:
    for what, value, limit in zip(_NEEDS, need, room, strict=True):
        if limit < 0:
            raise FitError(
                f"population {p.name!r}",
                f"shares {'kernels' if what == _NEEDS[1] else 'tables, parameters and kernels'} that take {-limit:,.0f} bits "
                f"more than a core of chip {chip.name!r} has for {what}",
                "Use fewer weight bits, fewer channels, or one A_log for all neurons",
            )
        if value > limit:
            raise FitError(
                f"population {p.name!r}",
                f"has a neuron that needs {value:,.0f} {what}, and a core of chip {chip.name!r} has {limit:,.0f}",
                "Use fewer weight bits, prune its inputs, or split its fan-in over several neurons",
            )


def _synapse_bits(network: Network, p: Population) -> npt.NDArray[np.float64]:
    """Synapse memory that each neuron of a population brings to its core."""
    total = np.zeros(p.size)
    for q in network.projections:
        if q.target != p.name:
            continue
        if q.layout == "dense":
            total += dense_bits(q.indptr.size - 1, 1, q.weight_bits)
        elif q.layout != "conv":  # kernels are of the core: `room_of`
            total += np.bincount(q.indices, minlength=p.size) * (q.weight_bits + index_bits(p.size))
    return total


def with_meta(program: Program, **facts: object) -> Program:
    """The program with more facts in its meta."""
    return replace(program, meta=dict(program.meta) | facts)

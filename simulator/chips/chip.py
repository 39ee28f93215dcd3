"""Chip files: one YAML a chip, every number with unit, source and quality.

The simulator reads capabilities, limits, topology and timing; the energy section it hands on unread.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
import numpy as np

from simulator.base.arrays import I64
from simulator.base.shown import Shown
from simulator.chips.quantity import Quantity

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
MOST_CORES = 2**20  # of one chip: a mapper keeps some 3 KB by core
MOST_MESH_CORES = 2**23  # of a system: 1,152 chips of 4,096 cores have 4.7 million
MOST_CHIPS = 1152  # of a system: the largest that was built of one chip of these (Hala Point, Loihi 2)


# Fields that files of the first format do not have, and what they mean there.
_LATER: dict[str, object] = {
    "units": {},
    "unit_energy": {},
    "board_link": None,
    "board_chips": 0,
    "multicast": False,
    "networks": 1,
    "one_to_one_words": 0,
}


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Capabilities of a core.

    Attributes:
        neuron_models: names of neuron models it can run; ``["*"]`` for a programmable neuron.
        spikes: binary or graded.
        graded_bits: payload bits of a graded spike (signed), 0 for binary.
        weight_bits: bits of a stored weight that it supports.
        max_delay: largest extra delay in steps.
        shared_kernels: whether convolution weights are stored once.
        learning: names of on-chip learning rules; empty for none. ``products``: rule files; ``*``: all.
        sync: synchronisation policies.
        native_models: neuron models whose update the chip's neuron constants describe; a model that is not among them
            is timed like them but charged by its operation counts. ``["*"]``: all.
    """

    neuron_models: tuple[str, ...]
    spikes: Literal["binary", "graded"]
    graded_bits: int
    weight_bits: tuple[int, ...]
    max_delay: int
    shared_kernels: bool = False
    learning: tuple[str, ...] = ()
    sync: tuple[Literal["barrier", "tick", "free", "neighbour"], ...] = ("barrier",)
    native_models: tuple[str, ...] = ("*",)

    def is_native(self, model: str) -> bool:
        """Return whether the chip's neuron constants describe this model."""
        return "*" in self.native_models or model in self.native_models


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mesh of routers: core c at router c // cores_per_router, router r at (r // height, r % height).

    Several chips stand side by side in x, and their cores are numbered chip after chip: column x is column x % width of
    chip x // width. ``width`` and ``usable_cores`` are of one chip; ``broken_cores`` are numbers in the whole system.
    ``multicast``: the packets of one spike travel as one, which forks at the routers where their ways part.
    ``networks``: 1, or 2 of routers and links side by side; a packet takes network (destination core) % 2, the host being core
    ``mesh_cores``. A core feeds both from one FIFO, and one output, which serves both, feeds the core.
    ``board_chips`` neighbours share a board, and links from board to board have times of their own; 0: all on one board.
    ``one_to_one_words``: synapses from one to one that a core keeps in its own memory, where packets fetch all others from
    one that cores share (`simulator.program.one_to_one`); 0: there is no such difference.
    """

    width: PositiveInt
    height: PositiveInt
    cores_per_router: PositiveInt
    usable_cores: PositiveInt
    host_port: tuple[int, int] = (0, 0)
    broken_cores: tuple[int, ...] = ()
    source: str = ""
    chips: PositiveInt = 1
    board_chips: Annotated[int, msgspec.Meta(ge=0)] = 0
    multicast: bool = False
    networks: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    one_to_one_words: Annotated[int, msgspec.Meta(ge=0)] = 0

    @property
    def columns(self) -> int:
        """Columns of routers of all chips."""
        return self.width * self.chips

    @property
    def chip_cores(self) -> int:
        """Cores of one chip's mesh, usable or not."""
        return self.width * self.height * self.cores_per_router

    @property
    def mesh_cores(self) -> int:
        """Cores of the whole mesh; core numbers are below it."""
        return self.chip_cores * self.chips

    def board_of(self, chip: I64) -> I64:
        """Return the board of each chip; all are on board 0 where there is one only."""
        return chip // self.board_chips if self.board_chips else np.zeros_like(chip)

    def works(self, core: int) -> bool:
        """Return whether this core exists, may be used and is not broken."""
        inside = 0 <= core < self.mesh_cores and core % self.chip_cores < self.usable_cores
        return inside and core not in self.broken_cores


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Capacity of one core; an unpublished limit is ``null`` in its quantity and is not checked (and said so)."""

    neurons_per_core: Quantity
    synapse_bytes_per_core: Quantity
    state_bytes_per_core: Quantity
    in_axons_per_core: Quantity
    out_axons_per_core: Quantity
    state_bytes_per_neuron: Quantity
    memory_bytes_per_core: Quantity | None = None  # of synapses and states together, where they share one memory


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times of the model of simulator.timing; each in ns (converted to integer ticks of `tick`), counts in 1.

    ``flit_time`` is the time for which one flit occupies a link, whose bandwidth is then 1 / (flits x flit_time) packets;
    where it is not given, one tick. ``neuron_op`` is the time of one operation of a neuron that the chip runs as a program (see
    `simulator.program.work`): models that are not among the native ones take their operations times it; where it is not given,
    they take the time of a native update. ``handshake`` is the time between a core's last token from its neighbours and its
    next step, where neighbours synchronise; their tokens take ``barrier_hop`` a hop.
    """

    tick: Quantity
    hop_east_west: Quantity
    hop_north_south: Quantity
    hop_local: Quantity
    enqueue: Quantity
    flits: Quantity
    port_slots: Quantity
    core_slots: Quantity
    neuron_update_active: Quantity
    neuron_update_inactive: Quantity
    spike_out: Quantity
    axon_out: Quantity
    message_in: Quantity
    synapse: Quantity
    barrier_hop: Quantity
    barrier: Quantity
    barrier_by_tiles: dict[str, Quantity] = {}
    learn_synapse: Quantity | None = None
    flit_time: Quantity | None = None
    neuron_op: Quantity | None = None
    handshake: Quantity | None = None
    arbiter: Literal["fifo", "rr"] = "fifo"


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A link from one chip to the next, in ns.

    Attributes:
        hop: grant -> head in the next chip's buffer.
        packet: how long one packet occupies the link; its inverse is the link's bandwidth.
        barrier: barrier token from chip to chip.
    """

    hop: Quantity
    packet: Quantity
    barrier: Quantity


class Chip(Shown, msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chip, or several of one kind as a system. ``timing: null`` marks a chip whose times were never published (energy only).

    ``core_limits`` holds limits of single cores that differ from ``limits``: ``{"0-3": {"neurons_per_core": 512}}``,
    numbers within one chip, the first entry that names a core counts. The keys of ``energy`` and their units are those of
    `simulator.chips.energy_keys.ENERGY_UNITS`; an absent key is unknown. ``state_word_bits`` is the width of the state word that
    the constants of reading and writing one are for. ``link`` is from one chip to the next, ``board_link`` from one board
    of ``topology.board_chips`` to the next. ``units`` names a core's hardware units by kind,
    ``{"soma": ["lif", "input[0..7]"]}``: a network that asks for one by name is held against it. ``unit_energy`` holds the
    energies of units other than those that ``energy`` is for: ``{"dense": {"synaptic_event": ...}}``.
    """

    name: str
    title: str
    process_nm: float | None
    capabilities: Capabilities
    topology: Topology
    limits: Limits
    timing: Timing | None
    energy: dict[str, Quantity]
    notes: tuple[str, ...] = ()
    supply_v: Quantity | None = None
    link: Link | None = None
    state_word_bits: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    core_limits: dict[str, dict[str, float]] = {}
    board_link: Link | None = None
    units: dict[str, tuple[str, ...]] = {}
    unit_energy: dict[str, dict[str, Quantity]] = {}

    def has_unit(self, kind: str, name: str) -> bool:
        """Return whether a core has a unit of this name, plain or one of a range; True where the chip names none."""
        return not self.units.get(kind) or any(name in _names(unit) for unit in self.units[kind])

    def limit_of(self, name: str, core: int) -> float | None:
        """Return a limit (a field of `Limits`) of one core: its own, where it differs from the chip's; None if unknown."""
        own = core % self.topology.chip_cores
        for cores, limits in self.core_limits.items():
            first, last = core_range(cores)
            if first <= own <= last and name in limits:
                return limits[name]
        limit: Quantity | None = getattr(self.limits, name)
        return None if limit is None else limit.value

    @property
    def n_cores(self) -> int:
        """Cores that may be used, of all chips."""
        return self.topology.chips * self.topology.usable_cores - len(self.topology.broken_cores)

    def sha256(self) -> str:
        """Return the hash of the chip's content; what came to the format later counts only where a file uses it."""
        content = {k: v for k, v in msgspec.to_builtins(self).items() if k not in _LATER or v != _LATER[k]}
        if self.timing is not None:
            content["timing"] = {k: v for k, v in content["timing"].items() if k != "handshake" or v is not None}
        content["topology"] = {k: v for k, v in content["topology"].items() if k not in _LATER or v != _LATER[k]}
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def _names(unit: str) -> tuple[str, ...]:
    """Return the names that mean a unit: ``u[0..1]`` is u, u[0], u[1] and itself."""
    base, _, numbers = unit.removesuffix("]").partition("[")
    first, dots, last = numbers.partition("..")
    if not dots or not (first + last).isdecimal():
        return (unit, base)
    return (unit, base, *(f"{base}[{k}]" for k in range(int(first), int(last) + 1)))


def core_range(text: str) -> tuple[int, int]:
    """Return first and last core of ``"7"`` or ``"0-3"``; (-1, -1) for anything else."""
    first, _, last = text.partition("-")
    if not first.isdecimal() or (last or "0").isdecimal() is False:
        return -1, -1
    return int(first), int(last or first)

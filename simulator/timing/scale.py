"""From a chip file's nanoseconds to integer ticks: the mesh and the costs of a core's two stages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.base.arrays import I32
from simulator.base.errors import InputError
from simulator.chips.chip import Chip, Link, Timing
from simulator.chips.quantity import Quantity
from simulator.timing.check import check_mesh
from simulator.timing.contract import Mesh


@dataclass(frozen=True)
class Costs:
    """Ticks of a core's work.

    Attributes:
        tick_ns: length of a tick.
        update_active, update_inactive: one neuron's update, with and without input (or spike).
        spike: more for a neuron that fires.
        out: each packet that leaves.
        packet_in_ns, synapse_ns: service of a packet is packet_in + synapses * synapse, rounded as a whole.
        learn_ns: one synapse's weight update in the learning phase.
        op_ns: one operation of a programmed neuron; None: it takes the time of a native update.
    """

    tick_ns: float
    update_active: int
    update_inactive: int
    spike: int
    out: int
    packet_in_ns: float
    synapse_ns: float
    learn_ns: float
    op_ns: float | None = None

    def programmed(self, operations: int) -> int | None:
        """Return the ticks of an update of so many operations; None where the chip gives no time for one."""
        return None if self.op_ns is None else max(1, round(operations * self.op_ns / self.tick_ns))

    def service(self, n_syn: int) -> int:
        """Return the service ticks of a packet that meets `n_syn` synapses, at least 1."""
        return max(1, round((self.packet_in_ns + n_syn * self.synapse_ns) / self.tick_ns))

    def learning(self, n_syn: int) -> int:
        """Return the ticks of the learning phase for `n_syn` updated synapses."""
        return -(-round(n_syn * self.learn_ns * 1000) // round(self.tick_ns * 1000))


def mesh_of(chip: Chip, tiles_used: int | None = None, host: bool = False) -> Mesh:
    """Return the mesh of a chip, its times as ticks of ``chip.timing.tick``.

    Args:
        chip: a chip whose file has times.
        tiles_used: routers with a used core (of the busiest chip), for chips whose barrier depends on it; all routers of a
            chip if not given.
        host: whether the host's port takes part.

    Raises:
        InputError: the chip publishes no time for something that the model needs.
    """
    timing, topology = _timing(chip), chip.topology
    tick = _tick(chip)

    def ticks(name: str, least: int = 1) -> int:
        return max(least, round(_known(chip, name) / tick))

    ns, ew = ticks("hop_north_south"), ticks("hop_east_west")
    tiles = topology.width * topology.height if tiles_used is None else tiles_used
    mesh = Mesh(
        width=topology.width,
        height=topology.height,
        cores_per_router=topology.cores_per_router,
        hop_ticks=(ns, ew, ns, ew, ticks("hop_local")),
        flits=packet_ticks(chip),
        enqueue_ticks=ticks("enqueue"),
        port_slots=max(1, round(_known(chip, "port_slots"))),
        core_slots=max(1, round(_known(chip, "core_slots"))),
        arbiter=timing.arbiter,
        barrier_hop_ticks=ticks("barrier_hop", 0),
        sync_ticks=max(0, round(barrier_ns(chip, tiles) / tick)),
        host=topology.host_port if host else None,
        multicast=topology.multicast,
        networks=topology.networks,
        handshake_ticks=ticks("handshake", 0) if timing.handshake is not None else 0,
    )
    if topology.chips > 1:
        mesh = _side_by_side(mesh, chip)
    check_mesh(mesh)
    return mesh


def tiles_in_use(cores: I32, chip: Chip) -> int:
    """Count routers with one of these cores, of the busiest chip; at least 1."""
    t = chip.topology
    routers = np.unique(cores // t.cores_per_router)
    return int(np.bincount(routers // (t.width * t.height)).max(initial=1))


def _side_by_side(mesh: Mesh, chip: Chip) -> Mesh:
    """Return the mesh of a system, from that of one of its chips."""
    tick = _tick(chip)
    if chip.link is None:
        raise InputError(f"chip {chip.name!r}: $.link", "is missing, and its chips need it", _OWN_COPY)
    times = _link_ticks(chip, "link", chip.link, tick)
    mesh = replace(
        mesh,
        width=chip.topology.columns,
        chip_width=chip.topology.width,
        chip_hop_ticks=max(1, times["hop"]),
        chip_flits=max(mesh.flits, times["packet"]),
        chip_barrier_ticks=times["barrier"],
    )
    per_board = chip.topology.board_chips
    if not 0 < per_board < chip.topology.chips:
        return mesh
    if chip.board_link is None:
        raise InputError(f"chip {chip.name!r}: $.board_link", "is missing, and its boards need it", _OWN_COPY)
    times = _link_ticks(chip, "board_link", chip.board_link, tick)
    return replace(
        mesh,
        board_width=chip.topology.width * per_board,
        board_hop_ticks=max(1, times["hop"]),
        board_flits=max(mesh.flits, times["packet"]),
        board_barrier_ticks=times["barrier"],
    )


def _link_ticks(chip: Chip, where: str, link: Link, tick: float) -> dict[str, int]:
    times = {}
    for name in link.__struct_fields__:
        value = getattr(link, name).value
        if value is None:
            raise InputError(f"chip {chip.name!r}: $.{where}.{name}", "was never published", _OWN_COPY)
        times[name] = round(value / tick)
    return times


_OWN_COPY = "Give a value (marked assumed) in your own copy of the chip file"


def packet_ticks(chip: Chip) -> int:
    """Return the ticks for which one packet occupies a link: flits x flit_time, at least 1; a tick a flit without a time.

    Raises:
        InputError: the chip publishes no times, or not this one.
    """
    flits = max(1, round(_known(chip, "flits")))
    if _timing(chip).flit_time is None:
        return flits
    return max(1, round(flits * _known(chip, "flit_time") / _tick(chip)))


def costs_of(chip: Chip) -> Costs:
    """Return the costs of a core's work on this chip, in ticks.

    Raises:
        InputError: the chip publishes no time for something that the model needs.
    """
    tick = _tick(chip)
    active, inactive, spike, out = (
        max(0, round(_known(chip, name) / tick))
        for name in ("neuron_update_active", "neuron_update_inactive", "spike_out", "axon_out")
    )
    learn = _timing(chip).learn_synapse
    learn_ns = learn.value if learn is not None and learn.value is not None else 0.0
    op = _timing(chip).neuron_op
    return Costs(
        tick, active, inactive, spike, out, _known(chip, "message_in"), _known(chip, "synapse"), learn_ns,
        None if op is None else op.value,
    )  # fmt: skip


def _timing(chip: Chip) -> Timing:
    if chip.timing is None:
        raise InputError(
            f"chip {chip.name!r}",
            "has no published times (energy only)",
            "Choose a chip with timing: see `bimhw chips`",
        )
    return chip.timing


def _tick(chip: Chip) -> float:
    tick = _known(chip, "tick")
    if tick <= 0:
        raise InputError(f"chip {chip.name!r}: $.timing.tick", f"is {tick} ns; it must be greater than 0")
    return tick


def _known(chip: Chip, name: str) -> float:
    quantity: Quantity = getattr(_timing(chip), name)
    if quantity.value is None:
        raise InputError(
            f"chip {chip.name!r}: $.timing.{name}",
            "was never published, and the timing model needs it",
            _OWN_COPY,
        )
    return quantity.value


def barrier_ns(chip: Chip, tiles: int) -> float:
    """Return the barrier's constant: of the largest listed number of tiles that is not above `tiles`, else the plain value."""
    table = {int(k): q for k, q in _timing(chip).barrier_by_tiles.items()}
    if not table:
        return _known(chip, "barrier")
    key = max((k for k in table if k <= tiles), default=min(table))
    value = table[key].value
    if value is None:
        raise InputError(f"chip {chip.name!r}: $.timing.barrier_by_tiles.{key}", "has no value")
    return value

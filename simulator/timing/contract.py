"""The contract of every timing engine: `StepWork` in, `StepTimes` out, the same to the cycle for all engines.

Time is an integer tick. Glossary: C endpoints (cores, then the host), M messages of one step (CSR by source, in emission
order), R routers = width x height, P ports of a router, message stamps in the order GEN, INJ, ARR, SRV, DONE:
the message leaves its core, leaves its core's router input, is whole in the destination's FIFO, enters service, is done.
y grows to the north, x to the east. docs/timing.md states the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulator.base.arrays import I32, I64

NORTH, EAST, SOUTH, WEST, LOCAL = 0, 1, 2, 3, 4
GEN, INJ, ARR, SRV, DONE = 0, 1, 2, 3, 4


def link_name(port: int) -> str:
    """Return the name of a router's port to another router: its direction, and its network where it is not the first."""
    return ("north", "east", "south", "west")[port % LOCAL] + (f" of network {port // LOCAL}" if port >= LOCAL else "")


@dataclass(frozen=True)
class Mesh:
    """A width x height mesh of routers with ``cores_per_router`` cores each; core c sits at router c // cores_per_router,
    router r at x = r // height, y = r % height (column major, as Loihi tiles are numbered).

    Attributes:
        hop_ticks: grant -> head in the next buffer, by output direction (N, E, S, W, local ejection), each >= 1.
        flits: packet length L >= 1; link and input port are busy L ticks.
        enqueue_ticks: soma -> local router FIFO, >= 1.
        port_slots: packet slots of a router input FIFO, >= 1.
        core_slots: packet slots of a core's input FIFO, >= 1.
        arbiter: ``fifo`` (oldest arrival, then source core, then sequence) or ``rr`` (rotating priority).
        barrier_hop_ticks: barrier token, per hop to the root router (0).
        sync_ticks: constant of one barrier.
        multicast: whether the packets of one spike travel as one, which forks at the routers where their ways part.
        networks: 1 or 2 networks of routers and links. A packet takes network (destination's number) % networks. Both meet at
            each core: one FIFO into them, and one output out of them, which serves the inputs of both.
        handshake_ticks: between an endpoint's last token from its neighbours and its next step, where neighbours synchronise.
        host: router (x, y) that has the host's port, a local port of its own; ``None`` without a host. The host is then
            one more endpoint, number ``n_cores``: a source and a destination of messages like a core.
        chip_width: columns of one chip where several stand side by side; 0 for a single chip. East-west links between two
            chips have the times below instead of their own.
        chip_hop_ticks: grant -> head in the next chip's buffer, >= 1.
        chip_flits: ticks that a packet occupies a link between chips, >= flits; its head goes on when the rest can follow.
        chip_barrier_ticks: barrier token from one chip to the next.
        board_width: columns of one board of chips; 0 where all chips share a board. Links between boards have the times
            below instead of those between chips.
        board_hop_ticks, board_flits, board_barrier_ticks: as those of chips.
    """

    width: int
    height: int
    cores_per_router: int
    hop_ticks: tuple[int, int, int, int, int] = (1, 1, 1, 1, 1)
    flits: int = 1
    enqueue_ticks: int = 1
    port_slots: int = 4
    core_slots: int = 4
    arbiter: Literal["fifo", "rr"] = "fifo"
    barrier_hop_ticks: int = 0
    sync_ticks: int = 0
    host: tuple[int, int] | None = None
    chip_width: int = 0
    chip_hop_ticks: int = 1
    chip_flits: int = 1
    chip_barrier_ticks: int = 0
    board_width: int = 0
    board_hop_ticks: int = 1
    board_flits: int = 1
    board_barrier_ticks: int = 0
    handshake_ticks: int = 0
    multicast: bool = False
    networks: int = 1

    @property
    def n_routers(self) -> int:
        """Number of routers R; the two of a place, where there are two networks, count as one with the ports of both."""
        return self.width * self.height

    @property
    def n_cores(self) -> int:
        """Number of cores."""
        return self.n_routers * self.cores_per_router

    @property
    def n_endpoints(self) -> int:
        """Sources and destinations of messages: the cores, and the host where there is one."""
        return self.n_cores + (self.host is not None)

    @property
    def n_ports(self) -> int:
        """Ports of a router: N, E, S, W of each network, its cores, and the host's (unused but at the host's router)."""
        return self.n_links + self.cores_per_router + (self.host is not None)

    @property
    def n_links(self) -> int:
        """Ports of a router that links to other routers have: the first ones; its first core's port follows."""
        return LOCAL * self.networks


@dataclass(frozen=True, eq=False)
class StepWork:
    """Work of one step, as a timing engine sees it.

    Attributes:
        off: int64 [C + 1], messages of core c are [off[c], off[c+1]).
        gap: int32 [M], ticks of soma and axon-out work before the message is ready.
        rel: int64 [M], earliest release (tick sync; else 0).
        dst: int32 [M], destination core.
        srv: int32 [M], service ticks at the destination.
        tail: int32 [C], soma work after the core's last message.
        start: int64 [C], start of the step at each core.
        ends: int64 [M], message after the last of those that leave their core as one packet with each message; None: every
            message is a packet. The messages of a packet are its leaves, sorted by `Wires.leaf_key`, no two the same; the
            later ones have no gap.
    """

    off: I64
    gap: I32
    rel: I64
    dst: I32
    srv: I32
    tail: I32
    start: I64
    ends: I64 | None = None


@dataclass(frozen=True, eq=False)
class StepTimes:
    """Times of one step.

    Attributes:
        stamps: int64 [M, 5], GEN INJ ARR SRV DONE of each message.
        soma_end: int64 [C].
        link_busy: int64 [R, P], busy ticks of each router output (N, E, S, W of each network, locals, host).
    """

    stamps: I64
    soma_end: I64
    link_busy: I64

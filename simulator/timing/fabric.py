"""The network on chip as SimPy processes: input buffers, router outputs, links with credits.

One process per place that decides (an output port), none per packet; a packet in flight is one timeout. Phase A of a
tick (see `clocked`) is SimPy's normal priority, phase B the later priority `DECIDE`. A router is a class that a user can
replace: `Router.route` says which output a packet needs, `Router.choose` which of the waiting inputs an output serves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Protocol

import simpy
from simpy.events import Event, EventPriority, Timeout

from simulator.timing.contract import EAST, INJ, NORTH, SOUTH, WEST, Mesh, link_name
from simulator.timing.wires import wires

DECIDE = EventPriority(2)


class Packet:
    """One packet on its way.

    Attributes:
        number: unique in a step, ascending with source and sequence: the arbiters' tie-breaker.
        source, target: endpoints.
        service_ticks: work at the target's synapse stage.
        stamps: GEN INJ ARR SRV DONE.
        arrival: tick at which it reached the FIFO that it is in.
        content: what it carries (a spike of the event-driven engine), opaque to the network.
    """

    __slots__ = (
        "arrival",
        "content",
        "number",
        "port",
        "router",
        "service_ticks",
        "side",
        "source",
        "stamps",
        "target",
    )

    def __init__(self, number: int, source: int, target: int, service_ticks: int, content: object = None) -> None:
        self.number, self.source, self.target = number, source, target
        self.service_ticks, self.content = service_ticks, content
        self.stamps = [0, 0, 0, 0, 0]
        self.arrival = self.router = self.port = self.side = 0


class Tree(Packet):
    """Packets that travel as one until their ways part.

    Attributes:
        leaves: the packets, sorted as `Wires.leaf_key` says.
    """

    __slots__ = ("leaves",)

    def __init__(self, leaves: list[Packet]) -> None:
        first = leaves[0]
        super().__init__(first.number, first.source, first.target, 0)
        self.leaves = leaves


def leaves_of(packet: Packet) -> list[Packet]:
    """Return the packets that a packet stands for: its leaves, or itself."""
    return packet.leaves if isinstance(packet, Tree) else [packet]


class Sink(Protocol):
    """End of a link."""

    def arrive(self, packet: Packet) -> None:
        """Take in a packet (phase A)."""

    def stuck(self) -> Iterator[str]:
        """Yield what waits here, in words."""


class Sender(Protocol):
    """Holder of the credits of a buffer."""

    def slot_freed(self) -> None:
        """Note that one more packet fits (phase A)."""


def at_decision(env: simpy.Environment, event: Event | None = None) -> Event:
    """Let an event (a new one by default) happen in phase B of this tick.

    `Event.succeed` schedules with SimPy's normal priority; a later phase needs the priority itself, as SimPy's own
    `Initialize` and `Interruption` set it.
    """
    event = event or Event(env)
    event._ok, event._value = True, None
    env.schedule(event, DECIDE)
    return event


class Place:
    """A process that sleeps until it is rung and then decides, once a tick, after all that is due has happened."""

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self._alarm = Event(env)
        self._rung = False

    def ring(self) -> None:
        """Decide in phase B of this tick."""
        if not self._rung:
            self._rung = True
            at_decision(self.env, self._alarm)

    def alarm(self) -> Event:
        """Return the event to wait for."""
        if self._rung:
            self._alarm = Event(self.env)
            self._rung = False
        return self._alarm


def after(env: simpy.Environment, ticks: int, call: Callable[[Event], None]) -> None:
    """Call `call(event)` in phase A, `ticks` from now."""
    Timeout(env, ticks).callbacks.append(call)


class InputPort:
    """A router's input FIFO. Only its head asks for an output, and only while the port is not busy with a tail."""

    def __init__(self, router: Router, number: int) -> None:
        self.router, self.number = router, number
        self.queue: deque[Packet] = deque()
        self.idle = True
        self.sender: Sender | None = None
        self.branches: dict[int, Packet] = {}  # of the head, by output: what is not granted yet
        self.held_until = 0  # the head's granted branches need it until then

    def arrive(self, packet: Packet) -> None:
        """Take in a head flit (phase A)."""
        packet.arrival = int(self.router.env.now)
        self.queue.append(packet)
        if self.idle and len(self.queue) == 1:
            self._ask()

    def released(self) -> None:
        """Free the slot of a head whose branches' tails have all left; the next head may ask."""
        self.idle = True
        if self.sender is not None:
            self.sender.slot_freed()
        if self.queue:
            self._ask()

    def _ask(self) -> None:
        self.branches = self.router.branches(self.queue[0], self.number)
        self.held_until = 0
        for number in self.branches:
            output = self.router.outputs[number]
            output.requests.append(self)
            if output.idle and output.slots:
                output.ring()

    def grant(self, output: int, until: int) -> Packet:
        """Hand out the branch behind an output, whose tail leaves at `until`; the last one takes the head away."""
        branch = self.branches.pop(output)
        self.idle = False
        self.held_until = max(self.held_until, until)
        if not self.branches:
            self.queue.popleft()
            after(self.router.env, self.held_until - int(self.router.env.now), lambda _: self.released())
        return branch

    def stuck(self) -> Iterator[str]:
        """Yield what waits here, in words."""
        if self.queue:
            for number, branch in (self.branches or self.router.branches(self.queue[0], self.number)).items():
                out = self.router.outputs[number]
                yield (
                    f"{self.router.name} input {self.router.port_name(self.number)} holds {len(self.queue)} packets, the "
                    f"first for endpoint {branch.target}, waiting for output {self.router.port_name(out.number)} "
                    f"({out.slots} free slots behind it)"
                )


class OutputPort(Place):
    """A router's output: link, credits of the buffer behind it, and an arbiter over the inputs that ask."""

    def __init__(self, router: Router, number: int, slots: int, target: Sink) -> None:
        super().__init__(router.env)
        w, row = wires(router.mesh), router.number * router.mesh.n_ports + number
        hop_ticks, self.flits = int(w.hop_ticks[row]), int(w.flits[row])
        self.router, self.number, self.target, self.slots = router, number, target, slots
        self.flight_ticks = hop_ticks + (self.flits - 1 if number >= router.mesh.n_links else 0)
        self.requests: list[InputPort] = []
        self.idle = True
        self.turn = 0
        self.busy_ticks = 0
        router.env.process(self._run())

    def slot_freed(self) -> None:
        """Note that the buffer behind the link has one more free slot (phase A)."""
        self.slots += 1
        if self.requests and self.idle:
            self.ring()

    def _run(self) -> Generator[Event, None, None]:
        while True:
            yield self.alarm()
            if self.idle and self.slots and self.requests:
                self._grant(self.router.choose(self))

    def _grant(self, granted: InputPort) -> None:
        self.requests.remove(granted)
        packet = granted.grant(self.number, int(self.env.now) + self.flits)
        self.idle = False
        self.slots -= 1
        self.busy_ticks += self.flits
        if granted.number >= self.router.mesh.n_links:
            for leaf in leaves_of(packet):
                leaf.stamps[INJ] = int(self.env.now)

        def tail_left(_: Event) -> None:
            self.idle = True
            if self.requests and self.slots:
                self.ring()

        after(self.env, self.flits, tail_left)
        after(self.env, self.flight_ticks, lambda _: self.target.arrive(packet))


class Router:
    """A router with XY routing and the mesh's arbiter; subclass it to try another.

    Args:
        env: the simulation.
        mesh: the mesh it belongs to.
        number: its number; it stands at (number // height, number % height).
    """

    def __init__(self, env: simpy.Environment, mesh: Mesh, number: int) -> None:
        self.env, self.mesh, self.number = env, mesh, number
        self.x, self.y = divmod(number, mesh.height)
        self.name = f"router ({self.x}, {self.y})"
        self.inputs = [InputPort(self, i) for i in range(mesh.n_ports)]
        self.outputs: dict[int, OutputPort] = {}

    def port_name(self, number: int) -> str:
        """Name of a port for people."""
        first = self.mesh.n_links
        return link_name(number) if number < first else f"local {number - first}"

    def route(self, packet: Packet, in_port: int) -> int:
        """Return the output that a packet needs, by XY routing (x first). Called again for the same head: it must not change."""
        x, y = divmod(packet.router, self.mesh.height)
        if x != self.x:
            return packet.side + (EAST if x > self.x else WEST)
        if y != self.y:
            return packet.side + (NORTH if y > self.y else SOUTH)
        return packet.port

    def branches(self, packet: Packet, in_port: int) -> dict[int, Packet]:
        """Return a packet's part for each output: all of it to one, but for a `Tree` whose ways part here."""
        if not isinstance(packet, Tree):
            return {self.route(packet, in_port): packet}
        parts: dict[int, list[Packet]] = {}
        for leaf in packet.leaves:
            parts.setdefault(self.route(leaf, in_port), []).append(leaf)
        return {out: leaves[0] if len(leaves) == 1 else Tree(leaves) for out, leaves in parts.items()}

    def choose(self, output: OutputPort) -> InputPort:
        """Return the input that an output serves next, of those that ask (never none)."""
        if self.mesh.arbiter == "rr":
            n = self.mesh.n_ports
            best = min(output.requests, key=lambda i: (i.number - output.turn) % n)
            output.turn = (best.number + 1) % n
            return best
        requests = output.requests
        return requests[0] if len(requests) == 1 else min(requests, key=_oldest)


def _oldest(port: InputPort) -> tuple[int, int]:
    head = port.queue[0]
    return head.arrival, head.number


class Fabric:
    """Routers and links of a mesh. `attach` connects an endpoint; `inject` hands a packet to its router.

    Args:
        env: the simulation.
        mesh: sizes, times and buffers.
        router: the class of the routers, called as ``router(env, mesh, number)``.
    """

    def __init__(
        self, env: simpy.Environment, mesh: Mesh, router: Callable[[simpy.Environment, Mesh, int], Router] = Router
    ) -> None:
        self.env, self.mesh = env, mesh
        self._wires = wires(mesh)
        self._router_of, self._port_of = self._wires.router.tolist(), self._wires.port.tolist()
        self._side_of = self._wires.side.tolist()
        self.routers = [router(env, mesh, r) for r in range(mesh.n_routers)]
        for r in self.routers:
            for out in range(mesh.n_links):
                far = int(self._wires.far_end[r.number * mesh.n_ports + out])
                if far >= 0:
                    target = self.routers[far // mesh.n_ports].inputs[far % mesh.n_ports]
                    r.outputs[out] = OutputPort(r, out, mesh.port_slots, target)
                    target.sender = r.outputs[out]

    def attach(self, endpoint: int, source: Sender, sink: Sink) -> OutputPort:
        """Connect an endpoint: `source` holds the credits of its router input, `sink` gets its packets.

        Returns the router output in front of the sink, which holds the sink's credits.
        """
        router, port = self.routers[self._router_of[endpoint]], self._port_of[endpoint]
        router.inputs[port].sender = source
        output = OutputPort(router, port, self.mesh.core_slots, sink)
        router.outputs[port] = output
        return output

    def inject(self, packet: Packet) -> None:
        """Send a packet from its endpoint into its router (the caller has used one of its credits)."""
        for leaf in leaves_of(packet):
            target = leaf.target
            leaf.router, leaf.port, leaf.side = self._router_of[target], self._port_of[target], self._side_of[target]
        entry = self.routers[self._router_of[packet.source]].inputs[self._port_of[packet.source]]
        after(self.env, self.mesh.enqueue_ticks, lambda _: entry.arrive(packet))

    def restart_turns(self) -> None:
        """Set every rotating priority back to its first input, as a barrier does."""
        for router in self.routers:
            for output in router.outputs.values():
                output.turn = 0

    def stuck(self) -> list[str]:
        """Return every place where a packet waits, in words; empty when the network is."""
        found = [text for r in self.routers for i in r.inputs for text in i.stuck()]
        return found + [
            text
            for r in self.routers
            for o in r.outputs.values()
            if o.number >= self.mesh.n_links
            for text in o.target.stuck()
        ]

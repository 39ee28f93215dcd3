"""The timing model as SimPy processes: somas, routers and synapse stages that exchange packets of a known `StepWork`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator

import numpy as np
import simpy
from simpy.events import Event, Timeout

from simulator.base.errors import InputError
from simulator.timing.check import check_mesh, check_work
from simulator.timing.contract import ARR, DONE, GEN, SRV, Mesh, StepTimes, StepWork
from simulator.timing.fabric import Fabric, OutputPort, Packet, Place, Router, Tree, after, leaves_of


class Entry:
    """End of an endpoint's packets: who sends waits while its router input is full."""

    def __init__(self, env: simpy.Environment, slots: int) -> None:
        self.env, self.slots = env, slots
        self._stalled: Event | None = None

    def slot_freed(self) -> None:
        """Note that the router input has one more free slot."""
        self.slots += 1
        if self._stalled is not None:
            self._stalled.succeed()
            self._stalled = None

    def take_slot(self) -> Generator[Event, None, None]:
        """Take a slot of the router input, as soon as one is free."""
        if not self.slots:
            self._stalled = Event(self.env)
            yield self._stalled
        self.slots -= 1


class Soma(Entry):
    """Soma and axon-out stage of one core: makes each message ready, and stalls while its router input is full."""

    def __init__(self, fabric: Fabric, start: int, tail: int, jobs: list[tuple[int, int, Packet]]) -> None:
        super().__init__(fabric.env, fabric.mesh.port_slots)
        self._fabric = fabric
        self.end = start + tail
        self._start, self._tail, self._jobs = start, tail, jobs
        if jobs:
            self.env.process(self._run())

    def _run(self) -> Generator[Event, None, None]:
        ready = self._start
        for gap, release, packet in self._jobs:
            wait = max(ready + gap, release) - int(self.env.now)
            if wait > 0:
                yield Timeout(self.env, wait)
            yield from self.take_slot()
            ready = int(self.env.now)
            for leaf in leaves_of(packet):
                leaf.stamps[GEN] = ready
            self._fabric.inject(packet)
        self.end = ready + self._tail


class SynapseStage(Place):
    """Axon-in and synapse stage of one core: serves its input FIFO, one packet at a time."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self.queue: deque[Packet] = deque()
        self.sender: OutputPort | None = None
        self.served = 0
        self._asleep = True
        env.process(self._run())

    def arrive(self, packet: Packet) -> None:
        """Take in the tail of a packet (phase A)."""
        packet.stamps[ARR] = int(self.env.now)
        self.queue.append(packet)
        if self._asleep:
            self.ring()

    def stuck(self) -> Iterator[str]:
        """Yield what waits here, in words."""
        if self.queue:
            yield f"the FIFO of endpoint {self.queue[0].target} holds {len(self.queue)} packets"

    def serve(self, packet: Packet) -> int:
        """Do what the packet asks for; returns its service ticks."""
        return packet.service_ticks

    def finish(self, packet: Packet) -> None:
        """Finish the packet's work."""

    def _run(self) -> Generator[Event, None, None]:
        while True:
            self._asleep = True
            yield self.alarm()
            self._asleep = False
            while self.queue:
                packet = self.queue.popleft()
                packet.stamps[SRV] = int(self.env.now)
                after(self.env, 1, self._slot_freed)
                yield Timeout(self.env, self.serve(packet))
                packet.stamps[DONE] = int(self.env.now)
                self.served += 1
                self.finish(packet)

    def _slot_freed(self, _: Event) -> None:
        assert self.sender is not None
        self.sender.slot_freed()


def run_simpy(
    mesh: Mesh, work: StepWork, router: Callable[[simpy.Environment, Mesh, int], Router] = Router
) -> StepTimes:
    """Time one step by SimPy processes; `router` replaces the routers.

    Raises:
        InputError: the mesh or the work is not well formed, or the routers deadlock (the message names where).
    """
    check_mesh(mesh)
    check_work(mesh, work)
    packets = _packets(work)
    env = simpy.Environment(int(work.start.min(initial=0)))
    fabric = Fabric(env, mesh, router)
    somas, stages = [], []
    for c in range(mesh.n_endpoints):
        lo, hi = int(work.off[c]), int(work.off[c + 1])
        jobs = [(int(work.gap[m]), int(work.rel[m]), p) for m, p in packed(packets, work, lo, hi)]
        somas.append(Soma(fabric, int(work.start[c]), int(work.tail[c]), jobs))
        stages.append(SynapseStage(env))
        stages[-1].sender = fabric.attach(c, somas[-1], stages[-1])
    env.run()
    check_drained(fabric, len(packets) - sum(s.served for s in stages))
    stamps = np.array([p.stamps for p in packets], np.int64).reshape(-1, 5)
    return StepTimes(stamps, np.array([s.end for s in somas], np.int64), link_busy(fabric))


def packed(packets: list[Packet], work: StepWork, lo: int, hi: int) -> Iterator[tuple[int, Packet]]:
    """Yield what leaves a core of the messages [lo, hi): first message of each packet, and the packet."""
    m = lo
    while m < hi:
        stop = m + 1 if work.ends is None else int(work.ends[m])
        yield m, packets[m] if stop == m + 1 else Tree(packets[m:stop])
        m = stop


def _packets(work: StepWork) -> list[Packet]:
    source = np.repeat(np.arange(work.off.size - 1), np.diff(work.off)).tolist()
    rows = zip(source, work.dst.tolist(), work.srv.tolist(), strict=True)
    return [Packet(m, s, d, ticks) for m, (s, d, ticks) in enumerate(rows)]


def check_drained(fabric: Fabric, missing: int) -> None:
    """Raise `InputError` when nothing can happen any more and packets are still on their way: a deadlock."""
    if missing:
        stuck = fabric.stuck()
        shown = "; ".join(stuck[:6]) + (f"; and {len(stuck) - 6} more places" if len(stuck) > 6 else "")
        raise InputError(
            f"routers ({type(fabric.routers[0]).__name__})",
            f"are in deadlock at tick {fabric.env.now} with {missing} packets undelivered: {shown}",
            "Route so that no cycle of full buffers can form (XY routing is free of them)",
        )


def link_busy(fabric: Fabric) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return the busy ticks of each router output, int64 [R, P]."""
    busy = np.zeros((fabric.mesh.n_routers, fabric.mesh.n_ports), np.int64)
    for router in fabric.routers:
        for out in router.outputs.values():
            busy[router.number, out.number] = out.busy_ticks
    return busy

"""The handshake between neighbours as SimPy events: every token is sent, travels and is counted (see `neighbours`)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

import numpy as np
import simpy
from simpy.events import Event, Timeout

from simulator.timing.check import check_mesh, check_work
from simulator.timing.contract import DONE, GEN, Mesh
from simulator.timing.fabric import Fabric, Packet, Router, after, leaves_of
from simulator.timing.neighbours import LocalTimes, LocalWork, Neighbours
from simulator.timing.simpy_timing import Entry, SynapseStage, check_drained, link_busy, packed


class Handshake:
    """Handshake of each endpoint with its neighbours: tokens heard, and the time to go on.

    Args:
        env: the simulation.
        near: who waits for whom.
        ticks: between the last token and the next step.
        begin: called with an endpoint and the step that it begins.
        finished: called with an endpoint and the step that it is finished with.
    """

    def __init__(
        self,
        env: simpy.Environment,
        near: Neighbours,
        ticks: int,
        begin: Callable[[int, int], None],
        finished: Callable[[int, int], None],
    ) -> None:
        self.env, self.ticks, self._begin, self._finished = env, ticks, begin, finished
        n = near.senders.size
        rows = list(zip(near.who.tolist(), near.ticks.tolist(), near.sends.tolist(), strict=True))
        self._near = [rows[near.ptr[c] : near.ptr[c + 1]] for c in range(n)]
        self._senders: list[int] = near.senders.tolist()
        self._heard, self._expected, self._served = [0] * n, [0] * n, [0] * n
        self._tokens = [0] * n, [0] * n  # by parity of the step that is finished
        self._step, self._until = [0] * n, 0

    def start(self, step: int, until: int) -> None:
        """Let every endpoint begin `step` now; none goes on to `until`."""
        self._until = until
        self._step = [step] * len(self._step)
        for tokens in self._tokens:
            tokens[:] = [0] * len(tokens)
        for c in range(len(self._step)):
            self._begin(c, step)

    def soma_done(self, c: int, packets: Mapping[int, int]) -> None:
        """Note that the soma of an endpoint has finished its step, in which it sent `packets` by target."""
        self._hear(c, packets.get(c, 0))
        for m, ticks, sends in self._near[c]:
            if sends:
                after(self.env, ticks, lambda _, m=m: self._hear(m, packets.get(m, 0)))  # type: ignore[misc]

    def served(self, c: int) -> None:
        """Note that an endpoint has served a packet."""
        self._served[c] += 1
        self._look(c)

    def _hear(self, c: int, packets: int) -> None:
        self._heard[c] += 1
        self._expected[c] += packets
        self._look(c)

    def _look(self, c: int) -> None:
        if self._heard[c] <= self._senders[c] or self._served[c] < self._expected[c]:
            return
        self._heard[c] = self._expected[c] = self._served[c] = 0
        step = self._step[c]
        self._step[c] += 1
        self._finished(c, step)
        for m, ticks, _ in ((c, 0, True), *self._near[c]):
            after(self.env, ticks, lambda _, m=m: self._token(m, step))  # type: ignore[misc]

    def _token(self, c: int, step: int) -> None:
        tokens = self._tokens[step & 1]
        tokens[c] += 1
        if tokens[c] > len(self._near[c]):
            tokens[c] = 0
            if step + 1 < self._until:
                after(self.env, self.ticks, lambda _: self._begin(c, step + 1))


class _Soma(Entry):
    """Soma and axon-out stage of one core: the packets of one step after another."""

    def __init__(self, fabric: Fabric, run: _Run, endpoint: int) -> None:
        super().__init__(fabric.env, fabric.mesh.port_slots)
        self._fabric, self._run, self._endpoint = fabric, run, endpoint

    def step(self, step: int) -> Generator[Event, None, None]:
        """Do the work of a step that begins now."""
        local, c, sent = self._run.local, self._endpoint, dict[int, int]()
        ready = int(self.env.now)
        lo, hi = int(local.first[step, c]), int(local.first[step + 1, c])
        for m, packet in packed(self._run.packets, local.work, lo, hi):
            wait = ready + int(local.work.gap[m]) - int(self.env.now)
            if wait > 0:
                yield Timeout(self.env, wait)
            yield from self.take_slot()
            ready = int(self.env.now)
            for leaf in leaves_of(packet):
                leaf.stamps[GEN] = ready
                sent[leaf.target] = sent.get(leaf.target, 0) + 1
            self._fabric.inject(packet)
        tail = int(local.tail[step, c])
        if tail:
            yield Timeout(self.env, tail)
        self._run.soma_end[step, c] = int(self.env.now)
        self._run.shake.soma_done(c, sent)


class _Stage(SynapseStage):
    def __init__(self, env: simpy.Environment, run: _Run) -> None:
        super().__init__(env)
        self._of = run

    def finish(self, packet: Packet) -> None:
        """Finish the packet's work."""
        assert packet.stamps[DONE] == self.env.now
        self._of.shake.served(packet.target)


class _Run:
    """A run of known work, and when its endpoints began and finished."""

    def __init__(self, mesh: Mesh, local: LocalWork, router: Callable[[simpy.Environment, Mesh, int], Router]) -> None:
        self.local, self.env = local, simpy.Environment()
        self.fabric = Fabric(self.env, mesh, router)
        source = np.repeat(np.arange(mesh.n_endpoints), np.diff(local.work.off)).tolist()
        rows = zip(source, local.work.dst.tolist(), local.work.srv.tolist(), strict=True)
        self.packets = [Packet(m, s, d, ticks) for m, (s, d, ticks) in enumerate(rows)]
        self.start, self.soma_end, self.quiet = (np.zeros(local.tail.shape, np.int64) for _ in range(3))
        self.somas = [_Soma(self.fabric, self, c) for c in range(mesh.n_endpoints)]
        self.stages = [_Stage(self.env, self) for _ in self.somas]
        for c, (soma, stage) in enumerate(zip(self.somas, self.stages, strict=True)):
            stage.sender = self.fabric.attach(c, soma, stage)
        self.shake = Handshake(self.env, local.neighbours, mesh.handshake_ticks, self._begin, self._finished)

    def _begin(self, c: int, step: int) -> None:
        self.start[step, c] = self.env.now
        self.env.process(self.somas[c].step(step))

    def _finished(self, c: int, step: int) -> None:
        self.quiet[step, c] = self.env.now


def run_simpy_local(
    mesh: Mesh, local: LocalWork, router: Callable[[simpy.Environment, Mesh, int], Router] = Router
) -> LocalTimes:
    """Time a run whose cores synchronise by neighbours, by SimPy processes; `router` replaces the routers.

    Raises:
        InputError: the mesh or the work is not well formed, or the routers deadlock (the message names where).
    """
    check_mesh(mesh)
    check_work(mesh, local.work)
    run = _Run(mesh, local, router)
    run.shake.start(0, local.tail.shape[0])
    run.env.run()
    check_drained(run.fabric, len(run.packets) - sum(s.served for s in run.stages))
    stamps = np.array([p.stamps for p in run.packets], np.int64).reshape(-1, 5)
    return LocalTimes(stamps, run.start, run.soma_end, run.quiet, link_busy(run.fabric))

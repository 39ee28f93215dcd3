"""A long run in chunks: its memory does not grow with its steps.

Each chunk is run, counted and timed, then forgotten; the pointers and ids of its spikes go to unnamed files on the disk
(8 bytes a step, 4 a spike), from which the spike hash of the whole run is made.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO

import numpy as np

from bimhw.runs.pieces import forget
from simulator.function import Simulation
from simulator.function.counting import Counter
from simulator.function.run import recorded_spikes, tally_of
from simulator.program.activity import Activity, Count
from simulator.program.spikes import SpikeTrain, window

CHUNK_STEPS = 50_000
_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class LongRun:
    """Kept parts of a run.

    Attributes:
        seconds, wall_s: CPU time of the function alone, and by the clock on the wall.
        spikes: events, external ones included.
        spike_hash: `SpikeTrain.spike_hash` of the whole run.
        activity: counters; ``by_step`` has one entry, the total.
    """

    seconds: float
    wall_s: float
    spikes: int
    spike_hash: str
    activity: Activity


def run_long(
    simulation: Simulation,
    inputs: SpikeTrain,
    steps: int,
    counter: Counter,
    each: Callable[[SpikeTrain], None],
    chunk: int = CHUNK_STEPS,
) -> LongRun:
    """Run a simulation from its first step, chunk by chunk; results are those of a run in one piece.

    Args:
        simulation: nothing in it may be broken.
        inputs: external spikes.
        steps: of the whole run.
        counter: of its program.
        each: called with the spikes of every chunk.
        chunk: steps of one.
    """
    simulation.restart()
    seconds, wall, total = 0.0, 0.0, None
    with tempfile.TemporaryFile() as pointers, tempfile.TemporaryFile() as ids:
        pointers.write(np.zeros(1, np.int64).tobytes())
        spikes = 0
        for start in range(0, steps, chunk):
            stop = min(steps, start + chunk)
            part = window(inputs, min(start, inputs.steps), min(stop, inputs.steps))
            began = time.process_time(), time.perf_counter()
            simulation.advance(part, stop - start)
            seconds, wall = seconds + time.process_time() - began[0], wall + time.perf_counter() - began[1]
            train = recorded_spikes(simulation.record)
            pointers.write((train.ptr[1:] + spikes).tobytes())
            ids.write(np.ascontiguousarray(train.ids).tobytes())
            spikes += int(train.ids.size)
            counted = _collapsed(counter.activity(train, tally_of(simulation)))
            total = counted if total is None else _sum(total, counted)
            each(train)
            forget(simulation)
        assert total is not None
        return LongRun(seconds, wall, spikes, _hash(pointers, ids), total)


def _collapsed(activity: Activity) -> Activity:
    counts = {n: replace(c, by_step=np.array([c.total], np.int64)) for n, c in activity.counts.items()}
    return replace(activity, counts=counts)


def _sum(a: Activity, b: Activity) -> Activity:
    counts: dict[str, Count] = {}
    for name in sorted({*a.counts, *b.counts}):
        there = [x.counts[name] for x in (a, b) if name in x.counts]
        by_step = np.array([sum(c.total for c in there)], np.int64)
        by_core, by_population = (np.sum([getattr(c, k) for c in there], axis=0) for k in ("by_core", "by_population"))
        counts[name] = Count(by_core, by_step, by_population)
    return replace(a, counts=counts, steps=a.steps + b.steps)


def _hash(*files: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for file in files:
        file.seek(0)
        while block := file.read(_HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()[:16]

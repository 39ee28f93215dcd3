"""Value change dump (IEEE 1364), which GTKWave and Surfer open: busy wires and queue lengths of every recorded core."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from simulator.base.arrays import I64
from simulator.base.errors import MissingExtraError
from simulator.base.files import replacing
from simulator.timing.contract import ARR, DONE, SRV
from simulator.timing.trace.records import Trace


def write_vcd(path: Path | str, trace: Trace) -> None:
    """Write ``chip.step`` and, for each core, ``soma`` (busy), ``synapses`` (busy) and ``queue`` (packets that wait).

    The time unit is a picosecond; a tick is rounded to whole picoseconds.

    Raises:
        MissingExtraError: pyvcd is not installed (extra ``trace``).
    """
    try:
        from vcd import VCDWriter
    except ImportError as error:
        raise MissingExtraError("pyvcd", "trace", "VCD output") from error
    ps = max(1, round(trace.tick_ns * 1000))
    with (
        replacing(Path(path)) as temporary,
        temporary.open("w", encoding="ascii") as file,
        VCDWriter(file, timescale="1 ps", date="", version="bimhw") as writer,
    ):
        variables = {(-1, "step"): writer.register_var("chip", "step", "integer", init=0)}
        for core in trace.cores.tolist():
            scope = f"chip.core{core}"
            for name, size in (("soma", 1), ("synapses", 1), ("queue", 16)):
                variables[core, name] = writer.register_var(scope, name, "wire", size=size, init=0)
        for tick, core, name, value in changes(trace):
            writer.change(variables[core, name], tick * ps, value)


def changes(trace: Trace) -> list[tuple[int, int, str, int]]:
    """Return all value changes as (tick, core or -1, wire, value), in time order, one for each wire and tick."""
    found: list[tuple[int, int, str, int]] = [
        (r, -1, "step", s) for s, r in zip(trace.steps.tolist(), trace.release.tolist(), strict=True)
    ]
    for c, core in enumerate(trace.cores.tolist()):
        here = trace.stamps[trace.target == core]
        found += _levels(core, "soma", trace.soma_start[:, c], trace.soma_end[:, c])
        found += _levels(core, "synapses", here[:, SRV], here[:, DONE])
        found += _levels(core, "queue", here[:, ARR], here[:, SRV])
    return sorted(found, key=lambda f: f[0])


def _levels(core: int, name: str, up: I64, down: I64) -> list[tuple[int, int, str, int]]:
    """Count how many intervals [up, down) are open, at every tick at which that changes."""
    ticks = np.concatenate([up, down])
    if not ticks.size:
        return []
    at, place = np.unique(ticks, return_inverse=True)
    step = np.bincount(place, np.repeat([1.0, -1.0], [up.size, down.size]), at.size).astype(np.int64)
    level = np.cumsum(step)
    changed = step != 0
    return [(t, core, name, v) for t, v in zip(at[changed].tolist(), level[changed].tolist(), strict=True)]

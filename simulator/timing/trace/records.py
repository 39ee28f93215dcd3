"""The records of a trace, one set of preallocated arrays, all times in ticks since the start of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simulator.base.arrays import I32, I64, Array
from simulator.base.errors import InputError
from simulator.base.files import read_npz, write_npz
from simulator.base.reading import boundary
from simulator.base.shown import Shown
from simulator.program.spikes import SpikeTrain
from simulator.timing.run import TimingRun

FORMAT = 1


@dataclass(frozen=True, eq=False, repr=False)
class Trace(Shown):
    """Messages, spikes, states, busy cores and link load of a window of steps (and of some cores).

    Attributes:
        tick_ns: length of a tick.
        cores: int32 [C], endpoints recorded; a message is recorded where its source or its target is among them.
        steps: int32 [S], steps recorded.
        release: int64 [S], tick at which each was released.
        ticks: int64 [S], its length, barrier included.
        soma_start, soma_end: int64 [S, C], when each soma worked.
        link_busy: int64 [S, R, P], busy ticks of every router output.
        step, source, target, service, stalled: int32 [M], messages: step, endpoints, service ticks, ticks that the soma
            waited for a free slot.
        stamps: int64 [M, 5], GEN INJ ARR SRV DONE.
        spike_step, spike_id, spike_payload: int32 [events] of the recorded steps.
        probes: "population.state" -> int32 [S, n].
    """

    tick_ns: float
    cores: I32
    steps: I32
    release: I64
    ticks: I64
    soma_start: I64
    soma_end: I64
    link_busy: I64
    step: I32
    source: I32
    target: I32
    service: I32
    stalled: I32
    stamps: I64
    spike_step: I32
    spike_id: I32
    spike_payload: I32
    probes: Mapping[str, I32] = field(default_factory=dict)


def trace_of(
    run: TimingRun,
    spikes: SpikeTrain | None = None,
    probes: Mapping[tuple[str, str], I32] | None = None,
    cores: list[int] | None = None,
) -> Trace:
    """Return the trace of the steps that a timing run kept (its argument `keep`).

    Args:
        run: by any cycle-level engine.
        spikes: events of all steps of the run.
        probes: (population, state) -> [T, n], of all steps of the run.
        cores: endpoints to record; all by default.

    Raises:
        InputError: the run kept no step, or a core that does not exist.
    """
    if not run.steps:
        raise InputError("trace", "has no steps: the run kept none", "Time it with keep=range(first, last)")
    n = run.mesh.n_endpoints
    wanted = np.arange(n) if cores is None else np.unique(np.asarray(cores, np.int64))
    if wanted.size and (wanted[0] < 0 or wanted[-1] >= n):
        bad = int(wanted[0]) if wanted[0] < 0 else int(wanted[-1])
        raise InputError(f"trace: core {bad}", f"does not exist; the run has endpoints 0..{n - 1}")
    steps = np.array(sorted(run.steps), np.int32)
    release = np.concatenate([np.zeros(1, np.int64), np.cumsum(run.step_ticks)])[steps]
    arrays = _messages(run, steps, release, wanted)
    arrays |= _spikes(spikes, steps)
    times = [run.steps[int(s)] for s in steps]
    return Trace(
        tick_ns=run.tick_ns,
        cores=wanted.astype(np.int32),
        steps=steps,
        release=release,
        ticks=run.step_ticks[steps],
        soma_start=np.stack([w.start[wanted] for w, _ in times]) + release[:, None],
        soma_end=np.stack([t.soma_end[wanted] for _, t in times]) + release[:, None],
        link_busy=np.stack([t.link_busy for _, t in times]),
        probes={f"{p}.{s}": v[steps] for (p, s), v in (probes or {}).items()},
        **arrays,
    )


def _messages(run: TimingRun, steps: I32, release: I64, cores: I64) -> dict[str, Any]:
    total = sum(run.steps[int(s)][0].dst.size for s in steps)
    out: dict[str, Any] = {k: np.empty(total, np.int32) for k in ("step", "source", "target", "service", "stalled")}
    out["stamps"] = np.empty((total, 5), np.int64)
    n = 0
    for s, at in zip(steps, release, strict=True):
        work, times = run.steps[int(s)]
        source = np.repeat(np.arange(work.off.size - 1), np.diff(work.off))
        keep = np.isin(source, cores) | np.isin(work.dst, cores)
        m = int(keep.sum())
        gen = times.stamps[:, 0]
        first = np.zeros(gen.size, bool)
        first[work.off[:-1][np.diff(work.off) > 0]] = True
        before = np.where(first, work.start[source], np.concatenate([gen[:1] * 0, gen[:-1]]))
        stalled = gen - np.maximum(before + work.gap, work.rel)
        rows = {"step": s, "source": source[keep], "target": work.dst[keep], "service": work.srv[keep]}
        for name, values in (rows | {"stalled": stalled[keep]}).items():
            out[name][n : n + m] = values
        out["stamps"][n : n + m] = times.stamps[keep] + at
        n += m
    return {k: v[:n] for k, v in out.items()}


def _spikes(spikes: SpikeTrain | None, steps: I32) -> dict[str, I32]:
    empty = np.zeros(0, np.int32)
    if spikes is None:
        return {"spike_step": empty, "spike_id": empty, "spike_payload": empty}
    step = np.repeat(np.arange(spikes.steps, dtype=np.int32), spikes.counts())
    keep = np.isin(step, steps)
    payload = np.ones(spikes.ids.size, np.int32) if spikes.payload is None else spikes.payload
    return {"spike_step": step[keep], "spike_id": spikes.ids[keep], "spike_payload": payload[keep]}


def write_trace(path: Path | str, trace: Trace) -> None:
    """Write the records as .npz; equal traces give equal bytes."""
    arrays: dict[str, Array] = {"format": np.array(FORMAT), "tick_ns": np.array(trace.tick_ns)}
    arrays |= {k: getattr(trace, k) for k in _ARRAYS}
    arrays |= {f"probe:{k}": v for k, v in trace.probes.items()}
    write_npz(Path(path), arrays)


def read_trace(path: Path | str) -> Trace:
    """Read the records of an .npz trace.

    Raises:
        InputError: no such file, or not a trace.
    """
    arrays = read_npz(Path(path))
    with boundary(path, "a trace of this version", "Write it with simulator.timing.trace.write_trace"):
        if int(arrays["format"]) != FORMAT:
            raise ValueError(f"format {arrays['format']}")
        probes = {k.removeprefix("probe:"): v for k, v in arrays.items() if k.startswith("probe:")}
        trace = Trace(tick_ns=float(arrays["tick_ns"]), probes=probes, **{k: arrays[k] for k in _ARRAYS})
        if not 0 < trace.tick_ns < float("inf") or any(arrays[k].dtype.kind not in "iu" for k in _ARRAYS):
            raise ValueError("it holds times or records that are no numbers")
        return trace


_ARRAYS = (
    "cores", "steps", "release", "ticks", "soma_start", "soma_end", "link_busy", "step", "source", "target", "service",
    "stalled", "stamps", "spike_step", "spike_id", "spike_payload",
)  # fmt: skip

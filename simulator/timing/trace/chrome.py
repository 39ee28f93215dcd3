"""Chrome trace events (JSON), which the Perfetto UI and chrome://tracing open.

One process for the steps, one for the somas, one for the synapse stages (a thread each core), one for the link load. Ends
and begins are complete events ("X"), packets are flow arrows from where they left ("s") to where they are served ("f"),
link load is a counter ("C"). Times are microseconds of simulated time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulator.base.files import write_text
from simulator.timing.contract import ARR, DONE, GEN, SRV
from simulator.timing.trace.records import Trace

STEPS, SOMAS, SYNAPSES, LINKS = 1, 2, 3, 4


def chrome_events(trace: Trace) -> dict[str, Any]:
    """Return the trace as a Chrome trace object: ``traceEvents`` and ``displayTimeUnit``."""
    us = trace.tick_ns / 1000
    events = _names(trace)
    events += [
        _span(STEPS, 0, f"step {s}", r * us, t * us, {"step": s})
        for s, r, t in zip(trace.steps.tolist(), trace.release.tolist(), trace.ticks.tolist(), strict=True)
    ]
    for k, step in enumerate(trace.steps.tolist()):
        for c, core in enumerate(trace.cores.tolist()):
            start, end = int(trace.soma_start[k, c]), int(trace.soma_end[k, c])
            if end > start:
                events.append(_span(SOMAS, core, "soma", start * us, (end - start) * us, {"step": step}))
        busy = {"busy ticks": int(trace.link_busy[k].sum())}
        events.append(
            {"ph": "C", "pid": LINKS, "tid": 0, "name": "links", "ts": int(trace.release[k]) * us, "args": busy}
        )
    return {"traceEvents": events + _messages(trace, us), "displayTimeUnit": "ns"}


def write_chrome(path: Path | str, trace: Trace) -> None:
    """Write the trace as JSON."""
    write_text(Path(path), json.dumps(chrome_events(trace), separators=(",", ":")))


def _messages(trace: Trace, us: float) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    recorded = set(trace.cores.tolist())
    columns = (trace.step, trace.source, trace.target, trace.service, trace.stalled)
    rows = zip(*(c.tolist() for c in columns), trace.stamps.tolist(), strict=True)
    for m, (step, source, target, service, stalled, t) in enumerate(rows):
        if stalled and source in recorded:
            events.append(_span(SOMAS, source, "stall", (t[GEN] - stalled) * us, stalled * us, {"step": step}))
        if target in recorded:
            about = {"step": step, "from": source, "waited ticks": t[SRV] - t[ARR]}
            events.append(_span(SYNAPSES, target, f"from {source}", t[SRV] * us, service * us, about))
        if source in recorded and target in recorded and t[DONE] > t[GEN]:
            arrow = {"cat": "packet", "name": "packet", "id": m}
            events.append(arrow | {"ph": "s", "pid": SOMAS, "tid": source, "ts": t[GEN] * us})
            events.append(arrow | {"ph": "f", "bp": "e", "pid": SYNAPSES, "tid": target, "ts": t[SRV] * us})
    return events


def _span(pid: int, tid: int, name: str, start_us: float, us: float, args: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "X", "pid": pid, "tid": tid, "name": name, "ts": start_us, "dur": us, "args": args}


def _names(trace: Trace) -> list[dict[str, Any]]:
    def meta(pid: int, tid: int, what: str, name: str) -> dict[str, Any]:
        return {"ph": "M", "pid": pid, "tid": tid, "name": what, "args": {"name": name}}

    processes = {STEPS: "steps", SOMAS: "somas", SYNAPSES: "synapse stages", LINKS: "links"}
    events = [meta(pid, 0, "process_name", name) for pid, name in processes.items()]
    events.append(meta(STEPS, 0, "thread_name", "barrier"))
    return events + [
        meta(pid, core, "thread_name", f"core {core}") for pid in (SOMAS, SYNAPSES) for core in trace.cores.tolist()
    ]

"""Speed of WHEN: messages a second of the timing engines at the chip's own tick, beside SANA-FE where it is installed.

    python -m benchmarks.timing [NET ...]

One JSON line a net: CPU seconds of one thread for 1000 steps of function + cycle-level timing, messages a second of timing
alone (plan, expansion and kernel, best of three runs), the router outputs that a message passes and the time of each in the
kernel, the same where branches are foreseen (`foreseen`), the share of messages that wait nowhere, two threads (same results,
CPU and wall time), and messages a second of the event-driven engine. SANAFE_PYTHON names the Python
of an environment of its own that has SANA-FE 2.2.9; its three timing models then run on the same nets, before and after ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.function import REFERENCE, SHARED
from benchmarks.nets import write_net
from bimhw.frontends.npz import read_plain
from mapping.files import program_as_given
from simulator.chips.load import load_chip
from simulator.events.engine import SimpyEngine
from simulator.function import Simulation, run
from simulator.program.axons import axon_table
from simulator.timing.barrier import start_times
from simulator.timing.compiled import run_steps
from simulator.timing.contract import ARR, GEN
from simulator.timing.expand import Chunk, expand
from simulator.timing.plan import Plan, make_plan
from simulator.timing.run import TimingRun, run_timing
from simulator.timing.wires import wires

STEPS, FEW_STEPS, EVENT_STEPS, SANAFE_STEPS = 200, 100, 5, {"simple": 50, "detailed": 20, "cycle": 5}


def best_of(times: int, call: Any) -> tuple[float, float, Any]:
    """Least CPU seconds of the process, wall seconds of that run, result."""
    found = []
    for _ in range(times):
        cpu, wall = time.process_time(), time.perf_counter()
        result = call()
        found.append((time.process_time() - cpu, time.perf_counter() - wall, result))
    return min(found, key=lambda f: f[0])


def same(a: TimingRun, b: TimingRun) -> bool:
    return all(
        np.array_equal(getattr(a, k), getattr(b, k))
        for k in ("step_ticks", "messages", "link_busy_ticks", "soma_stall_ticks", "synapse_busy_ticks")
    )


def kernel_ns(plan: Plan, chunk: Chunk) -> float:
    """Time a router output in the kernel alone, in ns, best of three runs."""
    start = start_times(plan.mesh)
    s, _, timed = best_of(3, lambda: run_steps(plan.mesh, chunk.off, chunk.gap, chunk.carries, chunk.tail, start))
    return s / (int(timed.link_busy.sum()) // plan.mesh.flits) * 1e9


def foreseen(chunk: Chunk, each: int = 16) -> Chunk:
    """Repeat one step, cut to the first messages of each core: the processor has seen every branch before."""
    off = chunk.off[0]
    rows = [np.arange(off[c], min(off[c] + each, off[c + 1])) for c in range(off.size - 1)]
    kept, steps = np.concatenate(rows), chunk.steps
    ends = np.concatenate([[0], np.cumsum([r.size for r in rows])])
    return replace(
        chunk,
        off=ends + np.arange(steps)[:, None] * kept.size,
        gap=np.tile(chunk.gap[kept], steps),
        carries=np.tile(chunk.carries[kept], steps),
    )


def unhindered(run: TimingRun) -> float:
    """Return the share of the kept steps' messages whose way to their core takes the time of an empty mesh."""
    m, w, free, messages = run.mesh, wires(run.mesh), 0, 0
    x, y = w.x[w.router], w.y[w.router]
    north, east, _, _, local = m.hop_ticks
    for work, times in run.steps.values():
        source = np.repeat(np.arange(m.n_endpoints), np.diff(work.off))
        way = north * np.abs(y[source] - y[work.dst]) + east * np.abs(x[source] - x[work.dst]) + local
        taken = times.stamps[:, ARR] - times.stamps[:, GEN]
        free += int((taken == m.enqueue_ticks + way + m.flits - 1).sum())
        messages += work.dst.size
    return free / messages


def measure(path: Path) -> dict[str, Any]:
    net, chip = read_plain(path), load_chip("loihi1-fitted")
    program = program_as_given(net.network, chip)
    simulation = Simulation(program, graded_inputs=False)
    simulation.advance(net.inputs, 2)

    def function() -> None:
        simulation.restart()
        simulation.advance(net.inputs, STEPS)

    function_s, _, _ = best_of(3, function)
    spikes = run(program, net.inputs, STEPS, topology=chip.topology).spikes
    run_timing(program, chip, spikes)  # loads the kernels
    timing_s, wall_1, timed = best_of(3, lambda: run_timing(program, chip, spikes))
    two_s, wall_2, twice = best_of(3, lambda: run_timing(program, chip, spikes, threads=2))
    engine = SimpyEngine(program, chip, graded_inputs=False)
    engine.advance(net.inputs, 2)
    before = sum(engine.messages)
    events_s, _, _ = best_of(1, lambda: engine.advance(net.inputs, EVENT_STEPS))
    messages = int(timed.messages.sum())
    plan = make_plan(program, chip, None, axon_table(program))
    chunk = expand(plan, spikes, 0, FEW_STEPS)
    kept = run_timing(program, chip, spikes, keep=range(EVENT_STEPS))
    passed = int(timed.link_busy_ticks.sum()) // timed.mesh.flits  # no link of this chip leads to another chip
    return {
        "net": path.stem,
        "messages_per_step": messages / STEPS,
        "function_and_timing_cpu_s_per_1000": (function_s + timing_s) / STEPS * 1000,
        "timing_messages_per_s": messages / timing_s,
        "outputs_per_message": passed / messages,
        "ns_per_output": kernel_ns(plan, chunk),
        "ns_per_output_foreseen": kernel_ns(plan, foreseen(chunk)),
        "messages_that_wait_nowhere": unhindered(kept),
        "sim_time_us_per_step": timed.sim_time_ns / STEPS / 1000,
        "two_threads": {"same": same(timed, twice), "cpu": two_s / timing_s, "wall_gain": wall_1 / wall_2},
        "simpy_messages_per_s": (sum(engine.messages) - before) / events_s,
    }


def sanafe(path: Path, model: str) -> dict[str, Any] | None:
    python = os.environ.get("SANAFE_PYTHON")
    if python is None or SHARED is None:
        return None
    command = [python, str(SHARED / "run_sanafe.py"), str(path), str(SANAFE_STEPS[model]), model]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    result: dict[str, Any] = json.loads(lines[-1])
    return {k: result[k] for k in ("cpu_s_per_1000", "sim_time_us_per_step", "packets")}


def compare(path: Path) -> dict[str, Any]:
    row = measure(path)
    ours = row["function_and_timing_cpu_s_per_1000"]
    for model in SANAFE_STEPS if path.parent.name == "nets" else ():
        theirs = sanafe(path, model)
        if theirs is not None:
            row[f"sanafe_{model}"] = theirs | {"times_slower": theirs["cpu_s_per_1000"] / ours}
    return row


def main(names: list[str] | None = None) -> None:
    """Run everything and print one JSON line a net."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = names if names else list(REFERENCE)
        paths = [SHARED / "nets" / f"{name}.npz" for name in wanted] if SHARED else []
        if not names:
            paths.append(write_net(Path(folder) / "variable_5.npz", 10_240, (20, 100), 0.05))
        for path in paths:
            print(json.dumps(compare(path)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Traces: every form says what the timing run says."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.timing.active import active_updates
from simulator.timing.clocked import run_clocked_local
from simulator.timing.contract import ARR, DONE, GEN, SRV
from simulator.timing.expand import expand
from simulator.timing.neighbours import merge_all, neighbours_of
from simulator.timing.plan import make_plan
from simulator.timing.run import TimingRun, run_timing
from simulator.timing.trace import (
    Trace,
    chrome_events,
    nir_data,
    read_trace,
    trace_of,
    write_chrome,
    write_trace,
    write_vcd,
)


@pytest.fixture
def timed(make_chip, make_program, make_spikes):  # type: ignore[no-untyped-def]
    program, spikes = make_program(3, 12), make_spikes(3, 6, 58, 0.4)
    return program, spikes, run_timing(program, make_chip(), spikes, keep=range(2, 5))


@pytest.fixture
def trace(timed) -> Trace:  # type: ignore[no-untyped-def]
    _, spikes, run = timed
    return trace_of(run, spikes, {("hid", "v"): np.arange(6 * 40, dtype=np.int32).reshape(6, 40)})


def test_records_are_the_runs_own(timed, trace: Trace) -> None:  # type: ignore[no-untyped-def]
    _, spikes, run = timed
    assert trace.steps.tolist() == [2, 3, 4]
    np.testing.assert_array_equal(trace.release, np.cumsum(run.step_ticks)[1:4])
    for k, t in enumerate((2, 3, 4)):
        work, times = run.steps[t]
        here = trace.step == t
        np.testing.assert_array_equal(trace.stamps[here], times.stamps + trace.release[k])
        np.testing.assert_array_equal(trace.target[here], work.dst)
        np.testing.assert_array_equal(np.bincount(trace.source[here], minlength=13), np.diff(work.off))
        np.testing.assert_array_equal(
            spikes.ids[spikes.ptr[t] : spikes.ptr[t + 1]], trace.spike_id[trace.spike_step == t]
        )
        np.testing.assert_array_equal(trace.soma_end[k], times.soma_end + trace.release[k])
    assert (trace.stalled >= 0).all()
    np.testing.assert_array_equal(trace.probes["hid.v"][0], np.arange(80, 120))


def test_stalls_sum_to_the_runs_counter(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    program, spikes = make_program(3, 12), make_spikes(3, 6, 58, 0.6)
    run = run_timing(program, make_chip(port_slots=1, core_slots=1), spikes, keep=range(6))
    stalls = np.bincount(trace_of(run).source, trace_of(run).stalled, 13)
    assert stalls.sum() > 0
    np.testing.assert_array_equal(stalls, run.soma_stall_ticks)


@pytest.mark.parametrize("engine", ["compiled", "clocked", "simpy"])
def test_neighbours_overlap_in_a_trace_as_they_do_on_the_chip(make_chip, make_program, make_spikes, engine) -> None:  # type: ignore[no-untyped-def]
    """Stamps are those of the whole run, cores begin a step once they have ended the last, and before others have."""
    program, spikes = make_program(3, 12, density=0.05), make_spikes(3, 6, 58, 0.2)
    chip = make_chip(handshake=1.0)
    run = run_timing(program, chip, spikes, engine, sync="neighbour", keep=range(6))
    plan = make_plan(program, chip)
    active = None if plan.uniform else active_updates(program, spikes, 0, 6)
    chunk = expand(plan, spikes, 0, 6, active)
    local = merge_all(chunk, neighbours_of(plan))
    times = run_clocked_local(plan.mesh, local)
    trace = trace_of(run, spikes)
    np.testing.assert_array_equal(trace.stamps[local.order], times.stamps)
    np.testing.assert_array_equal(trace.soma_start, times.start)
    np.testing.assert_array_equal(trace.soma_end, times.soma_end)
    assert (trace.soma_start[1:] > trace.soma_end[:-1]).all()
    assert (trace.soma_start[1:].min(axis=1) < trace.release[1:]).any()  # somebody is ahead of the slowest
    window = trace_of(run_timing(program, chip, spikes, engine, sync="neighbour", keep=range(2, 4)))
    for name in ("soma_start", "soma_end", "release", "ticks"):
        np.testing.assert_array_equal(getattr(window, name), getattr(trace, name)[2:4])
    inside = (trace.step == 2) | (trace.step == 3)
    np.testing.assert_array_equal(window.stamps, trace.stamps[inside])


def test_npz_round_trip(trace: Trace, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_trace(tmp_path / name, trace)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = read_trace(tmp_path / "a.npz")
    assert again.tick_ns == trace.tick_ns
    for name in ("cores", "stamps", "link_busy", "spike_id", "soma_start"):
        np.testing.assert_array_equal(getattr(again, name), getattr(trace, name))
    np.testing.assert_array_equal(again.probes["hid.v"], trace.probes["hid.v"])
    np.savez(tmp_path / "c.npz", x=np.zeros(1))
    with pytest.raises(InputError, match="not a trace"):
        read_trace(tmp_path / "c.npz")


def test_chrome_structure(timed, trace: Trace, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """What the trace event format asks for, and the busy times of the run."""
    write_chrome(tmp_path / "t.json", trace)
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert {e["ph"] for e in events} == {"M", "X", "C", "s", "f"}
    assert all(e["ts"] >= 0 for e in events if e["ph"] != "M")
    spans = [e for e in events if e["ph"] == "X"]
    assert all(e["dur"] > 0 and e["name"] for e in spans)
    us = trace.tick_ns / 1000
    for pid, ticks in (
        (3, np.bincount(trace.target, trace.service, 13)),
        (2, (trace.soma_end - trace.soma_start).sum(0)),
    ):
        for core in range(13):
            total = sum(e["dur"] for e in spans if (e["pid"], e["tid"]) == (pid, core) and e["name"] != "stall")
            assert total == pytest.approx(ticks[core] * us)
    for core in range(13):  # one service at a time
        mine = sorted((e["ts"], e["dur"]) for e in spans if (e["pid"], e["tid"]) == (3, core))
        assert all(b[0] >= a[0] + a[1] - 1e-9 for a, b in itertools.pairwise(mine))
    starts = {e["id"]: e["ts"] for e in events if e["ph"] == "s"}
    ends = {e["id"]: e["ts"] for e in events if e["ph"] == "f"}
    assert starts.keys() == ends.keys()
    assert len(starts) == trace.step.size
    assert all(starts[i] < ends[i] for i in starts)
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in spans} <= named


def read_vcd(path: Path) -> dict[str, list[tuple[int, int]]]:
    """Wire -> [(time, value)], by a reader of its own."""
    names, out, now, scope = {}, {}, 0, []  # type: ignore[var-annotated]
    body = False
    for line in path.read_text().splitlines():
        words = line.split()
        if line.startswith("$scope"):
            scope.append(words[2])
        elif line.startswith("$upscope"):
            scope.pop()
        elif line.startswith("$var"):
            names[words[3]] = ".".join([*scope, words[4]])
            out[names[words[3]]] = []
        elif line.startswith("$enddefinitions"):
            body = True
        elif body and line.startswith("#"):
            now = int(line[1:])
        elif body and (found := re.fullmatch(r"b([01]+) (\S+)|([01])(\S+)", line)):
            value, wire = (int(found[1], 2), found[2]) if found[1] else (int(found[3]), found[4])
            out[names[wire]].append((now, value))
    return out


def test_vcd_says_when_each_core_is_busy(timed, trace: Trace, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, _, run = timed
    write_vcd(tmp_path / "t.vcd", trace)
    wires = read_vcd(tmp_path / "t.vcd")
    assert len(wires) == 1 + 3 * 13
    assert [v for _, v in wires["chip.step"]] == [0, 2, 3, 4]
    for core in range(13):
        here = trace.stamps[trace.target == core]
        times = sorted({int(t) for row in here for t in (row[SRV], row[DONE])})
        busy, last = 0, (0, 0)
        for now, value in [*wires[f"chip.core{core}.synapses"], (times[-1] * 100, 0)]:
            busy += (now - last[0]) * last[1]
            last = (now, value)
        assert busy == 100 * int(trace.service[trace.target == core].sum())
        assert max(v for _, v in wires[f"chip.core{core}.queue"]) <= run.mesh.core_slots
        assert {v for _, v in wires[f"chip.core{core}.soma"]} <= {0, 1}
        for t in times:
            waiting = int(((here[:, ARR] <= t) & (here[:, SRV] > t)).sum())
            known = [v for now, v in wires[f"chip.core{core}.queue"] if now <= t * 100]
            assert known[-1] == waiting


def test_a_window_of_cores(timed) -> None:  # type: ignore[no-untyped-def]
    _, spikes, run = timed
    part = trace_of(run, spikes, cores=[3, 12])
    assert part.cores.tolist() == [3, 12]
    assert np.isin(part.source, [3, 12]).astype(int).sum() + np.isin(part.target, [3, 12]).sum() >= part.step.size
    assert part.step.size < trace_of(run).step.size
    tids = {e["tid"] for e in chrome_events(part)["traceEvents"] if e["pid"] in (2, 3) and e["name"] != "process_name"}
    assert tids == {3, 12}
    with pytest.raises(InputError, match=r"core 99.*0\.\.12"):
        trace_of(run, cores=[99])


def test_a_run_without_kept_steps_has_no_trace(make_chip, make_program, make_spikes) -> None:  # type: ignore[no-untyped-def]
    run: TimingRun = run_timing(make_program(3, 12), make_chip(), make_spikes(3, 3, 58))
    with pytest.raises(InputError, match="keep=range"):
        trace_of(run)


def test_nirdata(timed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("nir", reason="needs the extra nir")
    program, spikes, _ = timed
    values = np.arange(6 * 40, dtype=np.int32).reshape(6, 40)
    data = nir_data(program, spikes, {("hid", "v"): values}, dt=1e-3)
    dense = data.nodes["hid"].observables["spikes"].to_time_gridded(1e-3).data[0]
    np.testing.assert_array_equal(dense, spikes.to_dense(12, 40).astype(bool)[: dense.shape[0]])
    np.testing.assert_array_equal(data.nodes["hid"].observables["v"].data[0], values)


def test_generation_comes_first(trace: Trace) -> None:
    assert (trace.stamps[:, GEN] <= trace.stamps[:, ARR]).all()

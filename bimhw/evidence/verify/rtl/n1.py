"""Replay recordings of Catalyst N1: its routers, its core, and several cores with an interconnect."""

from __future__ import annotations

import numpy as np

from bimhw.evidence.verify.rtl.case import Case, Comparison
from simulator.base.errors import InputError
from simulator.events.machines.n1.chip import Mesh, SerialQueue, route_table, run_chip
from simulator.events.machines.n1.router import send_packets
from simulator.events.machines.n1.run import run_core
from simulator.events.machines.n1.state import Options, program_core


def replay_routers(case: Case) -> Comparison:
    """Send the recorded packets and compare the cycles of their injection and ejection."""
    result = Comparison()
    injected, ejected = send_packets(
        case.number("width"), case.number("height"), case.table("packets", 3), case.number("sink_period")
    )
    result.times("injected", injected, case["injected"])
    result.times("ejected", ejected, case["ejected"])
    return result


def replay_core(case: Case) -> Comparison:
    """Run the recorded program and inputs; compare spikes, states after each step, slow states, cycles."""
    core = program_core(
        case.number("neurons"), case["params"], case["pool"], case["delay"], case["index"], case["ucode"]
    )
    options = Options(**{name: case.number(name) for name in Options._fields})
    steps, used = case.number("steps"), case.number("used")
    run = run_core(core, options, steps, case["ext"], case["rew"], case["snap_steps"])
    result, spikes = Comparison(), case.table("spikes", 4)
    result.values("spikes", run.spikes[:, [0, 2, 3]], spikes[:, [0, 2, 3]].astype(np.int32))
    result.times("spike cycles", run.spikes[:, 1], spikes[:, 1])
    result.times("cycles", run.cycles, case["cycles"])
    for name, ours in (("v", run.v), ("u", run.u), ("refractory", run.held)):
        result.values(name, ours[:, :used], case[name])
    pool = case.table("pool", 5)[:, 0]
    for name, ours in run.snaps.items():
        recorded = case["snap_delay_after" if name == "delay" else f"snap_{name}"]
        by_entry = name in ("weight", "eligibility", "delay", "tag")
        result.values(name, ours[:, pool] if by_entry else ours[:, :used], recorded)
    result.values("synaptic_ops", run.synaptic_ops, case["synaptic_ops"])
    return result


def replay_chip(case: Case) -> Comparison:
    """Run all cores; compare spikes, membranes, packets in and out, phases and lengths of the steps."""
    n, m = case.number("cores"), case.number("neurons")
    tables = {name: case.table(name, width) for name, width in (("params", 4), ("pool", 6), ("delay", 3), ("index", 5))}
    none = np.zeros((0, 2), np.int64)
    cores = []
    for core in range(n):
        params, pool, delay, index = (rows[rows[:, 0] == core, 1:] for rows in tables.values())
        cores.append(program_core(m, params, pool, delay, index, none))
    options = Options(graded=case.number("graded"))
    between = _interconnect(case)
    run = run_chip(
        cores, options, route_table(n, m, case["routes"], case["global_routes"]), between, case["ext"],
        case["start_cycle"],
    )  # fmt: skip
    result = Comparison()
    result.times("cycles", run.cycles, case["cycles"])
    for name, ours, width in (
        ("spikes", run.spikes, 4), ("injected", run.injected, 6), ("ejected", run.ejected, 5), ("phases", run.phases, 3),
    ):  # fmt: skip
        if name not in case.fields and isinstance(between, SerialQueue):
            continue  # a queue's entries were not recorded
        recorded, rest = case.table(name, width), [k for k in range(width) if k != 1]
        result.values(name, ours[:, rest], recorded[:, rest].astype(np.int32))
        result.times(name, ours[:, 1], recorded[:, 1])
    result.values("v", run.v, case["v"])
    return result


def _interconnect(case: Case) -> Mesh | SerialQueue:
    """Return the interconnect that the kind of a case names: ``xy-mesh 4x4`` or ``serial queue``."""
    if case.kind.startswith("serial queue"):
        return SerialQueue()
    width, _, height = case.kind.rpartition(" ")[2].partition("x")
    if not (case.kind.startswith("xy-mesh ") and width.isdigit() and height.isdigit()):
        raise InputError(f"case {case.name}: kind", f"is {case.kind!r}", "Known: 'xy-mesh WxH', 'serial queue'")
    return Mesh(int(width), int(height))

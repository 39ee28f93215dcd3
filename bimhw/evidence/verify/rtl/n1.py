"""Replay recordings of Catalyst N1: its routers, its core, and cores with an interconnect."""

from __future__ import annotations

import numpy as np

from bimhw.evidence.verify.rtl.case import Case, Comparison
from simulator.machines.n1.router import send_packets
from simulator.machines.n1.run import run_core
from simulator.machines.n1.state import Options, program_core


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

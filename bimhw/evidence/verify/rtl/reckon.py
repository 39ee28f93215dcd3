"""Replay recordings of ReckOn: two samples of a net that learns by e-prop."""

from __future__ import annotations

import numpy as np

from bimhw.evidence.verify.rtl.case import Case, Comparison
from simulator.events.machines.reckon.run import run_sample
from simulator.events.machines.reckon.state import program_net

STATES = ("u", "trace_in", "trace_rec", "trace_out")


def replay(case: Case) -> Comparison:
    """Run both samples; compare spikes, states after each tick, weights after each sample, answers, cycles of the phases."""
    alpha = ((7 + case["alpha_conf"].astype(np.int64)) << 12) | case["alpha12"].astype(np.int64)
    registers, net = program_net(case.config, alpha, case["threshold"], case["w_in"], case["w_rec"], case["w_out"])
    result = Comparison()
    for sample in ("s0", "s1"):
        ticks, label, valid = (int(x) for x in case[f"{sample}_ticks_label_valid"])
        run = run_sample(registers, net, ticks, label, valid, case[f"{sample}_inputs"])
        result.values("spikes", run.spikes, case[f"{sample}_spikes"].reshape(-1, 2))
        phases = case.table(f"{sample}_phases", 4)
        result.values("phases", run.phases[:, [0, 2, 3]], phases[:, [0, 2, 3]].astype(np.int16))
        result.times("phases", run.phases[:, 1], phases[:, 1])
        for name in STATES:
            recorded = case[f"{sample}_{name}"]
            ours = np.array(getattr(run, name))
            result.values(name, ours[:, : recorded.shape[1]], recorded)
        result.values("out_u", run.out, case[f"{sample}_out_u"])
        for name in ("w_in", "w_rec", "w_out"):
            result.values(name, getattr(net, name), case[f"{sample}_{name}_after"])
        result.values("answer", run.answer, case[f"{sample}_answer"])
    return result

"""Replay recordings of ODIN: LIF neurons with SDSP, and Izhikevich neurons."""

from __future__ import annotations

import numpy as np

from bimhw.evidence.verify.rtl.case import Case, Comparison
from simulator.base.arrays import I64, AnyInts
from simulator.base.errors import InputError
from simulator.events.machines.odin.run import OdinRun, run_odin
from simulator.events.machines.odin.state import Options, program_chip
from simulator.neurons import odin_izhikevich, odin_lif

_NOT_MODELLED = ("burst_timeref", "monitor_en")
_LIF_STATES = {"v": odin_lif.V, "ca": odin_lif.CA, "cacnt": odin_lif.CACNT}


def replay(case: Case) -> Comparison:
    """Run the recorded inputs; compare interfaces, controller, neurons at each snapshot, flags and weights at the end."""
    for name in _NOT_MODELLED:
        if case.number(name):
            raise InputError(f"case {case.name}: config", f"switches {name} on, which is not modelled", "Give 0")
    izhikevich = "izh_params" in case.fields
    params = _izhikevich_params(case) if izhikevich else case["neuron_params"].astype(np.int64)
    ids, synapses = case["neuron_ids"].astype(np.int64), case.table("synapses", 4)
    chip = program_chip(ids, params, case["inhibitory"], case["updown_before"], synapses, izhikevich)
    options = Options(**{name: case.number(name) for name in Options._fields})
    until = int(case["recorded_until"])
    run = run_odin(chip, options, case["events"], until)
    result = Comparison()
    _interfaces(result, run, case)
    _snapshots(result, run, case, ids, izhikevich)
    if "weights_after" in case.fields:
        result.values("weights", run.chip.weight[synapses[:, 0], synapses[:, 1]], case["weights_after"])
    if "updown_after" in case.fields:
        result.values("flags", run.chip.flags[ids], case["updown_after"])
    return result


def _izhikevich_params(case: Case) -> I64:
    columns = [str(name) for name in case["izh_columns"]]
    if sorted(columns) != sorted(odin_izhikevich.PARAMS):
        raise InputError(
            f"case {case.name}: izh_columns", "are not the neuron's parameters", "Take a complete recording"
        )
    order = [columns.index(name) for name in odin_izhikevich.PARAMS]
    return np.asarray(case["izh_params"][:, order], np.int64)


def _interfaces(result: Comparison, run: OdinRun, case: Case) -> None:
    inputs = case.table("inputs", 4)
    ours = run.inputs[run.inputs[:, 2] >= 0] if len(inputs) < len(run.inputs) else run.inputs
    result.values("inputs", ours[:, 3], inputs[:, 3].astype(np.int32))
    result.times("inputs", ours[:, :3], inputs[:, :3])
    outputs, operations = case.table("outputs", 2), case.table("operations", 3)
    result.values("outputs", run.outputs[:, 1], outputs[:, 1].astype(np.uint8))
    result.times("outputs", run.outputs[:, 0], outputs[:, 0])
    result.values("operations", run.operations[:, 1:], operations[:, 1:].astype(np.int32))
    result.times("operations", run.operations[:, 0], operations[:, 0])


def _snapshots(result: Comparison, run: OdinRun, case: Case, ids: I64, izhikevich: bool) -> None:
    """Keep the states at the acknowledges of time references, and at the end of a recording that came to rest."""
    times: AnyInts = case["snap_time"]
    edges, lif, izh = run.snap_edges, run.snap_lif, run.snap_izh
    if len(times) == len(edges) + 1 and bool(case["ended"]):
        edges = np.append(edges, int(case["recorded_until"]))
        lif, izh = np.append(lif, run.chip.lif[None], 0), np.append(izh, run.chip.izh_state[None], 0)
    result.times("snapshots", edges, times)
    states = {name: k for k, name in enumerate(odin_izhikevich.STATES)} if izhikevich else _LIF_STATES
    for name, column in states.items():
        result.values(name, (izh if izhikevich else lif)[:, ids, column], case[f"snap_{name}"])

"""Drive the fast loop from a simulation's state and put the state back, so that both loops may follow one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.function.fast import Plain, run_steps
from simulator.function.state import Running
from simulator.program.spikes import SpikeTrain

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_CHUNK_EVENTS = 1 << 20


def advance_plain(simulation: Running, form: Plain, inputs: SpikeTrain, steps: int, count_active: bool = True) -> None:
    """Do `steps` steps of a simulation whose layout has this fast form."""
    v, u = _load(simulation, form)
    flag = np.zeros(v.size, np.uint8)
    active = np.zeros(v.size if count_active else 0, np.int32)
    n_active, ptr = np.zeros(steps, np.int64), np.zeros(steps + 1, np.int64)
    in_ptr = np.full(steps + 1, inputs.ids.size, np.int64)
    known = min(steps, inputs.steps) + 1
    in_ptr[:known] = inputs.ptr[:known]
    in_ids = np.ascontiguousarray(inputs.ids, np.int32)
    t, counts = 0, np.zeros(steps, np.int64)
    while t < steps:
        ids = np.empty(_CHUNK_EVENTS + form.n_in + v.size, np.int32)
        begin = t
        ptr[t] = 0
        t, end = run_steps(
            t, steps, form.n_in, form.row_ptr, form.target, form.weight, v, u, form.bias, flag, form.threshold,
            form.decay_shift, form.exponent, in_ptr, in_ids, ids, 0, ptr, active, n_active,
        )  # fmt: skip
        counts[begin:t] = np.diff(ptr[begin : t + 1])
        simulation.record.ids.append(ids[: int(end)] if t < steps else ids[: int(end)].copy())
        simulation.record.payload.append(None)
    _store(simulation, form, v, u)
    simulation.state.step += steps
    simulation.record.counts.extend(counts.tolist())
    simulation.record.active.extend(n_active.tolist())
    simulation.record.saturated.extend([0] * steps)
    if count_active:
        simulation.active_of_neuron[form.n_in :] += active[: form.n]


def _load(simulation: Running, form: Plain) -> tuple[I32, npt.NDArray[np.signedinteger]]:
    v = np.zeros(form.bias.size, np.int32)
    u = np.zeros(form.bias.size, form.sum_type)
    for k, c in enumerate(simulation.layout.cells):
        if c.model.kernel is not None:
            part = slice(c.first - form.n_in, c.first - form.n_in + c.size)
            v[part] = simulation.state.words[k][0]
            u[part] = simulation.state.rings[k][0, 0] >> form.exponent
    return v, u


def _store(simulation: Running, form: Plain, v: I32, u: npt.NDArray[np.signedinteger]) -> None:
    for k, c in enumerate(simulation.layout.cells):
        if c.model.kernel is not None:
            part = slice(c.first - form.n_in, c.first - form.n_in + c.size)
            simulation.state.words[k][0] = v[part]
            simulation.state.rings[k][0, 0] = u[part].astype(np.int32) << form.exponent

"""The two phases of a ReckOn tick beside e-prop: leak and spikes, then the events."""

from __future__ import annotations

import numba

from simulator.base.arrays import I64
from simulator.base.shift_registers import draw
from simulator.events.machines.reckon.state import (
    ONE,
    R_ONEUR,
    R_TINP0,
    R_TOUT0,
    R_TREC0,
    R_U0,
    Net,
    Registers,
)
from simulator.neurons.reckon import ALPHA_FRAC, KAPPA_FRAC, after_step, leaked, saturated16

TRACE_MAX, OUT_TRACE_MAX = (1 << 12) - 1, (1 << 10) - 1
TRACE_STEP, OUT_TRACE_STEP = 8, 2
PROP, STEP, SDONE, EPROP, SEND = 1, 2, 3, 6, 7  # states of the controller
QUIET, SCAN, EVENT, BEYOND = 0, 1, 2, 3  # states of the event controller


@numba.njit(cache=True, nogil=True)
def leak(n: Net, r: Registers) -> int:
    """Leak membranes, traces and outputs, decide spikes; return the cycles."""
    cycles = max(r.inputs, r.neurons, r.outputs)
    stochastic = r.en_stoch_round != 0
    for c in range(cycles):
        if c < 16:
            word = draw(n.oneur[0], n.place[R_ONEUR], 1, 7) if stochastic and r.kappa != 1 << KAPPA_FRAC else 0
            if c < r.outputs:
                n.out[c] = leaked(n.out[c], r.kappa, KAPPA_FRAC, word, 16, stochastic)
        if c & 1:
            for parity in range(2):
                _unit(n, r, c - 1 + parity, parity, stochastic)
    return cycles


@numba.njit(cache=True, nogil=True)
def _unit(n: Net, r: Registers, j: int, parity: int, stochastic: bool) -> None:
    alpha, threshold = n.alpha[j >> 1], n.threshold[j >> 1]
    w_u = draw(n.strnd[parity], n.place[R_U0 + parity], 1, 15) if stochastic and alpha != ONE else 0
    w_in = draw(n.strnd[2 + parity], n.place[R_TINP0 + parity], 1, 15) if stochastic else 0
    w_rec = draw(n.strnd[4 + parity], n.place[R_TREC0 + parity], 1, 15) if stochastic else 0
    w_out = draw(n.oneur[1 + parity], n.place[R_TOUT0 + parity], 1, 7) if stochastic else 0
    n.u[j], n.z[j] = after_step(
        n.u[j], leaked(n.u[j], alpha, ALPHA_FRAC, w_u, 16, stochastic), threshold, r.rst_mode != 0
    )
    n.trace_in[j] = leaked(n.trace_in[j], alpha, ALPHA_FRAC, w_in, 12, stochastic) & TRACE_MAX
    n.trace_rec[j] = leaked(n.trace_rec[j], alpha, ALPHA_FRAC, w_rec, 12, stochastic) & TRACE_MAX
    n.trace_out[j] = leaked(n.trace_out[j], r.kappa, KAPPA_FRAC, w_out, 10, stochastic) & OUT_TRACE_MAX


@numba.njit(cache=True, nogil=True)
def _event(n: Net, r: Registers, i: int, driven: bool, fired: bool) -> None:
    if fired and i < r.neurons:
        for k in range(r.outputs):
            n.out[k] = saturated16(n.out[k] + (n.w_out[i, k] << r.fp_loc_wout))
    for j in range(r.neurons):
        x = n.w_in[i, j] << r.fp_loc_winp if driven else 0
        if fired and i < r.neurons:
            x += n.w_rec[i, j] << r.fp_loc_wrec
        n.u[j] = saturated16(n.u[j] + saturated16(x))
    if driven and (r.do_eprop & 1 or r.force_traces):
        n.trace_in[i] = min(TRACE_MAX, n.trace_in[i] + (TRACE_STEP << r.fp_loc_tinp))
    if fired and i < r.neurons and (r.do_eprop & 2 or r.force_traces):
        n.trace_rec[i] = min(TRACE_MAX, n.trace_rec[i] + (TRACE_STEP << r.fp_loc_trec))
    if fired and i < r.neurons and (r.do_eprop & 4 or r.force_traces):
        n.trace_out[i] = min(OUT_TRACE_MAX, n.trace_out[i] + (OUT_TRACE_STEP << r.fp_loc_tout))


@numba.njit(cache=True, nogil=True)
def events(n: Net, r: Registers, inputs: I64, now: int, phases: I64, at: int) -> int:
    """Deliver the tick's events from cycle `now` on.

    Args:
        n: net, changed in place.
        r: registers.
        inputs: int64 [units], 1 where an input came.
        now: cycle at which the scan starts.
        phases: int64 [many, 3], gets (cycle, state, event state) at each change.
        at: rows of `phases` in use.

    Returns:
        Rows of `phases` in use.
    """
    state = SCAN
    for i in range(max(r.inputs, r.neurons)):
        if state != SCAN:
            phases[at, 0], phases[at, 1], phases[at, 2] = now, PROP, SCAN
            at, state = at + 1, SCAN
        now += 1
        driven, fired = i < r.inputs and inputs[i] != 0, n.z[i] != 0
        if not (driven or fired):
            continue
        _event(n, r, i, driven, fired)
        phases[at, 0], phases[at, 1], phases[at, 2] = now, PROP, EVENT
        at, state, now = at + 1, EVENT, now + 2 * ((r.neurons + 1) // 2)
        if driven and i >= r.neurons and (r.do_eprop & 1 or r.force_traces):
            phases[at, 0], phases[at, 1], phases[at, 2] = now, PROP, BEYOND
            at, state, now = at + 1, BEYOND, now + 2
    phases[at, 0], phases[at, 1], phases[at, 2] = now, PROP, QUIET
    return at + 1

"""ReckOn's neurons, bit for bit as its published RTL: leak with stochastic rounding, the trace decays, the saturating sums.

u: 16 bits, signed; alpha: 16 bits, 15 of them fraction; p = u alpha::

    leaked u' = floor(p / 2^15) + r        r = 1 if p mod 2^15 >= random 15 bits and the result is not 0 (bits 15..30 of p)
    fires if the *old* u >= threshold;     u <- u' - threshold, or 0 with a hard reset; else u <- u'

without rounding up for alpha = 1 or without stochastic rounding. Traces decay likewise by alpha, the output trace and the
outputs by kappa with 7 bits of fraction. Sums saturate in the order of the events.

In the step engines (``reckon_lif``, ``reckon_li``) a step adds what arrived, saturating once, and then leaks without stochastic
rounding: the machine `simulator.events.machines.reckon` draws those numbers in the hardware's order.

Source: the published RTL of ReckOn (ChFrenkel/ReckOn @5e5c0be), as arithmetic; docs/rtl.md says how it is verified.
"""

from __future__ import annotations

from collections.abc import Mapping

import numba
import numpy as np

from simulator.base.arrays import I32, Floats
from simulator.neurons.base import NeuronModel, Traits, UpdateOps, Word, register
from simulator.neurons.n1 import wrap16

ALPHA_FRAC = 15
KAPPA_FRAC = 7


@numba.njit(cache=True, nogil=True)
def leaked(x: int, factor: int, fraction: int, word: int, bits: int, stochastic: bool) -> int:
    """Return x factor / 2^fraction, rounded down or up at random.

    Args:
        x: state before.
        factor: decay with `fraction` fractional bits.
        fraction: fractional bits.
        word: random bits, `fraction` of them.
        bits: bits of the stored result.
        stochastic: whether rounding up happens at all.
    """
    product = x * factor
    kept = product >> fraction
    up = stochastic and factor != 1 << fraction and product & ((1 << fraction) - 1) >= word
    return kept + (1 if up and kept & ((1 << bits) - 1) else 0)


@numba.njit(cache=True, nogil=True)
def after_step(u: int, kept: int, threshold: int, hard: bool) -> tuple[int, bool]:
    """Return u after the step that leaked it to `kept`, and whether the neuron fired."""
    if u < threshold:
        return wrap16(kept), False
    return (0 if hard else wrap16(wrap16(kept) - threshold)), True


@numba.njit(cache=True, nogil=True)
def saturated16(x: int) -> int:
    """Return x within 16 signed bits."""
    return min(max(x, -32768), 32767)


@numba.njit(cache=True, nogil=True)
def _lif_kernel(
    acc: I32, state: I32, params: I32, table: I32, out: I32, lo: int, hi: int, step: int, seed: int, first_id: int
) -> int:
    beyond = 0
    for i in range(lo, hi):
        total = int(state[0, i]) + int(acc[0, i])
        u = saturated16(total)
        beyond += u != total
        kept = leaked(u, int(params[0, i]), ALPHA_FRAC, 0, 16, False)
        state[0, i], fired = after_step(u, kept, params[1, i], params[2, i] != 0)
        out[i] = fired
    return beyond


@numba.njit(cache=True, nogil=True)
def _li_kernel(
    acc: I32, state: I32, params: I32, table: I32, out: I32, lo: int, hi: int, step: int, seed: int, first_id: int
) -> int:
    beyond = 0
    for i in range(lo, hi):
        total = int(state[0, i]) + int(acc[0, i])
        u = saturated16(total)
        beyond += u != total
        state[0, i] = wrap16(leaked(u, int(params[0, i]), KAPPA_FRAC, 0, 16, False))
        out[i] = 0
    return beyond


def _lif_float(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Floats]) -> Floats:
    u = state["u"] + acc["in"]
    fired = u >= params["threshold"]
    kept = u * params["alpha"] / 2**ALPHA_FRAC
    state["u"][:] = np.where(fired, np.where(params["hard"] != 0, 0.0, kept - params["threshold"]), kept)
    return fired.astype(np.float64)


def _li_float(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Floats]) -> Floats:
    state["u"][:] = (state["u"] + acc["in"]) * params["kappa"] / 2**KAPPA_FRAC
    return np.zeros_like(state["u"])


_U = (Word("u", 16, meaning="membrane"),)

RECKON_LIF = register(
    NeuronModel(
        name="reckon_lif",
        ports=("in",),
        states=_U,
        params=(
            Word("alpha", 16, signed=False, meaning="what u keeps of itself, 15 fractional bits"),
            Word("threshold", 16, meaning="fires at it, before the leak", unit="in"),
            Word("hard", 1, signed=False, meaning="1: reset to 0, 0: the threshold is taken off"),
        ),
        kernel=_lif_kernel,
        float_step=_lif_float,
        ops=UpdateOps(mul=1, add=3, state_read=1, state_write=1),
        float_states=("u",),
        fires="u >= threshold",
        defaults={"hard": 0},
        family="reckon",
        traits=Traits(membrane="u"),
    )
)

RECKON_LI = register(
    NeuronModel(
        name="reckon_li",
        ports=("in",),
        states=_U,
        params=(Word("kappa", 8, signed=False, meaning="what u keeps of itself, 7 fractional bits"),),
        kernel=_li_kernel,
        float_step=_li_float,
        ops=UpdateOps(mul=1, add=2, state_read=1, state_write=1),
        emits="none",
        float_states=("u",),
        fires="never",
        family="reckon",
        traits=Traits(membrane="u"),
    )
)

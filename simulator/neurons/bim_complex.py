"""BIM with a complex state: a leaky integrate-and-fire neuron behind a selective filter that turns.

Float equations of one neuron in step t (three synaptic ports z, d, c; same presynaptic spikes u)::

    z = b_z + sum W_in u          d = b_d + sum W_delta u          c = b_c + sum W_c u
    Abar = exp(-a softplus(d));   g = 1 - Abar, or sqrt(1 - Abar^2) where ``variance`` is 1
    re' = Abar (cos re - sin im) + g z;    im' = Abar (sin re + cos im)
    y = C_re re' - C_im im';      q = c y + D z + b_q

then the PSP kernel and the membrane of `simulator.neurons.membrane` (variants ``adaptive`` and ``graded`` as there). A
norm of q that training used is folded into C_re, C_im, D and the constant b_q (`bimhw.models.bim.complex_state.fold`).

Integer form: z, the state (re and im), c, y and q have binary points of their own, from calibration; cos and sin 15
fractional bits, C and D binary points by their largest values. Abar and g come from one table of 512 entries, first Abar, then g,
index clip(floor((d + 8) 16), 0, 255), 16 fractional bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba as nb
import numpy as np

from simulator.base.arrays import I32, Floats
from simulator.neurons import bim_d, membrane
from simulator.neurons.base import FloatStep, Word
from simulator.neurons.bim_d import (
    ABAR_FRAC,
    TABLE_FIRST,
    TABLE_FRAC,
    SelectiveState,
    port_words,
    read_ports,
    register_variants,
    sample_state,
    variant_name,
)
from simulator.neurons.bim_d import TABLE_ENTRIES as ENTRIES
from simulator.neurons.membrane import LIMIT, clip, kernel_of, shift, tail, waits

TURN_FRAC = 15  # binary point of cos and sin
TABLE_ENTRIES = 2 * ENTRIES  # Abar, then g

_OWN = (
    *port_words("z"),
    Word("turn_cos", 17, meaning="cosine of the angle, 15 fractional bits"),
    Word("turn_sin", 17, meaning="sine of the angle, 15 fractional bits"),
    Word("sh_gz", 6, meaning="right shift of g z to the binary point of the state"),
    Word("c_re", 16, meaning="weight of the real part"),
    Word("c_im", 16, meaning="weight of the imaginary part"),
    Word("sh_y", 6, meaning="right shift of C x to the binary point of y"),
    Word("sh_cy", 6, meaning="right shift of c y to the binary point of q"),
    Word("D", 16, meaning="skip weight"),
    Word("sh_dz", 6, meaning="right shift of D z to the binary point of q"),
    Word("b_q", 24, meaning="constant current, binary point of q"),
)
COS, SIN, SH_GZ, C_RE, C_IM, SH_Y, SH_CY, D, SH_DZ, B_Q = range(10, 20)
_OWN_WORDS = len(_OWN)


def tables(a: float, variance: bool) -> I32:
    """Return the table of Abar and g at the middle of each entry of d, int32 [512], 16 fractional bits."""
    abar = bim_d.decay_table(a)
    d = TABLE_FIRST + (np.arange(ENTRIES) + 0.5) / 2**TABLE_FRAC
    exponent = a * np.logaddexp(0.0, d)
    gain = np.sqrt(-np.expm1(-2 * exponent)) if variance else -np.expm1(-exponent)
    stored = np.minimum(np.round(gain * 2**ABAR_FRAC), 2**ABAR_FRAC - 1).astype(np.int32)
    return np.concatenate([abar, stored])


@nb.njit(cache=True, nogil=True, forceinline=True)
def _select(acc, state, params, own, table, i):  # type: ignore[no-untyped-def]
    """Go from ports to state (in place) to q of neuron i, with the number of saturated words; own words from row `own`."""
    limit, p = np.int64(params[LIMIT, i]), params[own:, i]
    z0, c0, entry = read_ports(acc, p, i)
    z, c = clip(z0, limit), clip(c0, limit)
    abar, gain = np.int64(table[entry]), np.int64(table[entry + ENTRIES])
    re, im = np.int64(state[0, i]), np.int64(state[1, i])
    turned_re = (p[COS] * re - p[SIN] * im) >> np.int64(TURN_FRAC)
    turned_im = (p[SIN] * re + p[COS] * im) >> np.int64(TURN_FRAC)
    re0 = ((abar * turned_re) >> np.int64(ABAR_FRAC)) + shift(gain * z, np.int64(p[SH_GZ]))
    im0 = (abar * turned_im) >> np.int64(ABAR_FRAC)
    re, im = clip(re0, limit), clip(im0, limit)
    state[0, i], state[1, i] = re, im
    y0 = shift(p[C_RE] * re - p[C_IM] * im, np.int64(p[SH_Y]))
    y = clip(y0, limit)
    q0 = shift(c * y, np.int64(p[SH_CY])) + shift(np.int64(p[D]) * z, np.int64(p[SH_DZ])) + p[B_Q]
    q = clip(q0, limit)
    saturated = np.int64(z != z0) + np.int64(c != c0) + np.int64(re != re0) + np.int64(im != im0)
    return q, saturated + np.int64(y != y0) + np.int64(q != q0)


@nb.njit(cache=True, nogil=True)
def kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run the integer kernel; states re, im, then those of the membrane (its parameter words tell which kernel it has)."""
    saturated, own = np.int64(0), params.shape[0] - _OWN_WORDS
    psp = kernel_of(own)
    for i in range(lo, hi):
        if waits(4 + psp, state, out, i):
            continue
        q, n = _select(acc, state, params, own, table, i)
        saturated += n + tail(psp, q, 2, state, params, out, i)
    return saturated


def _float_step(psp: str) -> FloatStep:
    def step(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
        z, d, c = acc["z"] + params["b_z"], acc["d"] + params["b_d"], acc["c"] + params["b_c"]
        exponent = params["a"] * np.logaddexp(0.0, d)
        abar = np.exp(-exponent)
        gain = np.where(params["variance"] != 0, np.sqrt(-np.expm1(-2 * exponent)), 1 - abar)
        re, im = state["re"], state["im"]
        now = abar * (params["turn_cos"] * re - params["turn_sin"] * im) + gain * z
        imaginary = abar * (params["turn_sin"] * re + params["turn_cos"] * im)
        y = params["c_re"] * now - params["c_im"] * imaginary
        q: Floats = c * y + params["D"] * z + params["b_q"]
        state.update(z=z, d=d, c=c, re=now, im=imaginary, y=y, q=q)  # beside the states: calibration reads their ranges
        return membrane.float_tail(psp, q, state, params)

    return step


_MULTIPLIES = 11  # rotation 4, decay 2, gain 1, C x 2, c y, D z

_BRIAN2_SELECT = """
z = acc_z + b_z
d = acc_d + b_d
ex = a * log(1 + exp(d))
turned = turn_cos * re - turn_sin * im
im = exp(-ex) * (turn_sin * re + turn_cos * im)
re = exp(-ex) * turned + (variance * sqrt(1 - exp(-2 * ex)) + (1 - variance) * (1 - exp(-ex))) * z
q = (acc_c + b_c) * (c_re * re - c_im * im) + D * z + b_q
"""


def model_name(psp: str, adaptive: bool = False, graded: bool = False) -> str:
    """Name of the model with this kernel: ``bim_complex_alpha``, ``bim_complex_exp_adaptive`` ..."""
    return variant_name("bim_complex", psp, adaptive, graded)


def _sample(grid: membrane.Grid) -> dict[str, Any]:
    values = sample_state(grid)
    omega = grid(0, 1)
    values |= {"turn_cos": np.cos(omega), "turn_sin": np.sin(omega), "c_re": grid(0.5, 1.5), "c_im": grid(-1, 1)}
    return values | {"b_q": grid(-0.25, 0.25), "variance": float(omega[0] > 0.5)}


register_variants(
    SelectiveState(
        "bim_complex", (Word("re", 24), Word("im", 24)), _OWN, kernel, _float_step, _BRIAN2_SELECT, _MULTIPLIES, adds=12,
        look_ups=2, table_entries=TABLE_ENTRIES, plastic_ports=(), lowering="bimhw.compiler.lower.bim_complex",
        sample=_sample,
    )
)  # fmt: skip

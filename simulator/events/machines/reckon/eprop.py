"""ReckOn's e-prop: learning signals, pseudo-derivatives, and probabilistic updates of the weights by one.

Blocks of 16 target neurons j, outputs k, sources i::

    e_k = y*_k - y_k, saturating          y* = 2048 for the label, y a hard sigmoid of the output (or the output itself)
    L_j = sat28(sum_k e_k w_out[j, k] << scale) >> 12
    w_out[j, k]   by e_k (trace_out_j >> tout)                      28 bits
    w_in[i, j]    by L_j (trace_in_i >> tinp) h_j  -  regularisation  32 bits, likewise w_rec by trace_rec

An update adds the sign of p = prob if min(|p| << P, all ones) >> R >= a random word, within -128..127. A large wanted increase
turns into a certain decrease: where bit 27 of the unregularised 32-bit word is set and the word is not negative.
"""

from __future__ import annotations

import numba

from simulator.base.arrays import I64, U8
from simulator.base.shift_registers import draw
from simulator.events.machines.reckon.state import BLOCK, R_INP, R_OUT, R_REC, Net, Registers
from simulator.neurons.n1 import wrap16
from simulator.neurons.reckon import saturated16

HALF_RANGE = 2048  # of the outputs' hard sigmoid
OUT_LIMIT = 1 << 27
MOST_NEGATIVE = -(1 << 31)
NEAR_IN, NEAR_OUT = 3, 1


@numba.njit(cache=True, nogil=True)
def _wrap32(x: int) -> int:
    return ((x + (1 << 31)) & ((1 << 32) - 1)) - (1 << 31)


@numba.njit(cache=True, nogil=True)
def _wrap28(x: int) -> int:
    return ((x + OUT_LIMIT) & (2 * OUT_LIMIT - 1)) - OUT_LIMIT


@numba.njit(cache=True, nogil=True)
def updated(weight: int, prob: int, width: int, shift_up: int, shift_down: int, word: int) -> int:
    """Return a weight after one probabilistic update by the word `prob` of `width` bits."""
    if prob == 0:
        return weight
    full = (1 << width) - 1
    size = -prob if prob < 0 else prob
    if prob != -(1 << (width - 1)):
        shifted = full if shift_up >= width or size >> (width - shift_up) else size << shift_up
        if (shifted >> shift_down) < word:
            return weight
    after = weight - 1 if prob < 0 else weight + 1
    return after if -128 <= after <= 127 else weight


@numba.njit(cache=True, nogil=True)
def _error(n: Net, r: Registers, label: int, k: int) -> int:
    y = n.out[k]
    if not r.no_out_act:
        y = HALF_RANGE if y > HALF_RANGE - 1 else 0 if y < -HALF_RANGE else (y + HALF_RANGE) >> 1
    return saturated16((HALF_RANGE if k == label else 0) - y)


@numba.njit(cache=True, nogil=True)
def _target(n: Net, r: Registers, label: int, j: int) -> None:
    """Compute learning signal, pseudo-derivative, regularisation term and output weights of target neuron j."""
    total = 0
    if r.do_eprop & 3:
        for k in range(r.outputs):
            total += _error(n, r, label, k) * n.w_out[j, k]
    total = _wrap28(total)
    scaled = total << r.learn_sig_scale
    if -OUT_LIMIT <= scaled < OUT_LIMIT:
        signal = wrap16(scaled >> 12)
    else:
        signal = -32768 if total < 0 else 32767
    at, u = j % BLOCK, n.u[j]
    n.learning[at] = signal
    n.h[at] = (
        r.h_0 if u < r.thr_h_0 else r.h_1 if u < r.thr_h_1 else r.h_2 if u < r.thr_h_2
        else r.h_3 if u < r.thr_h_3 else r.h_4
    )  # fmt: skip
    n.regular[at] = max(0, (n.trace_rec[j] >> r.fp_loc_trec) - r.regul_f0) if r.regul_mode else 0
    trace = n.trace_out[j] >> r.fp_loc_tout
    if trace == 0 or not r.do_eprop & 4:
        return
    before = n.w_out[j].copy()
    for k in range(BLOCK):
        word = draw(n.wout, n.place[R_OUT], NEAR_OUT, 28)
        if k < r.outputs:
            prob = _wrap28(_error(n, r, label, k) * trace)
            n.w_out[j, k] = updated(before[k], prob, 28, r.lr_p_wout, r.lr_r_wout, word)


@numba.njit(cache=True, nogil=True)
def regularised(r: Registers, wanted: int, term: int, up: int, down: int, on: bool) -> int:
    """Return the word by which a weight is updated, from the 32-bit word that e-prop wants and the regularisation term."""
    scaled = wanted * 16
    if wanted >= 0 and r.regul_mode & 1 and r.regul_w:
        by = term >> r.regul_k_mul
        scaled = wanted * (0 if by > 15 else 16 - by)
    less = ((term << up) & ((1 << 32) - 1)) >> down if r.regul_mode & 2 and on else 0
    result = _wrap32(_wrap32(scaled >> 4) - less)
    return MOST_NEGATIVE if result >= 0 and (scaled >> 31) & 1 else result


@numba.njit(cache=True, nogil=True)
def _source(
    n: Net, r: Registers, weights: I64, i: int, first: int, trace: int, ring: U8, place: I64, up: int, down: int,
    regular_up: int, regular_down: int, on: bool, recurrent: bool,
) -> None:  # fmt: skip
    """Update the weights of one source to a block of targets."""
    for k in range(BLOCK):
        word = draw(ring, place, NEAR_IN, 32)
        j = first + k
        wanted = _wrap32(n.learning[k] * trace * n.h[k])
        prob = regularised(r, wanted, n.regular[k], regular_up, regular_down, on)
        if n.h[k] == 0 and not (on and r.regul_mode):
            prob = 0
        before = weights[i, j]
        after = updated(before, prob, 32, up, down, word)
        if recurrent and i == j and prob != 0:
            moved = after != before or _at_limit(before, prob, up, down, word)
            after = 0 if moved else before
        weights[i, j] = after


@numba.njit(cache=True, nogil=True)
def _at_limit(weight: int, prob: int, up: int, down: int, word: int) -> bool:
    """Return whether a weight at its limit would have been updated: the memory is written all the same."""
    if not ((weight == 127 and prob > 0) or (weight == -128 and prob < 0)):
        return False
    return updated(0, prob, 32, up, down, word) != 0


@numba.njit(cache=True, nogil=True)
def learn(n: Net, r: Registers, label: int) -> int:
    """Run e-prop for one tick and return its cycles."""
    sources = max(r.inputs, r.neurons)
    for first in range(0, r.neurons, BLOCK):
        for j in range(first, first + BLOCK):
            _target(n, r, label, j)
        idle = not n.regular.any()
        for i in range(sources):
            trace = n.trace_in[i] >> r.fp_loc_tinp
            if i < r.inputs and r.do_eprop & 1 and not (trace == 0 and idle):
                _source(n, r, n.w_in, i, first, trace, n.inp, n.place[R_INP], r.lr_p_winp, r.lr_r_winp,
                        r.regul_k_inp_p, r.regul_k_inp_r, r.regul_w & 1 != 0, False)  # fmt: skip
            trace = n.trace_rec[i] >> r.fp_loc_trec
            if i < r.neurons and r.do_eprop & 2 and not (trace == 0 and idle):
                _source(n, r, n.w_rec, i, first, trace, n.rec, n.place[R_REC], r.lr_p_wrec, r.lr_r_wrec,
                        r.regul_k_rec_p, r.regul_k_rec_r, r.regul_w & 2 != 0, True)  # fmt: skip
    if r.do_eprop == 4:
        return 2 * r.neurons
    return (r.neurons // BLOCK) * (2 * BLOCK + 2 * sources)

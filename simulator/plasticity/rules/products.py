"""Sum-of-products rules applied in exact integers; `product_text` reads them.

dz = sum_i S_i 2^(e_i) prod_j (V_ij + C_ij)           S: 4 bits signed; or sgn(V_ij + C_ij)
a  = (z << 7) + floor(dz 2^7)                         saturated to the word of z with 7 more bits
z  <- floor(a / 2^7 + r)                              r uniform in [0, 1), or 1/2: nearest; clipped, never wrapped

The floor takes steps below 2^-7 to 0 or -2^-7: on average such a rule only decreases z. ``unbiased`` draws these bits, too: the
mean of floor(dz 2^7) is then dz 2^7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numba
import numpy as np

from simulator.base.arrays import I64, AnyInts
from simulator.base.random import STREAM_TRACE, random_word
from simulator.plasticity.rules.product_text import FRACTION, VARIABLES, Term

STREAM_PRODUCTS: Final = STREAM_TRACE + 128
DRAWN: Final = 25  # bits of a random word of 32 that do not round


class Products(NamedTuple):
    """A rule as arrays: factors [terms, most, 3] (variable, -1: none; constant; 1: sgn), scales in units of 2^unit, the unit."""

    factors: I64
    scale: I64
    unit: int

    @classmethod
    def of(cls, terms: Sequence[Term]) -> Products:
        """Return the arrays of a rule; no terms: it changes nothing."""
        most = max((len(t.factors) for t in terms), default=0)
        factors = np.full((len(terms), most, 3), -1, np.int64)
        for k, term in enumerate(terms):
            for f, factor in enumerate(term.factors):
                factors[k, f] = factor
        unit = min((t.exponent for t in terms), default=0)
        return cls(factors, np.array([t.mantissa << (t.exponent - unit) for t in terms], np.int64), unit)

    def names(self) -> set[str]:
        """Return the variables that occur."""
        return {VARIABLES[v] for v in self.factors[:, :, 0].reshape(-1).tolist() if v >= 0}

    def renamed(self, old: str, new: str) -> Products:
        """Return the rule that reads another variable in the place of one."""
        factors = self.factors.copy()
        factors[factors[:, :, 0] == VARIABLES.index(old), 0] = VARIABLES.index(new)
        return self._replace(factors=factors)


@numba.njit(cache=True, nogil=True)
def graded_trace_step(
    x: AnyInts, sent: AnyInts, shift: int, decay: int, impulse: int, key: AnyInts, first_id: int, kind: int
) -> None:
    """Do one step of a trace of n neurons (int32 [n], in place): `loihi.trace_step`, each spike by its payload.

    Args:
        x: trace values, -127 to 127.
        sent: int32 [n], payloads of the step, 0 for none.
        shift: a payload of 2^shift counts as one spike.
        decay, impulse: `Trace.decay_word`, `Trace.impulse_word`.
        key: uint64 (seed, step) of the random numbers.
        first_id, kind: as in `loihi.trace_step`.
    """
    seed, step = key[0], key[1]
    for i in range(x.size):
        r = random_word(seed, step, first_id + i, STREAM_TRACE + 512 * kind)
        value = (int(x[i]) * decay + int(np.int64(r & np.uint64(0xFFFF)))) >> 16
        if sent[i] != 0:
            value += (((impulse * int(sent[i])) >> shift) + int(np.int64((r >> np.uint64(16)) & np.uint64(0xFF)))) >> 8
        x[i] = min(max(value, -127), 127)


@numba.njit(cache=True, nogil=True)
def apply_products(
    indptr: AnyInts, indices: AnyInts, z: AnyInts, w: AnyInts, t: AnyInts, pre: AnyInts, post: AnyInts, d: AnyInts, u: AnyInts,
    factors: AnyInts, scale: AnyInts, unit: int, low: int, high: int, key: AnyInts, nearest: bool, unbiased: bool = False,
) -> int:  # fmt: skip
    """Apply a rule to every stored synapse; return how many changed.

    Args:
        indptr, indices: CSR by source.
        z: the variable that changes, integer [nnz]; `w`, `t` or `d` itself.
        w, t, d: weights, tags and delays [nnz].
        pre, post: int32 [3, M], [4, H].
        u: int32 [10, H].
        factors, scale, unit: see `Products`.
        low, high: bounds of z.
        key: uint64 (seed, epoch, stream).
        nearest: round to nearest instead of at random.
        unbiased: draw the bits of a step below 2^-7, too, instead of dropping them; not with `nearest`.
    """
    changed = 0
    seed, epoch, stream = key[0], key[1], key[2]
    shift = unit + FRACTION
    for j in range(indptr.size - 1):
        for at in range(indptr[j], indptr[j + 1]):
            i = indices[at]
            total = 0
            for k in range(scale.size):
                product = scale[k]
                for f in range(factors.shape[1]):
                    v, c = factors[k, f, 0], factors[k, f, 1]
                    if v < 0 or product == 0:
                        break
                    if v < 3:
                        value = int(pre[v, j])
                    elif v < 7:
                        value = int(post[v - 3, i])
                    elif v == 7:
                        value = int(w[at])
                    elif v == 8:
                        value = int(t[at])
                    elif v == 9:
                        value = int(d[at])
                    else:
                        value = int(u[v - 10, i])
                    value += c
                    if factors[k, f, 2] == 1:
                        value = int(value > 0) - int(value < 0)
                    product *= value
                total += product
            if total == 0:
                continue
            step = total << shift if shift >= 0 else total >> -shift
            r = 64
            if not nearest:
                place = np.uint64(j) << np.uint64(32) | np.uint64(i)
                word = random_word(seed, epoch, place, stream)
                r = int(np.int64(word & np.uint64(127)))
                if unbiased and shift < 0:
                    drawn, more = int(np.int64(word >> np.uint64(FRACTION))), -shift - DRAWN
                    drawn = drawn << more if more > 0 else drawn >> -more
                    step += int(drawn < total - (step << -shift))
            a = (int(z[at]) << FRACTION) + step
            a = min(max(a, low << FRACTION), high << FRACTION)
            new = min(max((a + r) >> FRACTION, low), high)
            changed += new != z[at]
            z[at] = new
    return changed

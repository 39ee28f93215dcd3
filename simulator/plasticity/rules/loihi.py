"""Loihi's learning engine: 7-bit traces with stochastic rounding, sum-of-products rules at every learning epoch.

Trace (per step; impulse m with 7 integer and 8 fractional bits; r uniform, counter-based)::

    x <- floor(x d / 2^16 + r),  d = round(2^16 e^(-1/tau));     on a spike  x <- x + floor(m + r);     x clipped to 0..127

Rule, every ``epoch`` steps, for a synaptic variable (weight: 9 bits signed)::

    dz = sum_i S_i 2^(e_i) prod_j (V_ij + C_ij)          S: 4 bits signed; a product is gated by x0, y0 or u_k (each 2^k epochs)
    a = (z << 7) + floor(dz 2^7)  saturated to 16 bits signed, and to the sign of a weight of one sign;
    z <- floor(a / 2^7 + r), clipped to its word

x0 and y0 are 1 where the pre- and the post-synaptic neuron fired in the epoch. Source: Davies et al. 2018 (IEEE Micro 38:82,
Table 1) and lava-nc/lava (BSD-3-Clause); one difference, on purpose: every trace draws its own random number (Lava uses one
for all traces of a step). Absent (pruned) synapses are not visited.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numba
import numpy as np

from simulator.base.arrays import I32, I64, AnyInts, Bools, Floats
from simulator.base.errors import InputError
from simulator.base.random import STREAM_TRACE, random_word

TRACE_MAX = 127
MOST_TAU = 1e9  # steps
MOST_EXPONENT = 24  # of two, in the scale of a product
FRACTION = 7  # 16-bit accumulator over a 9-bit variable
_MOST_STEP = 2.0**17  # in units of the accumulator, which it saturates from any weight
_MOST_PRODUCT = 2**53  # S prod (V + C), which a float64 holds exactly
_LARGEST = {"x0": 1, "y0": 1, "w": 256, "1": 1}  # of the variables; all others are traces
_STREAM_RULE = STREAM_TRACE + 256
Variable = Literal["x0", "x1", "x2", "y0", "y1", "y2", "y3", "w", "1"]
VARIABLES: tuple[Variable, ...] = ("x0", "x1", "x2", "y0", "y1", "y2", "y3", "w", "1")


@dataclass(frozen=True)
class Trace:
    """A trace: impulse of a spike (0..127 + 255/256) and decay time in steps (0: it keeps its value)."""

    impulse: float
    tau: float

    def __post_init__(self) -> None:
        if not 0 <= self.impulse < TRACE_MAX + 1:
            raise InputError("learning trace", f"has the impulse {self.impulse:g}", f"It is 0 to {TRACE_MAX} + 255/256")
        if not 0 <= self.tau <= MOST_TAU:
            raise InputError("learning trace", f"has tau = {self.tau:g} steps", f"It is 0 (no decay) to {MOST_TAU:g}")

    @property
    def impulse_word(self) -> int:
        """Impulse in units of 2^-8."""
        return min(round(self.impulse * 256), 256 * TRACE_MAX + 255)

    @property
    def decay_word(self) -> int:
        """Factor of one step in units of 2^-16."""
        return round(2**16 * math.exp(-1 / self.tau)) if self.tau else 2**16


@dataclass(frozen=True)
class Product:
    """S 2^e prod (V + C), gated by x0, y0 or u<k>."""

    mantissa: int
    exponent: int
    factors: tuple[tuple[Variable, int], ...]
    gate: str

    def __post_init__(self) -> None:
        where = f"learning rule product {self}"
        if not -8 <= self.mantissa <= 7:
            raise InputError(where, f"has the scale mantissa {self.mantissa}, a 4-bit signed word", "Use the exponent")
        if self.gate not in ("x0", "y0") and not (self.gate[:1] == "u" and self.gate[1:].isdigit()):
            raise InputError(where, f"is gated by {self.gate!r}", "Gates: x0, y0, u0, u1, ...")
        if not -MOST_EXPONENT <= self.exponent <= MOST_EXPONENT:
            raise InputError(where, f"has the exponent {self.exponent}", f"It is -{MOST_EXPONENT} to {MOST_EXPONENT}")
        for name, constant in self.factors:
            if name not in VARIABLES:
                raise InputError(where, f"names the variable {name!r}", f"Variables: {', '.join(VARIABLES)}")
            if not -128 <= constant <= 127:
                raise InputError(where, f"adds {constant} to {name}, an 8-bit signed word", "Give -128 to 127")
        largest = abs(self.mantissa)
        for name, constant in self.factors:
            largest *= _LARGEST.get(name, TRACE_MAX) + abs(constant)
        if largest > _MOST_PRODUCT:
            raise InputError(where, f"is up to {largest:.3g}; 2^53 is the most", "Take fewer factors")


@numba.njit(cache=True, nogil=True)
def trace_step(x: Any, fired: Bools, decay: int, impulse: int, seed: int, step: int, first_id: int, kind: int) -> None:
    """Step a trace of n neurons (int32 [n], in place).

    Args:
        x: trace values 0..127.
        fired: bool [n], spikes of the step.
        decay, impulse: `Trace.decay_word`, `Trace.impulse_word`.
        seed, step, first_id, kind: keys of the random numbers; kind numbers the trace of a neuron.
    """
    for i in range(x.size):
        r = random_word(seed, step, first_id + i, STREAM_TRACE + 512 * kind)
        value = (np.int64(x[i]) * decay + np.int64(r & np.uint64(0xFFFF))) >> 16
        if fired[i]:
            value += (impulse + np.int64((r >> np.uint64(16)) & np.uint64(0xFF))) >> 8
        x[i] = min(value, TRACE_MAX)


@numba.njit(cache=True, nogil=True)
def _apply(indptr: I64, indices: I32, w: Any, pre: I32, post: I32, scale: Floats, terms: I64, gates: I64,
           low: int, high: int, seed: int, epoch: int, projection: int) -> int:  # fmt: skip
    visited = 0
    for j in range(indptr.size - 1):
        for at in range(indptr[j], indptr[j + 1]):
            i = indices[at]
            total = 0.0
            for k in range(scale.size):
                gate = gates[k]
                open_ = pre[0, j] if gate == 0 else post[0, i] if gate == 1 else gate == 3
                if not open_:
                    continue
                product = scale[k]
                for f in range(terms.shape[1]):
                    v, c = terms[k, f, 0], terms[k, f, 1]
                    if v < 0:
                        break
                    value = pre[v, j] if v < 3 else post[v - 3, i] if v < 7 else w[at] if v == 7 else 1
                    product *= value + c
                total += product
            visited += 1
            if total == 0.0:
                continue
            step = min(max(total * 128.0, -_MOST_STEP), _MOST_STEP)  # a float beyond 64 bits becomes the least integer
            a: Any = (np.int64(w[at]) << FRACTION) + np.int64(math.floor(step))
            a = min(max(a, -32768), 32767)
            a = min(max(a, low << FRACTION), high << FRACTION)
            r = random_word(seed, epoch, np.uint64(j) << np.uint64(32) | np.uint64(i), _STREAM_RULE + 512 * projection)
            w[at] = min(max((a + np.int64(r & np.uint64(127))) >> FRACTION, low), high)
    return visited


class LoihiRule:
    """A rule for the weight, as its products.

    Args:
        products: summed.
        sign: ``mixed`` -256..254, ``excitatory`` 0..255, ``inhibitory`` -256..0.
        seed: of the random numbers.
    """

    def __init__(
        self, products: tuple[Product, ...], sign: Literal["mixed", "excitatory", "inhibitory"] = "mixed", seed: int = 0
    ) -> None:
        self.products, self.seed = products, seed
        self.low, self.high = {"mixed": (-256, 254), "excitatory": (0, 255), "inhibitory": (-256, 0)}[sign]
        n = max((len(p.factors) for p in products), default=0) + 1
        self.terms = np.full((len(products), n, 2), -1, np.int64)
        for k, p in enumerate(products):
            for f, (name, constant) in enumerate(p.factors):
                self.terms[k, f] = VARIABLES.index(name), constant
        self.scale = np.array([p.mantissa * 2.0**p.exponent for p in products])

    def apply(
        self,
        indptr: I64,
        indices: I32,
        weights: AnyInts,
        pre: I32,
        post: I32,
        epoch: int,
        projection: int = 0,
        weight_bits: int | None = None,
    ) -> int:
        """Apply one learning epoch over all stored synapses; return how many were visited.

        Args:
            indptr, indices: CSR by source.
            weights: integer [nnz], in place.
            pre: int32 [3, M]: x0, x1, x2.
            post: int32 [4, H]: y0, y1, y2, y3.
            epoch: number of the epoch; key of the random numbers and clock of the u gates.
            projection: its number, another key.
            weight_bits: stored bits of a weight (signed); by default those of the array.
        """
        bits = min(8 * weights.dtype.itemsize, weight_bits or 64)
        low, high = max(self.low, -(1 << (bits - 1))), min(self.high, (1 << (bits - 1)) - 1)
        gates = np.array([self._gate(p, epoch) for p in self.products], np.int64)
        return int(
            _apply(
                indptr,
                indices,
                weights,
                pre,
                post,
                self.scale,
                self.terms,
                gates,
                low,
                high,
                self.seed,
                epoch,
                projection,
            )
        )

    def _gate(self, p: Product, epoch: int) -> int:
        """Return the gate: 0: x0, 1: y0, 2: closed, 3: open."""
        if p.gate in ("x0", "y0"):
            return 0 if p.gate == "x0" else 1
        return 3 if epoch % 2 ** int(p.gate[1:]) == 0 else 2


def pairwise_stdp(a_plus: int, a_minus: int, exponent: int) -> tuple[Product, ...]:
    """Return dw = 2^e (A+ x1 y0 - A- y1 x0): potentiation at post spikes, depression at pre spikes."""
    return (
        Product(a_plus, exponent, (("x1", 0),), "y0"),
        Product(-a_minus, exponent, (("y1", 0),), "x0"),
    )

"""The fast path: binary spikes, one leaky integrate-and-fire rule, delay 1 step, in one compiled loop over steps.

Same spikes and states as the general step loop, for programs that `qualify`. What makes it fast: branch-free decay in 32 bits,
firing flags compacted 64 at a time, rows prefetched four spikes ahead, eight synapses in a row where the processor gains, and
16-bit sums where they are exact and spare cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from simulator.base.arrays import I32, I64, U8, U32, Array, Integers
from simulator.base.host_memory import available_bytes
from simulator.base.intrinsics import LOOPS_WELL
from simulator.function.kernels import add_row, compact, fetch_row
from simulator.function.layout import Cells, Layout
from simulator.neurons.lif import LIF

Unsigned = npt.NDArray[np.unsignedinteger]
Flags = U8

_ROW = {w.name: k for k, w in enumerate(LIF.params)}
_PAD = 64  # neurons are padded to whole masks with inert ones
_U16_NEURONS = 1 << 16
NARROW_FROM = (
    8_192 if LOOPS_WELL else _U16_NEURONS
)  # neurons above which sums take 16 bits: they leave a cache of 32 kB


@dataclass(frozen=True, eq=False)
class Rule:
    """Update that all neurons of a fast layout share. Inputs are ids [0, n_in), LIF neuron i is id n_in + i.

    Attributes:
        n_in, n: inputs and LIF neurons.
        bias: int32 [padded].
        threshold: fires if V > threshold.
        decay_shift: V loses V / 2^decay_shift, rounded away from zero.
        exponent: left shift of the summed weights.
        sum_type: int16 or int32, type of the sums.
    """

    n_in: int
    n: int
    bias: I32
    threshold: int
    decay_shift: int
    exponent: int
    sum_type: type[np.signedinteger]


@dataclass(frozen=True, eq=False)
class Plain:
    """A layout in the fast form.

    Attributes:
        rule: of its neurons.
        row_ptr: uint32 [N + 1].
        target: uint16 [nnz], or uint32 [nnz] above 65,536 neurons.
        weight: int8, int16 or int32 [nnz].
    """

    rule: Rule
    row_ptr: U32
    target: npt.NDArray[np.unsignedinteger]
    weight: Integers

    @property
    def synapse_bytes(self) -> int:
        """Memory of the synapses, row pointers apart."""
        return int(self.target.nbytes + self.weight.nbytes)


def plain(layout: Layout) -> Plain | None:
    """Return the fast form of a layout, or None where it does not qualify."""
    rule = rule_of(layout)
    if rule is None or any(s.weights.size >= 2**32 - 1 for s in layout.synapses):
        return None
    synapses = _form(layout, rule.n_in, rule.n)
    return None if synapses is None else Plain(rule, *synapses)


def rule_of(layout: Layout) -> Rule | None:
    """Return the one rule of a layout's neurons, or None where there is none such or its sums do not fit."""
    split = _split(layout)
    if split is None or bool(getattr(numba.config, "DISABLE_JIT", False)):  # the intrinsics exist only in compiled code
        return None
    inputs, cells = split
    n_in, n = sum(c.size for c in inputs), sum(c.size for c in cells)
    shared = _rule(cells)
    exponents = {s.exponent for s in layout.synapses}
    if shared is None or len(exponents) > 1 or any(s.delay or s.row is not None for s in layout.synapses):
        return None
    threshold, shift = shared
    exponent = exponents.pop() if exponents else 0
    top = max(c.bound for c in cells) >> exponent
    bias = np.zeros(-(-n // _PAD) * _PAD, np.int32)
    bias[:n] = np.concatenate([c.params[_ROW["bias"]] for c in cells])
    start = max(int(np.abs(c.initial[0].astype(np.int64)).max(initial=0)) for c in cells)
    reach = max((int(np.abs(bias.astype(np.int64)).max()) + (top << exponent)) << shift, threshold, start)
    if reach >= 2**30:
        return None
    sum_type: type[np.signedinteger] = np.int16 if top <= 32767 and n > NARROW_FROM else np.int32
    return Rule(n_in, n, bias, threshold, shift, exponent, sum_type)


def _split(layout: Layout) -> tuple[list[Cells], list[Cells]] | None:
    """Return input populations and LIF populations, if there is nothing else and the inputs come first."""
    driven = [c.model.kernel is None for c in layout.cells]
    inputs = [c for c, d in zip(layout.cells, driven, strict=True) if d]
    cells = [c for c, d in zip(layout.cells, driven, strict=True) if not d]
    in_order = driven == sorted(driven, reverse=True)
    if not cells or not in_order or any(layout.graded) or any(c.model is not LIF or c.wide for c in cells):
        return None
    return inputs, cells


def _rule(cells: list[Cells]) -> tuple[int, int] | None:
    """Return (threshold for V >, decay shift) if all neurons share them and reset to 0 without a refractory time."""
    params = np.concatenate([c.params for c in cells], axis=1)
    if any(params[_ROW[k]].any() for k in ("v_reset", "refractory", "soft")):
        return None
    threshold = params[_ROW["vth"]].astype(np.int64) - (params[_ROW["strict"]] == 0)
    dv = int(params[_ROW["dv"], 0])
    uniform = (params[_ROW["dv"]] == dv).all() and (threshold == threshold[0]).all()
    if not uniform or threshold[0] < 0 or dv < 1 or dv > 4096 or dv & (dv - 1):
        return None
    return int(threshold[0]), 13 - dv.bit_length()


def _form(layout: Layout, n_in: int, n: int) -> tuple[U32, Unsigned, Integers] | None:
    """Return row pointers, targets and weights by source id; None where they do not fit the form or the memory."""
    lengths = np.zeros(layout.n_neurons, np.int64)
    for s in layout.synapses:
        first = layout.cells[s.source].first
        lengths[first : first + s.indptr.size - 1] += np.diff(s.indptr)
    row_ptr = np.zeros(layout.n_neurons + 1, np.int64)
    np.cumsum(lengths, out=row_ptr[1:])
    total = int(row_ptr[-1])
    if total >= 2**32 - 64:
        return None
    ready = _as_they_lie(layout) if n > _U16_NEURONS else None
    if ready is None:
        ready = _copied(layout, row_ptr, n_in, n)
    return None if ready is None else (row_ptr.astype(np.uint32), *ready)


def _as_they_lie(layout: Layout) -> tuple[Unsigned, Integers] | None:
    """Return the program's own arrays, where its rows follow one another in memory as the form wants them: nothing is copied."""
    parts = sorted((s for s in layout.synapses if s.indices.size), key=lambda s: s.source)
    sources = [s.source for s in parts]
    only = [k for k, c in enumerate(layout.cells) if c.model.kernel is not None]
    if not parts or len(set(sources)) < len(sources) or len(only) > 1 or any(s.first for s in parts):
        return None
    targets, weights = _joined([s.indices for s in parts]), _joined([s.weights for s in parts])
    if targets is None or weights is None or targets.dtype.itemsize != 4:
        return None
    return targets.view(np.uint32), weights


def _joined(parts: list[Array]) -> Array | None:
    """Return a view of parts that lie one after another in the array that they are parts of; None where they do not."""
    first = parts[0]
    if len(parts) == 1:
        return first
    at = first.ctypes.data
    for part in parts:
        if part.base is None or part.base is not first.base or part.dtype != first.dtype or part.ctypes.data != at:
            return None
        at += part.nbytes
    return np.lib.stride_tricks.as_strided(first, (sum(p.size for p in parts),))


def _copied(layout: Layout, row_ptr: I64, n_in: int, n: int) -> tuple[Unsigned, Integers] | None:
    """Return targets and weights in arrays of their own."""
    total = int(row_ptr[-1])
    target_type = np.uint32 if n > _U16_NEURONS else np.uint16
    wide = any(s.weights.dtype != np.int8 for s in layout.synapses)
    if wide and any(_beyond_16_bits(s.weights) for s in layout.synapses):
        return None
    weight_type = np.int16 if wide else np.int8
    there = available_bytes()
    if there is not None and there < total * (np.dtype(target_type).itemsize + np.dtype(weight_type).itemsize):
        return None  # the general loop needs no second copy of the synapses
    target: Unsigned = np.empty(total, target_type)
    weight: Integers = np.empty(total, weight_type)
    cursor = row_ptr[:-1].copy()
    for s in layout.synapses:
        place = cursor[layout.cells[s.source].first :]
        _copy_rows(s.indptr, s.indices, s.weights, layout.cells[s.target].first + s.first - n_in, place, target, weight)
    return target, weight


def _beyond_16_bits(weights: Array) -> bool:
    return bool(weights.size) and (int(weights.min()) < -32768 or int(weights.max()) > 32767)


@numba.njit(cache=True, nogil=True)
def _copy_rows(
    indptr: I64, indices: I32, weights: Integers, offset: int, place: I64, target: Unsigned, weight: Integers
) -> None:
    for row in range(indptr.size - 1):
        at = np.uint64(place[row])
        for j in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            target[at] = indices[j] + offset
            weight[at] = weights[j]
            at += np.uint64(1)
        place[row] = at


_U0, _U1, _U4 = np.uint64(0), np.uint64(1), np.uint64(4)
_31 = np.int32(31)  # numba shifts in 64 bits; by `n & 31`, the compiler sees that 32 are enough


@numba.njit(nogil=True)
def lif(
    v: I32,
    u: Integers,
    bias: I32,
    flag: Flags,
    mask: np.int32,
    shift: np.int32,
    exponent: np.int32,
    threshold: np.int32,
) -> None:
    """Update V <- V - V / 2^shift (away from zero) + bias + u << exponent; flag and reset where V > threshold; u <- 0."""
    for i in range(np.uint64(v.size)):
        x = v[i]
        x = np.int32(x - np.int32(np.int32(x + np.int32(mask & ~np.int32(x >> _31))) >> (shift & _31)))
        x = np.int32(np.int32(x + bias[i]) + np.int32(np.int32(u[i]) << (exponent & _31)))
        u[i] = 0
        fired = x > threshold
        flag[i] = fired
        v[i] = np.int32(0) if fired else x


@numba.njit(nogil=True)
def lif_counted(
    v: I32,
    u: Integers,
    bias: I32,
    flag: Flags,
    mask: np.int32,
    shift: np.int32,
    exponent: np.int32,
    threshold: np.int32,
    active: I32,
) -> np.int32:
    """Do as `lif`, and count by neuron and in total the updates with an input that is not 0 or with a spike."""
    total = np.int32(0)
    for i in range(np.uint64(v.size)):
        x = v[i]
        x = np.int32(x - np.int32(np.int32(x + np.int32(mask & ~np.int32(x >> _31))) >> (shift & _31)))
        x = np.int32(np.int32(x + bias[i]) + np.int32(np.int32(u[i]) << (exponent & _31)))
        fired = x > threshold
        used = np.int32(fired | (u[i] != 0))
        u[i] = 0
        active[i] = np.int32(active[i] + used)
        total = np.int32(total + used)
        flag[i] = fired
        v[i] = np.int32(0) if fired else x
    return total


@numba.njit(nogil=True)
def _accumulate(
    ids: I32,
    lo: np.uint64,
    hi: np.uint64,
    row_ptr: U32,
    target: Unsigned,
    weight: Integers,
    u: Integers,
) -> None:
    targets, weights = np.uint64(target.ctypes.data), np.uint64(weight.ctypes.data)
    target_size, weight_size = np.uint64(target.itemsize), np.uint64(weight.itemsize)
    for k in range(lo, hi):
        if k + _U4 < hi:
            ahead = np.uint32(ids[k + _U4])
            start, end = np.uint64(row_ptr[ahead]), np.uint64(row_ptr[ahead + np.uint32(1)])
            fetch_row(targets, start, end, target_size)
            fetch_row(weights, start, end, weight_size)
        row = np.uint32(ids[k])
        add_row(u, _U0, target, weight, np.uint64(row_ptr[row]), np.uint64(row_ptr[row + np.uint32(1)]), 1)


@numba.njit(cache=True, nogil=True)
def run_steps(
    start: int, stop: int, n_in: int, row_ptr: U32, target: Unsigned, weight: Integers, v: I32, u: Integers, bias: I32,
    flag: Flags, threshold: int, shift: int, exponent: int, in_ptr: I64, in_ids: I32, ids: I32, at: int, ptr: I64,
    active: I32, n_active: I64,
) -> tuple[int, np.uint64]:  # fmt: skip
    """Run steps [start, stop) or until the event buffer might not hold one more; return (next step, end of events).

    ``ids`` gets the events, ``ptr[t + 1]`` the end of step t. ``active`` and ``n_active`` are filled where not empty.
    """
    first, mask = np.int32(n_in), np.int32((1 << shift) - 1)
    s, e, limit = np.int32(shift), np.int32(exponent), np.int32(threshold)
    end = np.uint64(at)
    t = start
    while t < stop and end + np.uint64(n_in) + np.uint64(v.size) < np.uint64(ids.size):
        begin = end
        for k in range(np.uint64(in_ptr[t]), np.uint64(in_ptr[t + 1])):
            ids[end] = in_ids[k]
            end += _U1
        if active.size:
            n_active[t] = lif_counted(v, u, bias, flag, mask, s, e, limit, active)
        else:
            lif(v, u, bias, flag, mask, s, e, limit)
        end = compact(flag, first, ids, end)
        _accumulate(ids, begin, end, row_ptr, target, weight, u)
        t += 1
        ptr[t] = end
    return t, end

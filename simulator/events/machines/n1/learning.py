"""Catalyst N1's learning: microcode on the synapses of neurons that fired, and the three-factor pass over all entries.

Mode 0 visits the format-0 synapses of every neuron that fired, mode 1 its reverse slots. The program of mode k starts at
128 threefactor + 64 k. Registers, 16 bits: R0 trace1, R1 x2, R2 trace2, R3 y2, R4 y3 of the other neuron, R5 weight,
R6 delay, R7 tag, R8 eligibility, R9 reward trace, R10 step within the epoch of the other neuron's last spike, the rest 0.
Word: op (4 bits), dst (4), a (4), b (4), then shift (3) or an immediate (16).
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I64
from simulator.events.machines.n1 import state as s
from simulator.events.machines.n1.state import Core, Options
from simulator.neurons.n1 import wrap16

WEIGHT_MAX = 2000  # of the three-factor pass
MOST_INSTRUCTIONS = 4 * s.PROGRAMS  # of one synapse; a program without a halt goes round for ever
(NOP, ADD, SUB, MUL, SRA, SLL, MAX, MIN, IMM, STORE_W, STORE_E, SKIP_Z, SKIP_NZ, HALT, STORE_D, STORE_T) = range(16)
R_WEIGHT, R_DELAY, R_TAG, R_ELIGIBILITY, R_REWARD, R_LAST = range(5, 11)


@numba.njit(cache=True, nogil=True)
def _alu(op: int, a: int, b: int, shift: int, word: int) -> int:
    if op == ADD:
        return wrap16(a + b)
    if op == SUB:
        return wrap16(a - b)
    if op == MUL:
        return wrap16((a * b) >> shift)
    if op == SRA:
        return a >> shift
    if op == SLL:
        return wrap16(a << shift)
    if op == MAX:
        return max(a, b)
    if op == MIN:
        return min(a, b)
    return wrap16(word & 0xFFFF)


@numba.njit(cache=True, nogil=True)
def _store(c: Core, op: int, entry: int, r: I64) -> None:
    if op == STORE_W:
        c.weight[entry] = wrap16(r[R_WEIGHT] + (c.scalars[s.LFSR] & 1))
    elif op == STORE_E:
        c.eligibility[entry] = r[R_ELIGIBILITY]
    elif op == STORE_D:
        c.delay[entry] = r[R_DELAY] & 63
    elif op == STORE_T:
        c.tag[entry] = r[R_TAG]


@numba.njit(cache=True, nogil=True)
def _run(c: Core, first: int, entry: int, other: int, r: I64) -> int:
    """Run the program at `first` on one synapse; returns the instructions executed."""
    r[:] = 0
    for k in range(5):
        r[k] = c.traces[k, other]
    r[R_WEIGHT], r[R_DELAY], r[R_TAG] = c.weight[entry], c.delay[entry], c.tag[entry]
    r[R_ELIGIBILITY], r[R_REWARD], r[R_LAST] = c.eligibility[entry], c.scalars[s.REWARD], c.last[other]
    pc, done = first, 0
    while True:
        if done > MOST_INSTRUCTIONS:
            c.scalars[s.HUNG] = 1
            break
        word = c.ucode[pc & (s.PROGRAMS - 1)]
        op, dst, a, b = (word >> 28) & 15, (word >> 24) & 15, r[(word >> 20) & 15], r[(word >> 16) & 15]
        pc += 1
        done += 1
        if op == HALT:
            break
        if op in (SKIP_Z, SKIP_NZ):
            if (a == 0) == (op == SKIP_Z):
                pc += 1
        elif ADD <= op <= IMM:
            r[dst] = _alu(op, a, b, (word >> 13) & 7, word)
        else:
            _store(c, op, entry, r)
    return done


@numba.njit(cache=True, nogil=True)
def _three_factor(c: Core) -> int:
    reward, end = c.scalars[s.REWARD], int(c.scalars[s.POOL_END])
    for j in range(end):
        e = c.eligibility[j]
        if reward != 0:
            c.weight[j] = min(max(wrap16(c.weight[j] + wrap16((e * reward) >> 7)), 0), WEIGHT_MAX)
        down = e >> 3
        if down == 0 and e > 0:
            down = 1
        c.eligibility[j] = e - down
    return 3 * end + 1


@numba.njit(cache=True, nogil=True)
def _as_source(c: Core, i: int, first: int, r: I64) -> int:
    """Do mode 0 of a neuron that fired."""
    cycles = 2
    if c.format[i] == 0:
        for j in range(c.base[i], c.base[i] + c.entries[i]):
            cycles += 6 + 2 * _run(c, first, j, c.target[j], r)
    return cycles


@numba.njit(cache=True, nogil=True)
def _as_target(c: Core, i: int, first: int, r: I64) -> int:
    """Do mode 1 of a neuron that fired."""
    cycles = 6 * s.REVERSE
    for k in range(c.reverse_count[i]):
        j = c.reverse[i, k]
        cycles += 2 * _run(c, first, j, c.source[j], r)
    return cycles


@numba.njit(cache=True, nogil=True)
def learn(c: Core, o: Options) -> int:
    """Run the learning phase of a step, as far as it is switched on, and return its cycles."""
    cycles = 0
    if o.learn:
        r = np.zeros(16, np.int64)
        first = 128 if o.threefactor else 0
        for i in range(c.v.size):
            cycles += 1 + (_as_source(c, i, first, r) if c.fired[i] else 0)
        for i in range(c.v.size):
            cycles += 1 + (_as_target(c, i, first + 64, r) if c.fired[i] else 0)
        cycles += 2
    return cycles + (_three_factor(c) if o.threefactor else 0)

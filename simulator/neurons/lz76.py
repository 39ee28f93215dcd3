"""Lempel-Ziv complexity of a spike train as a neuron: it counts the phrases of its input (1976), and sends the count.

A phrase is the shortest prefix of what is left that does not occur in all that came before its last symbol. The neuron keeps the
train as bits and, for every earlier position, one bit: "the open phrase also ends here". A new symbol x at step t turns them by
one shift and one comparison over whole words (the shift-and search of strings)::

    ends <- (ends << 1) & [train == x] & [position < t]         for the first symbol of a phrase, all positions stand in `ends`
    no bit left: the phrase ends with this symbol, and the next symbol opens another
    c <- c + 1 at the first symbol of each phrase               so that c counts the phrase that is still open

``lz76_w<N>`` holds 32 N steps. Later symbols change nothing, and each is counted as a saturation. x = 1 where the accumulator is
above 0. Its payload is c in every step after it has begun.

Source: Lempel & Ziv 1976; use as a readout of spiking networks: Rudnicka et al. 2025, arXiv:2508.11674. The bit-parallel form is
ours; it needs no search through the train, so one update costs 32 N positions in N words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numba as nb
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import FloatStep, NeuronModel, Traits, UpdateOps, Word, register_family
from simulator.neurons.membrane import waits

WORD_BITS = 32
MOST_WORDS = 32
_NAME = re.compile(r"lz76_w([1-9][0-9]*)")


@nb.njit(cache=True, nogil=True)
def _word(value):  # type: ignore[no-untyped-def]
    """32 bits of an int64 as an int32 would hold them."""
    low = value & np.int64(0xFFFFFFFF)
    return low - (np.int64(1) << np.int64(32)) if low >= np.int64(1) << np.int64(31) else low


@nb.njit(cache=True, nogil=True)
def lz76_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Integer kernel; states train0 .., ends0 .., c, t, open, wait."""
    late, words = np.int64(0), (state.shape[0] - 4) // 2
    count, clock, opened = 2 * words, 2 * words + 1, 2 * words + 2
    full = np.int64(0xFFFFFFFF)
    for i in range(lo, hi):
        if waits(2 * words + 3, state, out, i):
            continue
        t = np.int64(state[clock, i])
        if t >= 32 * words:
            late += 1
            out[i] = state[count, i]
            continue
        one, carry, found = acc[0, i] > 0, np.int64(0), False
        for k in range(words):
            train = np.int64(state[k, i]) & full
            here = min(max(t - 32 * k, np.int64(0)), np.int64(32))
            equal = (train if one else ~train) & ((np.int64(1) << here) - 1)
            ends = np.int64(state[words + k, i]) & full
            if state[opened, i] != 0:
                moved, carry = ((ends << np.int64(1)) | carry) & full, ends >> np.int64(31)
                equal &= moved
            found = found or equal != 0
            state[words + k, i] = _word(equal)
        state[count, i] += 1 if state[opened, i] == 0 else 0
        state[opened, i] = 1 if found else 0
        if one:
            state[t // 32, i] = _word(np.int64(state[t // 32, i]) | (np.int64(1) << (t % 32)))
        state[clock, i] = t + 1
        out[i] = state[count, i]
    return late


def _float_step(words: int) -> FloatStep:
    """Return the same on Python's integers, one train as one number."""
    most = WORD_BITS * words

    def step(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
        shape = acc["in"].shape
        flat = {k: np.broadcast_to(v, shape).reshape(-1).copy() for k, v in state.items() if k in _float_states(words)}
        for i, drive in enumerate(acc["in"].reshape(-1)):
            _advance(flat, i, bool(drive > 0), words, most)
        for name, values in flat.items():
            state[name] = values.reshape(shape)
        return state["c"].copy()

    return step


def _advance(state: dict[str, Floats], i: int, one: bool, words: int, most: int) -> None:
    t = int(state["t"][i])
    if t >= most:
        return
    train, ends = (sum(int(state[f"{name}{k}"][i]) << (32 * k) for k in range(words)) for name in ("train", "ends"))
    equal = (train if one else ~train) & ((1 << t) - 1)
    if state["open"][i]:
        equal &= ends << 1
    else:
        state["c"][i] += 1
    train |= int(one) << t
    state["open"][i], state["t"][i] = float(equal != 0), t + 1
    for k in range(words):
        state[f"train{k}"][i] = (train >> (32 * k)) & 0xFFFFFFFF
        state[f"ends{k}"][i] = (equal >> (32 * k)) & 0xFFFFFFFF


def _float_states(words: int) -> tuple[str, ...]:
    return (*(f"train{k}" for k in range(words)), *(f"ends{k}" for k in range(words)), "c", "t", "open")


def model_name(steps: int) -> str:
    """Return the name of the smallest model that holds a train of so many steps: ``lz76_w4`` for 128."""
    return f"lz76_w{-(-steps // WORD_BITS)}"


def words_of(name: str) -> int:
    """Return W of a model of this family; 0 for any other model."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


def _model(name: str) -> NeuronModel | None:
    words = words_of(name)
    if not 1 <= words <= MOST_WORDS:
        return None
    return NeuronModel(
        name,
        ("in",),
        (
            *(Word(f"train{k}", WORD_BITS, meaning="past symbols") for k in range(words)),
            *(Word(f"ends{k}", WORD_BITS, meaning="where the open phrase also ends") for k in range(words)),
            Word("c", 11, signed=False, meaning="phrases so far, the open one included"),
            Word("t", 11, signed=False, meaning="symbols so far"),
            Word("open", 1, signed=False, meaning="the last phrase goes on"),
            Word("wait", 6, signed=False, meaning="steps left before the first update"),
        ),
        (Word("wait", 6, signed=False, meaning="steps before the first update: the neuron's layer"),),
        lz76_kernel,
        _float_step(words),
        # a word: complement, mask, shift, carry, and, test; then the symbol's bit and two counters
        UpdateOps(add=6 * words + 4, state_read=2 * words + 3, state_write=words + 4),
        emits="graded",
        float_states=_float_states(words),
        initial={"wait": "wait"},
        fires="sends c in every step",
        family="lz76",
        traits=Traits(sends="c", serves=True),
    )


register_family(_model, ("lz76_w1",))

"""ReckOn: arithmetic by hand, its generators bit by bit, and one tick written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.base.shift_registers import Recurrence, draw, galois16
from simulator.events.machines.reckon.eprop import MOST_NEGATIVE, regularised, updated
from simulator.events.machines.reckon.run import run_sample
from simulator.events.machines.reckon.state import Net, Registers, program_net
from simulator.neurons.reckon import after_step, leaked

REGISTERS = {name.upper(): 0 for name in Registers._fields} | {
    "NUM_INP_NEUR": 1,
    "NUM_REC_NEUR": 15,
    "NUM_OUT_NEUR": 1,
    "KAPPA": 64,
    "FP_LOC_WINP": 2,
    "FP_LOC_WREC": 1,
    "FP_LOC_WOUT": 3,
    "SEED_INP": 5,
    "SEED_REC": 7,
    "SEED_OUT": 9,
    "SEED_STRND_NEUR": (3 << 15) | 11,
    "SEED_STRND_ONEUR": 13,
    "SEED_STRND_TINP": (5 << 15) | 17,
    "SEED_STRND_TREC": (7 << 15) | 19,
    "SEED_STRND_TOUT": (9 << 15) | 23,
}


def _net(**registers: int) -> tuple[Registers, Net]:
    w_in = np.zeros((2, 16), np.int8)
    w_in[0, 3], w_in[1, 3] = 50, -128
    w_rec = np.zeros((16, 16), np.int8)
    w_rec[3, 4] = 7
    w_out = np.zeros((16, 2), np.int8)
    w_out[3, 1] = 20
    alpha, threshold = np.full(128, 1 << 14), np.full(128, 200)
    return program_net(REGISTERS | registers, alpha, threshold, w_in, w_rec, w_out)


@settings(deadline=None)
@given(st.integers(1, 2**25 - 1), st.sampled_from([(1, 15), (1, 22), (3, 25)]))
def test_recurrence_is_the_plain_recurrence(seed: int, taps: tuple[int, int]) -> None:
    near, far = taps
    known = {(i if i < near else i - far): (seed >> i) & 1 for i in range(far)}
    for t in range(near, 600):
        known[t] = known[t - near] ^ known[t - far]
    stream = Recurrence.seeded(seed, near, far)
    words = [draw(stream.bits, stream.place, near, 32) for _ in range(18)]
    assert words == [sum(known[32 * w + i] << i for i in range(32)) for w in range(18)]


def test_interleaved_seed_by_hand() -> None:
    stream = Recurrence.seeded(0b000_0000_0000_0110, 1, 15, True)  # bits 1 and 2: numbers -14 and -7
    # b[1] = b[0] ^ b[-14] = 1, it stays 1 up to b[8] = b[7] ^ b[-7] = 0, and b[9 ..] = 0 up to b[16] = b[15] ^ b[1]
    assert draw(stream.bits, stream.place, 1, 14) == 0b00_0000_1111_1110


def test_galois16_by_hand() -> None:
    assert galois16(0b10) == 0b01
    assert galois16(0xACE1) == ((0xACE1 >> 1) | 0x8000) ^ 0xB400


@pytest.mark.parametrize("taps", [(0, 5), (5, 5), (6, 5)])
def test_bad_taps_are_refused(taps: tuple[int, int]) -> None:
    with pytest.raises(InputError):
        Recurrence.seeded(1, *taps)


def test_leak_by_hand() -> None:
    half = 1 << 14
    assert leaked(-3, half, 15, 0, 16, False) == -2  # floor
    assert leaked(3, half, 15, 1 << 14, 16, True) == 2  # remainder 2^14 reaches the random word
    assert leaked(3, half, 15, (1 << 14) + 1, 16, True) == 1
    assert leaked(1, half, 15, 0, 16, True) == 0  # a result of 0 stays 0
    assert leaked(-1, half, 15, 0, 16, True) == 0  # all ones is not 0: -1 + 1
    assert leaked(100, 1 << 15, 15, 0, 16, True) == 100  # without leak nothing is rounded
    assert after_step(200, 150, 200, False) == (-50, True)  # the old membrane decides, the leaked one is reset
    assert after_step(200, 150, 200, True) == (0, True)
    assert after_step(199, 150, 200, True) == (150, False)


@settings(deadline=None)
@given(
    st.integers(-128, 127),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 31),
    st.integers(0, 31),
    st.integers(0, 2**32 - 1),
)
def test_update_is_the_rule(weight: int, prob: int, up: int, down: int, word: int) -> None:
    size = min(abs(prob) << up, 2**32 - 1) >> down
    moves = prob != 0 and (prob == -(2**31) or size >= word)
    expected = weight + (0 if not moves else 1 if prob > 0 else -1)
    assert updated(weight, prob, 32, up, down, word) == min(max(expected, -128), 127)


def test_a_large_increase_becomes_a_decrease() -> None:
    registers, _ = _net(REGUL_MODE=2, REGUL_W=3)
    assert regularised(registers, 1 << 27, 0, 0, 0, True) == MOST_NEGATIVE
    assert regularised(registers, (1 << 27) - 1, 0, 0, 0, True) == (1 << 27) - 1
    assert regularised(registers, 100, 3, 4, 1, True) == 100 - 24
    assert regularised(registers, -100, 0, 0, 0, True) == -100


def test_ticks_by_hand() -> None:
    """Input 0 drives neuron 3 (50 << 2 = 200); it fires in tick 1, drives neuron 4 (7 << 1) and output 1 (20 << 3)."""
    registers, net = _net()
    sample = run_sample(registers, net, 3, 0, 1, np.array([[0, 0], [1, 1]]))
    assert sample.spikes.tolist() == [[1, 3]]
    # Tick 1: 200 leaks to 100, the spike takes 200 off; input 1 takes 128 << 2 off: -612. Then -306, then -153.
    assert sample.u[:, 3].tolist() == [-612, -306, -153]
    assert sample.u[:, 4].tolist() == [14, 7, 3]
    assert sample.out[:, 1].tolist() == [0, 160, 80, 40]
    assert sample.answer == 1
    first = [
        [0, 1, 0, 0],
        [0, 3, 1, 1],
        [0, 4, 1, 2],
        [0, 20, 1, 1],
        [0, 35, 1, 0],
    ]  # 1 for each index, 16 for an event
    assert sample.phases[: len(first)].tolist() == first
    assert sample.phases[-1].tolist() == [3, 3 + 16 + 1, 7, 0]
    assert not net.u.any()


def test_what_is_not_modelled_is_refused() -> None:
    with pytest.raises(InputError, match="REGRESSION"):
        _net(REGRESSION=1)
    with pytest.raises(InputError, match="multiple of 16"):
        _net(NUM_REC_NEUR=14)
    registers, net = _net()
    with pytest.raises(InputError, match="inputs"):
        run_sample(registers, net, 1, 0, 1, np.array([[0, 2]]))

"""Linear-feedback shift registers: the random numbers of chips that draw them in order, one generator for all neurons.

Numbers of `simulator.base.random` are keyed by (step, id) and do not depend on who drew before. Those of a shift register do:
only an engine that updates neurons in the hardware's order draws the same. ``Galois16`` is Catalyst N1's, the recurrences
are ReckOn's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from simulator.base.arrays import I64, U8
from simulator.base.errors import InputError

GALOIS16_SEED = 0xACE1
GALOIS16_TAPS = 0xB400


@numba.njit(cache=True, nogil=True)
def galois16(word: int) -> int:
    """Return the next word of a 16-bit register: rotate right, and xor the taps if the bit that went round is 1."""
    return (word >> 1) ^ ((1 << 15) ^ GALOIS16_TAPS if word & 1 else 0)


@dataclass(frozen=True, eq=False)
class Recurrence:
    """The bit stream b[t] = b[t - near] xor b[t - far], read k bits at a time.

    A draw gives bits that the hardware holds already, so `near` bits are known ahead of the one that is read next.

    Attributes:
        bits: uint8 [far], ring of the known bits; bit t is at t mod far.
        place: int64 [1], number of the bit that is read next.
        near: nearer tap, 1 <= near < far.
    """

    bits: U8
    place: I64
    near: int

    @staticmethod
    def seeded(seed: int, near: int, far: int, interleaved: bool = False) -> Recurrence:
        """Return the stream that a register of `far` bits starts with.

        Args:
            seed: its content. Bit i is bit number i for i < near, and number i - far for the others.
            near: nearer tap.
            far: farther tap.
            interleaved: bits 2 j + 1 and 2 j + 2 are numbers j - (far - 1) and j - (far - 1) / 2 (for near = 1).

        Raises:
            InputError: taps that are not 1 <= near < far.
        """
        if not 1 <= near < far:
            raise InputError("recurrence", f"has the taps {near} and {far}", "Give 1 <= near < far")
        bits = np.zeros(far, np.uint8)
        half = (far - 1) // 2
        for i in range(far):
            number = i if i < near else i - far
            if interleaved and i:
                number = (i - 1) // 2 - (half if i % 2 == 0 else far - 1)
            bits[number % far] = (seed >> i) & 1
        return Recurrence(bits, np.zeros(1, np.int64), near)


@numba.njit(cache=True, nogil=True)
def draw(bits: U8, place: I64, near: int, k: int) -> int:
    """Return the next k bits (at most 62) as an integer, the first one as its lowest bit."""
    far, t, word = bits.size, place[0], 0
    for i in range(k):
        at = t % far
        word |= int(bits[at]) << i
        bits[(t + near) % far] ^= bits[at]
        t += 1
    place[0] = t
    return word

"""Linear-feedback shift registers: the random numbers of chips that draw them in order, one generator for all neurons.

Numbers of `simulator.base.random` are keyed by (step, id) and do not depend on who drew before. Those of a shift register do:
only an engine that updates neurons in the hardware's order draws the same. ``Galois16`` is Catalyst N1's, the recurrences
are ReckOn's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from simulator.base.errors import InputError

GALOIS16_SEED = 0xACE1
GALOIS16_TAPS = 0xB400


U8 = npt.NDArray[np.uint8]


@numba.njit(cache=True, nogil=True)
def galois16(word: int) -> int:
    """Return the next word of a 16-bit register: rotate right, and xor the taps if the bit that went round is 1."""
    return (word >> 1) ^ ((1 << 15) ^ GALOIS16_TAPS if word & 1 else 0)


@dataclass(frozen=True, eq=False)
class Recurrence:
    """The bit stream b[t] = b[t - a] xor b[t - b], read k bits at a time.

    Attributes:
        bits: uint8 [b], ring of the last b bits; bit t is at t mod b.
        place: int64 [1], number of the next bit.
        a: nearer tap, 1 <= a < b.
    """

    bits: npt.NDArray[np.uint8]
    place: npt.NDArray[np.int64]
    a: int

    @staticmethod
    def seeded(first: npt.NDArray[np.integer], a: int) -> Recurrence:
        """Return the stream whose bits 0..b-1 before the first draw's are `first` (values 0 and 1).

        Raises:
            InputError: a tap outside 1..b-1.
        """
        bits = np.asarray(first, np.uint8).copy()
        if not 1 <= a < bits.size:
            raise InputError("recurrence", f"has the tap {a} in {bits.size} bits", "Give 1 <= a < b")
        return Recurrence(bits, np.zeros(1, np.int64), a)


@numba.njit(cache=True, nogil=True)
def draw(bits: U8, place: npt.NDArray[np.int64], a: int, out: U8) -> None:
    """Fill `out` (uint8 [k]) with the next k bits, the first one first."""
    b, t = bits.size, place[0]
    for i in range(out.size):
        new = bits[(t - a) % b] ^ bits[t % b]
        bits[t % b] = new
        out[i] = new
        t += 1
    place[0] = t

"""Annotation files of WFDB (``.atr``, ``.seizures`` ...) in MIT format, read in one pass over their words.

A word has 16 bits, little-endian: 6 bits of code, 10 bits of time since the annotation before. Codes above 58 are no
annotations: SKIP carries a 32-bit time, NUM, SUB and CHN fields, AUX so many bytes of text. A word of 0 ends the file.
Source: WFDB Programmer's Guide, section "Annotation files", and ``ecgcodes.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulator.base.arrays import I64
from simulator.base.errors import InputError

SYMBOLS = dict(enumerate(' NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r'))
"""Code -> symbol; codes without one are blanks."""

_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63
_MAX_TIME = 2**40  # samples: over a hundred years at 256 Hz


@dataclass(frozen=True)
class Marks:
    """Annotations: sample positions [n] and their symbols."""

    samples: I64
    symbols: tuple[str, ...]


def parse_marks(data: bytes, where: str) -> Marks:
    """Return the annotations of a file's bytes; notes (text at time 0) are left out.

    Raises:
        InputError: no end mark, a cut text, an unknown code, a time before 0 or before the annotation it follows.
    """
    samples, symbols, time, skip = [], [], 0, 0
    for code, value, data_time in _words(data, where):
        if code == _SKIP:
            skip += data_time
            continue
        if code in (_NUM, _SUB, _CHN, _AUX):
            continue
        time, skip = time + skip + value, 0
        if code == 0:  # a place holder, which only moves the time
            continue
        if not 0 <= time < _MAX_TIME:
            raise InputError(where, f"has an annotation at sample {time}", "It is damaged: copy it again")
        if code == 22 and time == 0:  # a note before the recording: comments and definitions
            continue
        if SYMBOLS.get(code, " ") == " ":
            raise InputError(where, f"has an annotation of the unknown code {code}", "It is damaged: copy it again")
        samples.append(time)
        symbols.append(SYMBOLS[code])
    positions = np.array(samples, np.int64)
    if (np.diff(positions) < 0).any():
        raise InputError(where, "has annotations that go back in time", "It is damaged: copy it again")
    return Marks(positions, tuple(symbols))


def _words(data: bytes, where: str) -> Iterator[tuple[int, int, int]]:
    """Yield (code, value, time of a SKIP) of each word up to the end mark."""
    at = 0
    while at + 2 <= len(data):
        (word,) = struct.unpack_from("<H", data, at)
        at += 2
        if word == 0:
            return
        code, value = word >> 10, word & 1023
        if code == _SKIP:
            if at + 4 > len(data):
                break
            high, low = struct.unpack_from("<hH", data, at)
            at += 4
            yield code, 0, (high << 16) | low
            continue
        if code == _AUX:
            at += value + value % 2
        yield code, value, 0
    raise InputError(where, "has no end mark", "It is truncated: copy it again")

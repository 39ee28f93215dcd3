"""Options of recorded events: ``time_step``, ``bins`` and ``size``, checked by name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from simulator.base.errors import InputError

_OPTIONS = ("time_step", "bins", "size")


def checked(how: Mapping[str, object]) -> dict[str, object]:
    """Return the options as numbers: time_step in seconds, bins, and size as one number or (width, height).

    Raises:
        InputError: a name that is not known, or a value out of its range.
    """
    unknown = sorted(set(how) - set(_OPTIONS))
    if unknown:
        known = ", ".join(("layout", "steps", *_OPTIONS))
        raise InputError(f"data option {unknown[0]!r}", "is not known", f"Options: {known}")
    read = {"time_step": _seconds, "bins": _bins, "size": _size}
    return {name: read[name](value) for name, value in how.items()}


def _seconds(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise InputError("data option time_step", f"is {str(value)[:40]!r}", "Give seconds above 0, such as 0.01")
    return number


def _bins(value: object) -> int:
    return _whole(value, "bins", "Give a number of steps, such as 100")


def _size(value: object) -> int | tuple[int, int]:
    """Read ``700``, ``34x34``, ``34,34`` or a pair."""
    parts = list(value) if isinstance(value, list | tuple) else re.split(r"[x,]", str(value))
    way = "Give WIDTHxHEIGHT, such as 34x34, or the number of channels of a .h5"
    if len(parts) not in (1, 2):
        raise InputError("data option size", f"is {str(value)[:40]!r}", way)
    numbers = [_whole(part, "size", way) for part in parts]
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def _whole(value: object, name: str, way: str) -> int:
    text = str(value).strip()
    if not text.isdecimal() or not 0 < int(text) <= 10**9:
        raise InputError(f"data option {name}", f"is {str(value)[:40]!r}, no whole number above 0", way)
    return int(text)

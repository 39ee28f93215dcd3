"""Times that are no whole tick are said, with what they become; whole ones are not."""

from __future__ import annotations

import msgspec

from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.chips.rounding import rounded_times


def _with(name: str, value: float) -> Chip:
    chip = load_chip("generic")
    assert chip.timing is not None
    quantity = msgspec.structs.replace(chip.timing.barrier, value=value)
    return msgspec.structs.replace(chip, timing=msgspec.structs.replace(chip.timing, **{name: quantity}))


def test_only_times_that_change_are_named() -> None:
    assert rounded_times(load_chip("generic")) == ()
    assert rounded_times(_with("barrier", 12.0)) == ()
    (line,) = rounded_times(_with("barrier", 12.4))
    assert line == "$.timing.barrier: 12.4 ns is timed as 12 ns, a whole tick of 1 ns (-3.2 %)"
    (line,) = rounded_times(_with("synapse", 1.25))
    assert "sums of it are rounded once" in line
    assert rounded_times(load_chip("truenorth")) == ()

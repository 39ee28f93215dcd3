"""Times of a chip file that are no whole number of ticks, and what the timing engines make of them."""

from __future__ import annotations

from simulator.chips.chip import Chip
from simulator.chips.rules import quantities

_SUMMED = ("message_in", "synapse", "learn_synapse", "neuron_op")  # of one visit or update, rounded once as a sum
_EXACT = 1e-9  # relative: 4.1 ns are 41 ticks of 0.1 ns


def rounded_times(chip: Chip) -> tuple[str, ...]:
    """Return one line for each time that a whole number of ticks changes; empty for a chip without times."""
    tick = chip.timing.tick.value if chip.timing is not None else None
    if not tick:
        return ()
    lines = []
    for path, q in quantities(chip):
        name = path.rpartition(".")[2]
        if q.unit != "ns" or name == "tick" or not q.value:
            continue
        whole = max(1, round(q.value / tick)) * tick
        if abs(whole - q.value) <= _EXACT * q.value:
            continue
        if name in _SUMMED:
            lines.append(f"{path}: {q.value:g} ns is no whole tick of {tick:g} ns; sums of it are rounded once")
        else:
            change = 100 * (whole / q.value - 1)
            lines.append(
                f"{path}: {q.value:g} ns is timed as {whole:g} ns, a whole tick of {tick:g} ns ({change:+.2g} %)"
            )
    return tuple(lines)

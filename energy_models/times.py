"""Range and word of a simulated time: the same events timed with every time of the chip file at its low and at its high end."""

from __future__ import annotations

from typing import Literal

import msgspec

from energy_models.spread import UNKNOWN, weakest
from simulator.base.arrays import Floats
from simulator.chips.chip import Chip, Timing
from simulator.chips.quantity import Quantity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain, window
from simulator.timing.run import run_timing

TIMED_STEPS = 512  # first steps of a run that are timed again: ranges are wide, steps alike


def at_end(chip: Chip, high: bool) -> Chip:
    """Return the chip with every time that has a range at one end of it; counts and the tick stay."""
    if chip.timing is None:
        return chip
    t = chip.timing
    names = [n for n in Timing.__struct_fields__ if n not in ("tick", "barrier_by_tiles", "arbiter")]
    moved = {n: _moved(q, high) for n in names if (q := getattr(t, n)) is not None}
    tiles = {k: _moved(q, high) for k, q in t.barrier_by_tiles.items()}
    links = {
        name: msgspec.structs.replace(link, **{k: _moved(getattr(link, k), high) for k in link.__struct_fields__})
        for name in ("link", "board_link")
        if (link := getattr(chip, name)) is not None
    }
    return msgspec.structs.replace(chip, timing=msgspec.structs.replace(t, barrier_by_tiles=tiles, **moved), **links)


def _moved(q: Quantity, high: bool) -> Quantity:
    end = q.high if high else q.low
    return q if end is None or q.unit != "ns" else msgspec.structs.replace(q, value=end)


def time_ratios(
    program: Program, chip: Chip, spikes: SpikeTrain, sync: str = "barrier", samples: int = 1,
    learnt_ns: Floats | None = None,
) -> tuple[float, float] | None:  # fmt: skip
    """Return the low and the high time of a run over its nominal one, from its first steps; None without times.

    Steps are kept apart as in the run: a ``tick`` has the length that the user gave, so that no time of the chip moves it
    (only late packets), and a ``free`` run, which has no steps to time again, has no range. All times are taken at the
    same end at once: the range holds every combination of theirs but for races that turn around.

    Args:
        program, chip, spikes, sync: of the run.
        samples: after each of which state is reset.
        learnt_ns: of a run that learnt, the time of each step. What a step takes beyond its inference is learning.
    """
    if chip.timing is None or not spikes.steps or sync == "free":
        return None
    if sync == "tick":
        return 1.0, 1.0
    kept: Literal["barrier", "neighbour"] = "neighbour" if sync == "neighbour" else "barrier"
    few = window(spikes, 0, min(TIMED_STEPS, spikes.steps))
    starts = range(0, few.steps, max(1, spikes.steps // max(1, samples)))  # neighbours wait for one another there
    low, nominal, high = (
        run_timing(program, c, few, sync=kept, resets=starts).sim_time_ns
        for c in (at_end(chip, False), chip, at_end(chip, True))
    )
    learning = 0.0 if learnt_ns is None else max(0.0, float(learnt_ns[: few.steps].sum()) - nominal)
    return with_learning(chip, (low, high), nominal, learning)


def with_learning(
    chip: Chip, ends: tuple[float, float], inference: float, learning: float
) -> tuple[float, float] | None:  # fmt: skip
    """Return the low and the high time over the nominal one, of steps that infer and then learn; None without a time.

    A core learns after it is quiet, so the phases add up: T = T_inference + words x t_word on the core that ends last.

    Args:
        chip: whose time of a word has a range.
        ends: low and high time of inference.
        inference, learning: nominal times.
    """
    word, whole = None if chip.timing is None else chip.timing.learn_synapse, inference + learning
    if not whole:
        return None
    factors = [1.0, 1.0]
    if word is not None and word.value:
        factors = [1.0 if end is None else end / word.value for end in (word.low, word.high)]
    return (ends[0] + learning * factors[0]) / whole, (ends[1] + learning * factors[1]) / whole


def time_word(chip: Chip, program: Program | None, learns: bool) -> str:
    """Return how far a simulated time can be trusted: the weakest quality of the times that such a run uses.

    The time of a learnt word counts where the run learns, that of an operation where a neuron model is not native to the chip.
    """
    t = chip.timing
    if t is None:
        return UNKNOWN
    programmed = program is None or any(not chip.capabilities.is_native(p.model) for p in program.populations)
    left_out = {"tick", "barrier_by_tiles", "arbiter"} | (set() if learns else {"learn_synapse"})
    left_out |= set() if programmed else {"neuron_op"}
    used = [q for name in Timing.__struct_fields__ if name not in left_out and (q := getattr(t, name)) is not None]
    return weakest(q.quality for q in used if q.value)

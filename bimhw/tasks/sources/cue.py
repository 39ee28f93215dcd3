"""Cue accumulation: which side gave more cues, asked after a delay; generated from its seed as Bellec et al. 2020 describe it.

Seven cues of 100 ms come 50 ms apart, each left or right; then a delay of 500 to 1,500 ms, then 150 ms in which the answer is
asked for. A sequence prefers one side, drawn evenly; a cue lies on it with P = 0.7. The class is the side with more cues. Four
groups of ten neurons send Poisson spikes: left cues, right cues and the request at 40 Hz while they last, background at 10 Hz
throughout. A step is 10 ms here (1 ms in the paper), so a neuron spikes in a step with P = 1 - exp(-rate dt). What is left of the
longest delay comes before the first cue, so that all sequences end alike.

Source: Bellec et al., Nature Communications 11:3625 (2020), the task of delayed decisions, and its public code. Rates, times and
counts are theirs; the length of a step and the place of the spare time are ours.
"""

from __future__ import annotations

import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.arrays import Floats
from simulator.base.errors import check_values

_CUE_MS, _GAP_MS, _ASK_MS = 100, 50, 150
_RATE_HZ, _NOISE_HZ, _PREFERRED = 40.0, 10.0, 0.7


def load(
    cues: int = 7,
    delay_ms: int = 500,
    longest_delay_ms: int = 1500,
    step_ms: int = 10,
    group: int = 10,
    train: int = 1000,
    test: int = 500,
    seed: int = 0,
) -> Task:
    """Return the task of these sizes.

    Args:
        cues: of a sequence, an odd number.
        delay_ms, longest_delay_ms: between the last cue and the request, drawn evenly from whole steps.
        step_ms: length of a step; a divisor of 50.
        group: neurons of each of the four groups.
        train: training sequences.
        test: test sequences.
        seed: of everything drawn.

    Raises:
        InputError: a size that makes no task.
    """
    rules = (
        ("cues", cues, cues >= 1 and cues % 2 == 1, "must be odd, so that one side has more"),
        ("delay_ms", delay_ms, delay_ms >= 0, "must be at least 0"),
        ("longest_delay_ms", longest_delay_ms, longest_delay_ms >= delay_ms, f"must be at least delay_ms, {delay_ms}"),
        ("step_ms", step_ms, step_ms >= 1 and _GAP_MS % step_ms == 0, f"must divide {_GAP_MS}"),
        ("group", group, group >= 1, "must be at least 1"),
        ("train", train, train >= 1, "must be at least 1"),
        ("test", test, test >= 1, "must be at least 1"),
    )
    check_values("task cue: ", rules)
    rng = np.random.default_rng((seed, cues, delay_ms, longest_delay_ms, step_ms, group))
    delays = delay_ms // step_ms, longest_delay_ms // step_ms
    splits = [_split(rng, n, cues, delays, step_ms, group) for n in (train, test)]
    deciding = late_steps(splits[0].x.shape[1], _ASK_MS // step_ms)
    facts = {
        "source": f"generated, seed {seed}, after Bellec et al. 2020",
        "cues": f"{cues}, the last {delay_ms} to {longest_delay_ms} ms before the request",
        "step": f"{step_ms} ms",
    }
    return Task("cue", 2, 1.0, splits[0], splits[1], deciding, deciding, facts)


def _split(rng: np.random.Generator, n: int, cues: int, delays: tuple[int, int], step_ms: int, group: int) -> Split:
    cue, every, ask = _CUE_MS // step_ms, (_CUE_MS + _GAP_MS) // step_ms, _ASK_MS // step_ms
    steps = cues * every + delays[1] + ask
    preferred = rng.integers(0, 2, n)
    sides = np.where(rng.random((n, cues)) < _PREFERRED, preferred[:, None], 1 - preferred[:, None])
    first = delays[1] - rng.integers(delays[0], delays[1] + 1, n)
    rates = np.zeros((n, steps, 4))  # left, right, request, background
    rates[:, :, 3] = _NOISE_HZ
    rates[:, -ask:, 2] = _RATE_HZ
    rows = np.arange(n)[:, None]
    for k in range(cues):
        rates[rows, first[:, None] + k * every + np.arange(cue), sides[:, k, None]] = _RATE_HZ
    chance: Floats = -np.expm1(-rates * step_ms / 1000)
    x = rng.random((n, steps, 4, group)) < chance[..., None]
    return Split(x.reshape(n, steps, 4 * group).astype(np.int16), (2 * sides.sum(axis=1) > cues).astype(np.int64))


register_task(
    TaskInfo(
        "cue", "which side gave more cues, asked after a delay", "package", "generated", load, rank=6, preset="level"
    )
)

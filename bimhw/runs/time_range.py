"""Range and word of a run's times, beside the figures that its folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bimhw.runs.folder import RunFolder
from energy_models.times import time_ratios, time_word
from simulator.base.arrays import Floats
from simulator.base.shown import significant

MOST_SYNAPSES = 5_000_000  # whose first steps are timed again within seconds
TIMES = ("latency_low_us", "latency_high_us", "time_word")
TimeRange = dict[str, str | float | None]


def time_range(folder: Path | str | RunFolder) -> TimeRange:
    """Return the ends of a run's latency with all times of the chip file at either end, and the weakest quality among them.

    Args:
        folder: of the run.

    Returns:
        ``latency_low_us``, ``latency_high_us`` (None: the network is too large to be timed again in passing,
        which `bimhw.energy` does, or ran without steps) and ``time_word``; empty where the run has no times.
    """
    run = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
    latency = run.result.get("mean_latency_us")
    if not isinstance(latency, float):
        return {}
    program, chip = run.program(), run.chip()
    samples, sync = run.result["samples"], run.manifest.get("sync", "barrier")
    small = sum(p.indices.size for p in program.projections) <= MOST_SYNAPSES
    ratios = None
    if small:
        ratios = time_ratios(program, chip, run.spikes(), sync, samples, learnt_ns(run))
    low, high = (None, None) if ratios is None else (latency * ratios[0], latency * ratios[1])
    word = time_word(chip, program, learns=bool(run.manifest.get("learning")))
    return dict(zip(TIMES, (low, high, word), strict=True))


def learnt_ns(run: RunFolder) -> Floats | None:
    """Return the time of each step of a run that learnt, its learning phases included; None of any other run."""
    arrays, timing = run.timing(), run.chip().timing
    if not run.manifest.get("learning") or arrays is None or timing is None:
        return None
    return np.asarray(arrays["step_ticks"] * (timing.tick.value or 0.0), np.float64)


def time_note(times: Mapping[str, str | float | None]) -> str:
    """Return the range and the word of a latency in words; "" where there is none."""
    if not times:
        return ""
    low, high = times["latency_low_us"], times["latency_high_us"]
    ends = (
        f"({significant(float(low), 4)} .. {significant(float(high), 4)}), "
        if low is not None and high is not None
        else ""
    )
    return f"  {ends}{times['time_word']}"

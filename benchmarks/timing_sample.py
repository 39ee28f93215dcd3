"""Sampled timing beside timing every step: the ratio of CPU times in one run, and how often the interval holds the mean.

    python -m benchmarks timing_sample

A network of 1,024 neurons whose activity rises and falls, 100,000 steps, 1 % of them timed. 100 draws check the interval.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.nets import write_net
from bimhw.frontends.npz import read_plain
from mapping.files import program_as_given
from simulator.chips.load import load_chip
from simulator.program.spikes import SpikeTrain
from simulator.timing.plan import make_plan
from simulator.timing.run import run_timing
from simulator.timing.sample import draw, estimate, sample_timing, strata_of, work_of

STEPS, SHARE, DRAWS = 100_000, 0.01, 100


def waves(n: int, steps: int, seed: int = 0) -> SpikeTrain:
    """Spikes at rates between 0.5 and 5 %, correlated over tens of steps."""
    rng = np.random.default_rng(seed)
    rate = 0.015 * np.exp(1.1 * np.sin(np.arange(steps) / 17)) * rng.gamma(6, 1 / 6, steps)
    counts = rng.binomial(n, np.minimum(rate, 0.5))
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    ids = [np.sort(rng.choice(n, c, replace=False)) for c in counts]
    return SpikeTrain(ptr, np.concatenate(ids).astype(np.int32))


def main() -> None:
    """Print one JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        net = read_plain(write_net(Path(folder) / "n.npz", 1024, (20, 60), 0.05, cores=64))
    chip = load_chip("loihi1-fitted")
    program = program_as_given(net.network, chip)
    spikes = waves(program.n_neurons, STEPS)
    run_timing(program, chip, SpikeTrain(spikes.ptr[:2], spikes.ids[: spikes.ptr[1]]))  # loads the kernels
    sample_timing(program, chip, SpikeTrain(spikes.ptr[:101], spikes.ids[: spikes.ptr[100]]), 0.5)
    start = time.process_time()
    sampled, _ = sample_timing(program, chip, spikes, SHARE)
    middle = time.process_time()
    exact = run_timing(program, chip, spikes)
    end = time.process_time()
    strata = strata_of(work_of(make_plan(program, chip), spikes), round(SHARE * STEPS))
    mean = float(exact.step_ticks.mean())
    found = [estimate(exact.step_ticks, strata, draw(strata, round(SHARE * STEPS), seed)) for seed in range(DRAWS)]
    print(
        json.dumps(
            {
                "steps": STEPS, "timed": round(SHARE * STEPS), "messages": int(exact.messages.sum()),
                "exact_cpu_s": end - middle, "sampled_cpu_s": middle - start, "times_faster": (end - middle) / (middle - start),
                "mean_error": float(sampled.step_ticks.mean()) / mean - 1,
                "half_width": float(np.mean([half for _, half in found])) / mean,
                "intervals_with_the_mean": sum(abs(m - mean) <= half for m, half in found), "of": DRAWS,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""Accuracy on digits by rule: python -m benchmarks.digits_levels [--seeds 5] [--rows level,demo,...]

Each row is a setting of `bimhw train digits`; printed are mean, standard deviation and spike rate over the seeds.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

import bimhw

ROWS: dict[str, dict[str, Any]] = {
    "digits": {"preset": "digits"},
    "level": {"preset": "level"},
    "demo": {"preset": "demo"},
    "seq": {"preset": "level", "rule": "seq", "lr": 0.06},
    "bptt": {"preset": "level", "rule": "bptt", "lr": 0.06},
    "hybrid-0.9": {"preset": "level", "rule": "hybrid", "lam": 0.9},
    "hybrid-0.5": {"preset": "level", "rule": "hybrid", "lam": 0.5},
    "hybrid-0.1": {"preset": "level", "rule": "hybrid", "lam": 0.1},
    "stdp": {"preset": "level", "rule": "stdp"},
    "frozen": {"preset": "level", "rule": "frozen"},
    "s6": {"preset": "level", "kind": "s6", "n_states": 4},
    "rate": {"preset": "level", "rate_strength": 0.5},
    "prune-0.8": {"preset": "level", "prune": 0.8},
    "bptt-converged": {"preset": "demo", "rule": "bptt", "epochs": 100, "lr": 0.03},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", default=",".join(ROWS))
    arguments = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    print("| setting | accuracy % | sd | spike rate | updates |\n|---|---|---|---|---|")
    for name in arguments.rows.split(","):
        runs = [bimhw.train("digits", seed=s, **ROWS[name]) for s in range(arguments.seeds)]
        accuracy = 100 * np.array([r.final.accuracy for r in runs])
        rate = np.mean([r.final.rates for r in runs])
        print(
            f"| {name} | {accuracy.mean():.1f} | {accuracy.std(ddof=1):.1f} | {rate:.3f} | {runs[0].updates:,} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Speed of the weight update with stochastic rounding: CPU ns per synapse, one matrix, update only.

python -m benchmarks.weight_update
"""

from __future__ import annotations

import json
import time

import numpy as np

from simulator.plasticity.words.rounding import NEAREST, STOCHASTIC, update_weights

REPEATS, INNER = 30, 10


def measure(rows: int, targets: int, mode: int) -> float:
    """Best of some runs, ns per synapse."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (rows, targets)).astype(np.int8)
    change, live = rng.integers(-60_000, 60_000, (rows, targets)), np.ones((rows, targets), np.uint8)
    update_weights(weights, change, live, 127, mode, 1, 0, 0, 0, 0)
    best = float("inf")
    for _ in range(REPEATS):
        start = time.thread_time()
        for k in range(INNER):
            update_weights(weights, change, live, 127, mode, 1, k, 0, 0, 0)
        best = min(best, (time.thread_time() - start) / INNER)
    return best / weights.size * 1e9


def main() -> None:
    """One JSON line a matrix."""
    for rows, targets in ((512, 100), (128, 128), (1024, 64)):
        times = {
            name: measure(rows, targets, mode) for name, mode in (("stochastic", STOCHASTIC), ("nearest", NEAREST))
        }
        print(json.dumps({"rows": rows, "targets": targets, **{f"{k}_ns_per_synapse": v for k, v in times.items()}}))


if __name__ == "__main__":
    main()

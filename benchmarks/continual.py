"""Digits 0-4, then 5-9: what is left of the first five, by way to keep them (32 neurons, online RTRL, two passes each).

    python -m benchmarks.continual --seeds 3
    python -m benchmarks.continual --tuning                    # the strengths were chosen so, on the validation part, seed 0

Accuracies in per cent on the test split: first half before and after the second, second half, mean of both after, words kept.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from bimhw.studies.forgetting import KeepSettings, forget_classes
from bimhw.tasks import load_task

WAYS = {
    "none": KeepSettings(),
    "replay of 50 samples": KeepSettings(keep="replay", samples=50),
    "replay of 200 samples": KeepSettings(keep="replay", samples=200),
    "consolidate": KeepSettings(keep="consolidate", strength=1e3),
    "metaplastic": KeepSettings(keep="metaplastic", strength=3.0),
}
GRID = {"consolidate": (3e2, 1e3, 3e3, 1e4, 3e4), "metaplastic": (3.0, 10.0, 30.0)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rule", default="rtrl")
    parser.add_argument("--tuning", action="store_true")
    a = parser.parse_known_args()[0]
    task, ways = load_task("digits"), WAYS
    if a.tuning:
        task = task.for_tuning()
        ways = {f"{k} {s:g}": KeepSettings(keep=k, strength=s) for k, some in GRID.items() for s in some}  # type: ignore[arg-type]
    out = {}
    for name, keep in ways.items():
        runs = [forget_classes(task, 5, (a.rule,), s, keep, hidden=32, epochs=2)[a.rule] for s in range(a.seeds)]
        figures = np.array([[r.first_before, r.first_after, r.second_after] for r in runs]) * 100
        both = figures[:, 1:].mean(1)
        columns = [*figures.T, both]
        mean = [f"{c.mean():.1f}" + (f" +- {c.std(ddof=1):.1f}" if len(c) > 1 else "") for c in columns]
        out[name] = dict(zip(("first", "first after", "second", "both after"), mean, strict=True)) | {
            "words": runs[0].words
        }
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()

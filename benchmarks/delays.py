"""Learnt delays between layers beside none: accuracy on the validation part of a task, by seed, and what a chip stores.

    python -m benchmarks.delays                                           # digits, two layers of 32
    python -m benchmarks.delays --task fsdd --data fsdd.zip --preset fsdd --longest 8,16 --seeds 3
    python -m benchmarks.delays --task echo --hidden 16,8 --longest 16 --batch 16 --seeds 3    # a task that is made of delays

Rows of one rate and one number of updates: no delays; delays as drawn, uniform in 0..D, and not trained; learnt from there;
learnt from 0. The parameters are H more for each layer above the first. `echo` is generated from its seed: a channel fires at
random, another repeats it the class's number of steps later, and channels of noise fire too; which lag is it?
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch

from bimhw.learning.recipe import recipe
from bimhw.learning.train import train
from bimhw.models.bim.net import as_bim
from bimhw.tasks import load_task
from bimhw.tasks.base import Split, Task, late_steps


def echo(lags: tuple[int, ...] = (4, 6, 8, 10, 12, 14), steps: int = 50, n: int = 2000, seed: int = 0) -> Task:
    """Return the task of lags: channel 0 fires with P = .1, channel 1 `lags[class]` steps later, eight more with P = .1."""
    rng = np.random.default_rng(seed)

    def split(count: int) -> Split:
        y = rng.integers(0, len(lags), count)
        x = (rng.random((count, steps, 10)) < 0.1).astype(np.int32)
        for i, c in enumerate(y):
            lag = lags[c]
            x[i, :, 1] = 0
            x[i, lag:, 1] = x[i, : steps - lag, 0]
        return Split(x, y)

    late = late_steps(steps, steps // 2)
    return Task("echo", len(lags), 1.0, split(n), split(500), late, late)


def rows(longest: list[int]) -> dict[str, dict[str, Any]]:
    """Return the options of each row by its name."""
    out: dict[str, dict[str, Any]] = {"no delays": {}}
    for d in longest:
        late = {"hidden_delays": d}
        out |= {
            f"D = {d}, as drawn": late | {"learn_delays": False},
            f"D = {d}, learnt": late,
            f"D = {d}, learnt from 0": late | {"delay_start": 0.0},
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="digits")
    parser.add_argument("--data")
    parser.add_argument("--preset", default="level")
    parser.add_argument("--hidden", default="32,32")
    parser.add_argument("--longest", default="4,8")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--width", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    a = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    data = echo() if a.task == "echo" else load_task(a.task, **({"path": a.data} if a.data else {}))
    task = data.for_tuning()
    common = {"preset": a.preset, "hidden": a.hidden, "epochs": a.epochs, "lr": a.lr, "batch": a.batch}
    common |= {"lr_end": 0.1, "rule": "bptt"}
    found: dict[str, dict[str, Any]] = {}
    for name, options in rows([int(d) for d in a.longest.split(",")]).items():
        wide = {"delay_width": a.width} if options and a.width > 1 else {}
        for seed in range(a.seeds):
            plan = recipe(task, seed=seed, **common | options | wide)
            done = train(task, plan.config, plan.settings, plan.init)
            row = found.setdefault(name, {"accuracy": [], "parameters": 0, "delays in use": []})
            row["accuracy"].append(round(100 * done.final.accuracy, 2))
            row["parameters"] = sum(p.numel() for p in done.model.parameters() if p.requires_grad)
            axons = as_bim(done.model, "the benchmark").layer(1).axons
            row["delays in use"].append(0 if axons is None else len(set(axons.steps.tolist())))
        print(json.dumps({name: found[name]}), flush=True)


if __name__ == "__main__":
    main()

"""Residual stacks beside plain ones of the same depth: accuracy on the validation part of a task and spike rates, by seed.

    python -m benchmarks.residual                                                     # digits, 3 and 5 layers
    python -m benchmarks.residual --task smnist --option permuted=true,pool=2 --depths 3,4,6 --parameters 14500 --batch 50 \
        --seeds 2 --set kind=complex,norm=batch,state_gain=variance,learn_a_log=true,delta_min=0.005,k_o=0.9,psp=delta

The layers of a row have one width, the largest whose network has at most `--parameters`; a residual stack has those of the
plain one. Two layers, where there is nothing to add up, stand first.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch

from bimhw.learning.recipe import recipe
from bimhw.learning.train import train
from bimhw.models.bim.net import BimNet
from bimhw.tasks import load_task
from bimhw.tasks.base import Task


def options_of(text: str) -> dict[str, Any]:
    """Return NAME=VALUE,NAME=VALUE as options; values as YAML reads them."""
    import yaml

    return {name: yaml.safe_load(value) for name, value in (part.split("=", 1) for part in text.split(",") if part)}


def widest(task: Task, depth: int, most: int, common: dict[str, Any]) -> tuple[str, int]:
    """Return the layers of the widest stack with at most so many parameters, as `recipe` takes them, and their number."""
    hidden, count = "1", 0
    for width in range(1, 10_000):
        wide = ",".join([str(width)] * depth)
        net = BimNet(recipe(task, hidden=wide, **common).config)
        found = sum(p.numel() for p in net.parameters() if p.requires_grad)
        if found > most:
            break
        hidden, count = wide, found
    return hidden, count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="digits")
    parser.add_argument("--option", default="", help="of the task")
    parser.add_argument("--set", default="", help="of the network and its training")
    parser.add_argument("--preset", default="level")
    parser.add_argument("--depths", default="3,5")
    parser.add_argument("--parameters", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    a = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    task = load_task(a.task, **options_of(a.option)).for_tuning()
    common = {"preset": a.preset, "epochs": a.epochs, "lr": a.lr, "batch": a.batch, "lr_end": 0.02, "rule": "bptt"}
    common |= options_of(a.set)
    for depth in [2, *(int(d) for d in a.depths.split(","))]:
        hidden, count = widest(task, depth, a.parameters, common)
        for residual in (False, True) if depth > 2 else (False,):
            row: dict[str, Any] = {
                "layers": hidden,
                "residual": residual,
                "parameters": count,
                "accuracy": [],
                "rates": [],
            }
            for seed in range(a.seeds):
                plan = recipe(task, seed=seed, hidden=hidden, **common | ({"residual": True} if residual else {}))
                done = train(task, plan.config, plan.settings, plan.init)
                row["accuracy"].append(round(100 * done.final.accuracy, 2))
                row["rates"].append([round(float(r), 2) for r in done.final.rates])
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()

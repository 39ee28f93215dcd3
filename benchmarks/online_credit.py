"""Ways to send the error to the lower layer online: cosine to the exact gradient there, accuracy, words and work.

    python -m benchmarks.online_credit                                     # digits, two layers of 32
    python -m benchmarks.online_credit --task fsdd --data fsdd.zip --hidden 64,64 --epochs 4 --lr 0.002 --seeds 3
    python -m benchmarks.online_credit --only-accuracy --hidden 32,32,32 --epochs 8 --seeds 3

Cosine: the gradient of W_in of layer 1, summed over a batch of training sequences by each rule, against that of autograd, after
`--warm` epochs of exact training (before it all rules agree). Accuracy: on the validation part, after `--epochs` online. A last
row has the exact gradient through the stack, one update a sequence (SEQ, which needs the history in time), at ten times the rate.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import msgspec
import numpy as np
import torch

from bimhw.learning.evaluate import inputs
from bimhw.learning.forms.learner import add
from bimhw.learning.objectives.classes import Classes
from bimhw.learning.recipe import recipe
from bimhw.learning.rules.registry import LearnerSettings, make_learner
from bimhw.learning.train import train
from bimhw.models.bim.net import BimNet, as_bim
from bimhw.tasks import load_task
from bimhw.tasks.base import Task
from energy_models.learning import learning_counts

RULES: dict[str, dict[str, Any]] = {
    "direct": {"credit": "direct"},
    "filt-win": {"credit": "filt-win"},
    "filt-win, own filter .95": {"credit": "filt-win", "k_credit": 0.95},
    "filt-avg": {"credit": "filt-avg"},
    "filt-avg, own filter .95": {"credit": "filt-avg", "k_credit": 0.95},
}


def cosines(net: BimNet, task: Task, batches: int) -> dict[str, float]:
    """Return for each rule the mean cosine of its gradient of layer 1's W_in to autograd's."""
    found: dict[str, list[float]] = {name: [] for name in RULES}
    objective = Classes(task)
    for part in range(batches):
        split = task.train.take(slice(32 * part, 32 * part + 32))
        x, y = inputs(split, task, net.readout.weight), torch.from_numpy(split.y)
        net.zero_grad()
        objective.loss(net(x), y).backward()  # type: ignore[no-untyped-call]
        exact = net.layer(0).w_in.grad
        for name, rule in RULES.items():
            if rule["credit"] == "direct" and not net.config.dense_readout:
                continue
            learner, total = make_learner(net, LearnerSettings(**rule), len(y)), {}
            for u, label in zip(x, objective.labels(y, len(x)), strict=True):
                add(total, learner.observe(u, label).gradients or {})
            mine = total["layers.0.w_in"]
            found[name].append(float(torch.cosine_similarity(mine.flatten(), exact.flatten(), dim=0)))
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="digits")
    parser.add_argument("--data")
    parser.add_argument("--hidden", default="32,32")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--warm", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.006)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--only-cosine", action="store_true")
    parser.add_argument("--only-accuracy", action="store_true")
    a = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    task = load_task(a.task, **({"path": a.data} if a.data else {})).for_tuning()
    common = {"preset": "online-stack", "hidden": a.hidden, "epochs": a.epochs, "lr": a.lr}
    out: dict[str, Any] = {}
    for seed in range(a.seeds):
        for dense in () if a.only_accuracy else (True, False):
            plan = recipe(task, seed=seed, **common | {"rule": "bptt", "k_credit": 0.0, "dense_readout": dense})
            warm = msgspec.structs.replace(plan.settings, epochs=a.warm, lr=0.02)
            exact = as_bim(train(task, plan.config, warm, plan.init).model, "the benchmark")
            for name, value in cosines(exact, task, a.batches).items():
                row = out.setdefault(f"{name}, {'dense' if dense else 'top'} readout", {"cosine": [], "accuracy": []})
                row["cosine"].append(round(value, 3))
        if a.only_cosine:
            continue
        for name, rule in [*RULES.items(), ("SEQ, exact", {"credit": "exact", "form": "seq", "lr": 10 * a.lr})]:
            plan = recipe(task, seed=seed, **common | {"k_credit": 0.0} | rule)
            done = train(task, plan.config, plan.settings, plan.init)
            row = out.setdefault(f"{name}, dense readout", {"cosine": [], "accuracy": []})
            row["accuracy"].append(round(100 * done.final.accuracy, 2))
    width = int(a.hidden.split(",")[-1])
    counts = {
        name: learning_counts(width, width, "delta", task.n_classes, between_layers=True, averaged_slope=averaged)
        for name, averaged in (("filt-win", False), ("filt-avg", True))
    }
    print(json.dumps({"rows": out, "operations_a_step_of_the_upper_layer": counts}, indent=2))


if __name__ == "__main__":
    main()

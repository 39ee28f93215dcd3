"""EventProp on digits row by row: one learning rate for both layers, or one for each: python -m benchmarks.event_rows

A layer of 64 neurons of the family ``event`` and its readout learn by Adam (0.9, 0.99), batches of 20, rates falling to 0 as a
cosine. Rates of the layer and of the readout are chosen on the last 297 training digits after ``--passes`` over the first 1,000
with seed 0; then each seed learns all 1,297. At rate 0 the layer is frozen. Accuracy in % on the 500 test digits.
"""

from __future__ import annotations

import argparse
import math
from statistics import mean, stdev

import torch
from torch.nn import functional

import bimhw
from bimhw.learning.evaluate import inputs
from bimhw.learning.event_form import event_form
from bimhw.models.event.config import EventConfig
from bimhw.models.event.net import EventNet
from bimhw.tasks.base import Split, Task

Rates = tuple[float, float]
KINDS: dict[str, tuple[Rates, ...]] = {
    "frozen layer": tuple((0.0, r) for r in (0.2, 0.6, 2.0)),
    "one rate": tuple((r, r) for r in (0.006, 0.02, 0.06)),
    "a rate each": tuple((h, r) for h in (0.002, 0.006) for r in (0.2, 0.6)),
}


def learnt(task: Task, train: Split, judged: Split, rates: Rates, seed: int, passes: int) -> float:
    """Train a network on some digits; return its accuracy on others, in %."""
    torch.manual_seed(seed)
    net = EventNet(EventConfig(n_in=task.n_in, hidden=(64,), n_out=10, input_scale=task.input_scale), seed)
    run, labelled = event_form(net), torch.from_numpy(task.loss_steps)
    x, y = inputs(train, task, torch.zeros(1)), torch.from_numpy(train.y)
    groups = [{"params": [w], "lr": lr} for w, lr in zip(net.parameters(), rates, strict=True)]
    descent = torch.optim.Adam(groups, betas=(0.9, 0.99))
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(descent, passes * math.ceil(len(y) / 20))
    for _ in range(passes):
        for batch in torch.randperm(len(y)).split(20):
            logits = run(x[:, batch]).logits[labelled]
            descent.zero_grad()
            functional.cross_entropy(logits.flatten(0, 1), y[batch].repeat(len(logits))).backward()
            descent.step()
            falling.step()
    with torch.no_grad():
        logits = run(inputs(judged, task, torch.zeros(1))).logits[torch.from_numpy(task.decision_steps)]
    return 100 * float((logits.mean(0).argmax(1) == torch.from_numpy(judged.y)).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--passes", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    given = parser.parse_args()
    torch.set_num_threads(1)
    task = bimhw.load_task("digits")
    first, held = task.train.take(slice(0, 1000)), task.train.take(slice(1000, None))
    print("| rates | layer, readout | held out, % | test, % |\n|---|---|---|---|", flush=True)
    for kind, grid in KINDS.items():
        if given.only not in kind:
            continue
        scores = {rates: learnt(task, first, held, rates, 0, given.passes) for rates in grid}
        best = max(scores, key=lambda rates: scores[rates])
        found = [learnt(task, task.train, task.test, best, seed, given.passes) for seed in range(given.seeds)]
        spread = f"{mean(found):.1f}" + (f" +- {stdev(found):.1f}" if len(found) > 1 else "")
        print(f"| {kind} | {best[0]:g}, {best[1]:g} | {scores[best]:.1f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()

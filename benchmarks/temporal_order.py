"""Temporal order: how the recurrent weights of a spiking layer begin, or those between two BIM layers, and what it learns.

python -m benchmarks.temporal_order [--model leaky|bim] [--steps 50] [--bits 2] [--epochs 20] [--seeds 3] [--hidden 64]

`leaky`: one recurrent layer of ALIF neurons; W_rec begins so. `bim`: two layers of complex states; W_in of the upper begins so.
Trained by BPTT on 1,000 sequences; weights from N(0, 1 / n), orthogonal by torch's QR, or orthogonal by the local rule. Accuracy
in % on 300 test sequences by seed; chance is 25 (2 bits) or 12.5 (3 bits).
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

import bimhw
from bimhw.learning.evaluate import evaluate

STARTS = ("normal", "orthogonal", "local")
MODELS: dict[str, dict[str, Any]] = {
    "leaky": {
        "family": "leaky", "recurrent": True, "adapt_jump": 0.5, "adapt_keep": 0.98, "keep": 0.9, "gain_rec": 1.0, "lr": 0.005,
    },
    "bim": {"kind": "complex", "state_gain": "variance", "psp": "delta", "delta_min": 0.005, "lr": 0.01},
}  # fmt: skip
START = {"leaky": "recurrence", "bim": "mixing"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=sorted(MODELS), default="leaky")
    for name, value in (("steps", 50), ("bits", 2), ("epochs", 20), ("seeds", 3), ("hidden", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    torch.set_num_threads(1)
    hidden = (given.hidden,) if given.model == "leaky" else (given.hidden, given.hidden)
    print(
        f"| {given.model} begins | accuracy by seed, %, {given.bits} bits, {given.steps} steps |\n|---|---|", flush=True
    )
    for start in STARTS:
        row = []
        for seed in range(given.seeds):
            task = bimhw.load_task(
                "temporal-order", steps=given.steps, bits=given.bits, train=1000, test=300, seed=seed
            )
            net = bimhw.train(
                task, seed=seed, rule="bptt", hidden=hidden, k_o=0.9, epochs=given.epochs, batch=50,
                **MODELS[given.model], **{START[given.model]: start},
            ).model  # fmt: skip
            row.append(100 * evaluate(net, task).accuracy)
        print(f"| {start} | {' '.join(f'{a:.0f}' for a in row)} |", flush=True)


if __name__ == "__main__":
    main()

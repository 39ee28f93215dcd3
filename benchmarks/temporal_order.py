"""Temporal order: how the recurrent weights of a spiking layer begin, or those between two BIM layers, and what it learns.

python -m benchmarks.temporal_order [--model leaky|bim] [--steps 30] [--epochs 8] [--seeds 3] [--bits 2 3] [--hidden 50 100 200]

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


def accuracy(given: argparse.Namespace, bits: int, n: int, start: str, seed: int) -> float:
    """Return the test accuracy of a seed in %."""
    task = bimhw.load_task("temporal-order", steps=given.steps, bits=bits, train=1000, test=300, seed=seed)
    hidden = (n,) if given.model == "leaky" else (n, n)
    net = bimhw.train(
        task, seed=seed, rule="bptt", hidden=hidden, k_o=0.9, epochs=given.epochs, batch=50,
        **MODELS[given.model], **{START[given.model]: start},
    ).model  # fmt: skip
    return 100 * evaluate(net, task).accuracy


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=sorted(MODELS), default="leaky")
    for name, value in (("steps", 30), ("epochs", 8), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--hidden", type=int, nargs="+", default=[50, 100, 200])
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| {given.model}, {given.steps} steps: bits | n | {' | '.join(STARTS)} |\n|---|---|---|---|---|", flush=True)
    for bits in given.bits:
        for n in given.hidden:
            cells = [
                " ".join(f"{accuracy(given, bits, n, start, k):.0f}" for k in range(given.seeds)) for start in STARTS
            ]
            print(f"| {bits} | {n} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

"""Temporal order by a recurrent spiking layer: how its recurrent weights begin, and what it learns.

python -m benchmarks.temporal_order [--steps 50] [--bits 2] [--epochs 20] [--seeds 3]

One recurrent layer of 64 ALIF neurons, trained by BPTT on 1,000 sequences; W_rec from N(0, 1 / n), orthogonal by torch's QR, or
orthogonal by the local rule. Accuracy in % on 300 test sequences by seed; chance is 25 (2 bits) or 12.5 (3 bits).
"""

from __future__ import annotations

import argparse

import torch

import bimhw
from bimhw.learning.evaluate import evaluate

STARTS = ("normal", "orthogonal", "local")


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, value in (("steps", 50), ("bits", 2), ("epochs", 20), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| recurrence | accuracy by seed, %, {given.bits} bits, {given.steps} steps |\n|---|---|")
    for start in STARTS:
        row = []
        for seed in range(given.seeds):
            task = bimhw.load_task(
                "temporal-order", steps=given.steps, bits=given.bits, train=1000, test=300, seed=seed
            )
            net = bimhw.train(
                task, seed=seed, family="leaky", rule="bptt", hidden=(64,), recurrent=True, adapt_jump=0.5, adapt_keep=0.98,
                keep=0.9, k_o=0.9, recurrence=start, gain_rec=1.0, epochs=given.epochs, batch=50, lr=0.005,
            ).model  # fmt: skip
            row.append(100 * evaluate(net, task).accuracy)
        print(f"| {start} | {' '.join(f'{a:.0f}' for a in row)} |", flush=True)


if __name__ == "__main__":
    main()

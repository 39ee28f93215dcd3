"""Meta-neurons on random sources: learnt against fixed constants, the filtered readout against the complexity readout.

python -m benchmarks.meta_neuron [--seeds 3]

One layer of 16 meta-neurons, 10 % of spikes lost, 200 training and 400 test trains of 128 steps on four channels, eight epochs of
BPTT. Accuracy in % of the float model, of the same hidden layer with the readout by nearest mean complexity, and of the latter on
the simulated Loihi 2 (first 100 test trains) with its energy and time a sample.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import bimhw
from bimhw.models.meta.nearest_mean import complexity_readout
from bimhw.models.meta.net import MetaNet
from bimhw.tasks.base import Task

SOURCES, CHIP_SAMPLES = ("bernoulli", "poisson", "markov"), 100


class Row(NamedTuple):
    """Figures of one run; the last three of the complexity readout on the chip."""

    filter_pct: float
    lz76_pct: float
    chip_pct: float
    energy_uj: float
    latency_us: float


def accuracy(net: MetaNet, task: Task) -> float:
    """Return the accuracy in % on the test split."""
    with torch.no_grad():
        logits = net.run_samples(torch.from_numpy(task.test.x.swapaxes(0, 1)).float()).logits
    right = logits[torch.from_numpy(task.decision_steps)].mean(0).argmax(1).numpy() == task.test.y
    return 100 * float(right.mean())


def row(source: str, learn: bool, seed: int, folder: Path) -> Row:
    """Train and judge one network."""
    task = bimhw.load_task("sources", source=source, train=200, test=400, seed=seed)
    net = bimhw.train(task, seed=seed, family="meta", hidden=(16,), learn_neuron=learn, transmit=0.9).model
    assert isinstance(net, MetaNet)
    fitted = complexity_readout(net, task.train.x, task.train.y, task.decision_steps)
    file = folder / "lz76.pt"
    bimhw.save_model(fitted, file)
    program = bimhw.compile(str(file), "loihi2", task=task).program
    run = bimhw.simulate(program, task, CHIP_SAMPLES, model=file, output=folder / "run", force=True).result
    energy = bimhw.energy(folder / "run").report.energy_pj() / CHIP_SAMPLES / 1e6
    return Row(accuracy(net, task), accuracy(fitted, task), 100 * run["accuracy"], energy, run["mean_latency_us"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    head = "| source | constants | filter, % | lz76, % | lz76 on the chip, % | energy per sample, uJ | time per sample, us |"
    print(head + "\n|" + "---|" * 7)
    for source in SOURCES:
        for learn in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                rows = np.array([row(source, learn, seed, Path(folder)) for seed in range(seeds)])
            mean, sd = rows.mean(0), rows.std(0, ddof=1) if seeds > 1 else 0 * rows[0]
            shown = " | ".join(f"{m:.1f} +- {s:.1f}" for m, s in zip(mean[:3], sd[:3], strict=True))
            print(
                f"| {source} | {'learnt' if learn else 'fixed'} | {shown} | {mean[3]:.0f} | {mean[4]:.0f} |", flush=True
            )


if __name__ == "__main__":
    main()

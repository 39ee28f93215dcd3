"""P-SpikeSSM by its authors' definition beside our variant, S4D-LIF and BIM: python -m benchmarks.p_spikessm_s4 [--task psmnist]

Trains each model with about as many parameters and as many passes, on pooled digits pixel by pixel (``smnist``, ``psmnist``)
or on short ListOps expressions generated here and read as the Long Range Arena's files (``listops``). Models that compile run
100 test sequences on the chip too: accuracy, decisions that agree with float, energy a sample.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bimhw
from bimhw.learning.evaluate import inputs
from bimhw.models.io import load_net
from bimhw.models.spikessm.s4_net import S4SpikeNet
from bimhw.studies.baselines.fit import FitSettings, fit_task
from bimhw.studies.baselines.models import hidden_for
from bimhw.tasks.base import Task

SAMPLES = 100
PARAMETERS = 13_500
COMMON: dict[str, Any] = {"batch": 50, "lr_end": 0.02, "hidden": "64,64", "rule": "bptt"}
MODELS: dict[str, dict[str, Any]] = {
    "P-SpikeSSM, authors', N = 16": {"family": "p-spikessm-s4", "n_states": 16, "lr": 0.01},
    "P-SpikeSSM, authors', N = 16, no ClampFuse": {
        "family": "p-spikessm-s4",
        "n_states": 16,
        "lr": 0.01,
        "fuse": False,
    },
    "P-SpikeSSM, our variant, 8 modes": {"family": "p-spikessm", "n_states": 8, "lr": 0.03, "delta_min": 0.005},
    "BIM complex": {
        "kind": "complex", "state_gain": "variance", "norm": "batch", "learn_a_log": True, "psp": "delta", "k_o": 0.9,
        "delta_min": 0.005, "lr": 0.02,
    },
}  # fmt: skip


def expression(rng: np.random.Generator, depth: int) -> tuple[str, int]:
    """Draw a ListOps expression of at most this depth, and its value."""
    if depth == 0 or rng.random() < 0.5:
        digit = int(rng.integers(10))
        return str(digit), digit
    parts = [expression(rng, depth - 1) for _ in range(rng.integers(2, 5))]
    name = ("MIN", "MAX", "MED", "SM")[rng.integers(4)]
    values = [v for _, v in parts]
    value = {"MIN": min, "MAX": max, "MED": lambda v: int(np.median(v)), "SM": lambda v: sum(v) % 10}[name](values)
    return f"[{name} {' '.join(text for text, _ in parts)} ]", value


def listops(folder: Path, longest: int = 100) -> Task:
    """Write 4,000 + 400 + 1,000 expressions of 5 to `longest` symbols as the arena's files, and load them."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 4000), ("val", 400), ("test", 1000)):
        rows: list[str] = []
        while len(rows) < count:
            text, value = expression(rng, 4)
            if 5 <= len(text.split()) <= longest:
                rows.append(f"{text}\t{value}")
        (folder / f"basic_{part}.tsv").write_text("\n".join(["Source\tTarget", *rows]) + "\n", encoding="utf-8")
    return bimhw.load_task("lra-listops", path=str(folder), steps=longest)


def rates(model: Path, task: Task) -> str:
    """Return the share of neuron-steps with a spike: z / s where both are drawn, else that of the layers."""
    net = load_net(model)
    with torch.no_grad():
        run = net.run_samples(inputs(task.test.take(slice(0, SAMPLES)), task, next(net.parameters())))
    groups = [run.sampled, run.spikes] if isinstance(net, S4SpikeNet) and hasattr(run, "sampled") else [run.spikes]
    return " / ".join(f"{float(torch.stack(list(g)).mean()):.3f}" for g in groups)


def row(name: str, task: Task, epochs: int, seed: int, folder: Path) -> list[str]:
    """Return the figures of one model: float accuracy, spike rate, chip accuracy, agreement, energy."""
    model = folder / "m.pt"
    facts = bimhw.train(task, model, seed=seed, epochs=epochs, **COMMON, **MODELS[name]).summary()
    run = folder / "run"
    program = bimhw.compile(str(model), "loihi2", task=task).program
    chip = bimhw.simulate(program, task, SAMPLES, engine="none", model=model, output=run).result
    report = bimhw.energy(run, "loihi2").report
    total = sum(item.energy_pj or 0 for item in report.items) / report.samples / 1e6
    accuracy = f"{100 * chip['accuracy']:.0f} / {100 * chip['float_accuracy']:.0f}"
    agree = f"{100 * chip['decisions_agree']:.0f}"
    return [
        str(facts["parameters"]),
        f"{100 * facts['test_accuracy']:.1f}",
        rates(model, task),
        accuracy,
        agree,
        f"{total:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=("smnist", "psmnist", "listops"), default="psmnist")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pool", type=int, default=4, help="pixels averaged in each direction: 4 gives 49 steps")
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    given = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        task = listops(folder) if given.task == "listops" else None
        task = task or bimhw.load_task("smnist", permuted=given.task == "psmnist", pool=given.pool)
        print(f"{given.task}, {given.epochs} passes, seed {given.seed}", flush=True)
        print(
            "| model | parameters | test accuracy % | spike rate (z / s) | chip / float % of 100 | agree % | uJ a sample |"
        )
        for name in MODELS:
            if given.only in name:
                print(f"| {name} | {' | '.join(row(name, task, given.epochs, given.seed, folder))} |", flush=True)
        if given.only in "S4D-LIF":
            hidden = hidden_for("s4d-lif", task.n_in, task.n_classes, PARAMETERS)
            fitted = fit_task(
                "s4d-lif", task, FitSettings(hidden=hidden, epochs=given.epochs, batch=50, lr=0.01, seed=given.seed)
            )
            accuracy = 100 * (fitted.accuracy or 0.0)
            print(
                f"| S4D-LIF | {fitted.parameters} | {accuracy:.1f} | {fitted.rate or 0:.3f} | - | - | - |", flush=True
            )


if __name__ == "__main__":
    main()

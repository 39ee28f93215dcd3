"""P-SpikeSSM by its authors' definition beside our variant, S4D-LIF and BIM: python -m benchmarks.p_spikessm_s4 [--task psmnist]

Trains each model with about as many parameters and as many passes, on pooled digits pixel by pixel (``smnist``, ``psmnist``)
or on short ListOps expressions generated here and read as the Long Range Arena's files (``listops``). Each model takes the
learning rate of ``RATES`` that scores best on a tenth of the training sequences, held out, after ``--trial`` passes with seed 0.
Then the seeds are trained on all of them. Seed 0 of the models that compile runs 100 test sequences on the chip too: accuracy,
decisions that agree with float, energy a sample. ``--page FILE`` writes the rows that ran into the page, between the marks
``<!-- rules s4-TASK -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

import bimhw
from bimhw.learning.evaluate import inputs
from bimhw.learning.recipe import recipe
from bimhw.models.io import load_net
from bimhw.models.nets import build as build_net
from bimhw.models.spikessm.s4_net import S4SpikeNet
from bimhw.studies.baselines.fit import FitSettings, fit_task
from bimhw.studies.baselines.models import build, count, hidden_for
from bimhw.studies.rules_page import check_page
from bimhw.tasks.base import Task
from simulator.base.writing import write_text

SAMPLES = 100
PARAMETERS = 13_500
RATES = (0.003, 0.01, 0.03)
S4D_LIF = "S4D-LIF"
HEAD = "| model | rate | parameters | test accuracy, % | spikes (z / s) | chip / float, % | agree, % | energy per sample, uJ |"
COMMON: dict[str, Any] = {"batch": 50, "lr_end": 0.02, "clip": 1.0, "rule": "bptt"}
MODELS: dict[str, dict[str, Any]] = {
    "P-SpikeSSM, authors', their Delta": {"family": "p-spikessm-s4", "n_states": 16},
    "P-SpikeSSM, authors', 16 Delta": {
        "family": "p-spikessm-s4", "n_states": 16, "delta_min": 0.016, "delta_max": 1.6,
    },
    "P-SpikeSSM, authors', their Delta, no ClampFuse": {"family": "p-spikessm-s4", "n_states": 16, "fuse": False},
    "P-SpikeSSM, our variant, 8 modes": {"family": "p-spikessm", "n_states": 8, "delta_min": 0.005},
    "BIM complex": {
        "kind": "complex", "state_gain": "variance", "norm": "batch", "learn_a_log": True, "psp": "delta", "k_o": 0.9,
        "delta_min": 0.005,
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
    for part, number in (("train", 4000), ("val", 400), ("test", 1000)):
        rows: list[str] = []
        while len(rows) < number:
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


def width(name: str, task: Task) -> int:
    """Return the neurons of each of two layers with which a model's parameters are nearest to ``PARAMETERS``."""

    def parameters(hidden: int) -> int:
        plan = recipe(task, hidden=f"{hidden},{hidden}", **COMMON, **MODELS[name])
        return count(build_net(plan.config, 0, plan.init))

    return min(range(32, 97), key=lambda hidden: abs(parameters(hidden) - PARAMETERS))


def accuracy(name: str, task: Task, epochs: int, seed: int, lr: float, model: Path | None = None) -> float:
    """Train a model once; return its test accuracy in %."""
    if name == S4D_LIF:
        hidden = hidden_for("s4d-lif", task.n_in, task.n_classes, PARAMETERS)
        settings = FitSettings(
            hidden=hidden, epochs=epochs, batch=COMMON["batch"], lr=lr, lr_end=COMMON["lr_end"], seed=seed
        )
        return 100 * (fit_task("s4d-lif", task, settings).accuracy or 0.0)
    hidden = width(name, task)
    options: dict[str, Any] = {"hidden": f"{hidden},{hidden}", "epochs": epochs, "lr": lr, **COMMON, **MODELS[name]}
    return 100 * bimhw.train(task, model, seed=seed, **options).final.accuracy


def on_chip(task: Task, model: Path, run: Path) -> list[str]:
    """Return the figures of 100 test sequences: spike rate, accuracy on the chip and in float, agreement, energy."""
    program = bimhw.compile(str(model), "loihi2", task=task).program
    chip = bimhw.simulate(program, task, SAMPLES, engine="none", model=model, output=run, force=True).result
    report = bimhw.energy(run, "loihi2").report
    total = sum(item.energy_pj or 0 for item in report.items) / report.samples / 1e6
    both = f"{100 * chip['accuracy']:.0f} / {100 * chip['float_accuracy']:.0f}"
    return [rates(model, task), both, f"{100 * chip['decisions_agree']:.0f}", f"{total:.1f}"]


def row(name: str, task: Task, given: argparse.Namespace, folder: Path) -> list[str]:
    """Return a model's chosen rate, parameters, test accuracy over the seeds, and its figures on the chip."""
    model, tuning = folder / "m.pt", task.for_tuning()
    lr = max(RATES, key=lambda lr: accuracy(name, tuning, given.trial, 0, lr))
    found = [accuracy(name, task, given.epochs, seed, lr, None if seed else model) for seed in range(given.seeds)]
    spread = f"{mean(found):.1f}" + (f" +- {stdev(found):.1f}" if len(found) > 1 else "")
    if name == S4D_LIF:
        hidden = hidden_for("s4d-lif", task.n_in, task.n_classes, PARAMETERS)
        size, chip = count(build("s4d-lif", task.n_in, task.n_classes, hidden, 0)), ["-"] * 4
    else:
        size, chip = sum(p.numel() for p in load_net(model).parameters()), on_chip(task, model, folder / "run")
    return [f"{lr:g}", f"{size:,}", spread, *chip]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=("smnist", "psmnist", "listops"), default="psmnist")
    for name, value in (("epochs", 8), ("trial", 2), ("seeds", 3), ("train", 2000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--pool", type=int, default=4, help="pixels averaged in each direction: 4 gives 49 steps")
    parser.add_argument("--longest", type=int, default=100, help="symbols of a ListOps expression, at most")
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    parser.add_argument("--page", type=Path, help="Markdown page with the marks of the task to write into")
    given = parser.parse_args()
    if given.page is not None:
        check_page(given.page, f"s4-{given.task}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        task = listops(folder, given.longest) if given.task == "listops" else None
        task = task or bimhw.load_task("smnist", permuted=given.task == "psmnist", pool=given.pool)
        task = replace(task, train=task.train.take(slice(0, given.train)), validation=None, judged=None)
        print(
            f"{given.task}: {given.train} training sequences of {task.steps} steps, {given.epochs} passes", flush=True
        )
        lines = [HEAD, "|---" * 8 + "|"]
        for name in (*MODELS, S4D_LIF):
            if given.only in name:
                lines.append(f"| {name} | {' | '.join(row(name, task, given, folder))} |")
                print(lines[-1], flush=True)
        if given.page is not None:
            begin, end = check_page(given.page, f"s4-{given.task}")
            text = given.page.read_text(encoding="utf-8")
            write_text(given.page, text[:begin] + "\n".join(lines) + "\n" + text[end:])


if __name__ == "__main__":
    main()

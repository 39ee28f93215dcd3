"""Accuracy that integers cost on digits, on the simulated chip: python -m benchmarks.quantised [--seeds 3]

Nets of the demonstration's shape, trained online and by BPTT; compiled with 8 bits, with 4 bits a row, and with 4 bits a row
after quantisation-aware fine-tuning; scales are powers of two, or free.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

import bimhw

TRAINED: dict[str, dict[str, Any]] = {"online": {}, "bptt": {"rule": "bptt", "lr": 0.03, "epochs": 50}}
FOUR: dict[str, Any] = {"bits": 4, "per_row": True}
COLUMNS: dict[str, tuple[dict[str, Any], bool]] = {
    "int8": ({"bits": 8}, False),
    "4 bit rows": (FOUR, False),
    "fine-tuned": (FOUR, True),
    "4 bit rows, free scales": (FOUR | {"free_scales": True}, False),
    "fine-tuned, free scales": (FOUR | {"free_scales": True}, True),
}


def on_chip(model: Path, options: dict[str, Any], folder: Path) -> float:
    """Accuracy of a compiled model on the test split."""
    program = bimhw.compile(str(model), **options).program
    run = bimhw.simulate(program, engine="none", output=folder / "run")
    return float(run.result["accuracy"])


def row(seed: int, how: dict[str, Any], folder: Path) -> list[str]:
    """Float accuracy, then the points that each column loses."""
    model = folder / "m.pt"
    base = bimhw.train("digits", model, preset="demo", seed=seed, **how).final.accuracy
    out = [f"{100 * base:.1f}"]
    for options, tune in COLUMNS.values():
        used = model
        if tune:
            used = folder / "q.pt"
            bimhw.finetune(model, output=used, **options)
        out.append(f"{100 * (on_chip(used, options, folder) - base):+.1f}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    print("| trained | seed | float % | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (3 + len(COLUMNS)))
    for name, how in TRAINED.items():
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                print(f"| {name} | {seed} | {' | '.join(row(seed, how, Path(folder)))} |", flush=True)


if __name__ == "__main__":
    main()

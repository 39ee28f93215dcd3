"""What integers change in a P-SpikeSSM net on the simulated chip: python -m benchmarks.p_spikessm [--seeds 3]

Trains two layers of 32 neurons on `recall` (delayed XOR, 400 steps) and runs 100 test sequences on the chip and in float, both
with the same random numbers: the neuron-steps whose spike differs, the decisions that agree, and both accuracies.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

import bimhw

COLUMNS: dict[str, dict[str, Any]] = {
    "int8": {"bits": 8},
    "4 bit rows": {"bits": 4, "per_row": True},
    "9 bit rows, 24-bit states": {"bits": 9, "per_row": True, "state_bits": 24},
}
CHIP = {"9 bit rows, 24-bit states": "generic"}
SAMPLES = 100


def row(task: Any, seed: int, folder: Path) -> list[str]:
    """Float accuracy, then of each column: accuracy on the chip, decisions that agree, spikes that differ."""
    model = folder / "m.pt"
    bimhw.train(task, model, seed=seed, family="p-spikessm", hidden="32,32", n_states=4, epochs=6, lr=0.03)
    out: list[str] = []
    for name, options in COLUMNS.items():
        program = bimhw.compile(str(model), CHIP.get(name, "loihi2"), task=task, **options).program
        r = bimhw.simulate(program, task, SAMPLES, engine="none", model=model, output=folder / "run").result
        share = r["spikes_that_differ"] / r["spike_slots"]
        out = out or [f"{100 * r['float_accuracy']:.0f}"]
        out.append(f"{100 * r['accuracy']:.0f} / {100 * r['decisions_agree']:.0f} / {100 * share:.2f}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    task = bimhw.load_task("recall", steps=400, cues=2, classes=2)
    print("accuracy %, decisions that agree %, neuron-steps whose spike differs %")
    print("| seed | float % | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (2 + len(COLUMNS)))
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {seed} | {' | '.join(row(task, seed, Path(folder)))} |", flush=True)


if __name__ == "__main__":
    main()

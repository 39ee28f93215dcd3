"""A grid of Izhikevich neurons: what reward makes of it, and its step time on two chips.

python -m benchmarks.gain [--seeds 3]

Time and energy of a step of 16 x 16 neurons on 4 x 4 routers. Then an 8 x 4 grid on 2 x 2 cores learns the task `rows` by
examples/gain.yaml, three passes over 100 samples: by STDP and reward between neighbours alone, against the mean reward of all
labels, then of each; by the readout alone; by both.
Accuracy in % on 100 test samples, before and after.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import msgspec
import yaml

import bimhw
from bimhw.models.networks.gain import GainShape, gain_grid

RULE = Path(__file__).parents[1] / "examples" / "gain.yaml"
PARTS = {"neighbours, one mean": slice(0, 1), "neighbours": slice(0, 1), "readout": slice(1, 2), "both": slice(0, 2)}


def learnt(seed: int, folder: Path) -> list[float]:
    """Return the accuracy before, and after each part of the rule file, in %."""
    task = bimhw.load_task("rows", seed=seed)
    net = gain_grid(GainShape(coupling=70.0, learnt_readout=True), seed=seed)
    program = bimhw.compile(net, "generic", mapping="file", calibration=task.train.x[:10]).program
    run = bimhw.simulate(program, task, len(task.test), output=folder / "run", force=True)
    out = [100 * run.result["accuracy"]]
    for part in PARTS:
        file = part_of_rule(part, folder)
        out.append(100 * bimhw.learn_by_rule(program, file, task, epochs=3, seed=seed).accuracy[-1])
    return out


def part_of_rule(part: str, folder: Path) -> Path:
    """Write a part of examples/gain.yaml as a file of its own; with ``mean`` its reward is set against one mean of all labels."""
    rules = yaml.safe_load(RULE.read_text(encoding="utf-8"))
    kept = rules["rules"][PARTS[part]]
    if part.endswith("mean"):
        kept[0]["factors"]["u1"]["of"] = "surprise"
    file = folder / "rule.yaml"
    file.write_bytes(msgspec.yaml.encode(rules | {"rules": kept}))
    return file


def step(chip: str, folder: Path) -> str:
    """Return time and energy of a step."""
    shape = GainShape(rows=16, columns=16, tile_rows=4, tile_columns=4, coupling=80.0)
    task = bimhw.load_task("rows", rows=16)
    program = bimhw.compile(gain_grid(shape, chip), chip, mapping="file", calibration=task.train.x[:10]).program
    run = bimhw.simulate(program, task, 10, output=folder / "run", force=True).result
    energy = bimhw.energy(folder / "run").report.energy_pj() / 1e3 / (10 * task.steps)
    return f"| {chip} | {run['mean_step_ns'] / 1e3:.2f} | {energy:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory() as folder:
        print("| chip | us a step | nJ a step |\n|---|---|---|")
        for chip in ("generic", "loihi2"):
            print(step(chip, Path(folder)), flush=True)
        print(f"| seed | before, % | {' | '.join(PARTS)} |\n|---|---|---|---|---|---|")
        for seed in range(seeds):
            print(f"| {seed} | {' | '.join(f'{x:.0f}' for x in learnt(seed, Path(folder)))} |", flush=True)


if __name__ == "__main__":
    main()

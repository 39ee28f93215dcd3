"""A grid of Izhikevich neurons: what reward-modulated STDP makes of it, and its step time on programmable chips.

python -m benchmarks.gain [--seeds 3]

An 8 x 4 grid on 2 x 2 cores learns the task `rows` by examples/gain.yaml, four passes over 100 samples; accuracy in % on 100 test
samples before and after. Then time and energy of a step of 16 x 16 neurons on 4 x 4 routers (2 x 4 on SpiNNaker 2).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import bimhw
from bimhw.networks.gain import GainShape, gain_grid

RULE = Path(__file__).parents[1] / "examples" / "gain.yaml"


def learnt(coupling: float, seed: int, folder: Path) -> tuple[float, float]:
    """Return the accuracy before and after learning, in %."""
    task = bimhw.load_task("rows", seed=seed)
    net = gain_grid(GainShape(coupling=coupling), seed=seed)
    program = bimhw.compile(net, "generic", mapping="file", calibration=task.train.x[:10]).program
    before = bimhw.simulate(program, task, len(task.test), output=folder / "run", force=True).result["accuracy"]
    return 100 * before, 100 * bimhw.learn_by_rule(program, RULE, task, epochs=4, seed=seed).accuracy[-1]


def step(chip: str, folder: Path) -> str:
    """Return time and energy of a step."""
    shape = GainShape(rows=16, columns=16, tile_rows=2 if chip == "spinnaker2" else 4, tile_columns=4, coupling=80.0)
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
        print("| coupling | before, % by seed | after, % by seed |\n|---|---|---|")
        for coupling in (60.0, 70.0):
            pairs = [learnt(coupling, seed, Path(folder)) for seed in range(seeds)]
            before, after = (" ".join(f"{x:.0f}" for x in each) for each in zip(*pairs, strict=True))
            print(f"| {coupling:.0f} | {before} | {after} |", flush=True)
        print("| chip | us a step | nJ a step |\n|---|---|---|")
        for chip in ("generic", "loihi2", "spinnaker2"):
            print(step(chip, Path(folder)), flush=True)


if __name__ == "__main__":
    main()

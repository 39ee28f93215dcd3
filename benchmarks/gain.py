"""A grid of Izhikevich neurons: what reward makes of it, and its step time on two chips.

python -m benchmarks.gain [--seeds 3]

Time and energy of a step of 16 x 16 neurons on 4 x 4 routers. Then an 8 x 4 grid on 2 x 2 cores learns the task `rows` by
examples/gain.yaml, three passes over 100 samples: by STDP and reward between neighbours alone, against the mean reward of all
labels, then of each; by the readout alone; by both. The weight steps of each part are those of the file times the power of 2 of
``POWERS`` that is best after two passes in the mean of two draws of grid and task apart. Accuracy in % on 100 test samples,
before and after.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean

import msgspec
import yaml

import bimhw
from bimhw.models.networks.gain import GainShape, gain_grid
from bimhw.tasks.base import Task
from simulator.program.program import Program

RULE = Path(__file__).parents[1] / "examples" / "gain.yaml"
PARTS = {"neighbours, one mean": slice(0, 1), "neighbours": slice(0, 1), "readout": slice(1, 2), "both": slice(0, 2)}
POWERS = (-2, 0, 2)
APART = (1000, 1001)


def started(seed: int) -> tuple[Task, Program]:
    """Return task and grid of a seed."""
    task = bimhw.load_task("rows", seed=seed)
    net = gain_grid(GainShape(coupling=70.0, learnt_readout=True), seed=seed)
    return task, bimhw.compile(net, "generic", mapping="file", calibration=task.train.x[:10]).program


def learnt(seed: int, part: str, powers: tuple[int, ...], folder: Path, epochs: int = 3) -> float:
    """Return the accuracy after learning by a part of the rule file, in %."""
    task, program = started(seed)
    file, every = part_of_rule(part, powers, folder), epochs * len(task.train)
    return 100 * bimhw.learn_by_rule(program, file, task, epochs=epochs, seed=seed, every=every).accuracy[-1]


def part_of_rule(part: str, powers: tuple[int, ...], folder: Path) -> Path:
    """Write a part of examples/gain.yaml as a file of its own, the weight steps of each of its rules times 2 to its power.

    With ``mean`` the reward is set against one mean of all labels.
    """
    rules = yaml.safe_load(RULE.read_text(encoding="utf-8"))
    kept = rules["rules"][PARTS[part]]
    if part.endswith("mean"):
        kept[0]["factors"]["u1"]["of"] = "surprise"
    for rule, power in zip(kept, powers, strict=True):
        scale, rest = rule["dw"].split("*", 1)
        rule["dw"] = f"2^{int(scale.removeprefix('2^')) + power}*{rest}"
    file = folder / "rule.yaml"
    file.write_bytes(msgspec.yaml.encode(rules | {"rules": kept}))
    return file


def chosen(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the powers of each part: the best of ``POWERS`` in the mean of the draws apart."""
    best = {}
    for part in list(PARTS)[:3]:
        scores = {p: mean(learnt(seed, part, (p,), folder, 2) for seed in APART) for p in POWERS}
        best[part] = (max(scores, key=lambda p: scores[p]),)
        print(f"{part}: {scores}, 2^{best[part][0]}", flush=True)
    return best | {"both": best["neighbours"] + best["readout"]}


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
        print("| chip | time per step, us | energy per step, nJ |\n|---|---|---|")
        for chip in ("generic", "loihi2"):
            print(step(chip, Path(folder)), flush=True)
        powers = chosen(Path(folder))
        print(f"| seed | before, % | {' | '.join(PARTS)} |\n|---|---|---|---|---|---|")
        for seed in range(seeds):
            task, program = started(seed)
            run = bimhw.simulate(program, task, len(task.test), output=Path(folder) / "run", force=True).result
            after = [learnt(seed, part, powers[part], Path(folder)) for part in PARTS]
            print(f"| {seed} | {' | '.join(f'{x:.0f}' for x in (100 * run['accuracy'], *after))} |", flush=True)


if __name__ == "__main__":
    main()

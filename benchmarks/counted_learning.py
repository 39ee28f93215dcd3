"""Energy of learning as it is counted from a run of inference, against the learner's own, of each form on three networks.

    python -m benchmarks.counted_learning [--samples 8] [--pilot 4] [--net exp]

Ratios counted / simulated: without a pilot, with one, as `bimhw energy` prints by itself, and that range over the simulated
energy. Digits, on loihi2.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bimhw
from bimhw.costs.counted import count_learning
from bimhw.costs.pilot import Pilot, most_samples
from bimhw.costs.plan import ChipForm, LearningPlan
from bimhw.tasks import Task, load_task
from energy_models.chip_energy import chip_energy
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.program.activity import Activity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.run import run_timing

if TYPE_CHECKING:
    from bimhw.runs.learn_run import Learnt
    from simulator.plasticity import Learner

NETS: dict[str, dict[str, Any]] = {
    "alpha, two layers": {"hidden": (20, 16), "psp": "alpha"},
    "exp": {"hidden": (24,), "psp": "exp"},
    "delta": {"hidden": (24,), "psp": "delta"},
}
PLANS = [
    LearningPlan("seq"), LearningPlan("dense"),
    *(LearningPlan("tr", block, 32) for block in (16, 4, 2, 1)), LearningPlan("tr", 1, 4),
    *(LearningPlan("blk", block) for block in (16, 4, 1)),
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """A compiled net of digits, and its run on the samples that `task` trains with."""

    program: Program
    spikes: SpikeTrain
    activity: Activity
    chip: Chip
    task: Task


def made(settings: Mapping[str, Any], folder: Path, samples: int, pruned: float = 0.0) -> Case:
    """Compile a net of random weights, a share `pruned` of them absent, and run it."""
    import torch

    from bimhw.compiler.decode import encode
    from bimhw.models.bim.config import BimConfig, mask_shapes
    from bimhw.models.bim.net import BimNet
    from bimhw.models.io import save_model
    from bimhw.runs.execute import joined
    from simulator.function import run_samples

    task = load_task("digits")
    torch.manual_seed(1)
    config = BimConfig(
        n_in=task.n_in, n_out=task.n_classes, tau_m=5.0, tau_s=2.0, input_scale=task.input_scale, **settings
    )
    net = BimNet(config)
    for name, shape in mask_shapes(config).items() if pruned else ():
        net.add_mask(name, torch.rand(shape) >= pruned)
    save_model(net, path := folder / "net.safetensors")
    program = bimhw.compile(path, "loihi2", task="digits", neurons_per_core=8, calibration=task.train.x[:20]).program
    few = task.train.take(slice(samples))
    runs = run_samples(program, [encode(program, x) for x in few.x], program.meta["chip_steps"])
    spikes, chip = joined(runs.spikes), load_chip("loihi2")
    time = run_timing(program, chip, spikes).sim_time_ns
    activity = replace(runs.activity, sim_time_ns=time, samples=samples)
    return Case(program, spikes, activity, chip, replace(task, train=few))


def learnt_run(case: Case, plan: LearningPlan) -> tuple[Learner, Learnt]:
    """Return the learner after the case's samples, and its run with its learning phases timed."""
    from bimhw.runs.learn import ready_to_learn, step_labels
    from bimhw.runs.learn_run import learnt_by
    from simulator.plasticity import Learner, learn, learn_config

    options = {"form": plan.form, "block": plan.block, "history": plan.lookback}
    ready = ready_to_learn(case.program, case.task, options)
    learner = Learner(ready, learn_config(ready.learning), 0, timed=True)
    learn(ready, case.task.train.x, step_labels(case.task, case.task.train), seed=0, learner=learner)
    learnt = learnt_by(learner, case.chip)
    return learner, replace(learnt, activity=learnt.parts().activity)


def ratios(case: Case, plan: LearningPlan, pilot: int) -> tuple[float, float, float, float, float]:
    """Return counted over simulated energy without and with a pilot and by default, and the range of the default."""
    learner, learnt = learnt_run(case, plan)
    simulated = chip_energy(learnt.activity, case.chip, learner.program)
    counted = count_learning(case.program, case.spikes, case.activity, case.chip, plan)
    known = Pilot(case.task, pilot).correct(counted, case.program, case.chip)
    own = Pilot(case.task, min(most_samples(case.program), len(case.task.train))).correct(
        counted, case.program, case.chip
    )
    each = (counted.activities[1], known.activities[1], *(own if plan.fast else counted).activities)
    plain, corrected, low, nominal, high = (chip_energy(a, case.chip, case.program) for a in each)
    return (
        plain.energy_pj() / simulated.energy_pj(), corrected.energy_pj() / simulated.energy_pj(),
        nominal.energy_pj() / simulated.energy_pj(), low.low_pj() / simulated.low_pj(), high.high_pj() / simulated.high_pj(),
    )  # fmt: skip


def name(plan: LearningPlan) -> str:
    """Return the form with its block and look-back, where it has them."""
    block: dict[ChipForm, str] = {"tr": f" {plan.block}, look-back {plan.lookback}", "blk": f" {plan.block}"}
    return f"{plan.form}{block.get(plan.form, '')}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--pilot", type=int, default=4)
    parser.add_argument("--net", choices=NETS, action="append")
    given = parser.parse_args(arguments or [])
    found = []
    for net in given.net or NETS:
        with tempfile.TemporaryDirectory() as folder:
            case = made(NETS[net], Path(folder), given.samples)
        for plan in PLANS:
            found.append(ratios(case, plan, given.pilot))
            plain, pilot, own, low, high = found[-1]
            figures = f"{plain:.3f}, with a pilot {pilot:.3f}, by default {own:.3f} ({low:.2f} .. {high:.2f})"
            print(f"{net}, {name(plan)}: {figures}", flush=True)
    for what, values in zip(("without a pilot", "with a pilot", "by default"), np.array(found).T, strict=False):
        print(f"{values.size} cases {what}: {values.min():.3f} .. {values.max():.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""A ReLU network on GPUs beside the spiking network that it was converted to, on a chip."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bimhw.compiler.pipeline import CompileResult, compile
from bimhw.costs.compare import energy
from bimhw.costs.result import Energy
from bimhw.frontends.ann.convert import Converted
from bimhw.frontends.ann.work import AnnWork
from bimhw.runs.answers import DataTrial
from bimhw.runs.execute import execute
from bimhw.runs.judge import judge
from bimhw.runs.manifest import RunResult
from bimhw.runs.request import Engine, How
from bimhw.runs.trials import request_of
from bimhw.tasks.dataset import Dataset
from energy_models.gpu import BATCHES, CASES, GpuCost, cost_of_work
from energy_models.gpu_card import GpuCard, load_gpu
from energy_models.gpu_work import BOUND_BYTES, FLOAT_BYTES, GpuWork
from simulator.base.shown import Shown
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip


def ann_gpu_work(work: AnnWork, batch: int) -> GpuWork:
    """Return the counts of a batch: 2 operations a multiply-accumulate; layers' outputs written and read once in fp32.

    The least traffic is weights, inputs and outputs in words of 16 bits.
    """
    moved = FLOAT_BYTES * (work.parameters + (work.inputs + 2 * work.activations) * batch)
    least = BOUND_BYTES * (work.parameters + (work.inputs + work.outputs) * batch)
    return GpuWork(2 * work.macs * batch, work.pointwise * batch, moved, least, 0, work.kernels)


def ann_costs(work: AnnWork, card: GpuCard) -> list[GpuCost]:
    """Cost the inference of one sample in each case and batch; layers wait for one another, so a graph has one round each."""
    return [
        cost_of_work(ann_gpu_work(work, b), card, "inference", b, "sequential", case, work.kernels, "sequential")
        for case in CASES
        for b in BATCHES
    ]


@dataclass(frozen=True, eq=False, repr=False)
class OnChip(Shown):
    """A converted network on a chip, its ReLU network on GPUs.

    Attributes:
        compiled: program and report.
        result: figures of the run, accuracy among them.
        energy: the chip's items; its GPU rows are those of the ReLU network.
    """

    compiled: CompileResult
    result: RunResult
    energy: Energy


def run_converted(
    found: Converted,
    data: Dataset,
    chip: str | Chip = "loihi2",
    gpu: Sequence[str | GpuCard] = (),
    samples: int | None = None,
    seed: int = 0,
    engine: Engine = "compiled",
    workers: int | None = None,
) -> OnChip:
    """Compile a converted network, run it on data, and cost it beside the ReLU network on GPUs.

    Args:
        found: of `bimhw.convert`.
        data: of `Converted.dataset`; is run, and calibrates where `convert` had no samples apart for that.
        chip: name, YAML file or chip.
        gpu: cards, by name or YAML file.
        samples: that are run, the first ones; all by default.
        seed: of the mapping.
        engine: of the times.
        workers: threads for samples and steps, the same result for any number; all cores of the machine by default.

    Raises:
        FitError: the chip cannot run the network, or it does not fit.
    """
    silicon = chip if isinstance(chip, Chip) else load_chip(chip)
    calibrating = found.calibrating()
    compiled = compile(found.network, silicon, data=data if calibrating is None else calibrating, seed=seed)
    program, how = compiled.program, How(engine=engine, seed=seed, threads=workers or os.cpu_count() or 1)
    trial = DataTrial.of(program, data, samples, None)
    run = execute(request_of(trial, program, silicon, how))
    costs = energy(run.activity, silicon, program=program, spikes=run.joined)
    cards = [load_gpu(g) if isinstance(g, str) else g for g in gpu]
    beside = [cost for card in cards for cost in ann_costs(found.work, card)]
    return OnChip(compiled, judge(program, trial, run, how), replace(costs, gpu=tuple(beside)))

"""`bimhw.train`: the command `bimhw train` as a call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bimhw.learning.heeded import check_heeded
from bimhw.learning.recipe import recipe
from bimhw.learning.train import TrainResult
from bimhw.learning.train import train as run_training
from bimhw.models.io import check_output, save_model
from bimhw.models.training import Preset
from bimhw.tasks import load_task
from bimhw.tasks.base import Task
from bimhw.tasks.dataset import Dataset, as_dataset
from bimhw.tasks.own import OwnSamples, own_samples
from simulator.base.errors import InputError


def train(
    task: str | Task | OwnSamples | None = None,
    output: str | Path | None = None,
    preset: str | Preset | None = None,
    seed: int = 0,
    data: str | Path | Dataset | None = None,
    progress: Callable[[int], None] | None = None,
    threads: int = 1,
    device: str = "cpu",
    **options: Any,
) -> TrainResult:
    """Train a BIM network, or with ``family="p-spikessm"`` a P-SpikeSSM network.

    Args:
        task: a name (`bimhw.tasks.TASKS`), a task or labelled samples of your own; digits by default.
        output: model file to write (.pt or .safetensors).
        preset: a tested setting to start from.
        seed: of everything random.
        data: your copy of a named task's data, where it needs one; without a task, labelled samples of your own.
        progress: called with the number of sequences done since the last call.
        threads: of torch; another number may sum in another order.
        device: where torch trains, by its name (``cuda``, ``mps``); rules that need the CPU's compiled loops say so.
        options: ``family``; fields that differ of `BimConfig`, `TrainSettings` and `Init`, or of `PSpikeConfig`, `TrainSettings`
            and `PSpikeInit`, e.g. ``hidden=(128,), epochs=25``.

    Raises:
        InputError: a bad option, a task that is not there, an output that cannot be written, a diverged training.
    """
    if output is not None:
        check_output(output)
    source = _source(task, data)
    plan = recipe(source, preset, seed, **options)
    check_heeded(options, plan.settings)
    result = run_training(
        source, plan.config, plan.settings, plan.init, progress=progress, threads=threads, device=device
    )
    if output is not None:
        save_model(result.model, output)
    return result


def _source(task: str | Task | OwnSamples | None, data: str | Path | Dataset | None) -> Task:
    if task is None and data is not None:
        return as_dataset(data).task()
    own = own_samples(task)
    if own is not None:
        return own.task()
    if isinstance(task, Task):
        return task
    if isinstance(data, Dataset):
        raise InputError("data", "is a Dataset beside a named task", "Give one of them")
    return load_task("digits" if task is None else str(task), **({} if data is None else {"path": data}))

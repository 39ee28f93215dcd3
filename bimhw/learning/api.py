"""`bimhw.train`: the command `bimhw train` as a call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bimhw.learning.recipe import recipe
from bimhw.learning.train import TrainResult
from bimhw.learning.train import train as run_training
from bimhw.models.io import check_output, save_model
from bimhw.models.training import Preset
from bimhw.tasks import load_task
from bimhw.tasks.base import Task


def train(
    task: str | Task = "digits",
    output: str | Path | None = None,
    preset: str | Preset | None = None,
    seed: int = 0,
    data: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
    threads: int = 1,
    **options: Any,
) -> TrainResult:
    """Train a BIM network, or with ``family="p-spikessm"`` a P-SpikeSSM network.

    Args:
        task: a name (`bimhw.tasks.TASKS`) or a task of your own.
        output: model file to write (.pt or .safetensors).
        preset: a tested setting to start from.
        seed: of everything random.
        data: the user's copy of a named task's data, where it needs one.
        progress: called with the number of sequences done since the last call.
        threads: of torch; another number may sum in another order.
        options: ``family``; fields that differ of `BimConfig`, `TrainSettings` and `Init`, or of `PSpikeConfig`, `TrainSettings`
            and `PSpikeInit`, e.g. ``hidden=(128,), epochs=25``.

    Raises:
        InputError: a bad option, a task that is not there, an output that cannot be written, a diverged training.
    """
    if output is not None:
        check_output(output)
    given = {} if data is None else {"path": data}
    source = load_task(task, **given) if isinstance(task, str) else task
    plan = recipe(source, preset, seed, **options)
    result = run_training(source, plan.config, plan.settings, plan.init, progress=progress, threads=threads)
    if output is not None:
        save_model(result.model, output)
    return result

"""`bimhw finetune MODEL --bits B`: train further with the weights that a chip would store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bimhw.cli.output import (
    OutputFile,
    device_option,
    echo,
    json_option,
    print_json,
    print_table,
    progress,
    seed_option,
    threads_option,
)
from bimhw.cli.task_options import take_task, with_task_options
from simulator.base.text import counted


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--task", help="Task the model was trained on (digits models are recognised).")
@with_task_options
@click.option("-o", "--output", type=OutputFile(), help="Model file (.pt or .safetensors).")
@click.option("--bits", type=int, default=8, show_default=True, help="Bits of a stored weight.")
@click.option(
    "--per-row", is_flag=True, help="A weight scale for each target neuron; for each channel of a shared kernel."
)
@click.option("--free-scales", is_flag=True, help="Weight scales need not be powers of two.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training data.")
@click.option("--lr", type=float, help="Learning rate.")
@click.option("--batch", type=click.IntRange(1), help="Sequences in parallel.")
@threads_option
@device_option
@seed_option
@json_option
def command(model: Path, output: Path | None, as_json: bool, **options: Any) -> None:
    """Fine-tune MODEL with quantisation in the loop (BPTT).

    Compile the result with the same options.
    """
    from bimhw.learning.finetune import finetune
    from bimhw.runs.classes import with_classes
    from bimhw.tasks.dataset import Dataset

    task = take_task(options)
    task = task if task is None or isinstance(task, str | Dataset) else with_classes(task)
    given = {k: v for k, v in options.items() if v is not None}
    with progress("fine-tuning", None, "sequences") as advance:
        done = finetune(model, task, output=output, progress=advance, **given)
    figures = {
        "float_accuracy": done.float_accuracy,
        "rounded_accuracy": done.rounded_accuracy,
        "accuracy": done.accuracy,
        "updates": done.updates,
        "threads": options["threads"],
        "model": None if output is None else str(output),
    }
    if as_json:
        print_json(figures)
        return
    names = {
        "float_accuracy": "accuracy of the model given, float weights",
        "rounded_accuracy": "accuracy of the model given, weights rounded",
        "accuracy": "accuracy after fine-tuning, weights rounded",
        "updates": "weight updates",
    }
    print_table(
        f"{model}: weights of {counted(done.options.bits, 'bit')}",
        ("quantity", "value"),
        [(t, figures[k]) for k, t in names.items()],
    )
    if output is not None:
        echo(f"saved {output}")

"""`bimhw table RUN ...`: one row a task, chip beside GPUs; NeuroBench's metrics as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bimhw.cli.output import json_option, print_json, print_table


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--gpu", multiple=True, help="Cards to put beside the chip.")
@click.option("--neurobench", is_flag=True, help="Write neurobench.json into each run folder.")
@json_option
def command(runs: tuple[Path, ...], gpu: tuple[str, ...], neurobench: bool, as_json: bool) -> None:
    """Compare RUNS, folders that `bimhw simulate` wrote, by task: accuracy, energies, times."""
    from bimhw.neurobench import neurobench as metrics
    from simulator.files import write_json

    found = {str(run): metrics(run, gpu) for run in runs}
    if neurobench:
        for run, value in found.items():
            write_json(Path(run) / "neurobench.json", value)
    if as_json:
        print_json(found)
        return
    names = ("figure", *(Path(run).name for run in found))
    print_table("per task, on the chip", names, [_figure(name, key, found) for name, key in _FIGURES])
    rows = [
        (Path(run).name, g["gpu"], g["mode"], g["batch"], g["optimistic_uj"], g["realistic_uj"], g["realistic_us"])
        for run, m in found.items()
        for g in m["bimhw.gpu"]
    ]
    if rows:
        columns = ("run", "gpu", "mode", "batch", "optimistic uJ", "realistic uJ", "realistic us")
        print_table("per sample, on GPUs (estimates; nothing was measured)", columns, rows)


_FIGURES = (
    ("task", "bimhw.task"),
    ("chip", "bimhw.chip"),
    ("accuracy", "ClassificationAccuracy"),
    ("pJ/SynOp", "bimhw.pj_per_synop"),
    ("pJ/update", "bimhw.pj_per_neuron_update"),
    ("nJ/step", "bimhw.nj_per_step"),
    ("uJ/inference", "bimhw.energy_uj_per_inference"),
    ("uJ/learning step", "bimhw.uj_per_learning_step"),
    ("latency us", "bimhw.latency_us_mean"),
    ("samples/s", "bimhw.samples_per_s"),
    ("EDP J s", "bimhw.energy_delay_product_js"),
)


def _figure(name: str, key: str, found: dict[str, dict[str, Any]]) -> tuple[Any, ...]:
    values = (metrics.get(key) for metrics in found.values())
    return (name, *("" if v is None else v for v in values))

"""`bimhw bench NET.npz`: run a plain network file and print what it did and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bimhw.cli.output import json_option, print_json, print_table
from bimhw.cli.renamed import renamed
from bimhw.cli.timing_options import Share

if TYPE_CHECKING:
    from bimhw.runs.bench import Engine


@click.command(context_settings=renamed({"threads": "workers"}))
@click.argument("net", type=click.Path(path_type=Path))
@click.option("--steps", type=click.IntRange(min=1), help="Steps to run; by default those of the file.")
@click.option(
    "--engine",
    type=click.Choice(["compiled", "clocked", "simpy", "bound", "none"]),
    default="compiled",
    show_default=True,
    help="Timing engine; none: function only.",
)
@click.option("--mapping", type=click.Choice(["file", "auto"]), default="file", show_default=True, help="Cores.")
@click.option(
    "--objective",
    type=click.Choice(["time", "energy", "edp", "cores", "messages"]),
    default="edp",
    show_default=True,
    help="What the mapping auto minimises.",
)
@click.option("--chip", default="loihi1-fitted", show_default=True, help="Chip name or YAML file.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads of timing, and of function from 10 M synapses on.",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Function runs; the fastest counts."
)
@click.option("--faults", type=click.Path(path_type=Path), help="YAML file of hardware faults (docs/function.md).")
@click.option("--timing-sample", type=Share(), help="Time this share of the steps only (1%); the interval is stated.")
@json_option
def command(
    net: Path,
    steps: int | None,
    engine: Engine,
    mapping: str,
    objective: str,
    chip: str,
    workers: int,
    repeats: int,
    faults: Path | None,
    timing_sample: float | None,
    as_json: bool,
) -> None:
    """Run a plain network (.npz) on a chip and time it here.

    NET.npz holds integers. The table has spikes, packets, simulated time and CPU time of this machine.
    """
    from bimhw.runs.bench import bench
    from simulator.program.faults import read_faults

    broken = None if faults is None else read_faults(faults)
    result = bench(
        net, steps=steps, engine=engine, mapping=mapping, chip=chip, threads=workers, repeats=repeats, faults=broken,
        timing_sample=timing_sample, objective=objective,
    ).as_dict()  # fmt: skip
    if as_json:
        print_json(result)
        return
    ends = [f"{figure}_{word}" for figure in ("sim_time", "energy") for word in ("low", "high", "trust")]
    rows = [_row(k, v, result) for k, v in result.items() if not k.startswith(tuple(ends))]
    print_table(f"{result['net']} on {result['chip']}", ("quantity", "value", "low", "high", "trust"), rows)


def _row(name: str, value: object, result: Mapping[str, object]) -> tuple[object, ...]:
    """Return the cells of a figure; of a time or an energy on the chip with its range and word."""
    for figure, unit in (("sim_time", "us_per_step"), ("energy", "nj_per_step")):
        if name == f"{figure}_{unit}":
            ends = [result[f"{figure}_{end}_{unit}"] for end in ("low", "high")]
            return name, value, *ends, result[f"{figure}_trust"]
    return name, _cell(value), "", "", ""


def _cell(value: object) -> object:
    return ", ".join(f"{k} {n:,}" for k, n in value.items()) if isinstance(value, dict) else value

"""`bimhw fit MODEL --chip C`."""

from __future__ import annotations

import sys
from typing import Any

import click

from bimhw.cli.output import echo, json_option, print_json, print_table, seed_option
from bimhw.cli.task_options import take_task, with_task_options


@click.command()
@click.argument("model")
@click.option("--chip", default="loihi2", show_default=True, help="Chip by name, or a YAML file.")
@click.option(
    "--chips", type=click.IntRange(min=1), default=1, show_default=True, help="Number of such chips in the system."
)
@click.option("--bits", type=int, help="Bits of a stored weight [8; of integers, their own].")
@click.option(
    "--per-row", is_flag=True, help="A weight scale for each target neuron; for each channel of a shared kernel."
)
@click.option("--state-bits", type=int, default=16, show_default=True, help="Bits of a state word.")
@click.option("--neurons-per-core", type=click.IntRange(min=1), help="Most neurons on a core.")
@click.option("--task", help="Task whose training samples calibrate the formats (digits models are recognised).")
@with_task_options
@click.option("--profile", help="How to run a .nir file: a source's name or a JSON file (docs/frontends.md).")
@click.option("--dt", type=float, help="Time step of a .nir file.")
@seed_option
@json_option
def command(model: str, as_json: bool, **options: Any) -> None:
    """Check whether MODEL fits a chip, and what binds.

    Other chips that would take it are listed. Exit code 2 where it does not fit.
    """
    from bimhw.compiler.fit import fit

    result = fit(model, task=take_task(options), **options)
    if as_json:
        print_json(result)
    else:
        _show(model, result)
    if not result["fits"]:
        echo(f"bimhw: {model}: {result['reason']}. {result['way_out']}", err=True)
        sys.exit(2)


def _show(model: str, result: dict[str, Any]) -> None:
    if result["resources"]:
        title = (
            f"{model} on {result['chip']}: {result['neurons']:,} neurons, {result['synapses']:,} synapses, "
            f"{result['cores']:,} of {result['cores_of_chip']:,} cores; binding: {result['binding']}"
            + (f"; {result['relay_neurons']} relay neurons" if result["relay_neurons"] else "")
        )
        print_table(
            title, ["resource", "total", "fullest core", "limit of a core", "load"], map(_row, result["resources"])
        )
    rows = [
        [o["chip"], "yes" if o["fits"] else "no", _blank(o["cores"]), _blank(o["chips"]), o["reason"]]
        for o in result["other_chips"]
    ]
    print_table("other chips", ["chip", "fits", "cores", "chips", "why not"], rows)


def _row(r: dict[str, Any]) -> list[object]:
    limit = None if r["limit"] is None else int(r["limit"])
    return [
        r["name"],
        _blank(r["total"]),
        r["worst_core"],
        limit,
        "" if r["load"] is None else f"{100 * r['load']:.1f} %",
    ]


def _blank(value: int | None) -> object:
    return "" if value is None else value

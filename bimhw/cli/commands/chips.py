"""`bimhw chips`: the chips there are, their numbers with sources, a check of one's own file, the schema for editors."""

from __future__ import annotations

from typing import Any

import click

from bimhw.cli.output import OutputFile, echo, json_option, print_json, print_table


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the chips; show, check or start a chip file."""
    if context.invoked_subcommand is not None:
        return
    from simulator.chips.listing import list_chips

    rows = list_chips()
    if as_json:
        print_json(rows)
        return
    columns = ("name", "title", "cores", "neurons per core", "spikes", "neuron models", "timing")
    keys = [c.replace(" per ", " a ").replace(" ", "_") for c in columns]
    print_table("chips", columns, [tuple(_cell(r[key]) for key in keys) for r in rows])


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


@command.command()
@click.argument("name")
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the YAML file, as a start for your own.")
@json_option
def show(name: str, as_yaml: bool, as_json: bool) -> None:
    """Show a chip (name or YAML file): every number with unit, source and quality."""
    from bimhw.runs.folder import chip_json
    from simulator.chips.listing import chip_text
    from simulator.chips.load import load_chip
    from simulator.chips.rules import quantities

    chip = load_chip(name)
    if as_yaml:
        click.echo(chip_text(name), nl=False)
    elif as_json:
        print_json(chip_json(chip))
    else:
        c, t = chip.capabilities, chip.topology
        echo(f"{chip.name}: {chip.title}")
        chips = f"{t.chips} chips of " if t.chips > 1 else ""
        options = ", multicast" * t.multicast + ", two router networks" * (t.networks == 2)
        echo(
            f"  {chips}{t.width} x {t.height} routers x {t.cores_per_router} cores, {chip.n_cores} usable{options} ({t.source})"
        )
        echo(f"  neuron models {', '.join(c.neuron_models)}; {c.spikes} spikes; learning {', '.join(c.learning)}")
        columns = ("number", "value", "unit", "quality", "source")
        print_table(
            "",
            columns,
            [
                (p, q.value, q.unit, q.quality, ", ".join(x for x in (q.source, q.where, q.note) if x))
                for p, q in quantities(chip)
            ],
        )
        for note in chip.notes:
            echo(f"  - {note}")


@command.command()
@click.argument("file")
@json_option
def check(file: str, as_json: bool) -> None:
    """Check a chip file: schema, rules, unknown values, times that are no whole ticks."""
    from simulator.chips.listing import check_chip_file

    found = check_chip_file(file)
    if as_json:
        facts = {"file": file, "name": found.name, "ok": True, "unknown": list(found.unknown)}
        print_json(facts | {"rounded": list(found.rounded), "sha256": found.sha256})
        return
    echo(f"{file}: chip {found.name!r} keeps every rule")
    for path in found.unknown:
        echo(f"  unknown: {path}")
    for line in found.rounded:
        echo(f"  rounded: {line}")


@command.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--like", default="loihi2", show_default=True, help="Chip (name or file) to start from.")
@json_option
def new(file: str, like: str, as_json: bool) -> None:
    """Write a commented chip file that starts from another chip."""
    from simulator.chips.listing import new_chip

    chip = new_chip(file, like)
    if as_json:
        print_json({"file": file, "name": chip.name, "like": like})
    else:
        echo(f"{file}: chip {chip.name!r}, started from {like}")


@command.command("import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("-o", "--output", type=OutputFile(), help="Chip file [default: the architecture's name + .yaml].")
@click.option("--soma", default="", help="Soma unit whose costs are taken [default: the first that is no input].")
@click.option("--synapse", default="", help="Synapse unit whose costs are taken [default: the first].")
@json_option
def import_(file: str, output: str | None, soma: str, synapse: str, as_json: bool) -> None:
    """Write the chip file of a SANA-FE architecture (YAML).

    What a chip file cannot hold is named.
    """
    from pathlib import Path

    from simulator.base.errors import InputError
    from simulator.base.writing import replacing
    from simulator.chips.sanafe import chip_from_sanafe, chip_yaml

    chip, notes = chip_from_sanafe(file, soma=soma, synapse=synapse)
    path = Path(output or f"{chip.name}.yaml")
    if path.exists():
        raise InputError(str(path), "is there already", "Name another file with -o")
    with replacing(path) as temporary:
        temporary.write_text(chip_yaml(chip), encoding="utf-8")
    if as_json:
        print_json({"file": str(path), "name": chip.name, "cores": chip.n_cores, "notes": list(notes)})
        return
    echo(f"{path}: chip {chip.name!r}, {chip.n_cores} cores, {chip.topology.cores_per_router} a tile")
    for note in notes:
        echo(f"note: {note}")


@command.command()
def schema() -> None:
    """Print the JSON schema of a chip file, for editors."""
    from simulator.chips.listing import chip_schema

    print_json(chip_schema())

"""`bimhw nir`: look into .nir files, run them on recorded data, write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bimhw.cli.output import json_option, print_json, print_table

_PROFILE = click.option(
    "--profile",
    help="snntorch, spikingjelly, norse, sinabs, euler, exact, or a JSON file (docs/frontends.md).",
)
_DT = click.option("--dt", type=float, help="Time step: seconds, or steps where the file's tau is in steps.")
_MODEL = click.argument("model", type=click.Path(path_type=Path))


@click.group(name="nir")
def command() -> None:
    """Look into .nir files, check them against recorded spikes, write them."""


@command.command()
@_MODEL
@click.option("--data", required=True, type=click.Path(path_type=Path), help=".npz with x [T, B, ...] and out.")
@_PROFILE
@_DT
@json_option
def check(model: Path, data: Path, profile: str | None, dt: float | None, as_json: bool) -> None:
    """Run MODEL on x of the data in the float engine; count the values of out that differ."""
    from bimhw.frontends.nir import check as run

    result = run(model, data, profile, dt)
    if as_json:
        print_json(result.to_json())
        return
    for note in result.notes:
        click.echo(f"note: {note}")
    _print_decays(result.decays)
    kind = "values" if result.exact else "values (beyond 1e-5 + 1e-4 of the value)"
    click.echo(f"{result.differ} of {result.of} {kind} differ; largest difference {result.max_abs_error:.4g}")
    for hint in result.hints:
        click.echo(f"hint: {hint}")


@command.command()
@_MODEL
@_PROFILE
@_DT
@json_option
def show(model: Path, profile: str | None, dt: float | None, as_json: bool) -> None:
    """Print the graph of MODEL, how it would be run, and what each state keeps from step to step."""
    from bimhw.frontends.nir import choose, decays, read_graph
    from simulator.errors import InputError

    graph = read_graph(model)
    kept: dict[str, dict[str, tuple[float, float]]] = {}
    notes = list(graph.notes)
    try:
        chosen = choose(graph, profile, dt, model.stem)
        kept, notes = decays(graph, chosen), [*notes, *chosen.notes]
    except InputError as error:
        if profile is not None or dt is not None:
            raise
        notes.append(str(error))
    if as_json:
        print_json({"nodes": _nodes(graph), "edges": [list(e) for e in graph.edges], "notes": notes, "decays": kept})
        return
    click.echo(str(graph))
    for note in notes:
        click.echo(f"note: {note}")
    _print_decays(kept)


def _nodes(graph: Any) -> dict[str, Any]:
    return {
        n.name: {"type": n.kind, "in_shape": list(n.in_shape), "out_shape": list(n.out_shape)}
        for n in graph.nodes.values()
    }


def _print_decays(kept: Any) -> None:
    rows = [[node, state, low, high] for node, states in kept.items() for state, (low, high) in states.items()]
    if rows:
        print_table("kept from step to step", ["node", "state", "smallest", "largest"], rows)

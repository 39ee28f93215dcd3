"""`bimhw forgetting`: two tasks in a row, and what is left of the first."""

from __future__ import annotations

from typing import Any

import click

from bimhw.cli.output import json_option, print_json, print_table, seed_option


@click.command()
@click.argument("task", default="digits")
@click.option(
    "--cut", type=int, default=5, show_default=True, help="First task: the classes below; second: the others."
)
@click.option("--rule", "rules", multiple=True, help="Learning rule; may be repeated (default: rtrl and bptt).")
@click.option("--hidden", help="Neurons of each layer.")
@click.option("--epochs", type=int, help="Passes over each task.")
@click.option("--lr", type=float, help="Learning rate.")
@seed_option
@json_option
def command(task: str, cut: int, rules: tuple[str, ...], seed: int, as_json: bool, **options: Any) -> None:
    """Learn the classes of TASK in two halves, one after the other, and measure what is forgotten."""
    from bimhw.studies.forgetting import forget_classes

    results = forget_classes(task, cut, rules or ("rtrl", "bptt"), seed, **options)
    if as_json:
        print_json({rule: {**vars(r), "forgotten": r.forgotten} for rule, r in results.items()})
        return
    columns = ("rule", "first, learnt", "first, after the second", "forgotten", "second", "second alone")
    rows = [(k, r.first_before, r.first_after, r.forgotten, r.second_after, r.second_alone) for k, r in results.items()]
    print_table(f"{task}: classes below {cut}, then the others", columns, rows)

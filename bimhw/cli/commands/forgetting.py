"""`bimhw forgetting`: two tasks in a row, and what is left of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.output import json_option, print_json, print_table, seed_option
from bimhw.cli.timing_options import processes_option

if TYPE_CHECKING:
    from bimhw.learning.continual import Keep


@click.command()
@click.argument("task", default="digits")
@click.option(
    "--cut", type=int, default=5, show_default=True, help="First task: the classes below; second: the others."
)
@click.option("--rule", "rules", multiple=True, help="Learning rule; may be repeated (default: rtrl and bptt).")
@click.option("--hidden", help="Neurons of each layer.")
@click.option("--epochs", type=int, help="Passes over each task.")
@click.option("--lr", type=float, help="Learning rate.")
@click.option(
    "--keep",
    type=click.Choice(["none", "replay", "consolidate", "metaplastic"]),
    default="none",
    show_default=True,
    help="How the first task is kept.",
)
@click.option("--samples", type=click.IntRange(1), default=100, show_default=True, help="Samples that replay stores.")
@click.option("--strength", type=float, default=1.0, show_default=True, help="Of consolidate, metaplastic.")
@processes_option
@seed_option
@json_option
def command(
    task: str,
    cut: int,
    rules: tuple[str, ...],
    keep: Keep,
    samples: int,
    strength: float,
    seed: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Learn the classes of TASK in two parts and measure forgetting."""
    from bimhw.studies.forgetting import KeepSettings, forget_classes

    way = KeepSettings(keep=keep, samples=samples, strength=strength)
    results = forget_classes(task, cut, rules or ("rtrl", "bptt"), seed, way, **options)
    if as_json:
        print_json({rule: {**vars(r), "forgotten": r.forgotten} for rule, r in results.items()})
        return
    columns = ("rule", "first, learnt", "first, after the second", "forgotten", "second", "second alone", "words kept")
    rows = [
        (k, r.first_before, r.first_after, r.forgotten, r.second_after, r.second_alone, r.words)
        for k, r in results.items()
    ]
    print_table(f"{task}: classes below {cut}, then the others", columns, rows)

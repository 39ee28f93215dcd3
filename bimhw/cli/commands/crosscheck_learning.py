"""`bimhw crosscheck-learning`: the weights of the STDP and hybrid rules in another simulator."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from bimhw.cli.output import json_option, print_json, print_table, seed_option


@click.command()
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Steps of the pairing.")
@click.option("--pre", "n_pre", type=click.IntRange(1), default=8, show_default=True, help="Presynaptic neurons.")
@click.option("--post", "n_post", type=click.IntRange(1), default=6, show_default=True, help="Postsynaptic neurons.")
@click.option("--target", type=click.Choice(["numpy", "cython"]), default="numpy", show_default=True)
@seed_option
@json_option
def command(as_json: bool, **options: Any) -> None:
    """Compare STDP and hybrid weights with Brian2.

    Random spike pairings change the weights at every step. Exit code 1 where they differ by more than 1e-9.
    """
    from bimhw.evidence.crosscheck.plasticity import TOLERANCE, cross_check_learning

    results = cross_check_learning(**options)
    equal = all(c.equal for c in results)
    if as_json:
        runs = [asdict(c) | {"equal": c.equal} for c in results]
        print_json({"equal": equal, "tolerance": TOLERANCE, "runs": runs})
    else:
        columns = ("rule", "steps", "synapses", "ties", "moved", "at a bound", "difference", "equal")
        rows = [
            (c.rule, c.steps, c.synapses, c.ties, c.moved, c.at_bound, f"{c.difference:.1e}", c.equal) for c in results
        ]
        print_table(f"weights against Brian2, limit {TOLERANCE:g}", columns, rows)
    if not equal:
        sys.exit(1)

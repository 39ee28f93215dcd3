"""`bimhw codesign RUN`: what dominates, break-even with a GPU, the price of learning, the roofline."""

from __future__ import annotations

from pathlib import Path

import click

from bimhw.cli.output import json_option, print_json, print_table


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--gpu", multiple=True, default=("h100",), show_default=True, help="Cards to break even with.")
@click.option("--event-pj", type=float, help="Price of a replayed synaptic event (SEQ, TR, BLK, LAZY).")
@click.option("--block", type=click.IntRange(1), default=64, show_default=True, help="K: steps between updates.")
@click.option("--lookback", type=click.IntRange(0), default=64, show_default=True, help="L: steps that TR looks back.")
@json_option
def command(run: Path, gpu: tuple[str, ...], event_pj: float | None, block: int, lookback: int, as_json: bool) -> None:
    """Answer design questions of RUN, a folder that `bimhw simulate` wrote."""
    from bimhw.codesign import codesign

    result = codesign(run, gpu, event_pj, block, lookback)
    if as_json:
        print_json(result.as_json())
        return
    titles = {
        "energy_sensitivity": "energy per sample: each constant from its low to its high end",
        "time_sensitivity": "step time: each time doubled",
        "break_even": "density of synapses at which the chip costs as much as the GPU (fixed activity)",
        "learning": f"exact learning, a step (K={block}, L={lookback}; third factor and optimiser apart)",
        "roofline": "limits of 1e9 SynOps/s",
    }
    for part, title in titles.items():
        rows = getattr(result, part)
        if rows:
            columns = tuple(rows[0])
            print_table(title, [c.replace("_", " ") for c in columns], [tuple(r[c] for c in columns) for r in rows])
        else:
            click.echo(f"{title}: nothing to say for this run")

"""`bimhw stdp-window`: the weight update against spike-time difference, fitted and judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bimhw.cli.output import PictureFile, json_option, print_json, print_table, seed_option


@click.command()
@click.option("--psp", type=click.Choice(["delta", "exp", "alpha"]), default="alpha", show_default=True, help="Kernel.")
@click.option("--tau-m", type=float, default=5.0, show_default=True, help="Membrane time constant in steps.")
@click.option("--tau-s", type=float, default=2.0, show_default=True, help="Synaptic time constant in steps.")
@click.option(
    "--delta", type=float, default=0.1, show_default=True, help="Delta of the state (1/Delta: its time constant)."
)
@click.option("--direct", type=float, default=1.0, show_default=True, help="D, the direct path.")
@click.option("--lambda", "lambdas", type=float, multiple=True, help="Weight of the gradient; may be repeated.")
@click.option("--trained", is_flag=True, help="Also train a network on digits and measure there.")
@click.option("--epochs", type=int, default=4, show_default=True, help="Of that training.")
@click.option("--plot", type=PictureFile(), help="Write the curves as .png, .svg or .pdf.")
@seed_option
@json_option
def command(
    lambdas: tuple[float, ...], trained: bool, epochs: int, plot: Path | None, seed: int, as_json: bool, **o: Any
) -> None:
    """Measure the weight update against t_post - t_pre.

    Section 4.6 of the BIM paper claims the STDP window.
    """
    from bimhw.studies.learning_cost.api import stdp_window
    from bimhw.studies.learning_cost.plots import plot_window

    found = stdp_window(lambdas=lambdas or (1.0, 0.9, 0.5, 0.1), trained=trained, epochs=epochs, seed=seed, **o)
    if plot is not None:
        plot_window(found.pairing, found.trained, plot)
    if as_json:
        print_json(found.as_json())
        return
    columns = ("curve", "tau, all lags", "R2", "peak lag", "tau from peak", "R2")
    curves = [*found.pairing, *found.trained]
    rows = [(c.name, c.fit.tau, c.fit.r2, c.from_peak.first, c.from_peak.tau, c.from_peak.r2) for c in curves]
    print_table("weight update against t_post - t_pre >= 0", columns, rows)
    click.echo(found.verdict)

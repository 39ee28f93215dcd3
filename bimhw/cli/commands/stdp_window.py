"""`bimhw stdp-window`: the weight update against spike-time difference, fitted and judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bimhw.cli.output import OutputFile, json_option, print_json, print_table, seed_option


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
@click.option("--plot", type=OutputFile(), help="Write the curves as .png, .svg or .pdf.")
@seed_option
@json_option
def command(
    lambdas: tuple[float, ...], trained: bool, epochs: int, plot: Path | None, seed: int, as_json: bool, **o: Any
) -> None:
    """Measure the update of a synapse against t_post - t_pre (section 4.6 of the BIM paper): is it the STDP window?"""
    from bimhw.studies.learning_cost.plots import check_plot, plot_window
    from bimhw.studies.learning_cost.window import pairing_config, trained_verdict, verdict, window

    if plot is not None:
        check_plot(plot)
    config, chosen = pairing_config(o["psp"], o["tau_m"], o["tau_s"]), lambdas or (1.0, 0.9, 0.5, 0.1)
    curves = window(config, chosen, o["delta"], o["direct"])
    learned = _trained(o["psp"], epochs, seed, chosen) if trained else []
    text = "\n".join([verdict(curves), *([trained_verdict(learned)] if learned else [])])
    if plot is not None:
        plot_window(curves, learned, plot)
    if as_json:
        print_json({"pairing": [c.facts() for c in curves], "trained": [c.facts() for c in learned], "verdict": text})
        return
    columns = ("curve", "tau, all lags", "R2", "peak lag", "tau from peak", "R2")
    rows = [
        (c.name, c.fit.tau, c.fit.r2, c.from_peak.first, c.from_peak.tau, c.from_peak.r2) for c in [*curves, *learned]
    ]
    print_table("weight update against t_post - t_pre >= 0", columns, rows)
    click.echo(text)


def _trained(psp: str, epochs: int, seed: int, lambdas: tuple[float, ...]) -> list[Any]:
    from bimhw.learning.api import train
    from bimhw.models.bim.net import as_bim
    from bimhw.studies.learning_cost.window import bernoulli_digits, trained_window

    task = bernoulli_digits(seed=seed)
    result = train(task, psp=psp, epochs=epochs, seed=seed)
    return trained_window(as_bim(result.model, "the window"), task, lambdas=lambdas)

"""`bimhw learning-cost`: memory and operations of BPTT, RTRL and SEQ as functions of T, break-even measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bimhw.cli.output import PictureFile, json_option, print_json, print_table, seed_option


@click.command()
@click.option("--inputs", type=click.IntRange(1), default=64, show_default=True, help="Inputs M.")
@click.option("--hidden", type=click.IntRange(1), default=64, show_default=True, help="Neurons H.")
@click.option("--kind", type=click.Choice(["diag", "s6"]), default="diag", show_default=True, help="Layer kind.")
@click.option("--states", type=click.IntRange(1), default=1, show_default=True, help="States per neuron (s6).")
@click.option("--psp", type=click.Choice(["delta", "exp", "alpha"]), default="alpha", show_default=True, help="Kernel.")
@click.option("--steps", default="16,64,256,1024", show_default=True, help="Lengths T.")
@click.option("--rate", type=float, default=0.1, show_default=True, help="Share of inputs that spike.")
@click.option(
    "--stream", type=click.IntRange(10), help="Also run RTRL on a stream of this many steps and measure its memory."
)
@click.option("--rule", help="Count one local rule in a layer of leaky neurons instead (e-prop, ottt, ...).")
@click.option("--plot", type=PictureFile(), help="Write memory and work against T as .png, .svg or .pdf.")
@seed_option
@json_option
def command(
    steps: str, rate: float, stream: int | None, rule: str | None, plot: Path | None, seed: int, as_json: bool, **o: Any
) -> None:
    """Measure memory and operations of RTRL and BPTT.

    The result names the length T from which RTRL takes less memory.
    """
    from bimhw.learning.recipe import integers
    from bimhw.models.bim.config import BimConfig
    from bimhw.models.bim.net import BimNet
    from bimhw.studies.learning_cost.api import learning_cost
    from bimhw.studies.learning_cost.cost import WORDS, stream_memory
    from bimhw.studies.learning_cost.plots import plot_cost

    if rule is not None:
        _print_rule(rule, o["inputs"], o["hidden"], as_json)
        return
    result = learning_cost(steps=integers("steps", steps), rate=rate, seed=seed, **o)
    if plot is not None:
        plot_cost(result, plot)
    memory = []
    if stream:
        shape = {"n_in": o["inputs"], "hidden": (o["hidden"],), "n_out": 10, "n_states": o["states"]}
        memory = stream_memory(BimNet(BimConfig(kind=o["kind"], psp=o["psp"], **shape), seed), stream, seed=seed)
    if as_json:
        keys = ("step", "trace_bytes", "resident_bytes")
        print_json(result.facts() | {"stream": [dict(zip(keys, row, strict=True)) for row in memory]})
        return
    columns = ("T", "BPTT KiB", "RTRL KiB", "SEQ KiB", "BPTT ops/step", "RTRL ops/step", "SEQ ops/step")
    figures = ("bptt_bytes", "rtrl_bytes", "seq_bytes", "bptt_ops", "rtrl_ops", "seq_ops")
    rows = [
        (r.steps, r.bptt_bytes / 1024, r.rtrl_bytes / 1024, r.seq_bytes / 1024, r.bptt_ops, r.rtrl_ops, r.seq_ops)
        for r in result.rows
    ]
    print_table("learning of one sequence (float32)", columns, [*rows, ("", *(WORDS[key] for key in figures))])
    click.echo(f"trace words per parameter: {result.trace_words_per_parameter:.2f} ({result.parameters:,} parameters)")
    click.echo(_sentence("BPTT", result.break_even_bptt) + "; " + _sentence("SEQ", result.break_even_seq))
    if memory:
        streamed = [(t, words / 1024, resident / 1024**2) for t, words, resident in memory]
        print_table("RTRL on a stream", ("step", "traces KiB", "process MiB"), streamed)


def _print_rule(rule: str, inputs: int, hidden: int, as_json: bool) -> None:
    import msgspec

    from bimhw.studies.learning_cost.rules import rule_cost

    cost = msgspec.to_builtins(rule_cost(rule, inputs, hidden))
    if as_json:
        print_json(cost)
        return
    rows = [(name.replace("_", " "), value) for name, value in cost.items()]
    print_table(f"{inputs} inputs, {hidden} leaky neurons, 10 classes, counted", ("quantity", "value"), rows)


def _sentence(name: str, steps: int | None) -> str:
    if steps is None:
        return f"RTRL takes more memory than {name} at every T measured"
    return f"RTRL takes less memory than {name} from T = {steps} on"

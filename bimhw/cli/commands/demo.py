"""`bimhw demo`: the whole way on digits, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bimhw.cli.output import echo, json_option, print_json, print_table, progress, seed_option


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True)
@click.option("--chip", default="loihi2", show_default=True, help="Chip to compile for.")
@click.option("--gpu", default="h100", show_default=True, help="GPU to compare with.")
@click.option("--epochs", type=click.IntRange(1), help="Fewer passes than the preset's, to try things out.")
@click.option("--samples", type=click.IntRange(1), help="Test samples on the chip; all by default.")
@seed_option
@json_option
def command(output: Path, chip: str, gpu: str, seed: int, as_json: bool, **options: Any) -> None:
    """Train, compile, simulate and compare with a GPU, once through.

    A BIM network learns online, runs on the simulated chip, and ends in a report.
    """
    from bimhw.studies.demo import demo

    def say(line: str) -> None:
        if not as_json:
            echo(f"- {line}", err=True)

    with progress("training", None, "sequences") as advance:
        done = demo(output, chip=chip, gpu=gpu, seed=seed, say=say, progress=advance, **options)
    if as_json:
        files = {k: str(getattr(done, k)) for k in ("model", "program", "run", "report")}
        print_json(files | dict(done.figures) | {"seconds": dict(done.seconds)})
        return
    print_table(f"digits, row by row, on {chip}", ("quantity", "value"), rows(done.figures))
    for line in (
        f"unknown, in no sum: {', '.join(done.figures['energy_unknown']) or 'nothing'}",
        *done.figures["verdict"],
    ):
        echo(line)
    echo(f"report {done.report}")


def rows(figures: Any) -> list[tuple[str, str]]:
    """Return the demonstration's table: name, text."""
    from simulator.base.shown import si

    train, compiled, run, energy = (figures[k] for k in ("training", "compile", "simulation", "energy"))
    differ = run["spikes_that_differ"] / run["spike_slots"]
    first = next(iter(figures["per_sample"].values()))
    out = [
        ("accuracy, float model", f"{run['float_accuracy']:.1%}"),
        ("accuracy, chip (int8 weights, integer states)", f"{run['accuracy']:.1%}"),
        ("decisions that agree / neuron-steps whose spike differs", f"{run['decisions_agree']:.1%} / {differ:.2%}"),
        ("trained online: updates, sequences", f"{train['updates']:,}, {train['sequences']:,}"),
        ("neurons, synapses, cores", f"{compiled['neurons']:,}, {compiled['synapses']:,}, {compiled['cores']}"),
        ("spikes per sample", f"{run['spikes_per_sample']:.0f}"),
        ("ticks per step (of {:g} ns)".format(run["tick_ns"]), f"{run['mean_step_ticks']:,.0f}"),
        ("latency of a sample", si(run["mean_latency_us"] * 1e-6, "s") + _time_range(run["mean_latency_us"], first)),
        ("energy per SynOp, dynamic / total", _two(energy, "dynamic_pj_per_synop", "total_pj_per_synop", 1e-12)),
        ("energy per step, dynamic / total", _two(energy, "dynamic_nj_per_step", "total_nj_per_step", 1e-9)),
        (
            "energy per inference, dynamic / total",
            _two(energy, "dynamic_uj_per_inference", "total_uj_per_inference", 1e-6),
        ),
    ]
    for name, row in figures["per_sample"].items():
        low, high = row["low_uj"] * 1e-6, (row["high_uj"] or row["uj"]) * 1e-6
        lacks = " + unknown" if row["unknown"] else ""
        out.append((name, f"{si(row['uj'] * 1e-6, 'J')}{lacks}  ({si(low, 'J')} .. {si(high, 'J')}), {row['word']}"))
    return out


def _time_range(latency_us: float, row: Any) -> str:
    """Return the range of the latency, in proportion to that of a sample's time, and its word."""
    from simulator.base.shown import si

    if row["low_us"] is None or row["high_us"] is None:
        return ""
    low, high = (latency_us * row[end] / row["us"] * 1e-6 for end in ("low_us", "high_us"))
    return f"  ({si(low, 's')} .. {si(high, 's')}), {row['time_word']}"


def _two(figures: Any, first: str, second: str, scale: float) -> str:
    from simulator.base.shown import si

    return f"{si(figures[first] * scale, 'J')} / {si(figures[second] * scale, 'J')}"

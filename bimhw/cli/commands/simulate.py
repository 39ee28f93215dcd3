"""`bimhw simulate x.bimhw`: run a program on the simulated chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bimhw.cli.output import OutputFile, echo, force_option, json_option, print_json, print_table, progress, seed_option
from bimhw.cli.task_options import take_task, with_task_options
from bimhw.cli.timing_options import describe_sample, with_timing_options

MOST_CORES = 12  # that are printed of those that saturated; all are in result.json


@click.command()
@click.argument("program", type=click.Path(path_type=Path))
@click.option(
    "--task",
    help="Task or text to run [the program's own task or inputs].",
)
@with_task_options
@click.option("--samples", type=int, help="Number of test samples (of a text: of its 16 stretches); all by default.")
@click.option(
    "--decode",
    type=click.Choice(["count", "first", "membrane", "max"]),
    help="How outputs become answers [as the network specifies].",
)
@click.option(
    "--engine",
    default="compiled",
    show_default=True,
    type=click.Choice(["compiled", "simpy", "clocked", "bound", "events", "none"]),
    help="Timing of the spikes; events: computes and times in one; none: function only.",
)
@click.option(
    "--sync",
    type=click.Choice(["barrier", "tick", "neighbour", "free"]),
    default="barrier",
    show_default=True,
    help="Synchronisation of steps; neighbour: wait only for cores that exchange spikes; free: no steps.",
)
@click.option("--period", metavar="TIME", help="Length of a tick of --sync tick or free, such as 1ms.")
@click.option("--chip", help="Chip name or YAML file [the program's own].")
@click.option("--model", type=click.Path(path_type=Path), help="Float model to compare with.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder.")
@click.option("--trace", type=OutputFile(), help="Trace of a window: .npz, .json (Perfetto), .vcd.")
@click.option("--trace-window", default="0:20", show_default=True, metavar="T0:T1", help="Steps of the trace.")
@click.option("--trace-cores", metavar="C,C,...", help="Cores of the trace; all by default.")
@click.option("--faults", type=click.Path(path_type=Path), help="YAML file of hardware faults (docs/function.md).")
@click.option("--strict", is_flag=True, help="A value that leaves its word is an error instead of a count.")
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), help="Checkpoint file; the run resumes from it if it exists."
)
@click.option(
    "--checkpoint-every", type=click.IntRange(min=1), default=1000, show_default=True, help="Steps between checkpoints."
)
@with_timing_options
@click.option("--dask", help="Address of a Dask scheduler; samples and chunks of steps are its tasks.")
@force_option
@seed_option
@json_option
def command(
    program: Path,
    samples: int | None,
    trace_window: str,
    trace_cores: str | None,
    faults: Path | None,
    period: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run PROGRAM on its simulated chip: accuracy, spikes, cycles.

    -o names the run folder that `energy` and `report` read.
    """
    from bimhw.runs.request import parse_period
    from bimhw.runs.simulate import simulate
    from bimhw.runs.time_range import time_range
    from bimhw.runs.trace import parse_window
    from simulator.base.errors import InputError
    from simulator.program.faults import read_faults

    try:
        cores = None if trace_cores is None else [int(c) for c in trace_cores.split(",")]
    except ValueError as error:
        raise InputError(f"--trace-cores {trace_cores!r}", "is no list of core numbers", "For example 0,1,5") from error
    options |= {"trace_window": parse_window(trace_window), "trace_cores": cores}
    options["faults"] = None if faults is None else read_faults(faults)
    options["period_ns"] = None if period is None else parse_period(period)
    task = take_task(options)
    with progress("simulating", None) as advance:
        done = simulate(program, task, samples=samples, progress=advance, **options)
    times = time_range(done.folder)
    if as_json:
        print_json({"run": str(done.folder)} | dict(done.result) | times | {"manifest": dict(done.manifest)})
        return
    print_table(f"{program} on {done.manifest['chip']}", ("quantity", "value"), with_times(rows(done.result), times))
    if "layers" in done.result:
        title = "compared with the float model, by layer (model steps)"
        print_table(
            title, ("layer", "differ", "of neuron-steps", "rate", "float rate", "rms error"), _layers(done.result)
        )
    if "outputs" in done.result:
        columns, lines = output_rows(done.result["outputs"])
        print_table("each output by its own labels, targets or recorded values", columns, lines)
    saturations = done.result["saturations"]
    if saturations["total"]:
        by_core = sorted(saturations["by_core"].items(), key=lambda item: -item[1])[:MOST_CORES]
        print_table("saturated values by core", ("core", "values"), by_core)
    if "confusion" in done.result:
        print_table("label (rows) and answer", *_confusion(done.result["confusion"]))
    if done.result.get("faults"):
        print_table("faults", ("what", "count"), list(done.result["faults"].items()))
    if "timing_sample" in done.result:
        echo(describe_sample(done.result["timing_sample"]))
    for note in done.result.get("notes", ()):
        echo(f"note: {note}")
    echo(f"run {done.folder}")


def _confusion(table: list[list[int]]) -> tuple[list[str], list[list[object]]]:
    """Return the rows of labels that occur."""
    rows = [[str(k), *row] for k, row in enumerate(table) if any(row)]
    return ["", *(str(k) for k in range(len(table)))], rows


def output_rows(outputs: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of the figures that some output has."""
    keys = [k for k in _NAMES if any(k in one for one in outputs.values())]
    table = [[name, *(_shown(one.get(k)) for k in keys)] for name, one in outputs.items()]
    return ["output", *(_NAMES[k].strip() for k in keys)], table


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _layers(result: Any) -> list[tuple[Any, ...]]:
    """Return the differences of each layer; a layer that sends its membrane is judged by its error."""
    return [
        (
            la["population"],
            "" if la["graded"] else la["differ"],
            la["of"],
            f"{la['rate']:.3f}",
            f"{la['float_rate']:.3f}",
            f"{la['rms_error']:.1%}",
        )
        for la in result["layers"]
    ]


_NAMES = {
    "task": "task",
    "samples": "samples",
    "bits_per_character": "bits per character on the chip",
    "float_bits_per_character": "bits per character of the float model",
    "perplexity": "perplexity on the chip",
    "float_perplexity": "perplexity of the float model",
    "scored_symbols": "symbols scored",
    "auc_roc": "AUC-ROC on the chip",
    "float_auc_roc": "AUC-ROC of the float model",
    "auc_pr": "AUC-PR on the chip",
    "float_auc_pr": "AUC-PR of the float model",
    "accuracy": "accuracy on the chip",
    "float_accuracy": "accuracy of the float model",
    "rms_error": "RMS error on the chip",
    "relative_rms_error": "  over the spread of the targets",
    "float_rms_error": "RMS error of the float model",
    "decisions_agree": "decisions that agree",
    "float_decisions_agree": "decisions that agree with the float model",
    "recorded_accuracy": "accuracy of the recorded outputs",
    "recorded_decisions_agree": "decisions that agree with the recorded outputs",
    "recorded_differ": "values that quantisation changes in the recorded outputs",
    "recorded_of": "of values",
    "recorded_rms_error": "relative RMS error of the recorded outputs",
    "scores_rms_error": "relative error of the scores",
    "spikes_per_sample": "spikes per sample",
    "spikes_per_sample_same_steps": "  in the sample's own steps",
    "float_spikes_per_sample": "  of the float model",
    "spikes_that_differ": "neuron-steps where spikes differ",
    "spike_slots": "of neuron-steps",
    "spike_rate": "spikes per neuron and step",
    "mean_step_ticks": "ticks per step, mean",
    "max_step_ticks": "ticks per step, largest",
    "tick_ns": "tick (ns)",
    "mean_latency_us": "latency of a sample (us)",
    "p99_latency_us": "latency, 99th percentile (us)",
    "samples_per_s": "samples per second",
    "late_packets": "late packets",
}


def with_times(
    figures: Sequence[tuple[str, object]], times: Mapping[str, str | float | None]
) -> list[tuple[str, object]]:
    """Return the figures, the latency with its range and its word."""
    from bimhw.runs.time_range import time_note
    from simulator.base.shown import significant

    latency = _NAMES["mean_latency_us"]
    return [
        (n, f"{significant(v, 4)}{time_note(times)}") if n == latency and isinstance(v, float) else (n, v)
        for n, v in figures
    ]


def rows(result: Any) -> list[tuple[str, Any]]:
    """Return the figures of a result under readable names."""
    saturated = result.get("saturations", {"total": 0})["total"]
    return [(name, result[key]) for key, name in _NAMES.items() if key in result] + [("saturated values", saturated)]

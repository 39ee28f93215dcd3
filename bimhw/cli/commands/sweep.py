"""`bimhw sweep TASK|MODEL`: accuracy, energy and latency over any axes."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from bimhw.cli.output import PictureFile, echo, json_option, print_json, print_table, progress
from bimhw.cli.task_options import data_values, with_task_options
from bimhw.cli.timing_options import processes_option
from simulator.base.shown import ends, significant
from simulator.base.text import counted


@click.command()
@click.argument("source")
@click.option("--sparsity", help="Shares of synapses to prune while training, e.g. 0,0.5,0.9.")
@click.option("--bits", help="Bits of a weight, e.g. 8,4.")
@click.option("--rate", help="Spike rates that the regulariser aims at.")
@click.option("--lambda", "lam", help="Weights of the gradient against STDP.")
@click.option("--chip", help="Chips, by name or YAML file; loihi2 if not given.")
@click.option(
    "--neurons-per-core",
    "--cores",
    "cores",
    help="Most neurons on a core. The number of cores: --axis topology.width=2,4,8.",
)
@click.option("--mapping", help="Mappers, e.g. auto,blocks (see `compile`); auto if not given.")
@click.option("--copies", help="Copies of the network, a sample on each, e.g. 1,4,max: latency against throughput.")
@click.option("--objective", help="What mappings minimise, e.g. time,energy; edp if not given.")
@click.option("--supply", help="Supply voltages [V].")
@click.option("--node", help="Process nodes [nm].")
@click.option("--seeds", help="Seeds, e.g. 0,1,2.")
@click.option(
    "--axis",
    multiple=True,
    metavar="NAME=V1,V2",
    help="Any option of `train`, or a number of the chip file, like topology.width=2,4.",
)
@click.option("--set", "fixed", multiple=True, metavar="NAME=VALUE", help="Training option of all points.")
@click.option("--preset", help="Training preset.")
@click.option("--task", help="Task of a model file that names none.")
@with_task_options
@click.option("--gpu", help="GPU whose fused bound is compared.")
@click.option("--profile", help="Profile of a .nir file (docs/frontends.md).")
@click.option("--dt", type=float, help="Time step of a .nir file.")
@click.option("--samples", type=int, help="Test samples a point; all by default.")
@click.option("--engine", default="compiled", show_default=True, help="Timing engine, or none.")
@click.option("--db", type=click.Path(path_type=Path), default=Path("sweep.sqlite"), show_default=True, help="Results.")
@processes_option
@click.option("--dask", help="Address of a Dask scheduler; its workers must see the results' folder.")
@click.option("--optuna", type=int, help="Search with this many trials (Optuna) instead of the whole product.")
@click.option("--retry", is_flag=True, help="Repeat failed points.")
@click.option("--plot", type=PictureFile(), help="Write a plot (.png, .svg, .pdf).")
@json_option
def command(source: str, as_json: bool, plot: Path | None, **options: Any) -> None:
    """Sweep axes of training, compilation and chip.

    SOURCE is a task or a model file. Finished points are stored: a killed sweep resumes when it is run again.
    """
    from bimhw.studies.sweep.api import sweep
    from bimhw.studies.sweep.plot import plot_sweep
    from bimhw.tasks.named import named_values

    axes = _axes(options)
    total = options["optuna"] or math.prod(len(values) for values in axes.values())
    with progress("sweep", total, "points") as advance:
        result = sweep(
            source, axes, options=named_values(options["fixed"], "training option", "epochs=4"),
            reading={k: options[k] for k in ("profile", "dt") if options[k] is not None},
            data_options=data_values(options["encode"], options["data_options"]), trials=options["optuna"],
            progress=advance,
            **{k: options[k] for k in ("preset", "samples", "task", "engine", "data", "task_options", "db", "workers",
                                       "dask", "retry", "gpu")},
        )  # fmt: skip
    if as_json:
        counts = {"computed": result.computed, "functional_runs": result.functional_runs, "failed": result.failed}
        print_json({"rows": list(result.rows), "over_seeds": result.over_seeds(), **counts})
    else:
        _print(result, list(axes))
    if plot is not None and result.failed < len(result.rows):  # without a finished point there is nothing to draw
        plot_sweep(result, plot)
    if result.failed:
        echo(f"{result.failed} of {len(result.rows)} points failed; --retry repeats them", err=True)
        sys.exit(1)


def _axes(options: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    from bimhw.tasks.named import split_pair

    names = {"lam": "lambda", "seeds": "seed"}
    out = {}
    hardware = ("chip", "cores", "mapping", "copies", "objective", "supply", "node")
    for name in ("sparsity", "bits", "rate", "lam", "seeds", *hardware):
        if options[name] is not None:
            out[names.get(name, name)] = _values(options[name])
    for text in options["axis"]:
        name, values = split_pair(text, "axis", "epochs=2,4")
        out[name] = _values(values)
    return out


def _values(text: str) -> tuple[Any, ...]:
    from bimhw.tasks.named import read_value

    return tuple(read_value(part) for part in text.split(",") if part)


# figure -> (heading, factor); headings break at blanks, so that a row fits a terminal
_COLUMNS = {
    "accuracy": ("accuracy %", 100.0),
    "density": ("kept %", 100.0),
    "spike_rate": ("spike rate", 1.0),
    "total_uj": ("total µJ", 1.0),
    "trust": ("trust", 1.0),
    "synapse_uj": ("SynOp µJ", 1.0),
    "synapse_uj_fixed_activity": ("fixed µJ", 1.0),
    "pruned_synops_fixed_activity": ("pruned fixed", 1.0),
    "latency_us": ("latency µs", 1.0),
    "time_trust": ("trust", 1.0),
    "samples_per_s": ("samples/s", 1.0),
    "full_uj": ("full chip µJ", 1.0),
    "learning_uj": ("learning µJ", 1.0),
    "learners_uj": ("full chip learning µJ", 1.0),
    "card_uj": ("card µJ", 1.0),
    "card_full_uj": ("card, best batch µJ", 1.0),
    "cores": ("cores", 1.0),
}
_MODES = ("full_uj", "learning_uj", "learners_uj", "card_uj", "card_full_uj")  # shown beside a card
_FIXED = ("synapse_uj_fixed_activity", "pruned_synops_fixed_activity")


def _heading(axis: str) -> str:
    return "neurons per core" if axis == "cores" else axis  # the figure `cores` is the number of cores in use


def _print(result: Any, axes: list[str]) -> None:
    done = [r for r in result.rows if r["status"] == "done"]
    has_fixed = any(r[_FIXED[0]] is not None for r in done)
    left_out: tuple[str, ...] = ("density",) if has_fixed else _FIXED  # what the axis says already
    left_out += () if "copies" in axes else ("samples_per_s",)
    left_out += () if any(r.get("card") for r in done) else _MODES
    figures = [f for f in _COLUMNS if f not in left_out]
    seeds = len({r["axes"].get("seed") for r in done})
    rows = [
        (
            *(str(r["axes"][a]) for a in axes),
            *(_ranged(r, f, _COLUMNS[f][1]) for f in figures),
            r["status"] if seeds > 1 or r["status"] != "done" else "*" if r["pareto"] else "",
        )
        for r in result.rows
    ]
    headings = (*map(_heading, axes), *(_COLUMNS[f][0] for f in figures), "status" if seeds > 1 else "front")
    print_table("sweep (energies and times of a sample)", headings, rows, keys=len(axes))
    if seeds > 1:
        _print_over_seeds(result.over_seeds(), [a for a in axes if a != "seed"])
    for reason, points in _failed(result.rows).items():
        more = f" and {len(points) - 1} more" if len(points) > 1 else ""
        which = ", ".join(f"{k} {v}" for k, v in points[0].items())
        echo(f"failed: {which}{more}{': ' if which else ''}{reason}")
    if done:
        _print_quality(done)
    if cards := sorted({r["card"] for r in done if r.get("card")}):
        echo(
            f"card: fused bound of {', '.join(cards)}, one sample at a time and at the best batch; full chip: as many copies as "
            "fit (of learning: separate learners with their own networks)"
        )
    if has_fixed:
        echo(
            "fixed: SynOps under the spikes of the least sparse point of the same seed; pruned fixed: those of the projections "
            "that are pruned, relative to that point (1 - sparsity if pruning ignores activity)"
        )
    computed, runs = counted(result.computed, "point"), counted(result.functional_runs, "functional run")
    echo(f"{computed} computed, {len(result.rows) - result.computed:,} stored; {runs} in all")


def _print_quality(done: list[dict[str, Any]]) -> None:
    """Print the qualities of energies and times, and how many programs are faithful to their networks."""

    def words(key: str) -> str:
        return ", ".join(dict.fromkeys(str(r[key]) for r in done if r.get(key))) or "unknown"

    more = {"all copies": "full_trust", "learning": "learning_trust", "the card": "card_trust"}
    shown = "".join(f"; of {what}: {words(key)}" for what, key in more.items() if any(r.get(key) for r in done))
    echo(f"quality of energies: {words('trust')}; of times: {words('time_trust')}{shown}")
    rough = [r["fidelity"].partition(": ")[2] for r in done if str(r.get("fidelity")).startswith("approximate")]
    kept = sum(str(r.get("fidelity")).startswith("faithful") for r in done)
    such = f"; {len(rough)} approximate, such as: {rough[0]}" if rough else ""
    echo(f"faithful to their networks: {kept:,} of {counted(len(done), 'program')}{such}")


def _failed(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, object]]]:
    """Return reason -> axes of the points that failed for it."""
    found: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        if row["status"] == "failed":
            found.setdefault(row["reason"], []).append(row["axes"])
    return found


def _print_over_seeds(rows: list[dict[str, Any]], axes: list[str]) -> None:
    def cell(row: dict[str, Any], name: str, factor: float) -> str:
        mean, deviation = row[f"{name}_mean"], row[f"{name}_sd"]
        return "" if mean is None else _spread(mean * factor, None if deviation is None else deviation * factor)

    figures = (("accuracy", 100.0), ("spike_rate", 1.0))
    body = [
        (
            *(str(r[a]) for a in axes),
            r["seeds"],
            *(cell(r, name, factor) for name, factor in figures),
            cell(r, "total_uj", 1.0) + ends(r.get("total_low_uj_mean"), r.get("total_high_uj_mean")),
            r["trust"],
            cell(r, "latency_us", 1.0) + ends(r.get("latency_low_us_mean"), r.get("latency_high_us_mean")),
            r["time_trust"],
            "*" if r["pareto"] else "",
        )
        for r in rows
    ]
    headings = (
        *map(_heading, axes),
        "seeds",
        "accuracy %",
        "spike rate",
        "total µJ",
        "trust",
        "latency µs",
        "trust",
        "front",
    )
    print_table("mean ± standard deviation over seeds (n - 1), mean low .. high", headings, body, keys=len(axes))


def _ranged(row: dict[str, Any], name: str, factor: float) -> str:
    """Return a figure with its range, where it has one; a word as it is."""
    value = row.get(name)
    if isinstance(value, str):
        return value
    stem, _, unit = name.rpartition("_")
    return _cell(value, factor) + ends(row.get(f"{stem}_low_{unit}"), row.get(f"{stem}_high_{unit}"))


def _spread(mean: float, deviation: float | None) -> str:
    """Format mean and deviation, both to the second digit of the deviation."""
    if not deviation:
        return significant(mean, 4) + ("" if deviation is None else "±0")
    decimals = max(0, 1 - math.floor(math.log10(deviation)))
    return f"{mean:.{decimals}f}±{deviation:.{decimals}f}"  # one word: a table does not break it


def _cell(value: Any, factor: float) -> str:
    return "" if value is None else significant(value * factor, 3)

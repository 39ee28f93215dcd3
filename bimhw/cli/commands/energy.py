"""`bimhw energy RUN`: every joule of a run with its source, beside GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bimhw.cli.comparison import copies_option, print_comparison
from bimhw.cli.output import echo, json_option, print_json, print_table
from bimhw.cli.pilot import take_pilot, with_pilot_options

if TYPE_CHECKING:
    from bimhw.costs.result import Energy
    from energy_models.items import EnergyReport, Grouping, Item
    from energy_models.spread import Spread


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--chip", help="Apply another chip's constants (name or YAML file).")
@click.option(
    "--gpu",
    multiple=True,
    help="GPU to compare with: h100, a100, orin-nano, agx-orin, i7-4960x (a CPU), or a YAML file.",
)
@click.option(
    "--explain",
    metavar="ITEM|ROW",
    help="Show the arithmetic of one item, by name or key, or of 'all'. Of a row: run, copies, a form of learning (seq ...), "
    "learners, or a card of --gpu.",
)
@click.option(
    "--bound", multiple=True, metavar="KEY=LOW:HIGH", help="Your bounds [pJ] for a constant that was never published."
)
@click.option(
    "--by",
    type=click.Choice(["item", "hardware", "kind", "core", "layer", "step"]),
    help="Group the energy; each grouping has the same total.",
)
@click.option("--supply", "supply_v", type=float, help="Scale the chip's energies to this supply [V].")
@click.option("--node", "process_nm", type=float, help="Scale the chip's energies to this node [nm].")
@click.option("--scan", is_flag=True, help="Add a parallel scan over time on the GPU (a bound: resets forbid it).")
@copies_option
@click.option(
    "--block", type=click.IntRange(1), default=16, show_default=True, help="K: steps between updates (tr, blk)."
)
@click.option("--lookback", type=click.IntRange(0), default=32, show_default=True, help="L: steps that tr looks back.")
@with_pilot_options
@click.option("--measure", type=click.Path(path_type=Path), help="Run this model file on this machine's NVIDIA card.")
@json_option
def command(
    run: Path,
    chip: str | None,
    gpu: tuple[str, ...],
    explain: str | None,
    bound: tuple[str, ...],
    supply_v: float | None,
    process_nm: float | None,
    by: str | None,
    scan: bool,
    copies: int | None,
    block: int,
    lookback: int,
    pilot: int | None,
    measure: Path | None,
    as_json: bool,
    **task: object,
) -> None:
    """Itemise the energy of RUN and compare it with a GPU.

    RUN is a folder that `bimhw simulate` wrote.
    """
    from bimhw.costs.compare import energy
    from bimhw.costs.plan import LearningPlan

    bounds = dict(_bound(text) for text in bound)
    result = energy(
        run, chip, gpu, bounds=bounds, supply_v=supply_v, process_nm=process_nm, measure=measure, scan=scan, copies=copies,
        plan=LearningPlan(block=block, lookback=lookback), pilot=take_pilot(run, pilot, task),
    )  # fmt: skip
    if by is not None:
        _by(result.report, by, as_json)
        return
    if explain is not None:
        _explain(result, explain, gpu, as_json)
        return
    if as_json:
        print_json(result.as_json())
        return
    _print(result)


def _bound(text: str) -> tuple[str, tuple[float, float]]:
    from simulator.base.errors import InputError

    try:
        key, ends = text.split("=")
        low, high = ends.split(":")
        return key, (float(low), float(high))
    except ValueError as error:
        raise InputError(f"--bound {text!r}", "is not KEY=LOW:HIGH", "For example: --bound spike=0:70") from error


def _explain(result: Energy, name: str, cards: Sequence[str], as_json: bool) -> None:
    """Print the arithmetic of an item, of all, of a row of the chip, or of a card's rows."""
    from bimhw.costs.explain import chip_rows, explain_chip

    rows = chip_rows(result)
    if name in rows or name in cards:
        texts = [explain_chip(name, rows[name])] if name in rows else _explained_card(result, name)
        if as_json:
            print_json([{"row": name, "explanation": text} for text in texts])
            return
        for text in texts:
            echo(text)
        return
    best = result.best_learning
    items = list(result.report.items)
    items += [] if best is None else [i for i in best.nominal.items if i.hardware == "learning"]
    if name != "all":
        items = [i for i in items if name in (i.name, i.key)] or [_no_row(result, name)]
    if as_json:
        print_json([i.as_json() | {"explanation": i.explain()} for i in items])
        return
    for item in items:
        echo(item.explain())


def _no_row(result: Energy, name: str) -> Item:
    """Return an item of the report, or say which command prices a rule."""
    from bimhw.studies.learning_cost.rules import is_rule, priced_elsewhere

    if is_rule(name):
        raise priced_elsewhere(name)
    return result.report.item(name)


def _explained_card(result: Energy, name: str) -> list[str]:
    from bimhw.costs.explain import explain_card
    from energy_models.gpu_card import load_gpu

    card, steps = load_gpu(name), max(1, round(result.steps_per_sample))
    return [explain_card(c, card, steps) for c in result.gpu if c.gpu == card.name]


def _by(report: EnergyReport, grouping: str, as_json: bool) -> None:
    """Print one grouping; what belongs to the chip as a whole is the entry `chip`, unknown items are named."""
    parts, total = (
        report.spread_by("population" if grouping == "layer" else cast("Grouping", grouping)),
        report.energy_pj(),
    )
    if as_json:
        spreads = {k: s.as_json() for k, s in parts.items()}
        pj = {k: s.nominal for k, s in parts.items()}
        print_json({"by": grouping, "pj": pj, "spreads": spreads, "total_pj": total, "unknown": list(report.unknown)})
        return
    kept = parts if grouping == "step" else {k: s for k, s in parts.items() if s.high}
    whole = report.spreads()["total_pj"]
    rows = [_spread(name, s, 1e3, f"{s.nominal / total:.2%}" if total else "") for name, s in kept.items()]
    columns = (grouping, "nJ", "low", "high", "trust", "share")
    print_table(f"energy on {report.chip} by {grouping}", columns, [*rows, _spread("sum", whole, 1e3, "")])
    if report.unknown:
        echo(f"not in the sum, since no energy was ever published: {', '.join(report.unknown)}")


def _spread(name: str, s: Spread, divide: float, *more: str) -> tuple[str | float, ...]:
    return (name, s.nominal / divide, s.low / divide, s.high / divide, s.word, *more)


def _figures(result: Energy) -> list[tuple[str | float, ...]]:
    """Return the figures of the run, each with its range and its word."""
    both = result.report.spreads() | result.time_spreads()
    found = {k: s for k, s in both.items() if not k.endswith(("_pj", "_ns"))}
    out = [_spread(k.replace("_", " "), s, 1.0) for k, s in found.items()]
    figures = result.report.figures()
    for name in ("sim_time_us_per_inference", "energy_delay_product_js"):
        value = figures[name]
        if name not in found and value is not None:  # a free run, whose times have no range
            out.append((name.replace("_", " "), value, "", "", result.time_words[result.learnt]))
    return out


def _print(result: Energy) -> None:
    report = result.report
    columns = ("item", "unit", "count", "constant", "quality", "energy (nJ)", "low", "high")
    print_table(
        f"energy on {report.chip}: {report.samples:,} samples, {report.steps:,} steps",
        columns,
        [_row(i) for i in report.items],
    )
    best = result.best_learning
    if best is not None:
        items = [i for i in best.nominal.items if i.hardware in ("learning", "static")]
        print_table(
            f"learning by {best.plan.form}, all samples, with the static power of its time (counted, not simulated)",
            columns,
            [_row(i) for i in items],
        )
    print_table("figures", ("quantity", "value", "low", "high", "trust"), _figures(result))
    print_comparison(result.rows())
    _print_equal_work(result)
    for line in result.verdict():
        echo(line)
    if result.fidelity is not None:
        echo(f"program against its network: {result.fidelity.text}")
    notes = [*report.assumptions, *result.notes, *(a for cost in result.gpu for a in cost.assumptions)]
    echo("assumptions")
    for note in dict.fromkeys(notes):
        echo(f"  - {note}")


def _print_equal_work(result: Energy) -> None:
    keys = ("who", "what", "uj_per_step", "uj_per_update", "uj_to_accuracy", "word")
    print_table(
        "equal work (nominal; a token is a step; online rules update at each labelled step, BPTT once a batch)",
        ("who", "what", "uJ/step", "uJ/update", "uJ to reach the accuracy", "trust"),
        [tuple("" if r[k] is None else r[k] for k in keys) for r in result.equal_work(short=True)],
    )


def _row(item: Item) -> tuple[str | float, ...]:
    c = item.constant
    constant = "unknown" if c.value is None else f"{c.value:,g} {c.unit}"
    energies = (item.energy_pj, item.low_pj, item.high_pj)
    nano = tuple("unknown" if e is None else e / 1e3 for e in energies)
    return (item.name, item.hardware, round(item.count), constant, c.quality, *nano)

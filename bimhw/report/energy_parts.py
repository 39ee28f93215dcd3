"""The energy sections of the report: where the joules go, and the chip beside a GPU."""

from __future__ import annotations

from typing import Any

from bimhw.costs.compare import Energy, energy
from bimhw.report import svg
from bimhw.report.parts import Part, Table
from bimhw.runs.folder import RunFolder


def energy_parts(run: RunFolder, gpu: str) -> tuple[list[dict[str, str]], list[Part]]:
    """Tiles and sections."""
    costs = energy(run, gpu=gpu)
    figures = costs.report.figures()
    what = "energy of a sample, learning included" if costs.learnt else "energy of an inference"
    tiles = [
        {"value": svg.si((figures["total_uj_per_inference"] or 0.0) * 1e-6, "J"), "label": what},
        {"value": svg.si((figures["dynamic_pj_per_synop"] or 0.0) * 1e-12, "J"), "label": "dynamic, per SynOp"},
    ]
    parts = [_inference_part(costs), _learning_part(costs), _items_part(costs), _assumptions_part(costs)]
    return tiles, [p for p in parts if p is not None]


def _ranges(rows: list[dict[str, Any]], chip: str) -> str:
    shown = []
    for row in rows:
        high = None if row["high_uj"] is None else row["high_uj"] * 1e-6
        kind = "chip" if row["who"] == chip else "gpu"
        shown.append((f"{row['who']}: {row['what']}", row["low_uj"] * 1e-6, row["uj"] * 1e-6, high, kind))
    return svg.ranges_log(shown, "J", "energy per sample, logarithmic")


def _inference_part(costs: Energy) -> Part | None:
    if costs.learnt:
        return None
    rows = [r for r in costs.compare() if r["what"].split(",")[0] == "inference"]
    report = costs.report
    note = (
        f"Energy per sample on a logarithmic axis. Chip: {_range(rows[0])} from the stated ranges of its constants"
        f"{_without(report.unknown)}. GPU: the realistic case and, to its left, the "
        "optimistic bound, from exact counts; neither was measured."
    )
    return Part("Energy of an inference, beside a GPU", note, _ranges(rows, report.chip))


def _learning_part(costs: Energy) -> Part | None:
    rows = [r for r in costs.compare() if "learning" in r["what"] or "training" in r["what"]]
    if not rows or (costs.learning_step is None and not costs.learnt):
        return None
    if costs.learnt:
        chip = f"what it did while it learnt, inference and static power included: {_range(rows[0])}"
        chip += _without(costs.report.unknown)
    else:
        chip = "the inference above, with its static power, and the operations of exact dense RTRL, counted, not simulated: "
        chip += _range(rows[0])
    note = (
        f"Energy of learning from one sample. Chip: {chip}. GPU: backpropagation through time and RTRL on the same "
        "network and sample."
    )
    return Part("Energy of learning, beside BPTT on a GPU", note, _ranges(rows, costs.report.chip))


def _range(row: dict[str, Any]) -> str:
    low, high = svg.si(row["low_uj"] * 1e-6, "J"), svg.si(row["high_uj"] * 1e-6, "J")
    return f"{low} to {high}"


def _without(names: tuple[str, ...]) -> str:
    return f", without what was never published ({', '.join(names)})" if names else ""


def _items_part(costs: Energy) -> Part:
    report = costs.report
    known = [i for i in report.items if i.energy_pj]
    top = sorted(known, key=lambda i: -(i.energy_pj or 0.0))
    drawing = svg.bars([(i.name, (i.energy_pj or 0.0) * 1e-12, "chip") for i in top[:12]], "J", "energy by item")
    rows = []
    for item in report.items:
        c = item.constant
        constant = "unknown" if c.value is None else f"{c.value:g} {c.unit}"
        value = "unknown" if item.energy_pj is None else svg.si(item.energy_pj * 1e-12, "J")
        rows.append([item.name, f"{item.count:,.0f}", constant, value, {"quality": c.quality}, c.source])
    total = svg.si(report.energy_pj() * 1e-12, "J")
    note = f"All {report.samples:,} samples together: {total}. Count x constant, each constant with its source."
    columns = ("item", "count", "constant", "energy", "quality", "source")
    return Part("Where the joules go", note, drawing, Table(columns, rows, (1, 2, 3)))


def _assumptions_part(costs: Energy) -> Part:
    learning = costs.learning_step.assumptions if costs.learning_step else ()
    lines = [*costs.report.assumptions, *(f"learning: {a}" for a in learning if a not in costs.report.assumptions)]
    lines += [a for cost in costs.gpu for a in cost.assumptions]
    return Part("What these energies take for granted", lines=list(dict.fromkeys(lines)))

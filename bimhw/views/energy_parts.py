"""The energy sections of the report: where the joules go, and the chip compared with a GPU."""

from __future__ import annotations

from bimhw.costs.result import Energy
from bimhw.costs.rows import ComparisonRow, shown, verdict
from bimhw.views import svg
from bimhw.views.answer import energy_range
from bimhw.views.parts import Part, Table
from energy_models.items import EnergyReport
from energy_models.spread import UNKNOWN
from simulator.base.shown import si


def energy_parts(costs: Energy) -> tuple[list[dict[str, str]], list[Part]]:
    """Return tiles and sections."""
    row, synop = costs.rows()[0], costs.report.spreads().get("dynamic_pj_per_synop")
    what = "energy of a sample, learning included" if costs.learnt else "energy of an inference"
    tiles = [
        {"value": "unknown" if row.word == UNKNOWN else si(row.uj * 1e-6, "J"), "label": f"{what}: {energy_range(row)}"}
    ]
    if synop is not None and synop.word != UNKNOWN:
        low, nominal, high = (si(pj * 1e-12, "J") for pj in (synop.low, synop.nominal, synop.high))
        tiles.append({"value": nominal, "label": f"dynamic, per SynOp: {low} to {high}, {synop.word}"})
    parts = [_inference_part(costs), _learning_part(costs), _items_part(costs), _assumptions_part(costs)]
    return tiles, [p for p in parts if p is not None]


def _ranges(rows: list[ComparisonRow]) -> str:
    shown = [
        (f"{r.who}: {r.what}", r.low_uj * 1e-6, r.uj * 1e-6, None if r.high_uj is None else r.high_uj * 1e-6, r.side)
        for r in rows
    ]
    return svg.ranges_log(shown, "J", "energy per sample, logarithmic")


_CASES = (
    "GPU: the fused bound (one kernel, states on chip, peak rates: no program is faster), a CUDA graph or fused scan, and a "
    "framework's kernels one after another; from exact counts"
)


def _inference_part(costs: Energy) -> Part | None:
    if costs.learnt:
        return None
    rows = [r for r in costs.rows() if r.work == "inference"]
    report = costs.report
    note = (
        f"Energy per sample on a logarithmic axis. Chip: {_range(rows[0])} from the stated ranges of its constants"
        f"{_without(report.unknown)}; one sample at a time, and as many copies of the network as fit. {_CASES}."
    )
    return Part("Energy compared with a GPU", note, _ranges(shown(rows, (1, 256))), _table(rows), verdict(rows))


def _learning_part(costs: Energy) -> Part | None:
    rows = [r for r in costs.rows() if r.work != "inference"]
    if not rows or not (costs.learning or costs.learnt):
        return None
    if costs.learnt:
        chip = f"all it did while learning, inference and static power included: {_range(rows[0])}"
        chip += _without(costs.report.unknown)
    else:
        chip = "the inference above plus each form of learning with its time, counted, not simulated; the least: "
        chip += _range(rows[0])
    if costs.learners is not None:
        chip += (
            f"; then throughput mode, {costs.copies} separate learners with their own networks: not a batch of one network, "
            "so the verdict leaves them out"
        )
    note = (
        f"Energy of learning from one sample. Chip: {chip}. GPU: backpropagation through time and RTRL on the same "
        f"network and sample. {_CASES}."
    )
    return Part(
        "Energy of learning compared with BPTT",
        note,
        _ranges(shown(rows, (1, 256))),
        _table(rows),
        verdict(rows),
    )


def _table(rows: list[ComparisonRow]) -> Table:
    body = [
        [
            r.who, r.what, si(r.uj * 1e-6, "J"), _range(r),
            "unknown" if r.system_uj is None else si(r.system_uj * 1e-6, "J"),
            "" if r.us is None else si(r.us * 1e-6, "s"), _times(r), {"quality": r.word},
            {"quality": "" if r.us is None else r.time_word}, ", ".join(r.unknown),
        ]
        for r in rows
    ]  # fmt: skip
    columns = (
        "platform", "case", "energy", "range", "with board and host", "time per sample", "range of time", "quality of energy",
        "quality of time", "not included",
    )  # fmt: skip
    return Table(columns, body, (2, 3, 4, 5, 6))


def _times(r: ComparisonRow) -> str:
    return "" if r.low_us is None or r.high_us is None else f"{si(r.low_us * 1e-6, 's')} to {si(r.high_us * 1e-6, 's')}"


def _range(r: ComparisonRow) -> str:
    low = si(r.low_uj * 1e-6, "J")
    return f"{low} to {'unbounded' if r.high_uj is None else si(r.high_uj * 1e-6, 'J')}"


def _without(names: tuple[str, ...]) -> str:
    return f", without unpublished energies ({', '.join(names)})" if names else ""


def _items_part(costs: Energy) -> Part:
    report = costs.report
    known = [i for i in report.items if i.energy_pj]
    top = sorted(known, key=lambda i: -(i.energy_pj or 0.0))
    drawing = svg.bars([(i.name, (i.energy_pj or 0.0) * 1e-12, "chip") for i in top[:12]], "J", "energy by item")
    rows = []
    for item in report.items:
        c = item.constant
        constant = "unknown" if c.value is None else f"{c.value:,g} {c.unit}"
        value = "unknown" if item.energy_pj is None else si(item.energy_pj * 1e-12, "J")
        high = "unbounded" if item.high_pj is None else si(item.high_pj * 1e-12, "J")
        reach = f"{si(item.low_pj * 1e-12, 'J')} to {high}"
        why = ". ".join(text for text in (c.source, c.where, c.note, item.assumption) if text)
        rows.append(
            [item.name, item.hardware, f"{item.count:,.0f}", {"text": constant, "title": why},
             {"text": value, "title": f"{reach}; {why}"}, reach, {"quality": c.quality}]
        )  # fmt: skip
    total = si(report.energy_pj() * 1e-12, "J")
    whose = "One sample" if report.samples == 1 else f"All {report.samples:,} samples together"
    note = f"{whose}: {total}. Count x constant; point at a constant or an energy for its source."
    columns = ("item", "unit", "count", "constant", "energy", "range", "provenance")
    return Part("Energy by item", note, drawing, Table(columns, rows, (2, 3, 4)), _groups(report))


def _groups(report: EnergyReport) -> list[str]:
    """Write energy by layer, and by core in words; the drawing of the placement has each core's own."""
    total = report.energy_pj() or 1.0
    layers = {k: v for k, v in report.by("population").items() if v}
    kinds = {k: v for k, v in report.by("kind").items() if v}
    named = {"chip": "the chip as a whole"}
    lines = [
        "By layer: "
        + ", ".join(f"{named.get(k, k)} {si(v * 1e-12, 'J')} ({v / total:.1%})" for k, v in layers.items()),
        "By kind: " + ", ".join(f"{k} {si(v * 1e-12, 'J')} ({v / total:.1%})" for k, v in kinds.items()),
    ]
    return [f"{line}." for line in lines]


def _assumptions_part(costs: Energy) -> Part:
    lines = [*costs.report.assumptions, *costs.notes, *(a for cost in costs.gpu for a in cost.assumptions)]
    return Part("Assumptions", lines=list(dict.fromkeys(lines)))

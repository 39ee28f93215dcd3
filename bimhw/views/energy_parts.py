"""The energy sections of the report: where the joules go, and the chip compared with a GPU."""

from __future__ import annotations

from bimhw.costs.compare import Energy, energy
from bimhw.costs.rows import ComparisonRow, shown, verdict
from bimhw.runs.folder import RunFolder
from bimhw.views import svg
from bimhw.views.parts import Part, Table


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
    return Part(
        "Energy of an inference, compared with a GPU", note, _ranges(shown(rows, (1, 256))), _table(rows), verdict(rows)
    )


def _learning_part(costs: Energy) -> Part | None:
    rows = [r for r in costs.rows() if r.work != "inference"]
    if not rows or not (costs.learning or costs.learnt):
        return None
    if costs.learnt:
        chip = f"what it did while it learnt, inference and static power included: {_range(rows[0])}"
        chip += _without(costs.report.unknown)
    else:
        chip = "the inference above and each form of learning with the time that it takes, counted, not simulated; the least: "
        chip += _range(rows[0])
    note = (
        f"Energy of learning from one sample. Chip: {chip}. GPU: backpropagation through time and RTRL on the same "
        f"network and sample. {_CASES}."
    )
    return Part(
        "Energy of learning, beside BPTT on a GPU", note, _ranges(shown(rows, (1, 256))), _table(rows), verdict(rows)
    )


def _table(rows: list[ComparisonRow]) -> Table:
    body = [
        [
            r.who, r.what, svg.si(r.uj * 1e-6, "J"), _range(r),
            "unknown" if r.system_uj is None else svg.si(r.system_uj * 1e-6, "J"),
            "" if r.us is None else svg.si(r.us * 1e-6, "s"), {"quality": r.word}, ", ".join(r.unknown),
        ]
        for r in rows
    ]  # fmt: skip
    columns = ("who", "what", "energy", "range", "with board and host", "time of a sample", "trust", "not in the sums")
    return Table(columns, body, (2, 4, 5))


def _range(r: ComparisonRow) -> str:
    low = svg.si(r.low_uj * 1e-6, "J")
    return f"{low} to {'anything' if r.high_uj is None else svg.si(r.high_uj * 1e-6, 'J')}"


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
    lines = [*costs.report.assumptions, *costs.notes, *(a for cost in costs.gpu for a in cost.assumptions)]
    return Part("Assumptions", lines=list(dict.fromkeys(lines)))

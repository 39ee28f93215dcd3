"""Sections of the report on the network itself: layers, resources, learning, settings to copy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from bimhw.runs.folder import RunFolder
from bimhw.runs.learn_run import weight_counts
from bimhw.views import svg
from bimhw.views.parts import Part, Table
from mapping.usage import usage
from simulator.base.shown import significant
from simulator.chips.chip import Chip
from simulator.program.program import Program

BINS = 41


def network_part(program: Program) -> Part:
    """Show populations and projections, their words, and how the program was compiled."""
    into: dict[str, list[Any]] = {}
    for q in program.projections:
        into.setdefault(q.target, []).append(q)
    rows = []
    for p in program.populations:
        own = into.get(p.name, [])
        bits = sorted({q.weight_bits for q in own})
        rows.append(
            [p.name, p.role, p.model, f"{p.size:,}", f"{sum(q.indices.size for q in own):,}",
             ", ".join(dict.fromkeys(q.source for q in own)), ", ".join(map(str, bits))]
        )  # fmt: skip
    options = {k: v for k, v in (program.meta.get("options") or {}).items() if v not in (None, False)}
    note = (
        "Compiled with " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in options.items()) + "." if options else ""
    )
    if "calibration" in program.meta:
        note += f" Calibrated on {program.meta['calibration']}."
    columns = ("layer", "role", "neuron model", "neurons", "incoming synapses", "from", "weight bits")
    kept = program.facts.fidelity
    notes = [f"Compilation: {kept.text}"] if kept is not None else []
    notes += [str(line) for line in program.meta.get("notes") or ()]
    return Part("Network", note.strip(), table=Table(columns, rows, (3, 4)), lines=notes)


def resources_part(program: Program, chip: Chip) -> Part:
    """Use of the fullest core against each published limit."""
    rows, bars = [], []
    for r in usage(program, chip):
        limit, load = r.limit_there, r.load
        name = r.name.replace("_", " ")
        rows.append([name, f"{int(r.used.sum()):,}", f"{r.worst:,}", "unknown" if limit is None else f"{limit:,.0f}",
                     "" if load is None else f"{load:.1%}"])  # fmt: skip
        if load is not None:
            bars.append((name, 100 * load, "gpu" if load > 0.9 else "chip"))
    note = "Use of each limit by the fullest core. An unpublished limit is unknown and not checked."
    columns = ("resource", "all cores", "fullest core", "limit of a core", "used")
    return Part("Resources and limits", note, svg.bars(bars, "%", "use of limits"), Table(columns, rows, (1, 2, 3, 4)))


def learning_part(program: Program, result: Mapping[str, Any]) -> Part | None:
    """Show the learning curve of a run that learnt, and its weights."""
    curve = result.get("test_accuracy_by_epoch")
    if not curve:
        return None
    loss = result.get("loss_nats_by_epoch") or []
    rows = [[k + 1, f"{a:.2%}", f"{loss[k]:.4g}" if k < len(loss) else ""] for k, a in enumerate(curve)]
    first = 0.6  # a column fills four fifths of its place: that of epoch k is centred at k
    drawing = svg.columns(
        100 * np.asarray(curve, float), "epoch", "test accuracy (%)", "learning curve",
        span=(first, first + len(curve)), whole=True,
    )  # fmt: skip
    before, after = result.get("weights_before"), weight_counts(program)
    both = [after] if before is None else [before, after]
    low, high = (f(v for w in both for v in w["values"] or (0,)) for f in (min, max))
    bins = [np.histogram(w["values"], BINS, (low, high + 1), weights=w["counts"])[0].astype(float) for w in both]
    top = max(float(counts.max()) for counts in bins)
    for name, counts in zip(("weights before", "weights after")[-len(both) :], bins, strict=True):
        drawing += svg.columns(counts, f"{name}, as stored", "synapses", name, span=(low, high + 1), top=top)
    note = "Accuracy on the test split after each epoch, computed by the chip; below, the weights before and after."
    return Part("Learning", note, drawing, Table(("epoch", "test accuracy", "training loss (nats)"), rows, (0, 1, 2)))


def output_parts(result: Mapping[str, Any]) -> list[Part]:
    """Each of several outputs by its own labels, targets or recorded values."""
    found = result.get("outputs", {})
    if not found:
        return []
    rows = []
    for name, one in found.items():
        errors = [significant(one[k], 4) if k in one else "-" for k in ("rms_error", "float_rms_error")]
        shares = [f"{one[k]:.2%}" if k in one else "-" for k in ("accuracy", "float_accuracy")]
        differ = f"{one['recorded_differ']:,} of {one['recorded_of']:,}" if "recorded_differ" in one else "-"
        rows.append([name, *shares, *errors, differ])
    head = ("output", "accuracy", "float model", "RMS error", "float model", "recorded values that differ")
    note = "Each output is judged by its own labels, targets or recorded values."
    tables = [confusion_part(one, f"Confusion matrix of {name}") for name, one in found.items()]
    return [Part("Outputs", note, table=Table(head, rows, (1, 2, 3, 4, 5))), *(t for t in tables if t is not None)]


def confusion_part(result: Mapping[str, Any], title: str = "Confusion matrix") -> Part | None:
    """Labels against answers."""
    confusion = result.get("confusion")
    if not confusion:
        return None
    rows = [[str(k), *(str(n) if n else "" for n in row)] for k, row in enumerate(confusion) if any(row)]
    columns = ("label", *(str(k) for k in range(len(confusion))))
    return Part(title, "Rows: label. Columns: prediction.", table=Table(columns, rows, tuple(range(1, len(columns)))))


def settings_part(run: RunFolder, program: Program) -> Part:
    """Show everything that repeats this run, and how to cite it."""
    manifest = {k: v for k, v in run.manifest.items() if k != "files"}
    meta = {k: program.meta[k] for k in ("options", "task", "sample_steps", "chip_steps") if k in program.meta}
    cite = (
        f"@software{{bimhw,\n  title   = {{bimhw: hardware co-design for neuromorphic chips}},\n"
        f"  version = {{{manifest['bimhw']}}},\n  note    = {{chip {manifest['chip']}, "
        f"program {manifest['program_sha256'][:12]}, seed {manifest['seed']}}}\n}}"
    )
    text = json.dumps(manifest | {"program": meta}, indent=2, default=str)
    return Part("Settings", texts=(("Settings of this run (JSON)", text), ("BibTeX", cite)))

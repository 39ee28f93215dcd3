"""`report.html` of a run: one self-contained page, no scripts, no downloads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bimhw.runs.condition import fault_figures, saturation_figures
from bimhw.runs.folder import RunFolder
from bimhw.views import svg
from bimhw.views.parts import Part, Table
from simulator.base.files import write_text
from simulator.chips.chip import Chip
from simulator.program.faults import Faults
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain

RASTER_SAMPLES = 3
MAX_RASTER_STEPS = 1000  # of a long sample, such as a text, the beginning
MAX_RASTER_NEURONS = 400
MAX_CORE_ROWS = 12


def write_report(run: RunFolder | str | Path, output: str | Path | None = None, gpu: str = "h100") -> Path:
    """Write the report of a run and return its path (by default ``report.html`` in the run folder).

    Raises:
        InputError: not a run folder, an unknown GPU, or a path that cannot be written.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    path = Path(output) if output is not None else folder.path / "report.html"
    write_text(path, render(folder, gpu))
    return path


def render(run: RunFolder, gpu: str = "h100") -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    from bimhw.views.energy_parts import energy_parts

    program, chip, result, manifest = run.program(), run.chip(), run.result, run.manifest
    timing = run.timing()
    tiles, parts = energy_parts(run, gpu)
    body = [
        accuracy_part(result),
        raster_part(program, run.spikes(), result),
        mesh_part(program, chip, run, timing),
        *([cycles_part(timing, result, timing["step_ticks"].size // result["samples"])] if timing is not None else []),
        *parts,
        condition_part(run, manifest),
        limits_part(chip),
    ]
    samples = f"{manifest['samples']} samples" if manifest["samples"] != 1 else "1 sample"
    split = " of the training split, learnt from one by one" if manifest.get("learning") else ""
    environment = Environment(loader=PackageLoader("bimhw.views"), autoescape=select_autoescape(), trim_blocks=True)
    return environment.get_template("report.html").render(
        title=f"{manifest['task'] or 'run'} on {chip.name}",
        subtitle=f"{chip.title}. {samples}{split}, timing engine {manifest['engine']}, seed {manifest['seed']}.",
        tiles=[*_tiles(result), *tiles],
        parts=body,
        footer=f"bimhw {manifest['bimhw']}, Python {manifest['python']}; program {manifest['program_sha256'][:12]}, "
        f"chip file {manifest['chip_sha256'][:12]}. The same inputs and seed give this page again.",
    )


def _tiles(result: Mapping[str, Any]) -> list[dict[str, str]]:
    tiles = []
    if "accuracy" in result:
        tiles.append({"value": f"{result['accuracy']:.1%}", "label": "accuracy on the chip, integers"})
    elif "relative_rms_error" in result:
        tiles.append({"value": f"{result['relative_rms_error']:.1%}", "label": "RMS error over the targets' spread"})
    if "bits_per_character" in result:
        bits = f"{result['bits_per_character']:.3f}"
        tiles.insert(0, {"value": bits, "label": "bits per character on the chip, integers"})
    if "float_accuracy" in result:
        tiles.append({"value": f"{result['float_accuracy']:.1%}", "label": "accuracy of the float model"})
    if "late_packets" in result:
        tiles.append({"value": f"{result['late_packets']:,}", "label": "packets late for their tick"})
    if "mean_latency_us" in result:
        tiles.append({"value": svg.si(result["mean_latency_us"] * 1e-6, "s"), "label": "latency of a sample"})
    return tiles


def accuracy_part(result: Mapping[str, Any]) -> Part:
    """Chip beside float model."""
    rows = []
    if "accuracy" in result:
        rows.append(["accuracy", f"{result['accuracy']:.2%}", _percent(result.get("float_accuracy"))])
    if "rms_error" in result:
        rows.append(["RMS error", _figure(result["rms_error"]), _figure(result.get("float_rms_error"))])
    for name in ("bits_per_character", "perplexity"):
        if name in result:
            other = result.get(f"float_{name}")
            rows.append([name.replace("_", " "), f"{result[name]:.4f}", "-" if other is None else f"{other:.4f}"])
    rows.append(
        [
            "spikes per sample, its own steps",
            _one_digit(result.get("spikes_per_sample_same_steps", result["spikes_per_sample"])),
            _one_digit(result.get("float_spikes_per_sample")),
        ]
    )
    lines = _recorded_lines(result)
    if "spikes_that_differ" in result:
        differ, slots = result["spikes_that_differ"], result["spike_slots"]
        if "decisions_agree" in result:
            lines.append(f"{result['decisions_agree']:.1%} of the decisions are the same.")
        lines.append(f"{differ:,} of {slots:,} neuron-steps ({differ / slots:.2%}) differ in their spike.")
    note = "The chip computes in its own integers."
    if "accuracy" not in result and "rms_error" not in result:
        note += " The inputs came without labels, so nothing is right or wrong."
    if "layers" not in result and "float_accuracy" not in result:
        note += " No float model ran beside it (`bimhw simulate --model` does that)."
        return Part("What it computes", note, table=Table(("", "chip"), [r[:2] for r in rows], (1,)), lines=lines)
    note += " The float model ran on the same samples."
    return Part("What it computes", note, table=Table(("", "chip", "float model"), rows, (1, 2)), lines=lines)


def _recorded_lines(result: Mapping[str, Any]) -> list[str]:
    """The chip beside the outputs that the data holds."""
    if "recorded_differ" not in result:
        return []
    lines = [f"{result['recorded_decisions_agree']:.1%} of the decisions are those of the recorded outputs."]
    if "recorded_accuracy" in result:
        lines.append(f"The recorded outputs have an accuracy of {result['recorded_accuracy']:.2%}.")
    differ, of = result["recorded_differ"], result["recorded_of"]
    lines.append(f"Quantisation changes {differ:,} of {of:,} recorded values ({differ / of:.2%}).")
    return lines


def condition_part(run: RunFolder, manifest: Mapping[str, Any]) -> Part:
    """Values that left their word, by core, and what faults did."""
    activity = run.activity()
    saturated, faults = saturation_figures(activity), fault_figures(activity)
    rows = sorted(saturated["by_core"].items(), key=lambda row: -row[1])
    updates = max(1, activity.total("neuron_updates"))
    lines = [
        f"{saturated['total']:,} values left their word and were held at its end, in {updates:,} neuron updates."
        if rows
        else "No value left its word."
    ]
    if rows:
        lines.append("By population: " + ", ".join(f"{k} {n:,}" for k, n in saturated["by_population"].items()) + ".")
    if "faults" in manifest:
        put, sound = manifest["faults"], json.loads(msgspec.json.encode(Faults()))
        put_in = [f"{k} {put[k]}" for k in sound if k == "seed" or put[k] != sound[k]]
        lines.append("Faults put in: " + ", ".join(put_in) + ".")
        lines.append("What they did: " + (", ".join(f"{k} {n:,}" for k, n in faults.items()) or "nothing") + ".")
    table = (
        Table(("core", "saturated values"), [[k, f"{n:,}"] for k, n in rows[:MAX_CORE_ROWS]], (1,)) if rows else None
    )
    if len(rows) > MAX_CORE_ROWS:
        lines.append(f"The {MAX_CORE_ROWS} cores with most of them are shown, of {len(rows)}.")
    note = "Sums when they are read, states, and payloads; each held at the end of its word and counted at the neuron's core."
    return Part("Saturation and faults" if "faults" in manifest else "Saturation", note, table=table, lines=lines)


def raster_part(program: Program, spikes: SpikeTrain, result: Mapping[str, Any]) -> Part:
    """Spikes of the first samples."""
    steps = spikes.steps // result["samples"]
    shown = min(min(RASTER_SAMPLES, result["samples"]) * steps, MAX_RASTER_STEPS)
    first = program.first_ids()
    bands = [
        (p.name, first[p.name], min(p.size, MAX_RASTER_NEURONS)) for p in program.populations if p.role != "output"
    ]
    end = int(spikes.ptr[shown])
    step = np.repeat(np.arange(shown), np.diff(spikes.ptr[: shown + 1]))
    marks = list(range(steps, shown, steps))
    drawing = svg.raster(step, spikes.ids[:end].astype(np.int64), bands, shown, marks, "spike raster")
    note = f"The first {shown // steps} samples, {steps} chip steps each; dashed lines part the samples."
    if shown % steps:
        note = f"The first {shown:,} chip steps; a sample takes {steps:,}."
    cut = [f"Only the first {MAX_RASTER_NEURONS} neurons of a population are drawn."]
    big = any(p.size > MAX_RASTER_NEURONS for p in program.populations)
    return Part("Spikes", note, drawing, lines=cut if big else ())


def mesh_part(program: Program, chip: Chip, run: RunFolder, timing: Mapping[str, npt.NDArray[Any]] | None) -> Part:
    """Where the network lies, and how busy each core and link is."""
    t = chip.topology
    n = t.mesh_cores
    held = np.bincount(program.core[program.core != HOST], minlength=n)[:n]
    busy, link = np.where(held > 0, 1.0, np.nan), None
    what = "neurons held"
    if timing is not None:
        total = max(1, int(timing["step_ticks"].sum()))
        busy = np.where(held > 0, timing["core_busy"][:n] / total, np.nan)
        link = timing["link_busy"][:, :4] / total
        what = "share of the run in which its soma or synapse stage works"
    top = float(np.nanmax(busy)) or 1.0
    names = [f"core {c}: {held[c]} neurons" + (f", busy {busy[c]:.1%}" if held[c] else "") for c in range(n)]
    drawing = svg.mesh(
        t.columns,
        t.height,
        t.cores_per_router,
        np.clip(busy / top, 0, 1),
        names,
        link,
        "mesh of the chip",
        t.width,
    )
    used = int((held > 0).sum())
    note = f"{used} of {chip.n_cores} cores hold neurons. Shade: {what}, up to {top:.1%}. Lines: links by busy time."
    return Part("Placement on the chip", note, drawing)


def cycles_part(timing: Mapping[str, npt.NDArray[Any]], result: Mapping[str, Any], steps: int) -> Part:
    """Ticks of each step of a sample."""
    by_step = timing["step_ticks"].astype(np.float64).reshape(-1, steps)
    spread = f"{by_step.min():,.0f} to {by_step.max():,.0f}"
    note = (
        f"Mean over the samples of each step's ticks (tick {result['tick_ns']:g} ns); single steps range over {spread}. "
        f"A step takes {result['mean_step_ns'] / 1e3:.3g} µs on average, a sample {result['mean_latency_us']:.3g} µs. "
        "Cycle-level of the stated model; never compared with silicon cycle by cycle."
    )
    drawing = svg.columns(by_step.mean(axis=0), "chip step of a sample", "ticks", "mean ticks of each step of a sample")
    return Part("When", note, drawing)


def limits_part(chip: Chip) -> Part:
    """What the chip file itself says about its numbers."""
    return Part("What to keep in mind", lines=[*chip.notes, *_MODELLED])


_MODELLED = (
    "Modelled: neuron and synapse integers, spikes, one packet per spike and destination core, routers with finite "
    "buffers and XY routing, barrier synchronisation, host input and output.",
    "Not modelled: virtual channels, adaptive routing, multicast, a second router network, message packing, DVFS.",
)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _one_digit(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"

"""`report.html` of a run, or of two: one self-contained page with its own scripts, no downloads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bimhw.costs.compare import energy
from bimhw.runs.condition import fault_figures, saturation_figures
from bimhw.runs.copies import rounds_of
from bimhw.runs.folder import RunFolder
from bimhw.views import svg
from bimhw.views.answer import answer, tiles, unbroken
from bimhw.views.energy_parts import energy_parts
from bimhw.views.floorline_part import floorline_part
from bimhw.views.network_parts import (
    confusion_part,
    learning_part,
    network_part,
    output_parts,
    resources_part,
    settings_part,
)
from bimhw.views.page_data import MOST_STEPS, PageData, page_data
from bimhw.views.parts import Part, Table, beside_part, run_names
from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.base.files import write_text
from simulator.base.shown import significant
from simulator.chips.chip import Chip
from simulator.program.faults import Faults
from simulator.program.program import HOST, Program

MAX_CORE_ROWS = 12


def write_report(
    run: RunFolder | str | Path,
    output: str | Path | None = None,
    gpu: str = "h100",
    beside: RunFolder | str | Path | None = None,
) -> Path:
    """Write the report of a run, or of two side by side, as one self-contained page.

    Args:
        run: run folder.
        output: HTML file; by default ``report.html`` in the run folder.
        gpu: card to compare with.
        beside: a second run.

    Raises:
        InputError: not a run folder, an unknown GPU, or a path that cannot be written.
    """
    if output is not None and Path(output).suffix.lower() not in (".html", ".htm"):
        raise InputError(str(output), "must end in .html", "Change the name; a browser prints the page as PDF")
    runs = [r if isinstance(r, RunFolder) else RunFolder.open(r) for r in (run, beside) if r is not None]
    path = Path(output) if output is not None else runs[0].path / "report.html"
    write_text(path, render(*runs, gpu=gpu))
    return path


@dataclass(frozen=True)
class RunView:
    """One run on the page."""

    name: str
    title: str
    subtitle: str
    answer: str
    tiles: list[dict[str, str]]
    parts: list[Part]
    footer: str
    data: PageData


def render(*runs: RunFolder, gpu: str = "h100") -> str:
    """Return the page as text."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    views = [_view(run, name, gpu) for run, name in zip(runs, run_names([r.path for r in runs]), strict=True)]
    figures = [
        {t["label"]: t["value"] for t in v.tiles} | {"cores that hold neurons": f"{len(v.data.cores):,}"} for v in views
    ]
    environment = Environment(loader=PackageLoader("bimhw.views"), autoescape=select_autoescape(), trim_blocks=True)
    environment.filters["unbroken"] = unbroken
    source = environment.loader.get_source if environment.loader is not None else None
    assert source is not None
    data = msgspec.json.encode([v.data for v in views]).decode().replace("<", "\\u003c")
    return (
        environment.get_template("report.html")
        .render(
            title=" and ".join(dict.fromkeys(v.title for v in views)),
            runs=views,
            beside=beside_part([v.name for v in views], figures) if len(views) > 1 else None,
            css=source(environment, "report.css")[0],
            script=source(environment, "report.js")[0],
            data=data,
        )
        .lstrip()
    )


def _view(run: RunFolder, name: str, gpu: str) -> RunView:
    program, chip, result, manifest = run.program(), run.chip(), run.result, run.manifest
    timing = run.timing()
    costs = energy(run, gpu=gpu)
    energy_tiles, joules = energy_parts(costs)
    parts = [
        accuracy_part(result),
        confusion_part(result),
        *output_parts(result),
        network_part(program),
        mesh_part(program, chip, run, timing),
        resources_part(program, chip),
        Part("Spikes", _RASTER, script="raster", label="spike raster by layer"),
        timeline_part(timing, result),
        *(_times(run, timing) if timing is not None else []),
        learning_part(program, result),
        *joules,
        condition_part(run, manifest),
        limits_part(chip),
        settings_part(run, program),
    ]
    samples = f"{manifest['samples']:,} samples" if manifest["samples"] != 1 else "1 sample"
    split = " of the training split, learnt one by one" if manifest.get("learning") else ""
    return RunView(
        name=name,
        title=f"{manifest['task'] or 'run'} on {chip.name}",
        subtitle=f"{chip.title}. {samples}{split}, timing engine {manifest['engine']}, seed {manifest['seed']}.",
        answer=answer(program, chip, result, costs),
        tiles=[*tiles(result, costs), *energy_tiles],
        parts=[p for p in parts if p is not None],
        footer=f"bimhw {manifest['bimhw']}, Python {manifest['python']}; program {manifest['program_sha256'][:12]}, "
        f"chip file {manifest['chip_sha256'][:12]}. The same inputs and seed give this page again.",
        data=page_data(run, costs),
    )


_RASTER = (
    "Each mark is one spike. Choose a layer, zoom with the buttons or Ctrl and the wheel, drag to move. "
    "Dashed lines separate samples. Only the beginning of a long run is shown."
)


def timeline_part(timing: Mapping[str, Array] | None, result: Mapping[str, Any]) -> Part | None:
    """Show the first steps, core by core."""
    if timing is None or "tick_ns" not in result:
        return None
    note = (
        f"The first steps, at most {MOST_STEPS}. Top row: what binds each step. Below: working somas of the busiest cores, and "
        "busy time of the busiest links, drawn from the start of the step. Timed without faults and learning phases."
    )
    return Part("Timeline", note, script="timeline", label="timeline of cores and links")


def accuracy_part(result: Mapping[str, Any]) -> Part:
    """Compare the chip with the float model."""
    rows = []
    if "accuracy" in result:
        rows.append(["accuracy", f"{result['accuracy']:.2%}", _percent(result.get("float_accuracy"))])
    if "rms_error" in result:
        rows.append(["RMS error", _figure(result["rms_error"]), _figure(result.get("float_rms_error"))])
    for name in ("bits_per_character", "perplexity"):
        if name in result:
            other = result.get(f"float_{name}")
            shown = ["-" if figure is None else f"{figure:.4f}" for figure in (result[name], other)]
            rows.append([name.replace("_", " "), *shown])
    rows.append(
        [
            "spikes per sample (model steps)",
            _one_digit(result.get("spikes_per_sample_same_steps", result.get("spikes_per_sample"))),
            _one_digit(result.get("float_spikes_per_sample")),
        ]
    )
    lines = _recorded_lines(result)
    if "spikes_that_differ" in result:
        differ, slots = result["spikes_that_differ"], result["spike_slots"]
        if "decisions_agree" in result:
            lines.append(f"{result['decisions_agree']:.1%} of the decisions agree.")
        lines.append(f"Spikes differ in {differ:,} of {slots:,} neuron-steps ({differ / slots:.2%}).")
    note = "Results of the chip's integers."
    if not {"accuracy", "rms_error", "outputs"} & set(result):
        note += " The inputs have no labels, so there is no accuracy."
    if "layers" not in result and "float_accuracy" not in result:
        note += " For the float model: bimhw simulate --model."
        return Part("Function on the chip", note, table=Table(("", "chip"), [r[:2] for r in rows], (1,)), lines=lines)
    note += " The float model ran on the same samples."
    return Part("Function on the chip", note, table=Table(("", "chip", "float model"), rows, (1, 2)), lines=lines)


def _recorded_lines(result: Mapping[str, Any]) -> list[str]:
    """Compare the chip with the outputs recorded in the data."""
    if "recorded_differ" not in result:
        return []
    lines = [f"{result['recorded_decisions_agree']:.1%} of the decisions are those of the recorded outputs."]
    if "recorded_accuracy" in result:
        lines.append(f"The recorded outputs have an accuracy of {result['recorded_accuracy']:.2%}.")
    differ, of = result["recorded_differ"], result["recorded_of"]
    lines.append(f"Quantisation changes {differ:,} of {of:,} recorded values ({differ / of:.2%}).")
    return lines


def condition_part(run: RunFolder, manifest: Mapping[str, Any]) -> Part:
    """Show values that left their word, by core, and what faults did."""
    activity = run.activity()
    saturated, faults = saturation_figures(activity), fault_figures(activity)
    rows = sorted(saturated["by_core"].items(), key=lambda row: -row[1])
    updates = max(1, activity.total("neuron_updates"))
    lines = [
        f"{saturated['total']:,} values saturated in {updates:,} neuron updates." if rows else "No value saturated."
    ]
    if rows:
        lines.append("By population: " + ", ".join(f"{k} {n:,}" for k, n in saturated["by_population"].items()) + ".")
    if "faults" in manifest:
        put, sound = manifest["faults"], json.loads(msgspec.json.encode(Faults()))
        put_in = [f"{k} {put[k]}" for k in sound if k == "seed" or put[k] != sound[k]]
        lines.append("Injected faults: " + ", ".join(put_in) + ".")
        lines.append("Effects: " + (", ".join(f"{k} {n:,}" for k, n in faults.items()) or "nothing") + ".")
    table = (
        Table(("core", "saturated values"), [[k, f"{n:,}"] for k, n in rows[:MAX_CORE_ROWS]], (1,)) if rows else None
    )
    if len(rows) > MAX_CORE_ROWS:
        lines.append(f"Shown: the {MAX_CORE_ROWS} of {len(rows)} cores with the most.")
    note = (
        "Input sums, states and payloads beyond their word are clipped to its range, and counted at the neuron's core."
    )
    return Part("Saturation and faults" if "faults" in manifest else "Saturation", note, table=table, lines=lines)


def mesh_part(program: Program, chip: Chip, run: RunFolder, timing: Mapping[str, Array] | None) -> Part:
    """Show the placement, and how busy each core and link is."""
    t = chip.topology
    n = t.mesh_cores
    held = np.bincount(program.core[program.core != HOST], minlength=n)[:n]
    busy, link = np.where(held > 0, 1.0, np.nan), None
    what = "number of neurons"
    if timing is not None:
        total = max(1, int(timing["step_ticks"].sum()))
        busy = np.where(held > 0, timing["core_busy"][:n] / total, np.nan)
        links = timing["link_busy"][:, : 4 * t.networks].reshape(-1, t.networks, 4)
        link = links.max(axis=1) / total  # of two networks, the busier link
        what = "busy share of the soma or synapse stage"
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
    note = (
        f"{used:,} of {chip.n_cores:,} cores hold neurons. Shade: {what}, up to {top:.1%}. Lines: busy time of links."
    )
    return Part("Placement on the chip", f"{note} Click a core.", drawing, script="core")


def _times(run: RunFolder, timing: Mapping[str, Array]) -> list[Part]:
    steps = timing["step_ticks"].size // rounds_of(run.program(), run.result["samples"])
    return [cycles_part(timing, run.result, steps), floorline_part(run, run.manifest.get("sync", "barrier"))]


def cycles_part(timing: Mapping[str, Array], result: Mapping[str, Any], steps: int) -> Part:
    """Show the ticks of each step of a sample."""
    by_step = timing["step_ticks"].astype(np.float64).reshape(-1, steps)
    spread = f"{by_step.min():,.0f} to {by_step.max():,.0f}"
    note = (
        f"Ticks of each step, mean over the samples (tick {result['tick_ns']:g} ns); single steps range from {spread}. "
        f"A step takes {significant(result['mean_step_ns'] / 1e3, 3)} µs on average, "
        f"a sample {significant(result['mean_latency_us'], 3)} µs. "
        "Cycle-level for the stated model; never compared with silicon cycle by cycle."
    )
    drawing = svg.columns(by_step.mean(axis=0), "chip step of a sample", "ticks", "mean ticks of each step of a sample")
    return Part("Time of each step", note, drawing)


def limits_part(chip: Chip) -> Part:
    """Show what the model covers; the notes of the chip file stand among the assumptions."""
    packets = "one forking packet per spike" if chip.topology.multicast else "one packet per spike and destination core"
    mesh = "two networks of routers" if chip.topology.networks == 2 else "routers"
    modelled = f"Modelled: neuron and synapse integers, spikes, {packets}, {mesh} {_MESH}"
    return Part("Limits of the model", lines=[modelled, _NOT_MODELLED])


_MESH = "with finite buffers and XY routing, synchronisation of the steps, host input and output."
_NOT_MODELLED = "Not modelled: virtual channels, adaptive routing, message packing, DVFS."


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _figure(value: float | None) -> str:
    return "-" if value is None else significant(value, 4)


def _one_digit(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"

"""The answer at the head of a report: the run in words, and its tiles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bimhw.costs.result import Energy
from simulator.base.shown import si
from simulator.chips.chip import Chip
from simulator.program.program import Program


def answer(program: Program, chip: Chip, result: Mapping[str, Any], costs: Energy) -> str:
    """Return the run in words."""
    neurons = sum(p.size for p in program.populations if p.role != "input")
    said = [
        f"The network ({neurons:,} neurons) uses {program.cores_used:,} of the {chip.n_cores:,} cores of {chip.name}."
    ]
    if "accuracy" in result:
        beside = (
            f", {result['float_accuracy']:.1%} in the float model" if result.get("float_accuracy") is not None else ""
        )
        said.append(f"Its accuracy is {result['accuracy']:.1%} in the chip's integers{beside}.")
    per_sample = si(costs.report.energy_pj() * 1e-12 / max(1, costs.report.samples), "J")
    time = f"{si(result['mean_latency_us'] * 1e-6, 's')} and " if "mean_latency_us" in result else ""
    said.append(f"A sample takes {time}{per_sample}.")
    if costs.report.unknown:
        said.append(f"Not included, since unpublished: the energy of {', '.join(costs.report.unknown)}.")
    return " ".join([*said, *(_verdict(line) for line in costs.verdict()[:1])])


def unbroken(text: str) -> str:
    """Return the text with no line break between a figure and its unit."""
    return re.sub(r"(?<=\d) (?=[fpnµmkM]?(?:J|s|W|Hz)\b)", "\N{NO-BREAK SPACE}", text)


def _verdict(line: str) -> str:
    outcome, _, rest = line.partition(": ")
    word = {"LOSES": "it loses", "wins": "it wins"}.get(outcome, "the outcome is undecided")
    return f"Compared with a GPU {word}: {rest}."


def tiles(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the figures at the head of the page."""
    shown = []
    if "accuracy" in result:
        shown.append({"value": f"{result['accuracy']:.1%}", "label": "accuracy on the chip, integers"})
    elif result.get("relative_rms_error") is not None:
        shown.append({"value": f"{result['relative_rms_error']:.1%}", "label": "RMS error over the targets' spread"})
    if "bits_per_character" in result:
        bits = f"{result['bits_per_character']:.3f}"
        shown.insert(0, {"value": bits, "label": "bits per character on the chip, integers"})
    if "float_accuracy" in result:
        shown.append({"value": f"{result['float_accuracy']:.1%}", "label": "accuracy of the float model"})
    if "late_packets" in result:
        shown.append({"value": f"{result['late_packets']:,}", "label": "packets late for their tick"})
    if "mean_latency_us" in result:
        shown.append({"value": si(result["mean_latency_us"] * 1e-6, "s"), "label": "latency of a sample"})
    return shown

"""The answer at the head of a report: the run in words, and its tiles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bimhw.costs.result import Energy
from bimhw.costs.rows import ComparisonRow
from energy_models.spread import UNKNOWN
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
    row = costs.rows()[0]
    time = ""
    if "mean_latency_us" in result:
        time = f"{si(result['mean_latency_us'] * 1e-6, 's')} ({latency_range(result, costs)}) and "
    said.append(f"A sample takes {time}{joules(row)} ({energy_range(row)}).")
    if costs.report.unknown:
        said.append(f"Not included, since unpublished: the energy of {', '.join(costs.report.unknown)}.")
    return " ".join([*said, *(_verdict(line) for line in costs.verdict()[:1])])


def latency_range(result: Mapping[str, Any], costs: Energy) -> str:
    """Return both ends of the latency and its word."""
    row, latency = costs.rows()[0], result["mean_latency_us"] * 1e-6
    if row.low_us is None or row.high_us is None or not row.us:
        return row.time_word
    low, high = (si(latency * end / row.us, "s") for end in (row.low_us, row.high_us))
    return f"{low} to {high}, {row.time_word}"


def joules(row: ComparisonRow) -> str:
    """Return a row's energy; ``an unknown energy`` where none of its constants was published."""
    return "an unknown energy" if row.word == UNKNOWN else si(row.uj * 1e-6, "J")


def energy_range(row: ComparisonRow) -> str:
    """Return both ends of a row's energy and its word."""
    if row.word == UNKNOWN:
        return "no constant of the chip was published"
    high = "unbounded" if row.high_uj is None else si(row.high_uj * 1e-6, "J")
    return f"{si(row.low_uj * 1e-6, 'J')} to {high}, {row.word}"


def unbroken(text: str) -> str:
    """Return the text with no line break between a figure and its unit."""
    return re.sub(r"(?<=\d) (?=[fpnµmkM]?(?:J|s|W|Hz)\b)", "\N{NO-BREAK SPACE}", text)


def _verdict(line: str) -> str:
    outcome, _, rest = line.partition(": ")
    word = {"LOSES": "it loses", "wins": "it wins"}.get(outcome, "the outcome is undecided")
    return f"Compared with a GPU {word}: {rest}."


def tiles(result: Mapping[str, Any], costs: Energy | None = None) -> list[dict[str, str]]:
    """Return the figures at the head of the page; `costs` tell the range of the latency."""
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
        ends = "" if costs is None else f": {latency_range(result, costs)}"
        shown.append({"value": si(result["mean_latency_us"] * 1e-6, "s"), "label": f"latency of a sample{ends}"})
    return shown

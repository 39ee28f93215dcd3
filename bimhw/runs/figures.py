"""Figures of a run that follow from its counters and times, and the check of a result that states them."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import UNSET

from bimhw.runs.condition import fault_figures, saturation_figures
from bimhw.runs.copies import rounds_of
from bimhw.runs.manifest import MoreFigures
from mapping.copies import copies_of
from simulator.base.arrays import I64, Array
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import get
from simulator.program.activity import Activity
from simulator.program.graph import Population
from simulator.program.program import Program

AGAIN = "Run the simulation again"
Figures = dict[str, Any]
Stated = Mapping[str, Any]
_SHARES = ("accuracy", "decisions_agree", "auc_")
_UNDEFINED = ("auc_", "relative_rms_error", "perplexity")  # of one class, of constant targets, beyond the largest float
_PARTS = (("spikes_that_differ", "spike_slots"), ("recorded_differ", "recorded_of"), ("differ", "of"))
_BESIDE = ("spikes_per_sample_same_steps", "float_spikes_per_sample", "spikes_that_differ", "spike_slots")
TIMES = (
    "tick_ns", "mean_step_ticks", "max_step_ticks", "mean_step_ns", "mean_latency_us", "p99_latency_us", "samples_per_s",
)  # fmt: skip
_TOGETHER = {
    "spikes_that_differ": ("spike_slots",),
    "differ": ("of",),
    "recorded_differ": ("recorded_of", "recorded_decisions_agree"),
}
_TOLERANCE = 1e-9


def activity_figures(program: Program, activity: Activity) -> Figures:
    """Return spikes per sample, the spike rate and saturations of a run."""
    return {
        "spikes_per_sample": hidden_spikes(program, activity) / activity.samples,
        "spike_rate": spike_rate(program, activity),
        "saturations": saturation_figures(activity),
    }


def spike_rate(program: Program, activity: Activity) -> float:
    """Return the spikes of the hidden layers over their neuron updates; the one definition of the figure."""
    updates = activity.steps * sum(p.size for p in hidden(program))
    return hidden_spikes(program, activity) / updates if updates else 0.0


def hidden_spikes(program: Program, activity: Activity) -> int:
    """Return the spikes that the hidden layers sent in a run."""
    sent = activity.counts.get("spikes")
    if sent is None:
        return 0
    return sum(int(sent.by_population[activity.populations.index(p.name)]) for p in hidden(program))


def hidden(program: Program) -> list[Population]:
    """Return the layers of the model: nothing that serves a layer, and no relays. A net of outputs alone has these."""
    relays = program.facts.relays.populations
    made = [p for p in program.populations if p.model != INPUT_MODEL and p.name not in relays]
    own = [p for p in made if not get(p.model).traits.serves]
    return [p for p in own if p.role == "hidden"] or own


def timing_figures(step_ticks: I64, tick_ns: float, samples: int, rounds: int | None = None) -> dict[str, float]:
    """Return ticks and ns of a step, latency and throughput of a sample; `rounds` where samples run side by side."""
    by_sample = step_ticks.reshape(rounds or samples, -1).sum(axis=1)
    return time_figures(by_sample, step_ticks.size, int(step_ticks.max()), tick_ns, samples)


def time_figures(by_sample: I64, steps: int, longest: int, tick_ns: float, samples: int) -> dict[str, float]:
    """Return what `timing_figures` does, from the ticks of each sample, the number of steps and the longest step."""
    total, latency_ns = int(by_sample.sum()), by_sample * tick_ns
    total_ns = float(total) * tick_ns
    return {
        "tick_ns": tick_ns,
        "mean_step_ticks": total / steps,
        "max_step_ticks": float(longest),
        "mean_step_ns": total_ns / steps,
        "mean_latency_us": float(latency_ns.mean()) / 1e3,
        "p99_latency_us": float(np.quantile(latency_ns, 0.99)) / 1e3,
        "samples_per_s": samples / (total_ns * 1e-9),
    }


def free_figures(total_ns: float, samples: int) -> dict[str, float]:
    """Return the times of asynchronous operation, which has no steps."""
    return {"mean_latency_us": total_ns / samples / 1e3, "samples_per_s": samples / (total_ns * 1e-9)}


def check_figures(result: Stated, path: Path) -> None:
    """Raise `InputError` unless the figures of a result are possible, none lacks what belongs to it, and they agree.

    Args:
        result: with the types of `bimhw.runs.manifest.RunResult`.
        path: of its file.
    """
    for where, figures in _tables(result, str(path)):
        for name, value in figures.items():
            _check_figure(f"{where}: {name}", name, value)
        for name in figures.keys() & _TOGETHER.keys():
            _check_there(_TOGETHER[name], figures, where)
        for part, whole in _PARTS:
            if part in figures and not (0 < figures[whole] >= figures[part]):
                raise _false(f"{where}: {part}", figures[part], f"at most {figures[whole]}")
        for beside in ("", "float_"):
            _check_confusion(beside, figures, result["samples"], where)
    due = spike_figures(result.get("layers", ()), result["samples"])
    _check_equal({name: due.get(name) for name in _BESIDE}, result, path)


def check_more(more: MoreFigures, result: Stated, path: Path) -> None:
    """Raise `InputError` unless the figures of learning are possible, and sums and the last accuracy are those stated."""
    shares = {"test_accuracy_by_epoch": more.test_accuracy_by_epoch, "spike_rates": more.spike_rates}
    shares["pruned_share"] = list(more.pruned_share.values())
    numbers = {k: list(v.values()) for k, v in (("operations", more.operations), ("bytes", more.learning_bytes))}
    for name, values in (shares | numbers | {"loss_nats_by_epoch": more.loss_nats_by_epoch}).items():
        top = 1.0 if name in shares else sys.float_info.max
        for value in values:
            if not 0 <= value <= top:
                raise _false(f"{path}: {name}", value, f"0 to {top:g}")
    if more.test_accuracy_by_epoch:
        last = more.test_accuracy_by_epoch[-1]
        _check_equal({"test_accuracy": last, "accuracy": last}, result, path)
    rows = more.populations
    if (more.differ, more.of) != (sum(r.differ for r in rows), sum(r.of for r in rows)):
        raise _false(f"{path}: differ", more.differ, "the populations have other sums")
    before = more.weights_before
    if before is not UNSET and (len(before.values) != len(before.counts) or min(before.counts, default=0) < 0):
        raise InputError(f"{path}: weights_before", "holds other counts than values", AGAIN)


def check_computed(
    result: Stated,
    program: Program,
    activity: Activity,
    times: Mapping[str, Array] | None,
    tick_ns: float | None,
    path: Path,
) -> None:
    """Raise `InputError` unless the figures that follow from the other parts of a run are those that its result states.

    Args:
        result: of `check_figures`.
        program, activity, times: of the run.
        tick_ns: of the chip; None where it has no times.
        path: of the result.
    """
    known = {p.name for p in program.populations}
    for row in (*result.get("layers", ()), *result.get("populations", ())):
        if row["population"] not in known:
            raise InputError(str(path), f"has figures of {row['population'][:60]!r}, which the program lacks", AGAIN)
    kept = program.facts.fidelity
    counted = activity_figures(program, activity) | {"copies": copies_of(program), "faults": fault_figures(activity)}
    counted |= {"spikes": activity.total("spikes"), "chip_steps": activity.steps}
    counted["operations"] = {name: activity.total(name) for name in result.get("operations", ())}
    counted |= {} if kept is None else {"fidelity": kept.as_json()}
    stated = result.get("saturations")
    if isinstance(stated, int):
        counted["saturations"] = counted["saturations"]["total"]
    elif stated is not None and "total" not in stated:  # those of a learner's own words
        del counted["saturations"]
    timed = _timed_figures(result["samples"], program, activity, times, tick_ns, path)
    _check_equal(counted | timed, result, path)
    _check_there(() if times is None else timed, result, str(path))
    for name in TIMES:
        if name in result and name not in timed:
            raise InputError(f"{path}: {name}", "is stated, and the run has no such time", AGAIN)


def spike_figures(layers: Sequence[Stated], samples: int) -> Figures:
    """Return the figures of the layers that send binary spikes, beside float; nothing where there is none."""
    spiking = [row for row in layers if not row["graded"]]
    if not spiking:
        return {}
    return {
        "spikes_per_sample_same_steps": sum(row["rate"] * row["of"] for row in spiking) / samples,
        "float_spikes_per_sample": sum(row["float_rate"] * row["of"] for row in spiking) / samples,
        "spikes_that_differ": sum(row["differ"] for row in spiking),
        "spike_slots": sum(row["of"] for row in spiking),
    }


def _tables(result: Stated, where: str) -> Iterator[tuple[str, Stated]]:
    yield where, result
    for name, figures in result.get("outputs", {}).items():
        yield f"{where}: outputs: {name}", figures
    for rows in ("layers", "populations"):
        for k, row in enumerate(result.get(rows, ())):
            yield f"{where}: {rows}: {k}", row


def _check_figure(where: str, name: str, value: object) -> None:
    if value is None and not any(kind in name for kind in _UNDEFINED):
        raise InputError(where, "has no value", AGAIN)
    top = 1.0 if any(kind in name for kind in _SHARES) or name.endswith("rate") else sys.float_info.max
    if isinstance(value, int | float) and not 0 <= value <= top:
        raise _false(where, value, f"0 to {top:g}")


def _check_there(names: Iterable[str], figures: Stated, where: str) -> None:
    for name in names:
        if name not in figures:
            raise InputError(where, f"has no {name}", AGAIN)


def _check_confusion(beside: str, figures: Stated, samples: int, where: str) -> None:
    """Check [label][answer] against the samples and the accuracy."""
    table, name = figures.get(f"{beside}confusion"), f"{where}: {beside}confusion"
    if table is None:
        return
    if any(len(row) != len(table) or min(row) < 0 for row in table) or sum(map(sum, table)) != samples:
        raise InputError(name, f"does not count {samples:,} samples", AGAIN)
    right = sum(row[k] for k, row in enumerate(table)) / samples
    _check_equal({f"{beside}accuracy": right}, figures, Path(where))


def _timed_figures(
    samples: int,
    program: Program,
    activity: Activity,
    times: Mapping[str, Array] | None,
    tick_ns: float | None,
    path: Path,
) -> Figures:
    if times is None:
        return {} if activity.sim_time_ns is None else free_figures(activity.sim_time_ns, samples)
    rounds, ticks = rounds_of(program, samples), times["step_ticks"]
    if tick_ns is None or not ticks.size or ticks.size % rounds or not ticks.any():
        raise InputError(str(path), f"is of {samples:,} samples, and the run has {ticks.size:,} steps", AGAIN)
    late = {"late_packets": int(times["late"].sum())} if "late" in times else {}
    return timing_figures(ticks, tick_ns, activity.samples, rounds) | late


def _check_equal(due: Stated, result: Stated, path: Path) -> None:
    for name, value in due.items():
        if name in result and not _equal(result[name], value):
            raise _false(f"{path}: {name}", result[name], f"the run gives {value}")


def _equal(there: object, due: object) -> bool:
    if isinstance(there, int | float) and isinstance(due, int | float):
        return math.isclose(there, due, rel_tol=_TOLERANCE)
    return there == due


def _false(where: str, there: object, due: str) -> InputError:
    return InputError(where, f"is {str(there)[:60]}, {due[:90]}", AGAIN)

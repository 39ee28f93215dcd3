"""`judge`: figures of a run against its samples, beside the float model and beside recorded outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bimhw.runs.answers import DataTrial, float_network
from bimhw.runs.condition import fault_figures
from bimhw.runs.copies import rounds_of
from bimhw.runs.execute import Run
from bimhw.runs.figures import activity_figures, free_figures, hidden, spike_figures, timing_figures
from bimhw.runs.manifest import RunResult
from bimhw.runs.request import How
from bimhw.runs.trials import Trial, beside_float
from mapping.copies import copies_of, first_copy
from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.program.activity import Activity
from simulator.program.faults import Faults
from simulator.program.program import Program

Figures = dict[str, Any]


def judge(program: Program, trial: Trial, run: Run, how: How, model: str | Path | None = None) -> RunResult:
    """Return all figures of a run.

    Args:
        program: that ran.
        trial: what it ran on.
        run: of `execute`.
        how: it was run.
        model: float model to compare with.

    Raises:
        InputError: a model that is not the program's.
    """
    one = first_copy(program)
    scores = trial.chip_scores(one, run)
    figures = figures_of(program, trial, scores, run.activity)
    if isinstance(trial, DataTrial):
        figures |= _of_data(one, trial, run, model, how.seed)
    if model is not None:
        figures |= _beside(one, trial, scores, run, model, how.seed)
    if run.timing is not None:
        figures |= timing_figures(
            run.timing.step_ticks, run.timing.tick_ns, run.activity.samples, rounds_of(program, trial.count)
        )
        figures |= {} if run.timing.late is None else {"late_packets": int(run.timing.late.sum())}
        figures |= {} if run.sampled is None else {"timing_sample": run.sampled.as_json(run.timing.tick_ns)}
    elif run.activity.sim_time_ns is not None:
        figures |= free_figures(run.activity.sim_time_ns, trial.count)
    if how.faults != Faults():
        figures["faults"] = fault_figures(run.activity)
    return msgspec.convert(figures, RunResult)


def figures_of(program: Program, trial: Trial, scores: Array | None, activity: Activity) -> Figures:
    """Return the figures of scores and counters."""
    figures: Figures = {"task": trial.name, "samples": trial.count}
    figures |= {} if scores is None else trial.judge(scores)
    figures |= activity_figures(program, activity)
    figures |= {"copies": copies_of(program)} if copies_of(program) > 1 else {}
    kept = program.facts.fidelity
    figures |= {} if kept is None else {"fidelity": kept.as_json()}
    if isinstance(trial, DataTrial) and (notes := trial.notes):
        figures |= {"notes": notes}
    return figures


def _of_data(program: Program, trial: DataTrial, run: Run, model: str | Path | None, seed: int) -> Figures:
    """Figures beside recorded outputs, and of each output that the data names."""
    values = trial.values(program, run)
    named = bool(trial.samples.targets or trial.samples.recorded)
    theirs = trial.float_values(model, program, seed) if named and model is not None else None
    outputs = trial.judge_outputs(values, theirs)
    return trial.recorded(trial.output.joined(values)) | ({"outputs": outputs} if outputs else {})


def _beside(program: Program, trial: Trial, scores: Array | None, run: Run, model: str | Path, seed: int) -> Figures:
    """Run the float model on the same samples: its figures, decisions that agree, what differs (chip latency removed)."""
    from bimhw.compiler.compare import differences

    float_scores, n_layers = trial.float_scores(model, program, seed)
    layers = hidden(program)
    if n_layers is not None and len(layers) != n_layers:
        raise InputError(str(model), f"has {n_layers} layers, the program {len(layers)}", "Give its own model")
    found: Figures = {}
    if scores is not None and float_scores is not None:
        found = beside_float(trial, scores, float_scores)
    if trial.payloads is None:
        return found
    rows, _ = differences(program, float_network(model, program), trial.payloads, run.spikes, seed)
    own = [row for row in rows if row.population in {p.name for p in layers}]
    figures = [row.to_json() for row in own]
    return found | spike_figures(figures, trial.count) | {"layers": figures}

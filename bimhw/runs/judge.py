"""`judge`: figures of a run against its samples, beside the float model and beside recorded outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from bimhw.runs.answers import DataTrial, float_network
from bimhw.runs.condition import fault_figures, saturation_figures
from bimhw.runs.copies import rounds_of
from bimhw.runs.execute import Run
from bimhw.runs.manifest import RunResult
from bimhw.runs.request import How
from bimhw.runs.trials import Trial, beside_float
from mapping.copies import copies_of, first_copy
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import get
from simulator.program.activity import Activity
from simulator.program.faults import Faults
from simulator.program.graph import Population
from simulator.program.program import Program

if TYPE_CHECKING:
    from bimhw.compiler.compare import Difference

Array = npt.NDArray[Any]
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
        figures |= _free_figures(run.activity.sim_time_ns, trial.count)
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
    if isinstance(trial, DataTrial) and trial.samples.notes:
        figures |= {"notes": list(trial.samples.notes)}
    return figures


def _of_data(program: Program, trial: DataTrial, run: Run, model: str | Path | None, seed: int) -> Figures:
    """Figures beside recorded outputs, and of each output that the data names."""
    values = trial.values(program, run)
    named = bool(trial.samples.targets or trial.samples.recorded)
    theirs = trial.float_values(model, program, seed) if named and model is not None else None
    outputs = trial.judge_outputs(values, theirs)
    return trial.recorded(trial.output.joined(values)) | ({"outputs": outputs} if outputs else {})


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


def timing_figures(
    step_ticks: npt.NDArray[np.int64], tick_ns: float, samples: int, rounds: int | None = None
) -> dict[str, float]:
    """Return ticks and ns of a step, latency and throughput of a sample; `rounds` where samples run side by side."""
    by_sample = step_ticks.reshape(rounds or samples, -1).sum(axis=1)
    return time_figures(by_sample, step_ticks.size, int(step_ticks.max()), tick_ns, samples)


def time_figures(
    by_sample: npt.NDArray[np.int64], steps: int, longest: int, tick_ns: float, samples: int
) -> dict[str, float]:
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


def _free_figures(total_ns: float, samples: int) -> dict[str, float]:
    """Return the times of asynchronous operation, which has no steps."""
    return {"mean_latency_us": total_ns / samples / 1e3, "samples_per_s": samples / (total_ns * 1e-9)}


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
    spiking = [row for row in own if not row.graded]
    return found | _spike_figures(spiking, trial.count) | {"layers": [row.to_json() for row in own]}


def _spike_figures(layers: Sequence[Difference], samples: int) -> Figures:
    """Return the figures of the layers that send binary spikes; nothing where there is none."""
    if not layers:
        return {}
    return {
        "spikes_per_sample_same_steps": sum(row.rate * row.of for row in layers) / samples,
        "float_spikes_per_sample": sum(row.float_rate * row.of for row in layers) / samples,
        "spikes_that_differ": sum(row.differ for row in layers),
        "spike_slots": sum(row.of for row in layers),
    }

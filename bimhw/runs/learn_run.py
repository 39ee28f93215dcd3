"""A run folder of learning on the chip, so that `bimhw energy` and `bimhw report` read it as any other run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bimhw.runs.execute import Engine, How
from bimhw.runs.folder import write_run
from bimhw.runs.judge import hidden_spikes, spike_rate, timing_figures
from bimhw.runs.manifest import run_manifest
from simulator.chips.chip import Chip
from simulator.events.learning import EventLearner
from simulator.function.run import recorded_spikes
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.learn import activity, program_of
from simulator.plasticity.learner import Learner
from simulator.plasticity.timing import time_learning
from simulator.program.program import Program
from simulator.timing.run import TimingRun

_CHUNK_STEPS = 20_000  # timed at once: bounds the memory of the words touched by step and core


def learning_facts(program: Program, chip: Chip, task: str, samples: int, seed: int, engine: str) -> dict[str, object]:
    """Return what the manifest of a run of learning will say, but for the program, which is not known before the end."""
    kind: Engine = "none" if chip.timing is None else "simpy" if engine == "events" else "compiled"
    how = How(engine=kind, seed=seed)
    facts = run_manifest(program, chip, task, samples, how, learning=True, learned_from=program.sha256()).to_json()
    return {name: value for name, value in facts.items() if name != "program_sha256"}


def write_learning_run(
    folder: Path, learner: Learner, chip: Chip, task: str, seed: int, summary: Mapping[str, Any], learned_from: str
) -> dict[str, float]:
    """Write all presentations of the training samples as one run: counters, spikes, times (learning phases included).

    Args:
        folder: to write.
        learner: one that noted what its timing needs (``timed=True``).
        chip: what it ran on.
        task, seed: for the manifest.
        learned_from: hash of the program that learning began with.
        summary: what else `result.json` is to hold; ``test_accuracy`` among it.

    Returns:
        Times of the run for people (empty on a chip without published times).
    """
    assert isinstance(learner.forward, ChipForward)
    program, counted, samples = program_of(learner), activity(learner), learner.samples
    figures, arrays = {}, None
    if chip.timing is not None:
        arrays, tick_ns = _times(learner, chip)
        figures = timing_figures(arrays["step_ticks"], tick_ns, samples)
        counted = replace(counted, sim_time_ns=float(arrays["step_ticks"].sum()) * tick_ns)
    result = dict(summary) | figures
    result |= {
        "task": task,
        "samples": samples,
        "accuracy": summary["test_accuracy"],
        "spikes_per_sample": hidden_spikes(program, counted) / samples,
        "spike_rate": spike_rate(program, counted),
    }
    engine: Engine = "none" if not arrays else "simpy" if isinstance(learner, EventLearner) else "compiled"
    how = How(engine=engine, seed=seed)
    manifest = run_manifest(program, chip, task, samples, how, learning=True, learned_from=learned_from)
    train = recorded_spikes(learner.forward.simulation.record)
    write_run(folder, program, chip, manifest.to_json(), result, train, counted, arrays)
    return figures


def _times(learner: Learner, chip: Chip) -> tuple[dict[str, npt.NDArray[Any]], float]:
    if isinstance(learner, EventLearner):
        return _arrays([learner.timing()])
    steps, parts = learner.steps_done, []
    for start in range(0, steps, _CHUNK_STEPS):
        parts.append(time_learning(learner, chip, range(start, min(start + _CHUNK_STEPS, steps))))
    return _arrays(parts)


def _arrays(parts: list[TimingRun]) -> tuple[dict[str, npt.NDArray[Any]], float]:
    busy = [p.soma_busy_ticks + p.synapse_busy_ticks for p in parts]
    return {
        "step_ticks": np.concatenate([p.step_ticks for p in parts]),
        "core_busy": np.sum(busy, axis=0),
        "link_busy": np.sum([p.link_busy_ticks for p in parts], axis=0),
    }, parts[0].tick_ns

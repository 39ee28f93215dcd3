"""A run folder of learning on the chip, so that `bimhw energy` and `bimhw report` read it as any other run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bimhw.runs.figures import hidden_spikes, spike_rate, timing_figures
from bimhw.runs.folder import Arrays, run_parts, write_parts
from bimhw.runs.manifest import run_manifest
from bimhw.runs.request import Engine, How
from simulator.base.arrays import I64
from simulator.chips.chip import Chip
from simulator.events.learning import EventLearner
from simulator.function.run import recorded_spikes
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.learn import activity, program_of
from simulator.plasticity.learner import Learner
from simulator.plasticity.timing import Noted, noted_by
from simulator.program.activity import Activity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.run import TimingRun

_WEIGHT_BITS = 9  # 512 bins at most
_CHUNK_STEPS = 20_000  # timed at once: bounds the memory of the words touched by step and core


@dataclass(frozen=True, eq=False)
class Learnt:
    """All presentations of the training samples as one run.

    Attributes:
        program: with the weights learnt.
        activity: counters, those of learning among them.
        spikes: of all steps.
        timings: of all steps, one after another; empty on a chip without published times.
        samples: presented.
    """

    program: Program
    activity: Activity
    spikes: SpikeTrain
    timings: Sequence[TimingRun]
    samples: int

    def parts(self) -> LearntParts:
        """Return the same as parts of a run folder."""
        counted, figures, arrays = self.activity, dict[str, float](), None
        if self.timings:
            arrays, tick_ns = timing_arrays(self.timings), self.timings[0].tick_ns
            figures = timing_figures(arrays["step_ticks"], tick_ns, self.samples)
            counted = replace(counted, sim_time_ns=float(arrays["step_ticks"].sum()) * tick_ns)
        return LearntParts(self.program, counted, self.samples, figures, run_parts(self.spikes, counted, arrays))


@dataclass(frozen=True, eq=False)
class LearntParts:
    """Results of a run of learning.

    Attributes:
        program: with the weights learnt.
        activity: counters, those of learning among them; ``by_step`` may have one entry, the total.
        samples: presented.
        figures: times; empty on a chip without published times.
        parts: file of the run folder -> its arrays.
    """

    program: Program
    activity: Activity
    samples: int
    figures: dict[str, float]
    parts: Mapping[str, Arrays]


def learnt_by(learner: Learner, chip: Chip) -> Learnt:
    """Return what a learner did, timed on a chip; it must have been made with ``timed=True``."""
    assert isinstance(learner.forward, ChipForward)
    timings: Sequence[TimingRun] = ()
    if chip.timing is not None:
        timings = [learner.timing()] if isinstance(learner, EventLearner) else time_all(noted_by(learner), chip)
    spikes = recorded_spikes(learner.forward.simulation.record)
    return Learnt(program_of(learner), activity(learner), spikes, timings, learner.samples)


def time_all(noted: Noted, chip: Chip) -> list[TimingRun]:
    """Time all steps of a run that learnt, in chunks."""
    steps = noted.spikes.steps
    return [noted.time(chip, range(k, min(k + _CHUNK_STEPS, steps))) for k in range(0, steps, _CHUNK_STEPS)]


def learning_facts(
    program: Program, chip: Chip, task: str, samples: int, seed: int, *, engine: str = "function", rule_sha256: str = ""
) -> dict[str, Any]:
    """Return the manifest of a run of learning, but for the hash of the program learnt, which comes at the end.

    Args:
        program: that learning begins with: its weights, rule and options.
        chip, task, samples, seed: of the run.
        engine: ``function`` or ``events``.
        rule_sha256: of the rule file, where one is learnt by.
    """
    kind: Engine = "none" if chip.timing is None else "simpy" if engine == "events" else "compiled"
    plain = run_manifest(program, chip, task, samples, How(engine=kind, seed=seed))
    manifest = msgspec.structs.replace(
        plain, learning=True, learned_from_sha256=program.sha256(), rule_sha256=rule_sha256
    )
    return {name: value for name, value in manifest.to_json().items() if name != "program_sha256"}


def write_learning_run(
    folder: Path, begun: Program, chip: Chip, facts: Mapping[str, Any], learnt: LearntParts, summary: Mapping[str, Any]
) -> dict[str, float]:
    """Write a run of learning: counters, spikes, times (learning phases included).

    Args:
        folder: to write.
        begun: program that learning began with.
        chip: what it ran on.
        facts: of `learning_facts`.
        learnt: what was done.
        summary: what else `result.json` is to hold; ``test_accuracy`` among it.

    Returns:
        Times of the run for people (empty on a chip without published times).
    """
    program, counted = learnt.program, learnt.activity
    result = dict(summary) | learnt.figures
    result |= {
        "task": facts["task"],
        "samples": learnt.samples,
        "accuracy": summary["test_accuracy"],
        "spikes_per_sample": hidden_spikes(program, counted) / learnt.samples,
        "spike_rate": spike_rate(program, counted),
        "weights_before": weight_counts(begun),
    }
    write_parts(folder, program, chip, facts, result, learnt.parts)
    return learnt.figures


def weight_counts(program: Program) -> dict[str, list[int]]:
    """Return how many synapses hold each stored weight: values (lower ends of equal bins, for long words) and counts."""
    stored = np.concatenate([q.weights.ravel() for q in program.projections] or [np.zeros(0)]).astype(np.int64)
    span = int(stored.max(initial=0) - stored.min(initial=0)) + 1
    width = 1 << max(0, (span - 1).bit_length() - _WEIGHT_BITS)
    values, counts = np.unique(stored // width * width, return_counts=True)
    return {"values": values.tolist(), "counts": counts.tolist()}


def timing_arrays(timings: Sequence[TimingRun]) -> dict[str, I64]:
    """Return what ``timing.npz`` holds of steps that were timed in chunks."""
    busy = [t.soma_busy_ticks + t.synapse_busy_ticks for t in timings]
    return {
        "step_ticks": np.concatenate([t.step_ticks for t in timings]),
        "core_busy": np.sum(busy, axis=0),
        "link_busy": np.sum([t.link_busy_ticks for t in timings], axis=0),
    }

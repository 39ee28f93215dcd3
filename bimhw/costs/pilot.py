"""A few samples learnt on the simulated chip, so that a count knows how spikes change while weights change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bimhw.compiler.decode import encode
from bimhw.costs.counted import CountedLearning, count_learning, count_learnt
from bimhw.costs.counted_work import whole
from bimhw.costs.plan import LearningPlan
from bimhw.runs.classes import task_for, with_classes
from bimhw.runs.execute import joined
from bimhw.runs.folder import RunFolder
from bimhw.runs.learn import ready_to_learn, step_labels
from bimhw.tasks import load_named
from bimhw.tasks.base import Split, Task
from bimhw.tasks.dataset import Dataset
from bimhw.tasks.sources.text import Corpus
from simulator.base.arrays import I64
from simulator.base.errors import BimhwError, InputError
from simulator.chips.chip import Chip
from simulator.function import run_samples
from simulator.function.counting import Counter
from simulator.function.run import finish
from simulator.plasticity import Learner, learn, learn_config
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.layers.net import filled
from simulator.plasticity.prepare import on_one_core
from simulator.plasticity.words.counts import TOUCHED
from simulator.program.activity import Activity, Count
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain, window
from simulator.timing.run import run_timing

MOST_STEPS = 4_000  # of the samples that are learnt by themselves, where counts alone would not do: about 4 s of CPU
MOST_WORDS = 400_000_000  # synapses x these steps: the same time on large networks
Totals = Mapping[str, float]
_TIME = "time"
_SAME = {"state_resets"}  # between samples, whatever they are
_WORDS = tuple(f"learn_{name}" for name in sorted(TOUCHED))


@dataclass(frozen=True, eq=False)
class Pilot:
    """Samples to learn before one counts.

    Attributes:
        task: whose training samples are learnt, the first that learning presents.
        samples: their number. Spikes change most in the first ones: the later half stands for the rest of a run.
        seed: of their order and of stochastic rounding.
    """

    task: Task
    samples: int
    seed: int = 0

    def check(self) -> None:
        """Raise `InputError` for a number of samples that cannot be learnt."""
        most = len(self.task.train)
        if not 2 <= self.samples <= most:
            raise InputError("pilot", f"is {self.samples} samples, must be in 2..{most} of task {self.task.name!r}")

    def correct(self, counted: CountedLearning, program: Program, chip: Chip) -> CountedLearning:
        """Multiply each counter and the time by what learning made of them in the pilot.

        Args:
            counted: from a run of inference.
            program: that ran.
            chip: that it ran on.

        Returns:
            The nominal counters times their factors; a range only grows.
        """
        planned, half = counted.activities[1].samples, self.samples // 2
        order = np.random.default_rng((self.seed, 1)).permutation(len(self.task.train))
        few = self.task.train.take(order[: self.samples])
        parts = (few.take(slice(half)), few.take(slice(half, None)))
        weights = (min(1.0, planned / half), max(0, planned - half) / (self.samples - half))
        did = _weighted(_learnt(program, self, parts, chip, counted.plan, planned), weights)
        plain = _weighted([_counted(program, part, chip, counted.plan) for part in parts], weights)
        factors = {name: did[name] / plain[name] for name in (plain.keys() & did.keys()) - _SAME if plain[name]}
        words = sum(did.get(name, 0.0) for name in _WORDS) / max(1.0, sum(plain.get(name, 0.0) for name in _WORDS))
        least, most = ({name: end(1.0, f) for name, f in factors.items()} for end in (min, max))
        low, nominal, high = counted.activities
        few_words, some, many = counted.touched
        return replace(
            counted,
            activities=(_times(low, least), _times(nominal, factors), _times(high, most)),
            touched=(_scaled(few_words, min(1.0, words)), _scaled(some, words), _scaled(many, max(1.0, words))),
            pilot=self.samples,
        )


def pilot_of(run: RunFolder, samples: int, chosen: str | Task | Corpus | Dataset | None = None) -> Pilot:
    """Return the pilot of a run: on its own task, or on one that is named.

    Raises:
        InputError: a run that learnt, or a task without classes.
    """
    if run.manifest.get("learning"):
        raise InputError("--pilot", "corrects counts, and this run learnt: its learning was simulated", "Leave it out")
    if isinstance(chosen, Dataset):
        return Pilot(task_for(run.program(), chosen), samples)
    task = run.manifest["task"] if chosen is None else chosen
    return Pilot(with_classes(load_named(task) if isinstance(task, str) else task), samples)


def corrected(
    counted: Sequence[CountedLearning], run: RunFolder | None, program: Program, chip: Chip, pilot: Pilot | bool | None
) -> tuple[tuple[CountedLearning, ...], str]:
    """Correct counts by what learning makes of them.

    Args:
        counted: each form.
        run: that was counted; None where there are counters alone, which name no task.
        program, chip: that ran.
        pilot: samples that every form learns; None: those of the run's task for the forms that update `fast`; False: none.

    Returns:
        The forms, and what was done or why not; "" where nothing was needed.

    Raises:
        InputError: samples that cannot be learnt, where `pilot` names them.
    """
    if isinstance(pilot, Pilot):
        pilot.check()
        return tuple(pilot.correct(c, program, chip) for c in counted), _DONE.format(pilot.samples)
    if not any(c.plan.fast for c in counted):
        return tuple(counted), ""
    plain = tuple(replace(c, pilot=0) if c.plan.fast else c for c in counted)
    try:
        own = None if pilot is False else _own(run, program, max(c.activities[1].samples for c in counted))
        if own is None:
            return plain, _WITHOUT.format("none was asked for" if pilot is False else _NO_TASK)
        done = tuple(own.correct(c, program, chip) if c.plan.fast else c for c in counted)
    except BimhwError as error:
        return plain, _WITHOUT.format(error)
    return done, _DONE.format(own.samples)


def _own(run: RunFolder | None, program: Program, planned: int) -> Pilot | None:
    """Return the pilot that needs no asking: as many samples as the run has and `most_samples` allows."""
    if run is None or not run.manifest["task"]:
        return None
    samples = min(max(2, planned), most_samples(program))
    if samples < 2:
        steps = program.facts.sample_steps or 1
        raise InputError("--pilot", f"of samples of {steps:,} steps takes long", "Ask for it: --pilot 2")
    pilot = pilot_of(run, samples)
    pilot = replace(pilot, samples=min(samples, len(pilot.task.train)))
    pilot.check()
    return pilot


def most_samples(program: Program) -> int:
    """Return the most samples of a pilot that nobody asked for."""
    words = sum(p.indices.size for p in program.projections)
    return min(MOST_STEPS, MOST_WORDS // max(1, words)) // (program.facts.sample_steps or 1)


_DONE = "spikes change while it learns: counters and time are corrected by what {} samples made of them while they were learnt"
_WITHOUT = (
    "without a pilot: with an update every 1 to 3 steps spikes change while it learns, and a count may be 25 % low ({})"
)
_NO_TASK = "counters name no task to learn"


def _learnt(
    program: Program, pilot: Pilot, parts: tuple[Split, Split], chip: Chip, plan: LearningPlan, planned: int
) -> list[Totals]:  # fmt: skip
    """Learn the samples; return counters and time of either part.

    What is learnt does not depend on the mapping, so all neurons learn on one core: a part of each row instead of one a core,
    several times faster. Operations and time on the program's own cores are counted from the spikes of that run.
    """
    every = {"every": plan.every} if plan.every else {}
    options = {"form": plan.form, "block": plan.block, "history": plan.lookback} | every
    ready = ready_to_learn(program, pilot.task, options, pilot.seed)
    learner = Learner(on_one_core(ready), learn_config(ready.learning), pilot.seed)
    stored = filled(ready, learner.net)
    counter, runs = Counter(stored, chip.topology), [_nothing(stored)]
    for part in parts:
        courses = max(1, round(planned / len(part)))
        learn(ready, part.x, step_labels(pilot.task, part), shuffle=False, learner=learner, of_epochs=courses)
        runs.append(_so_far(learner, stored, counter))
    return [_of_part(ready, a, b, len(part), chip) for a, b, part in zip(runs, runs[1:], parts, strict=False)]


_Done = tuple[SpikeTrain, Mapping[str, Count]]


def _nothing(program: Program) -> _Done:
    return SpikeTrain(np.zeros(1, np.int64), np.zeros(0, np.int32)), {}


def _so_far(learner: Learner, stored: Program, counter: Counter) -> _Done:
    """Return spikes and counters of all that was learnt, on the cores of `stored`."""
    assert isinstance(learner.forward, ChipForward)
    run = finish(learner.forward.simulation, counter)
    sizes = [p.size for p in stored.populations]
    return run.spikes, dict(run.activity.counts) | learner.counts.counts(
        run.activity.steps, stored.core, sizes, counter.n_cores
    )


def _of_part(ready: Program, before: _Done, after: _Done, samples: int, chip: Chip) -> Totals:
    first = before[0].steps
    spikes = window(after[0], first, after[0].steps)
    counts = {name: _less(count, before[1].get(name), first) for name, count in after[1].items()}
    names = tuple(p.name for p in ready.populations)
    time = None if chip.timing is None else 0.0  # counted from the spikes
    did = Activity(counts, spikes.steps, samples, names, sim_time_ns=time)
    nominal = count_learnt(ready, spikes, did, chip).activities[1]
    return _totals(nominal, nominal.sim_time_ns or 0.0)


def _less(all_of: Count, before: Count | None, first: int) -> Count:
    if before is None:
        return replace(all_of, by_step=all_of.by_step[first:])
    return Count(all_of.by_core - before.by_core, all_of.by_step[first:], all_of.by_population - before.by_population)


def _counted(program: Program, part: Split, chip: Chip, plan: LearningPlan) -> Totals:
    """Count learning from inference of these samples."""
    runs = run_samples(program, [encode(program, x) for x in part.x], program.facts.chip_steps or len(part.x[0]))
    spikes = joined(runs.spikes)
    time = None if chip.timing is None else run_timing(program, chip, spikes).sim_time_ns
    activity = replace(runs.activity, sim_time_ns=time, samples=len(part))
    nominal = count_learning(program, spikes, activity, chip, plan).activities[1]
    return _totals(nominal, nominal.sim_time_ns or 0.0)


def _totals(activity: Activity, time: float) -> Totals:
    return {name: float(c.total) for name, c in activity.counts.items()} | {_TIME: time}


def _weighted(parts: list[Totals], weights: tuple[float, float]) -> Totals:
    names = parts[0].keys() | parts[1].keys()
    return {name: sum(p.get(name, 0.0) * w for p, w in zip(parts, weights, strict=True)) for name in names}


def _scaled(values: I64, factor: float) -> I64:
    return whole((values * factor).ravel()).reshape(values.shape)


def _times(activity: Activity, factors: Totals) -> Activity:
    counts = {
        name: Count(*(_scaled(v, factors.get(name, 1.0)) for v in (c.by_core, c.by_step, c.by_population)))
        for name, c in activity.counts.items()
    }
    time = activity.sim_time_ns
    return replace(activity, counts=counts, sim_time_ns=None if time is None else time * factors.get(_TIME, 1.0))

"""`bimhw.learn`: on-chip learning of a compiled program on a task; the same as the command `bimhw learn`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from bimhw.compiler.readback import check_rule
from bimhw.runs.classes import task_for
from bimhw.runs.course import Course
from bimhw.runs.folder import check_run_folder, reserved
from bimhw.tasks.base import Split, Task
from bimhw.tasks.own import OwnSamples
from mapping.copies import copies_of
from mapping.learning_limits import check_learning
from mapping.usage import Resource
from simulator.base.arrays import I64
from simulator.base.errors import InputError, unknown_name
from simulator.base.heeded import refuse_unheeded
from simulator.base.locks import held
from simulator.base.needs import refuses_ignored
from simulator.base.shown import Shown, Value
from simulator.base.writing import check_output
from simulator.chips.chip import Chip
from simulator.neurons.s6 import is_s6
from simulator.plasticity import LearnConfig, Learner, LearnResult, calibrate, learn_config, prepare, program_of
from simulator.plasticity import learn as learn_program
from simulator.plasticity.budget import learning_memory
from simulator.plasticity.checkpoint import save_learning
from simulator.plasticity.config import HEEDED
from simulator.plasticity.learn import live_synapses_of
from simulator.plasticity.rules.pruning import sparsity
from simulator.program.chip import chip_of_program
from simulator.program.program import Program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LearnEngine = Literal["function", "events"]
CALIBRATION_SAMPLES = 200
STATE_HEADROOM_BITS = 4  # of the neurons' states while they learn, over the compiled words
# Settings that work on the digits task (benchmarks/onchip_learning.py): one update a sample.
LEARNING_RATE = {"rms": 0.008, "sgd": 0.1}
LAST_RATE = 0.02


@dataclass(frozen=True, eq=False, repr=False)
class OnChipResult(Shown):
    """A program that has learnt.

    Attributes:
        program: with the weights learnt.
        accuracy: on the task's test split after each epoch, computed by the chip.
        result: losses, operations, saturations, the learner itself.
        memory: learning bytes by kind over all cores.
        times: times of a step and a sample, learning phases included, where a run folder was asked for.
        fit: fullest core's use of each resource, learning included.
    """

    program: Program
    accuracy: tuple[float, ...]
    result: LearnResult
    memory: dict[str, int]
    fit: dict[str, dict[str, float | None]]
    times: dict[str, float] = field(default_factory=dict)

    def _facts(self) -> Mapping[str, Value]:
        return {
            "test_accuracy": self.accuracy[-1],
            "epochs": len(self.accuracy),
            "updates": self.result.updates,
        } | self.times

    def _records(self) -> Sequence[Mapping[str, Value]]:
        return [
            {"epoch": k + 1, "test_accuracy": a, "loss_nats": e.loss, "cpu_s": e.cpu_s}
            for k, (a, e) in enumerate(zip(self.accuracy, self.result.history, strict=True))
        ]

    def _draw(self, axes: Axes) -> None:
        axes.plot(range(1, len(self.accuracy) + 1), [100 * a for a in self.accuracy], "o-", color="#1f6f78")
        axes.set(xlabel="epoch", ylabel="test accuracy (%)", title="learning on the chip")

    def summary(self) -> dict[str, Any]:
        """Return JSON-able figures."""
        r = self.result
        return {
            "test_accuracy": self.accuracy[-1],
            "test_accuracy_by_epoch": list(self.accuracy),
            "loss_nats_by_epoch": [e.loss for e in r.history],
            "spike_rates": list(r.history[-1].rates),
            "updates": r.updates,
            "chip_steps": r.chip_steps,
            "operations": r.operations,
            "saturations": r.saturations,
            "pruned_share": pruned_share(r.learner),
            "learning_bytes": self.memory,
            "fit": self.fit,
            "cpu_s": sum(e.cpu_s for e in r.history),
        } | self.times


@refuses_ignored("learn")
def learn(
    program: Program | str | Path,
    task: str | Task | OwnSamples = "digits",
    output: str | Path | None = None,
    *,
    epochs: int = 8,
    seed: int = 0,
    run: str | Path | None = None,
    test: Split | None = None,
    engine: LearnEngine = "function",
    checkpoint: str | Path | None = None,
    force: bool = False,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> OnChipResult:
    """Learn a task on the chip, one sample at a time.

    Args:
        program, task: compiled for the task, or its file; a task, its name, or labelled samples (`bimhw.Dataset.open`).
        output, test: program file to write; split to score on (default: the task's).
        epochs, seed: passes over the training split; seed of their order and of stochastic rounding.
        run, force: run folder to write of all that was done, for `bimhw.energy` and the report; replace another run in it.
        engine: ``function`` computes first and times afterwards; ``events`` learns in the event-driven simulation: the same bits.
        checkpoint: file that holds the state after each epoch; a run that finds it goes on from there, bit for bit.
        progress: called with the number of samples done since the last call.
        options: fields of `LearnConfig`, e.g. ``rule="hybrid", form="seq"``; also ``bits``, ``lookback``, ``prune``.

    Raises:
        InputError: an option or a task that does not fit the program, a folder in use; `FitError`: words beyond the chip.
    """
    from bimhw.runs.learn_run import learning_facts, learnt_by, write_learning_run
    from bimhw.runs.long_learning import long_learning

    _check_ends(run, output, checkpoint, engine)
    if epochs < 1:
        raise InputError("epochs", f"is {epochs}", "Give at least 1")
    ready, data = _ready(program, task, options, seed)
    chip, samples = chip_of_program(ready), epochs * len(data.train.x)
    found = check_learning(ready, chip, steps=data.steps)
    facts = learning_facts(ready, chip, data.name, samples, seed, engine=engine)
    with ExitStack() as in_use:
        if checkpoint is not None:
            in_use.enter_context(held(checkpoint))
        if run is not None:
            in_use.enter_context(reserved(run, facts, force))
        learner = _learner(ready, chip, seed, engine, timed=run is not None)
        course = Course(epochs, len(data.train.x))
        if checkpoint is not None:
            course = Course.resumed(epochs, len(data.train.x), learner, Path(checkpoint))
        long = None if checkpoint is not None else long_learning(learner, chip, data.steps, samples, run)
        after = progress if long is None else long.after_each(progress)
        result = _taught(learner, ready, data, seed, course, test or data.test, checkpoint, after)
        if output is not None:
            result.program.save(output)
        done = _done(ready, data, learner, course, result, found)
        if run is None:
            return done
        repeatable = {k: v for k, v in done.summary().items() if k != "cpu_s"}  # a run folder has no time of day
        learnt = learnt_by(learner, chip).parts() if long is None else long.learnt(result.program, learner.samples)
        return replace(done, times=write_learning_run(Path(run), ready, chip, facts, learnt, repeatable))


def _ready(
    program: Program | str | Path, task: str | Task | OwnSamples, options: Mapping[str, Any], seed: int
) -> tuple[Program, Task]:
    """Return the program prepared for learning, and the task."""
    source = program if isinstance(program, Program) else Program.load(program)
    data = task_for(source, task)
    _check_task(source, data)
    fields = in_fields(options)
    check_rule(source, str(fields.get("rule", "rtrl")))
    refuse_unheeded(HEEDED, options, config_to_learn(source, data, fields))
    return ready_to_learn(source, data, fields, seed, fits=True), data


def _check_ends(run: str | Path | None, output: str | Path | None, checkpoint: str | Path | None, engine: str) -> None:
    """Raise `InputError` before anything is learnt where something could not be written at the end."""
    if run is not None:
        check_run_folder(run)
    for file in (output, checkpoint):
        if file is not None:
            check_output(file)
    if checkpoint is not None and engine == "events":
        raise InputError("checkpoint", "does not hold the state of the engine 'events'", "Take engine 'function'")


def _done(
    ready: Program, data: Task, learner: Learner, course: Course, result: LearnResult, found: Sequence[Resource]
) -> OnChipResult:
    items = learning_memory(ready, learner.config, data.steps)
    memory = {kind: sum(i.bytes for i in items if i.kind == kind) for kind in dict.fromkeys(i.kind for i in items)}
    fit = {r.name: {"worst_core": float(r.worst), "limit": r.limit} for r in found}
    return OnChipResult(result.program, tuple(course.accuracy), result, memory, fit)


def _taught(
    learner: Learner,
    ready: Program,
    data: Task,
    seed: int,
    course: Course,
    test: Split,
    checkpoint: str | Path | None,
    progress: Callable[[int], None] | None,
) -> LearnResult:
    """Learn the epochs that `course` still lacks, score after each, and keep the state."""
    x, labels = data.train.x, step_labels(data, data.train)
    if progress is not None:
        progress(len(course.history) * len(x))

    def part(**more: Any) -> LearnResult:
        return learn_program(
            ready, x, labels, seed=seed, learner=learner, of_epochs=course.epochs, progress=progress, **more
        )

    for epoch in range(len(course.history), course.epochs):
        course.history += part(epoch=epoch).history
        course.accuracy.append(score(learner, data, test))
        if checkpoint is not None:
            save_learning(learner, checkpoint, course.notes())
    return replace(part(epochs=0), history=tuple(course.history))


# Words of `bimhw train` -> fields of `LearnConfig`.
SAME_WORDS = {"bits": "weight_bits", "lookback": "history", "prune": "prune_target"}


def in_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options under the names of `LearnConfig`.

    Raises:
        InputError: a field given under both names.
    """
    out: dict[str, Any] = {}
    for name, value in options.items():
        field_name = SAME_WORDS.get(name, name)
        if field_name in out:
            raise InputError(f"option {name!r}", f"is given twice, also as {field_name!r}", "Give it once")
        out[field_name] = value
    return out


def _learner(program: Program, chip: Chip, seed: int, engine: LearnEngine, timed: bool) -> Learner:
    config = learn_config(program.learning)
    if engine == "function":
        return Learner(program, config, seed, timed=timed)
    if engine != "events":
        raise unknown_name("engine", engine, ("function", "events"))
    from simulator.events.learning import EventLearner

    return EventLearner(program, config, chip, seed)


def ready_to_learn(program: Program, task: Task, options: dict[str, Any], seed: int = 0, fits: bool = False) -> Program:
    """Return the program prepared and calibrated for learning a task with these options.

    A program prepared before keeps its configuration where the options do not differ. `fits`: words that the chip cannot
    hold raise `FitError` before the long calibration.
    """
    if (copies := copies_of(program)) > 1:
        raise InputError(
            "on-chip learning",
            f"needs one network, and the program has {copies} copies: no path of the chip sums their weight changes",
            "Compile without --copies; `bimhw energy` counts what that many separate learners cost",
        )
    config = config_to_learn(program, task, options)
    if program.learning:
        base = learn_config(program.learning)
        if base.fracs and msgspec.structs.replace(config, fracs=base.fracs) == base:
            return program
    config = msgspec.structs.replace(config, fracs={})
    prepared = prepare(program, config)
    if fits:
        check_learning(prepared, chip_of_program(program), steps=task.steps)
    n = min(CALIBRATION_SAMPLES, len(task.train))
    part = task.train.take(np.random.default_rng(seed).permutation(len(task.train))[:n])
    return calibrate(prepared, list(part.x), list(step_labels(task, part)), config, seed)


def config_to_learn(program: Program, task: Task, options: Mapping[str, object]) -> LearnConfig:
    """Return the settings of learning: the options, then those the program holds, else those of its model and task."""
    from bimhw.models.bim.config import config_from

    if program.learning:
        return learn_config(plain_options(learn_config(program.learning)) | dict(options))
    fields: dict[str, Any] = {"state_bits": min(24, program.meta["options"]["state_bits"] + STATE_HEADROOM_BITS)}
    if "config" in program.meta:
        model = config_from(program.meta["config"], "program")
        fields |= {n: getattr(model, n) for n in ("surrogate", "surrogate_width", "detach_reset")}
    fields |= options
    rate = LEARNING_RATE[fields.get("optimiser", "rms")]
    defaults: dict[str, Any] = {"lr": rate, "lr_end": LAST_RATE, "every": int(task.loss_steps.sum())}
    if any(is_s6(p.model) for p in program.populations):
        defaults["form"] = "seq"  # the one that its shared B and C can do for whole sequences
    return learn_config(defaults | fields)


def plain_options(config: LearnConfig) -> dict[str, Any]:
    """Return all fields but the calibrated ones."""
    return {k: v for k, v in msgspec.to_builtins(config).items() if k != "fracs"}


def pruned_share(learner: Learner) -> dict[str, float]:
    """Share of the synapses that pruning has switched off, by projection; empty without pruning."""
    pruned = {k for each in learner.hidden for k in each.pruners}
    return {
        learner.program.projections[k].name: sparsity(live)
        for k, live in live_synapses_of(learner).items()
        if k in pruned
    }


def step_labels(task: Task, split: Split) -> I64:
    """Return labels [n, T]: the class at the task's loss steps, -1 elsewhere."""
    return np.where(task.loss_steps[None], split.y[:, None], -1).astype(np.int64)


def score(learner: Learner, task: Task, split: Split, unit: float = 1.0) -> float:
    """Return the accuracy of the net as it is now, run apart from the learner; ``unit``: value of a payload of 1 (wide words)."""
    net, right = Learner(program_of(learner), learner.config), 0
    silent = np.full(task.steps, -1, np.int64)
    for x, y in zip(split.x, split.y, strict=True):
        scores = net.sample(x if unit == 1.0 else x * unit, silent, learn=False).scores
        right += int(scores[task.decision_steps].mean(axis=0).argmax() == y)
    return right / len(split)


def _check_task(program: Program, task: Task) -> None:
    inputs, outputs = (next((p for p in program.populations if p.role == role), None) for role in ("input", "output"))
    if inputs is None or outputs is None or (inputs.size, outputs.size) != (task.n_in, task.n_classes):
        have = (inputs.size if inputs else 0, outputs.size if outputs else 0)
        raise InputError(
            f"task {task.name!r}",
            f"has {task.n_in} channels and {task.n_classes} classes, the program {have[0]} and {have[1]}",
            "Compile a model of the task's size",
        )
    scale = float(program.meta.get("input", {}).get("scale", 1.0))
    if scale != task.input_scale:
        raise InputError(f"task {task.name!r}", f"has payloads in units of {task.input_scale}, the program of {scale}")

"""Learning on the chip by a rule file: `bimhw learn x.bimhw --rule-file rule.yaml`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bimhw.compiler.decode import encode
from bimhw.runs.classes import task_for
from bimhw.runs.execute import execute
from bimhw.runs.figures import hidden
from bimhw.runs.folder import check_run_folder, reserved
from bimhw.runs.learn_run import Learnt, LearntParts, learning_facts, time_all, write_learning_run
from bimhw.runs.long_learning import LongLearning
from bimhw.runs.pieces import PIECE_STEPS
from bimhw.runs.request import How
from bimhw.runs.rule_answers import HostAnswer, HostReading
from bimhw.runs.rule_limits import check_room, rule_memory
from bimhw.runs.rule_words import check_rules, chosen, most_delay, ready_for_rules, with_learnt
from bimhw.runs.third_factors import Answer, Factors
from bimhw.runs.trials import SequenceTrial, request_of
from bimhw.tasks.base import Split, Task
from bimhw.tasks.own import OwnSamples
from simulator.base.arrays import U8, AnyInts
from simulator.base.errors import InputError
from simulator.base.shown import Shown
from simulator.base.writing import check_output
from simulator.chips.chip import Chip
from simulator.function.counting import Counter
from simulator.function.run import finish, recorded_spikes
from simulator.function.simulation import Simulation
from simulator.plasticity.rules.product_hook import ProductLearning
from simulator.plasticity.rules.rule_file import ReadRules, read_rules
from simulator.plasticity.timing import Noted
from simulator.plasticity.words.counts import LearnCounts
from simulator.program.chip import chip_of_program
from simulator.program.program import Program

Figures = dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class RuleResult(Shown):
    """A program that has learnt by a rule file.

    Attributes:
        program: with the weights learnt.
        rule: name of the rule.
        accuracy: on the test split after each epoch (or every so many samples), computed by the chip; of a stream
            (`Task.ordered`) on as many training samples as come next, before they are learnt.
        rates: spikes per neuron and step of the hidden layers, by epoch.
        operations: totals of the ``learn_*`` counters.
        memory: learning bytes by kind over all cores.
        chip_steps: steps done while learning.
        bounded: weights that stand at a bound of their word at the end.
        auc_roc: beside each accuracy, of a task that is judged by it; None where the samples are of one class.
        times: of the run, where a run folder was asked for.
    """

    program: Program
    rule: str
    accuracy: tuple[float, ...]
    rates: tuple[float, ...]
    operations: dict[str, int]
    memory: dict[str, int]
    chip_steps: int
    bounded: int
    auc_roc: tuple[float | None, ...] = ()
    times: dict[str, float] = field(default_factory=dict)

    def summary(self) -> Figures:
        """Return JSON-able figures."""
        return {
            "rule": self.rule,
            "test_accuracy": self.accuracy[-1],
            "test_accuracy_by_epoch": list(self.accuracy),
            "spike_rates": list(self.rates),
            "chip_steps": self.chip_steps,
            "operations": self.operations,
            "learning_bytes": self.memory,
            "weights_at_bound": self.bounded,
        } | self.times


def learn_by_rule(
    program: Program | str | Path,
    rule: str | Path | ReadRules,
    task: str | Task | OwnSamples = "digits",
    output: str | Path | None = None,
    *,
    epochs: int = 1,
    seed: int = 0,
    run: str | Path | None = None,
    test: Split | None = None,
    force: bool = False,
    every: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> RuleResult:
    """Learn a task on the chip by a rule file, one sample at a time.

    Args:
        program: compiled for the task, or its file.
        rule: rule file, the name of one in the package, or one that was read.
        task, output: a name, a task or labelled samples; program file to write.
        epochs: passes over the training split.
        seed: of the order and of stochastic rounding.
        run, force: run folder to write of all that was done while learning, and whether another run in it is replaced.
        test: split to score on (default: the task's).
        every: samples between two scores (default: an epoch); the last sample is always scored.
        progress: called with the number of samples done since the last call.

    Raises:
        InputError: a rule file, task or program that do not fit together; `run` holds another run or is in use.
        FitError: a program that cannot learn, or a chip without such learning or the room for its words.
    """
    rules = rule if isinstance(rule, ReadRules) else read_rules(rule)
    if run is not None:
        check_run_folder(run)
    if output is not None:
        check_output(output)
    for what, number in (("epochs", epochs), ("every", 1 if every is None else every)):
        if number < 1:
            raise InputError(what, f"is {number}", "Give at least 1")
    source = program if isinstance(program, Program) else Program.load(program)
    data = task_for(source, task)
    check_rules(source, rules)
    ready, samples = ready_for_rules(source, rules, data, seed), epochs * len(data.train)
    chip = chip_of_program(ready)
    facts = learning_facts(ready, chip, data.name, samples, seed, rule_sha256=rules.sha256())
    with contextlib.nullcontext() if run is None else reserved(run, facts, force):
        machine = RuleMachine(ready, rules, data, seed, timed=run is not None)
        check_room(ready, chip, machine.learning)
        if samples * machine.steps > PIECE_STEPS:
            machine.let_events_go(chip, None if run is None else Path(run))
        course = _Course(epochs, seed, every or len(data.train), test or data.test, progress or (lambda _: None))
        scores, rates = _taught(machine, data, course)
        done = machine.result(scores, rates)
        if output is not None:
            done.program.save(output)
        if run is None:
            return done
        learnt = machine.parts(chip)
        return replace(done, times=write_learning_run(Path(run), ready, chip, facts, learnt, done.summary()))


class _Course(NamedTuple):
    """Course of a machine's learning; see `learn_by_rule`."""

    epochs: int
    seed: int
    every: int
    test: Split
    progress: Callable[[int], None]


def _taught(machine: RuleMachine, data: Task, course: _Course) -> tuple[list[Figures], tuple[float, ...]]:
    """Learn all epochs; return the scores, and the spike rate by epoch."""
    scores, rates = [], []
    course.progress(0)
    for epoch in range(1, course.epochs + 1):
        before, steps = machine.hidden_spikes(), machine.simulation.state.step
        order = np.arange(len(data.train))
        if not data.ordered:
            order = np.random.default_rng((course.seed, epoch)).permutation(order)
        for at, k in enumerate(order, 1):
            machine.sample(data.train.x[k], int(data.train.y[k]))
            course.progress(1)
            if machine.samples % course.every == 0:
                coming = data.train.take(slice(at, at + course.every))
                scores.append(machine.judge(coming if data.ordered and len(coming) else course.test))
        rates.append((machine.hidden_spikes() - before) / (machine.simulation.state.step - steps) / machine.neurons)
    if machine.samples % course.every:
        scores.append(machine.judge(course.test))
    return scores, tuple(rates)


class RuleMachine:
    """A simulation in which projections learn by rules.

    Args:
        program: ready to learn.
        rules: of its projections.
        task: gives labelled and deciding steps.
        seed: of the chip's random numbers.
        timed: note what the timing needs.

    Raises:
        InputError: a rule that fits no projection, or a program whose answer is in several outputs.
    """

    def __init__(self, program: Program, rules: ReadRules, task: Task, seed: int, timed: bool = False) -> None:
        self.base, self.task, self.rules, self.seed = program, task, rules, seed
        self.reading = HostReading.of(program)
        self.simulation = Simulation(program, seed=seed)
        self.answer = HostAnswer(self.reading, self.simulation)
        self.counts = LearnCounts(len(self.simulation.layout.cells))
        shift = -round(np.log2(task.input_scale))
        file, most = rules.file, most_delay(program, rules)
        self.learning = [
            ProductLearning(
                self.simulation, name, rule, self.counts, file.epoch, file.sign, file.rounding, max(0, shift), most
            )
            for name, rule in chosen(program, rules).items()
        ]
        self.factors = Factors(self.simulation, self.learning, self.reading.population, seed)
        self.samples = 0
        self.simulation.step_hooks.append(self._step)
        self._timed = timed
        self._active: list[U8] = []
        self._seen = self.simulation.active_of_neuron.copy()
        self._label, self._from, self._past = -1, 0, 0
        self._long: LongLearning | None = None
        self._layers = hidden(program)
        self.neurons = sum(p.size for p in self._layers)
        self._labelled = np.flatnonzero(task.loss_steps)
        self.steps = self.reading.latency + task.steps

    def sample(self, payloads: AnyInts, label: int) -> None:
        """Present a sample and learn."""
        if self.samples:
            self.simulation.reset()
        for each in self.learning:
            each.reset()
        self.factors.reset()
        self.answer.reset()
        self._label, self._from = label, self.simulation.state.step
        self.simulation.advance(encode(self.base, payloads), self.steps)
        self.samples += 1
        if self._long is not None and len(self.simulation.record.counts) >= PIECE_STEPS:
            self._past = self.hidden_spikes()
            self._long.let_go()

    def _step(self, simulation: Simulation) -> None:
        self.counts.at(simulation.state.step - 1)
        if self._timed:
            self._active.append(np.packbits(simulation.active_of_neuron != self._seen))
            self._seen[:] = simulation.active_of_neuron
        at = simulation.state.step - 1 - self._from - self.reading.latency
        answer = None
        if at >= 0:
            self.answer.listen()
        if 0 <= at < self.task.steps and self.task.loss_steps[at]:
            answer = Answer(self.answer.scores(), self._label, at == self._labelled[-1])
        self.factors.make(answer)
        for each in self.learning:
            each(simulation, last=simulation.state.step - self._from == self.steps)

    def hidden_spikes(self) -> int:
        """Return the spikes of the hidden layers so far."""
        ids = recorded_spikes(self.simulation.record).ids
        first = self.base.first_ids()
        return self._past + sum(
            int(((ids >= first[p.name]) & (ids < first[p.name] + p.size)).sum()) for p in self._layers
        )

    def program(self) -> Program:
        """Return the program with the weights as they are now."""
        learnt = {each.synapses.name: each for each in self.learning}
        parts = [with_learnt(q, learnt[q.name]) if q.name in learnt else (q,) for q in self.base.projections]
        program = replace(self.base, projections=tuple(part for each in parts for part in each))
        known = {q.name for q in self.base.projections}
        new = [q.name for q in program.projections if q.name not in known]
        return replace(program, meta=dict(program.meta) | {"learnt": [*program.facts.learnt, *new]}) if new else program

    def score(self, split: Split) -> float:
        """Return the accuracy of the net as it is now, run apart."""
        return float(self.judge(split)["accuracy"])

    def judge(self, split: Split) -> Figures:
        """Return the figures of merit of the net as it is now, run apart."""
        program = self.program()
        trial = self.reading.trial(program, SequenceTrial(self.task.name, self.task, split))
        how = How(engine="none", seed=self.seed)
        ran = execute(request_of(trial, program, chip_of_program(program), how))
        return trial.judge(trial.chip_scores(program, ran))

    def result(self, scores: list[Figures], rates: tuple[float, ...]) -> RuleResult:
        """Return what was learnt, with the scores and rates on the way."""
        return RuleResult(
            self.program(), self.rules.file.name, tuple(s["accuracy"] for s in scores), rates, self.counts.totals(),
            self.memory(), self.simulation.state.step, self.at_bound(),
            tuple(s["auc_roc"] for s in scores if "auc_roc" in s),
        )  # fmt: skip

    def at_bound(self) -> int:
        """Return how many weights stand at a bound of their word."""
        return sum(int(((e.weights <= e.bounds[0]) | (e.weights >= e.bounds[1])).sum()) for e in self.learning)

    def memory(self) -> dict[str, int]:
        """Return learning bytes by kind."""
        bits: dict[str, int] = {}
        for item in rule_memory(self.learning):
            bits[item.kind] = bits.get(item.kind, 0) + item.words * item.bits
        return {kind: -(-n // 8) for kind, n in bits.items()}

    def let_events_go(self, chip: Chip, folder: Path | None) -> None:
        """Count and time events of a long run as it goes on, instead of keeping them; `folder` of the run to write."""
        active = self._active if self._timed else None
        self._long = LongLearning(self.simulation, self.counts, active, chip, self.steps, folder)

    def parts(self, chip: Chip) -> LearntParts:
        """Return what the run folder is to hold."""
        return self.learnt(chip).parts() if self._long is None else self._long.learnt(self.program(), self.samples)

    def learnt(self, chip: Chip) -> Learnt:
        """Return all that was done while learning, timed on a chip."""
        program, counter = self.program(), Counter(self.base)
        counted = finish(self.simulation, counter, self.samples).activity
        sizes = [p.size for p in program.populations]
        counts = dict(counted.counts) | self.counts.counts(counted.steps, program.core, sizes, counter.n_cores)
        spikes = recorded_spikes(self.simulation.record)
        noted = Noted(program, spikes, self.counts, self._active)
        timings = [] if chip.timing is None else time_all(noted, chip)
        return Learnt(program, replace(counted, counts=counts), spikes, timings, self.samples)

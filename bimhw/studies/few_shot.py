"""Few-shot learning on the chip: features that were trained on some classes, a readout that learns others from a few samples.

A leaky network is trained on the old classes on the host. Its readout is emptied and learnt anew on the chip by a rule file, one
sample at a time: first the old classes, then some samples of each new class. Scores are over all classes. The hidden layer never
changes, so what is forgotten is lost in the readout alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from bimhw.compiler.pipeline import compile as compile_model
from bimhw.costs.compare import energy
from bimhw.learning.api import train
from bimhw.runs.learn_rule import RuleMachine, learn_by_rule
from bimhw.tasks import load_task
from bimhw.tasks.base import Split, Task
from simulator.base.errors import InputError
from simulator.plasticity.rules.rule_file import ReadRules, read_rules
from simulator.program.program import Program


class FewShotRow(msgspec.Struct, frozen=True):
    """A rule after some samples of each new class.

    Attributes:
        rule: name.
        seed: of weights, samples and rounding.
        shots: samples of each new class so far.
        new_accuracy: on test samples of the new classes, any class may be the answer.
        old_accuracy: on those of the old classes.
        forgotten: old accuracy before the first new sample, less this one.
        energy_uj, latency_us: of a new sample while it is learnt; None where the chip's constants are unknown.
    """

    rule: str
    seed: int
    shots: int
    new_accuracy: float
    old_accuracy: float
    forgotten: float
    energy_uj: float | None
    latency_us: float | None


def few_shot(
    chip: str = "loihi2",
    rules: Sequence[str | Path] = ("prototype", "delta"),
    *,
    new: Sequence[int] = (7, 8, 9),
    shots: Sequence[int] = (1, 2, 5, 10),
    seeds: Iterable[int] = (0,),
    hidden: int = 64,
    epochs: int = 4,
    old_samples: int = 350,
) -> list[FewShotRow]:
    """Learn new digits from a few samples on a chip, by several rules from the same features.

    Args:
        chip: name or file.
        rules: rule files that learn the readout, shipped or of one's own.
        new: classes that the features were not trained on.
        shots: samples of each new class after which it is scored, ascending.
        seeds: of weights, samples and rounding.
        hidden: neurons of the hidden layer.
        epochs: of training the features on the host, by BPTT.
        old_samples: of the old classes that the readout learns on the chip before.

    Raises:
        InputError: classes or shots that make no task, an unknown rule.
    """
    task = load_task("digits", whole=True)
    classes = set(range(task.n_classes))
    if not set(new) < classes or not new:
        raise InputError("new", f"are the classes {list(new)}", f"Give some of 0..{task.n_classes - 1}, not all")
    if not shots or list(shots) != sorted(set(shots)) or shots[0] < 1:
        raise InputError("shots", f"are {list(shots)}", "Give ascending numbers from 1 on")
    files, rows = [read_rules(rule) for rule in rules], []
    for seed in seeds:
        program = _features(task, classes - set(new), chip, hidden, epochs, seed)
        plan = _Plan.of(task, classes - set(new), new, shots, old_samples, seed)
        for file in files:
            rows += _learnt(program, file, plan, seed)
    return rows


def only(split: Split, classes: Iterable[int]) -> Split:
    """Return the samples of some classes."""
    return split.take(np.flatnonzero(np.isin(split.y, list(classes))))


def _features(task: Task, old: set[int], chip: str, hidden: int, epochs: int, seed: int) -> Program:
    """Return the network compiled with features of the old classes and an empty readout."""
    part = replace(task, train=only(task.train, old), test=only(task.test, old))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.safetensors"
        train(part, file, family="leaky", rule="bptt", epochs=epochs, lr=0.02, batch=16, hidden=(hidden,), seed=seed)
        program = compile_model(file, chip, task=part).program
    readout = program.facts.output.population if program.facts.output else None
    empty = (replace(q, weights=np.zeros_like(q.weights)) if q.target == readout else q for q in program.projections)
    return replace(program, projections=tuple(empty))


class _Plan(msgspec.Struct, frozen=True):
    """Samples of a seed: of the old classes, and a row of one of each new class for each shot."""

    task: Task
    old: Split
    shots: tuple[int, ...]
    new: Split
    each: int
    old_test: Split
    new_test: Split

    @classmethod
    def of(cls, task: Task, old: set[int], new: Sequence[int], shots: Sequence[int], n: int, seed: int) -> _Plan:
        rng = np.random.default_rng(seed)
        known = only(task.train, old)
        order = rng.permutation(len(known))[:n]
        chosen = [rng.permutation(np.flatnonzero(task.train.y == c))[: shots[-1]] for c in new]
        in_turn = np.stack([rng.permuted(row) for row in np.array(chosen).T]).reshape(-1)
        return cls(
            task, known.take(order), tuple(shots), task.train.take(in_turn), len(new),
            only(task.test, old), only(task.test, new),
        )  # fmt: skip


def _learnt(program: Program, file: ReadRules, plan: _Plan, seed: int) -> list[FewShotRow]:
    known = learn_by_rule(
        program, file, replace(plan.task, train=plan.old, test=plan.old_test, ordered=True), seed=seed
    )  # fmt: skip
    before, rows = known.accuracy[-1], []
    cost, latency = _price(known.program, file, plan, seed)
    machine = RuleMachine(known.program, file, plan.task, seed)
    for k, (x, y) in enumerate(zip(plan.new.x, plan.new.y, strict=True), 1):
        machine.sample(x, int(y))
        shot = k // plan.each
        if k % plan.each == 0 and shot in plan.shots:
            new, old = machine.score(plan.new_test), machine.score(plan.old_test)
            rows.append(FewShotRow(file.file.name, seed, shot, new, old, before - old, cost, latency))
    return rows


def _price(program: Program, file: ReadRules, plan: _Plan, seed: int) -> tuple[float | None, float | None]:
    """Return energy and time of a new sample while it is learnt."""
    new = replace(plan.task, train=plan.new, test=plan.new_test.take(slice(0, 1)), ordered=True)
    with tempfile.TemporaryDirectory() as folder:
        times = learn_by_rule(program, file, new, seed=seed, run=Path(folder) / "run").times
        report = energy(Path(folder) / "run").report
    return report.energy_pj() / 1e6 / report.samples if report.prices_learning else None, times.get("mean_latency_us")

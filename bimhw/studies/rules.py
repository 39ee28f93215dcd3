"""`bimhw rules`: learning rules on one task and one chip, accuracy against energy, time and memory.

Every rule starts from the same compiled network with the same seeded weights, sees the same samples in the same order, and is
judged on the same test samples. Energy and time are those of learning: all presentations, learning phases included.
The network is a BIM network, for which the built-in rules are, a leaky one, for which most rule files are written, or a program
of a user's own, which rule files teach.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bimhw.compiler.pipeline import compile as compile_model
from bimhw.costs.compare import energy
from bimhw.learning.recipe import recipe
from bimhw.learning.rules.registry import rules as host_rules
from bimhw.models.io import save_model
from bimhw.models.nets import build
from bimhw.runs.classes import with_classes
from bimhw.runs.folder import RunFolder
from bimhw.runs.learn import learn
from bimhw.runs.learn_rule import learn_by_rule
from bimhw.runs.rule_words import check_rules
from bimhw.runs.workers import side_by_side
from bimhw.studies.rules_own import own_study
from bimhw.studies.rules_rows import RuleRow
from bimhw.tasks import load_task
from bimhw.tasks.base import Split, Task
from bimhw.tasks.own import OwnSamples
from energy_models.spread import UNKNOWN
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip
from simulator.plasticity.rules.rule_file import ReadRules, Rounding, read_rules, shipped_rules
from simulator.program.program import Program

# Rules of BIM on the chip, in the forms that differ in what they keep; the others are rule files.
BUILT_IN: dict[str, dict[str, Any]] = {
    "rtrl-dense": {"rule": "rtrl", "form": "dense"},
    "rtrl-seq": {"rule": "rtrl", "form": "seq"},
    "hybrid": {"rule": "hybrid", "lam": 0.5},
    "stdp": {"rule": "stdp"},
    "frozen": {"rule": "frozen"},
}


# bits of a weight; of them, those that weights may grow by while they learn; the most that a rule changes
_WORD, _ROOM, _MOST_BITS = 8, 1, 9


class _Net(NamedTuple):
    """A network that is built for the task; see `rules`."""

    chip: str
    hidden: str | tuple[int, ...]
    family: str
    settings: Mapping[str, str | float | bool]


@dataclass(frozen=True)
class _Study:
    """Settings that all rules share."""

    task: Task
    program: Program
    epochs: int
    level: float
    every: int | None
    shift: tuple[int, ...]
    rounding: Rounding | None


def rules(
    task: str | Task | OwnSamples = "digits",
    chip: str | None = None,
    names: Sequence[str] = (),
    *,
    program: Program | str | Path | None = None,
    epochs: int = 1,
    seeds: Iterable[int] = (0,),
    hidden: str | tuple[int, ...] | None = None,
    family: str | None = None,
    every: int | None = None,
    shift: tuple[int, ...] = (0, 0),
    rounding: Rounding | None = None,
    level: float = 0.9,
    train: int | None = None,
    test: int | None = None,
    plot: str | Path | None = None,
    settings: Mapping[str, str | float | bool] | None = None,
    progress: Callable[[int], None] | None = None,
    workers: int = 1,
) -> list[RuleRow]:
    """Learn a task by several rules on a chip, and price each.

    Args:
        task, chip: a name or a task, of a program also labelled samples; name or file, ``loihi2`` by default.
        names: of `BUILT_IN` or of rule files, shipped or one's own; by default all that the network can learn by.
        program: one's own, or its file, in the place of a network made of chip, hidden, family and settings.
        epochs, seeds: passes over the training samples; seeds of weights (but a program's), order and rounding.
        hidden, family: neurons of each layer, 64 by default; ``bim`` (the default) or ``leaky``. Built-in rules learn BIM alone.
        every: samples between two scores (rule files only; default: an epoch).
        shift: powers of 2 that multiply weight changes of rule files: of hidden layers, of the readout.
        rounding: of rule files; by default as they say. Small steps want ``unbiased``.
        level: accuracy (or area) to reach.
        train, test: samples used, drawn evenly (of a stream its first); all by default.
        plot: Pareto picture to write (.png, .svg, .pdf).
        settings: fields of the family's config and of its initial weights that differ, such as ``{"recurrent": True}``.
        progress: called with the number of samples of each rule that is done.
        workers: processes that share rules and seeds. The result is the same for any number.

    Raises:
        InputError: an unknown rule, a task or a plot that does not work; `FitError`: a chip that does not learn it so.
    """
    _check(level, shift, plot)
    if program is None:
        net = _Net(chip or "loihi2", hidden or (64,), family or "bim", settings or {})
        data, chosen, nets = _built(task, names, seeds, net, (train, test))
    else:
        given = {"chip": chip, "hidden": hidden, "family": family, "settings": settings or None}
        data, chosen, own = own_study(program, task, names, given)
        data, nets = _cut(data, train, test), dict.fromkeys(seeds, own)
    studies = {seed: _Study(data, net, epochs, level, every, shift, rounding) for seed, net in nets.items()}
    tasks = [(study, name, seed) for seed, study in studies.items() for name in chosen]
    seen = epochs * len(data.train)
    rows: list[RuleRow] = side_by_side(_row, tasks, workers, lambda: progress(seen) if progress else None)
    if plot is not None:
        from bimhw.studies.rules_plot import plot_rules

        plot_rules(rows, data.name, Path(plot))
    return rows


def _built(
    task: str | Task | OwnSamples,
    names: Sequence[str],
    seeds: Iterable[int],
    net: _Net,
    most: tuple[int | None, int | None],
) -> tuple[Task, list[str], dict[int, Program]]:
    """Return the task with the `most` samples of its splits, the rules, and a network of the family for each seed."""
    data = with_classes(load_task(task) if isinstance(task, str) else task)
    chosen = _chosen(names, net.family, data)
    data = _cut(data, *most)
    nets = {seed: _compiled(data, net.chip, net.hidden, seed, net.family, net.settings) for seed in seeds}
    _check_files(chosen, list(nets.values())[:1])
    return data, chosen, nets


def _chosen(names: Sequence[str], family: str, data: Task) -> list[str]:
    """Return the names of the rules; raise `InputError` for one that does not go with the network or the task."""
    chosen = list(names) or [*(BUILT_IN if family == "bim" else ()), *shipped_rules()]
    built_in, files = [n for n in chosen if n in BUILT_IN], [n for n in chosen if n not in BUILT_IN]
    for name in files:
        if name in host_rules() and name not in shipped_rules():
            here = ", ".join((*BUILT_IN, *shipped_rules()))
            raise InputError(
                f"rule {name!r}", "is one of `bimhw train`, on the host", f"Rules of a chip: {here}, or a file"
            )
        read_rules(name)
    if built_in and family != "bim":
        raise InputError(f"rule {built_in[0]!r}", f"learns BIM networks, not {family} ones", "Take a rule file")
    if built_in and (data.ordered or data.metric == "auc"):
        problem = f"shuffles its samples, and {data.name!r} is a stream"
        if not data.ordered:
            problem = f"is scored by accuracy, and {data.name!r} is judged by areas under curves"
        raise InputError(f"rule {built_in[0]!r}", problem, "Take rule files")
    return chosen


def _check_files(chosen: Sequence[str], nets: Sequence[Program]) -> None:
    """Raise an error for a rule file that does not fit the network or its chip, before one of them learns."""
    for program in nets:
        for name in chosen:
            if name not in BUILT_IN:
                check_rules(program, read_rules(name))


def _check(level: float, shift: tuple[int, ...], plot: str | Path | None) -> None:
    if plot is not None:
        from bimhw.views.figure import check_picture

        check_picture(plot)
    if not 0 < level <= 1:
        raise InputError("level", f"is {level}", "Give an accuracy above 0, at most 1")
    if len(shift) != 2 or not all(-32 <= each <= 8 for each in shift):
        raise InputError("shift", f"is {shift}", "Give two powers of 2, -32 to 8")


def _cut(data: Task, train: int | None, test: int | None) -> Task:
    """Return the task with so many samples."""
    data = replace(
        data, train=_part(data.train, train, data.ordered), test=_part(data.test, test), validation=None, judged=None
    )
    if data.metric == "auc" and data.unjudged:
        raise InputError("test samples", data.unjudged, "Take more")
    return data


def _part(split: Split, number: int | None, ordered: bool = False) -> Split:
    """Return samples of a split in its order: classes may stand one after the other, so the first ones would be no sample."""
    if number is None or number >= len(split):
        return split
    drawn = np.arange(number) if ordered else np.random.default_rng(0).permutation(len(split))[:number]
    return split.take(np.sort(drawn))


def _compiled(
    task: Task,
    chip: str,
    hidden: str | tuple[int, ...],
    seed: int,
    family: str,
    settings: Mapping[str, str | float | bool],
) -> Program:
    plan = recipe(task, None, seed, family, hidden=hidden, **settings)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.pt"
        save_model(build(plan.config, seed, plan.init), file)
        stored = load_chip(chip).capabilities.weight_bits
        word = max((bits for bits in stored if bits <= _WORD), default=min(stored))
        if word > _MOST_BITS:
            raise FitError(
                f"chip {chip!r}",
                f"stores weights of {word} bits; rules learn at most {_MOST_BITS}",
                "Take another chip",
            )
        if family == "bim":  # learning puts its weights on a grid with room
            return compile_model(file, chip, task=task, bits=word).program
        roomy = word - _ROOM in stored  # else the words that learn are halved (`ready_for_rules`)
        return compile_model(file, chip, task=task, bits=word - _ROOM if roomy else word).program


def _row(study: _Study, name: str, seed: int) -> RuleRow:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        scores, memory, times = _learnt(study, name, seed, run)
        costs = energy(run, copies=1)
        synapses = sum(q.n_synapses for q in study.program.projections)
        packets = RunFolder.open(run).activity().total("packets") / (study.epochs * len(study.task.train))
    report, first, latency = costs.report, costs.rows()[0], times.get("mean_latency_us")
    each = first.uj if report.prices_learning else None
    whole = study.epochs * len(study.task.train)
    step = len(study.task.train) if name in BUILT_IN or study.every is None else study.every
    scored = tuple(min(step * (k + 1), whole) for k in range(len(scores)))
    seen = next((n for n, a in zip(scored, scores, strict=True) if a >= study.level), None)
    return RuleRow(
        name, seed, scores, scored, each, latency, memory, 8 * memory / max(1, synapses), packets, seen,
        None if seen is None or each is None else seen * each / 1e3,
        None if seen is None or latency is None else seen * latency / 1e3, study.task.ordered, study.task.metric,
        report.unknown, None if each is None else first.low_uj, None if each is None else first.high_uj,
        UNKNOWN if each is None else first.word, first.low_us, first.high_us, UNKNOWN if latency is None else first.time_word,
    )  # fmt: skip


def _as_asked(rules: ReadRules, shift: tuple[int, ...], rounding: Rounding | None) -> ReadRules:
    """Return rules whose weight changes are multiplied by 2^shift, (hidden, readout), and rounded so."""
    powers = [shift[r.projections == ("readout",)] for r in rules.rules]
    moved = (r._replace(dw=r.dw._replace(unit=r.dw.unit + n)) for r, n in zip(rules.rules, powers, strict=True))
    file = rules.file if rounding is None else msgspec.structs.replace(rules.file, rounding=rounding)
    return rules._replace(file=file, rules=tuple(moved))


def _learnt(study: _Study, name: str, seed: int, run: Path) -> tuple[tuple[float, ...], int, dict[str, float]]:
    """Return scores, learning bytes and times of a rule."""
    if name in BUILT_IN:
        one = learn(
            study.program,
            study.task,
            epochs=study.epochs,
            seed=seed,
            run=run,
            **BUILT_IN[name],
        )
        return one.accuracy, sum(one.memory.values()), one.times
    rule = _as_asked(read_rules(name), study.shift, study.rounding)
    other = learn_by_rule(study.program, rule, study.task, epochs=study.epochs, seed=seed, run=run, every=study.every)
    scores = other.accuracy
    if study.task.metric == "auc":
        scores = tuple(area for area in other.auc_roc if area is not None)
    return scores, sum(other.memory.values()), other.times

"""Words that a rule file changes: which projections learn, room for their weights, the delays of their synapses."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from bimhw.runs.learn import ready_to_learn
from bimhw.runs.rule_answers import readout_of
from bimhw.runs.rule_limits import check_engine
from bimhw.tasks.base import Task
from mapping.learning_limits import check_width
from simulator.base.errors import FitError, InputError
from simulator.chips.chip import Chip
from simulator.plasticity.config import LearnConfig
from simulator.plasticity.rules.product_hook import ProductLearning
from simulator.plasticity.rules.product_text import LARGEST
from simulator.plasticity.rules.rule_file import ReadRules, Rule
from simulator.program.chip import chip_of_program
from simulator.program.graph import Projection
from simulator.program.program import Program
from simulator.program.shared import SharedProjection

_ELSE = "else hidden"  # all hidden projections where the names before it fit none
_WORD_BITS = 9  # of a weight that rules of products change


def chosen(program: Program, rules: ReadRules) -> dict[str, Rule]:
    """Return the rule of each projection that learns.

    Raises:
        InputError: a rule that fits no projection, or that names one or a population that the program does not have.
    """
    readout = readout_of(program)
    out: dict[str, Rule] = {}
    for rule in rules.rules:
        fits: dict[str, list[str]] = {}
        for n in rule.projections:
            pattern = ("" if any(fits.values()) else "hidden") if n == _ELSE else n
            fits[n] = [q.name for q in program.projections if _fits(q.name, q.target, pattern, readout)]
        wrong = [n for n, found in fits.items() if not (found or _is_pattern(n))]
        if wrong or not any(fits.values()):
            raise InputError(
                f"{rule.places['projections']}: {', '.join(wrong or fits)}",
                "are none of the program's",
                f"It has {', '.join(q.name for q in program.projections)}",
            )
        _check_populations(program, rule)
        learning = {name for found in fits.values() for name in found}
        out |= {q.name: rule for q in program.projections if q.name in learning and q.name not in out}
    return out


def _is_pattern(name: str) -> bool:
    return name in ("hidden", "readout", _ELSE) or any(mark in name for mark in "*?[")


def _check_populations(program: Program, rule: Rule) -> None:
    sizes = {p.name: p.size for p in program.populations}
    for k, factor in rule.factors.items():
        if not factor.population:
            continue
        where, name = rule.places[k], factor.population
        if name not in sizes:
            raise InputError(f"{where}: population {name!r}", "is not in the program", f"It has {', '.join(sizes)}")
        if factor.neuron is not None and factor.neuron >= sizes[name]:
            raise InputError(
                f"{where}: neuron {factor.neuron}", f"is not in {name!r}", f"It has 0 to {sizes[name] - 1}"
            )


def _fits(name: str, target: str, pattern: str, readout: str | None) -> bool:
    if pattern in ("hidden", "readout"):
        return (target == readout) == (pattern == "readout")
    return fnmatch.fnmatchcase(name, pattern)


def ready_for_rules(program: Program, rules: ReadRules, task: Task, seed: int) -> Program:
    """Return the program with room to grow in the weights that will learn.

    A BIM network gets the grid of any on-chip learning. Of any other, a stored word whose upper half the initial weights
    use is halved, to nearest, and its projection shifts by one bit more. Projections that have learnt by a rule before
    keep their grid.

    Raises:
        InputError: a rule that fits no projection, weights wider than those of a rule, or shared ones.
        FitError: the chip stores no words of the width in which BIM networks learn.
    """
    if program.meta.get("kind") == "bim":
        check_width(chip_of_program(program), LearnConfig().weight_bits, "products")
        return ready_to_learn(program, task, {"rule": "frozen"}, seed)
    names = chosen(program, rules).keys() - set(program.facts.learnt)
    if not names:
        return program
    chip = chip_of_program(program)
    roomy = tuple(_with_room(q, chip) if q.name in names else q for q in program.projections)
    return replace(
        program, projections=roomy, meta=dict(program.meta) | {"learnt": [*program.facts.learnt, *sorted(names)]}
    )


def _with_room(q: Projection, chip: Chip) -> Projection:
    where = f"projection {q.name!r}"
    if isinstance(q, SharedProjection):
        raise InputError(where, "has kernels that many synapses share, and a rule changes each synapse", "Name others")
    bits = min(8 * q.weights.dtype.itemsize, max(chip.capabilities.weight_bits), _WORD_BITS)
    if q.weight_bits > bits:
        raise InputError(
            where, f"has weights of {q.weight_bits} bits; a rule's have {bits}", f"Compile with --bits {bits}"
        )
    peak = int(np.abs(q.weights.astype(np.int64)).max(initial=0))
    if peak < 1 << (bits - 2):
        return replace(q, weight_bits=bits)
    halved = np.round(q.weights / 2).astype(q.weights.dtype)
    return replace(q, weights=halved, exponent=q.exponent + 1, weight_bits=bits)


def most_delay(program: Program, rules: ReadRules) -> int:
    """Return the longest delay of a synapse, in steps, that a rule may set on the program's chip.

    Raises:
        FitError: a rule changes delays, and the chip has none.
    """
    if not any(rule.dd.scale.size for rule in rules.rules):
        return 0
    chip = chip_of_program(program)
    if not chip.capabilities.max_delay:
        raise FitError(
            f"rule file {rules.file.name!r}", f"changes delays, and chip {chip.name!r} has none", "Take another chip"
        )
    return min(chip.capabilities.max_delay, LARGEST["d"])


def check_rules(program: Program, rules: ReadRules) -> None:
    """Raise `InputError` or `FitError` for rules that do not fit a program's projections or its chip, before all else."""
    check_engine(chip_of_program(program), rules)
    chosen(program, rules)
    most_delay(program, rules)


def with_learnt(q: Projection, learning: ProductLearning) -> tuple[Projection, ...]:
    """Return a projection with what was learnt: one for each delay of its synapses.

    The first keeps the name, that of d steps gets ``NAME.delay<d>``.
    """
    weights = learning.weights.copy()
    if not learning.delayed:
        return (replace(q, weights=weights),)
    delays: Collection[int] = np.unique(learning.delays).tolist()
    parts = []
    for k, delay in enumerate(delays):
        kept = learning.delays == delay
        ptr = np.concatenate(([0], np.cumsum(kept)))[q.indptr]
        parts.append(
            replace(
                q, name=q.name if k == 0 else f"{q.name}.delay{delay}", indptr=ptr.astype(np.int64),
                indices=q.indices[kept], weights=weights[kept], delay=int(delay),
                layout=q.layout if len(delays) == 1 else "sparse",
            )
        )  # fmt: skip
    return tuple(parts) or (replace(q, weights=weights),)

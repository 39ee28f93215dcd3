"""Outputs of a program: what is read of each, how it is decoded into scores, and how scores are judged.

==========  =================================================================================
count       sum of what an output sent over the sample's own steps; the class is the largest
first       the output that fires first
membrane    the output's state at the step (mean over the steps) at which the program decides
max         the largest state over the sample's own steps
==========  =================================================================================

By default the network tells: ``membrane`` (or ``max``) where its output is a state, else ``count``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from bimhw.compiler.compare import unit_of
from bimhw.runs.execute import Run
from bimhw.tasks.labels import as_labels
from mapping.network import Network
from simulator.base.arrays import I32, I64, Array, Floats
from simulator.base.errors import InputError, unknown_name
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import get
from simulator.program.graph import Population
from simulator.program.meta import ProgramExit, ProgramOutput
from simulator.program.program import Program

Figures = dict[str, Any]
Decode = Literal["count", "first", "membrane", "max"]
DECODES: tuple[Decode, ...] = get_args(Decode)
MOST_CLASSES = 1024  # of a confusion matrix
_STATES = ("v", "V", "y")


def reduce(values: Floats, how: Decode, window: tuple[int, ...]) -> Floats:
    """Return scores [B, C] of values [B, T, C].

    Args:
        values: of the outputs, on the sample's own steps.
        how: see above.
        window: steps at which ``membrane`` decides.
    """
    if how == "count":
        return np.asarray(values.sum(axis=1))
    if how == "max":
        return np.asarray(values.max(axis=1))
    if how == "membrane":
        return np.asarray(values[:, list(window)].mean(axis=1))
    fired, steps = values != 0, values.shape[1]
    return np.asarray(steps - np.where(fired.any(axis=1), fired.argmax(axis=1), steps), np.float64)


@dataclass(frozen=True, eq=False)
class Output:
    """One output.

    Attributes:
        name: in the model.
        population: its neurons.
        how: decoding.
        state: the state that is read; None where spikes are.
    """

    name: str
    population: Population
    how: Decode
    state: str | None

    def on_chip(self, program: Program, run: Run, steps: int) -> Floats:
        """Return values [B, T, C] of a run, in the units of the float network."""
        layer = self.population.layer
        return self.values(program, self.words(program, run)[:, layer : layer + steps])

    def words(self, program: Program, run: Run) -> I32:
        """Return the integers [B, chip steps, C] that it sent or held in a run."""
        p = self.population
        if self.state is not None:
            return run.probes[p.name, self.state]
        first = program.first_ids()[p.name]
        return np.stack([t.to_dense(first, p.size) for t in run.spikes])

    def values(self, program: Program, words: I32) -> Floats:
        """Return words in the units of the float network."""
        formats, p = program.facts.formats, self.population
        if self.state is None:
            unit = unit_of(p, formats)
        else:
            unit = 2.0 ** -formats[p.name][self.state] if p.name in formats else 1.0
        return np.asarray(words.astype(np.float64) * unit)

    def doubts(self, out: Array | None) -> list[str]:
        """Return a note if recorded values cannot be what this output sends: no count of spikes is negative or broken."""
        counted = self.state is None and get(self.population.model).emits == "binary"
        if out is None or not counted or bool((out >= 0).all() and (out == np.round(out)).all()):
            return []
        found = f"recorded values of {self.name!r} are no spikes ({out.min():.4g} to {out.max():.4g}), which the network sends"
        return [f"{found}: if they are its membrane, give a profile with output membrane, or --decode membrane"]

    def decisions(self, values: Floats, window: tuple[int, ...]) -> I64:
        """Return the class [B] of values [B, T, C]."""
        return np.asarray(reduce(values, self.how, window).argmax(axis=1))


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs that are read of a program.

    Attributes:
        all: every output, by its name in the model; two names may show the same neurons.
        answer: those that are judged together by labels or targets without a name, side by side in this order.
    """

    all: tuple[Output, ...]
    answer: tuple[Output, ...]

    @staticmethod
    def of(program: Program, decode: str | None) -> Outputs:
        """Return the outputs that a program names, decoded as asked for or as the network tells."""
        if decode not in (None, *DECODES):
            raise unknown_name("decode", decode, DECODES, listed="Decodings")
        exits, meta = _exits(program), program.facts.output or ProgramOutput()
        found = []
        for one in exits:
            state = meta.state or one.state
            own: Decode = ("max" if "max" in (meta.reduce, one.reduce) else "membrane") if state else "count"
            how: Decode = decode or own
            population = program.population(one.population)
            _check_fires(population, one.name, how)
            read = None if how in ("count", "first") else state or _state_of(population)
            found.append(Output(one.name, population, how, read))
        first: dict[str, Output] = {}
        for one, output in zip(exits, found, strict=True):
            if one.answer:
                first.setdefault(one.population, output)
        return Outputs(tuple(found), tuple(first.values()))

    def named(self, name: str, where: str) -> Output:
        """Return an output by its name in the model, or by that of its population."""
        for output in self.all:
            if name in (output.name, output.population.name):
                return output
        raise InputError(
            where,
            f"names the output {name!r}, which the network has not",
            f"Outputs: {', '.join(o.name for o in self.all)}",
        )

    def probes(self) -> tuple[tuple[str, str], ...]:
        """Return the states that must be recorded."""
        return tuple(dict.fromkeys((o.population.name, o.state) for o in self.all if o.state is not None))

    def on_chip(self, program: Program, run: Run, steps: int) -> dict[str, Floats]:
        """Return output -> values [B, T, C] of a run, in the units of the float network."""
        return {o.name: o.on_chip(program, run, steps) for o in self.all}

    def in_float(self, network: Network, values: dict[str, Floats], steps: int, seed: int) -> dict[str, Floats]:
        """Return output -> values [B, T, C] of the float network."""
        from mapping.float_run import record

        pairs = [(o.population.name, o.state or "out") for o in self.all]
        layers = [network.population(name).layer for name, _ in pairs]
        shown = record(network, values, steps + max(layers), pairs, seed)
        return {
            o.name: shown[pair][:, layer : layer + steps]
            for o, pair, layer in zip(self.all, pairs, layers, strict=True)
        }

    def joined(self, values: Mapping[str, Floats]) -> Floats:
        """Return the values of the answer, side by side."""
        return np.concatenate([values[o.name] for o in self.answer], axis=2)

    def scores(self, joined: Array, window: tuple[int, ...]) -> Floats:
        """Return scores [B, C] of the answer's values, side by side [B, T, C]."""
        ends = np.cumsum([o.population.size for o in self.answer])[:-1]
        parts = np.split(joined, ends, axis=2)
        return np.concatenate([reduce(v, o.how, window) for v, o in zip(parts, self.answer, strict=True)], axis=1)


def _exits(program: Program) -> tuple[ProgramExit, ...]:
    """Return what a program calls its outputs; else its output populations, or the last one."""
    facts = program.facts
    if facts.exits:
        return facts.exits
    meta = facts.output or ProgramOutput()
    names = facts.outputs or ((meta.population,) if meta.population else ())
    names = names or tuple(p.name for p in program.populations if p.role == "output")
    names = names or tuple(p.name for p in program.populations if p.model != INPUT_MODEL)[-1:]
    return tuple(ProgramExit(n, n) for n in names)


def _check_fires(population: Population, name: str, how: Decode) -> None:
    """Raise `InputError` where spikes decide and the output has none, or one in every step: all scores would be equal."""
    rule = get(population.model).fires
    silent, steady = rule == "never", "every step" in rule or not np.any(population.params.get("fires", 1))
    if (silent and how in ("count", "first")) or (steady and how == "first"):
        does = "never fires" if silent else "sends its value in every step"
        raise InputError(f"decode {how!r}", f"reads spikes, and output {name!r} {does}", "Use membrane or max")


def _state_of(population: Population) -> str:
    words = {w.name for w in get(population.model).states}
    for name in _STATES:
        if name in words:
            return name
    raise InputError("decode", f"{population.name!r} has no membrane to read", "Use --decode count")


def judged(y: Array | None, scores: Floats, where: str) -> Figures:
    """Return accuracy and confusion against labels, or the error against real targets; nothing without either.

    Of more than `MOST_CLASSES` outputs there is no confusion: its size is their square.

    Args:
        y: labels (`bimhw.tasks.labels`), or targets [B, C] or [B, T, C].
        scores: [B, C].
        where: of y, for messages.

    Raises:
        InputError: targets of another shape than the outputs, or a label that no output has.
    """
    if y is None:
        return {}
    size = scores.shape[1]
    labels = as_labels(y, where, size)
    if labels is not None:
        chosen = scores.argmax(axis=1)
        accuracy = float((chosen == labels).mean())
        if size > MOST_CLASSES:
            return {"accuracy": accuracy}
        table = np.zeros((size, size), np.int64)
        np.add.at(table, (labels, chosen), 1)
        return {"accuracy": accuracy, "confusion": table.tolist()}
    wanted = y.mean(axis=1) if y.ndim == 3 else y.reshape(len(y), -1)
    if wanted.shape != scores.shape:
        raise InputError(where, f"has shape {y.shape}, the outputs {scores.shape}", "Give one an output")
    error = float(np.sqrt(np.mean((scores - wanted) ** 2)))
    spread = float(np.std(wanted))
    return {"rms_error": error, "relative_rms_error": error / spread if spread else None}


def beside_recorded(out: Array, values: Floats, where: str) -> Figures:
    """Return how many values [B, T, C] are not those of the recorded outputs, and how far they are off."""
    if out.shape != values.shape:
        raise InputError(where, f"has shape {out.shape}, the run gives {values.shape}", "Leave it out")
    power = float(np.sqrt(np.mean(out.astype(np.float64) ** 2)))
    error = float(np.sqrt(np.mean((values - out) ** 2)))
    return {
        "recorded_differ": int((values != out).sum()),
        "recorded_of": int(out.size),
        "recorded_rms_error": error / power if power else error,
    }

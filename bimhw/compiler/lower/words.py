"""General lowering: each parameter is stored as the nearest whole number in the unit of its word.

A parameter whose `Word` names a port is divided by the value of 1 in that port's accumulator, so that thresholds and
weights share one scale. The accumulator of a port that no word names has the unit 1: weights are then stored as
multiples of 2^k, k >= 0, of the model's own input unit (1/256 mV for ``izhikevich``).
Error: half a unit of each word; a parameter that this changes by more than a tenth is refused. A decay so slow that its word
cannot hold a hundredth of it becomes 0, with a note: the state then keeps all of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.lower.base import Lowered, Lowering, PortUnitOf
from bimhw.compiler.options import CompileOptions
from mapping.relay import rests
from simulator.base.arrays import I32, Floats
from simulator.base.errors import FitError
from simulator.neurons.base import Word, get
from simulator.program.graph import Population

_MOST_CHANGE = 0.1  # of a parameter by rounding
_NO_DECAY = 0.01  # of a decay word's least step
_WAIT = "wait"  # the word of the models that wait for their layer


def lower_words(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Return the population in whole numbers; its parameters need no format of their own."""
    model, params, notes = get(population.model), dict[str, I32](), list[str]()
    for word in model.params:
        if word.name == _WAIT:
            params[_WAIT] = np.asarray(population.layer, np.int32)
            continue
        given = population.params.get(word.name, model.defaults.get(word.name))
        if given is None:
            raise FitError(
                f"population {population.name!r}",
                f"lacks the parameter {word.name!r} of model {model.name!r}",
                "Give it",
            )
        value = np.asarray(given, np.float64)
        if word.decay and ((value > 0) & (value < _NO_DECAY)).any():
            least = float(value[(value > 0) & (value < _NO_DECAY)].min())
            notes.append(
                f"population {population.name!r}: {word.name!r} of {least:g} ({word.meaning}) is stored as 0: no decay"
            )
            value = np.where(value < _NO_DECAY, 0.0, value)
        params[word.name] = stored_word(population, word, value, units.get(word.unit))
    tables = population.tables
    if model.tables and not tables:
        if model.float_tables is None:
            raise FitError(
                f"population {population.name!r}",
                f"lacks the tables {', '.join(model.tables)}",
                "Give them in `tables`",
            )
        tables = model.float_tables(population.params)
    made = replace(population, params=params, tables=tables)
    waits = _WAIT in params or rests(made, population.layer)
    return Lowered(made, {}, tuple(notes) if waits else (*notes, early(population)))


def early(population: Population) -> str:
    """Return the note on a population that moves before its layer starts."""
    return (
        f"population {population.name!r} starts {population.layer} steps before its first input arrives: its neuron "
        f"({population.model}) cannot wait, and does not rest until then"
    )


def stored_word(population: Population, word: Word, value: Floats, unit: Floats | None) -> I32:
    """Return a parameter as whole numbers of its word, in `unit` if it has one; one number where all are equal.

    Raises:
        FitError: the word does not hold it, or rounding changes it by more than a tenth.
    """
    where = f"population {population.name!r}: parameter {word.name!r}"
    scaled = value / unit if unit is not None else value
    whole = np.round(scaled)
    if unit is None and (np.abs(whole - scaled) > _MOST_CHANGE * np.abs(scaled)).any():
        bad = scaled[np.abs(whole - scaled) > _MOST_CHANGE * np.abs(scaled)].reshape(-1)[0]
        raise FitError(
            where, f"is {bad:g}, and its word holds whole numbers", "Give it in the unit of the model's word"
        )
    return in_word(where, word, whole)


def in_word(where: str, word: Word, whole: Floats) -> I32:
    """Return whole numbers as int32, checked against the word; one number where all are equal."""
    low, high = (-(2.0 ** (word.bits - 1)), 2.0 ** (word.bits - 1) - 1) if word.signed else (0.0, 2.0**word.bits - 1)
    if whole.size and not (low <= whole.min() and whole.max() <= high):
        raise FitError(
            where,
            f"needs {whole.min():.0f}..{whole.max():.0f} in a word of {word.bits} bits, which holds {low:.0f}..{high:.0f}",
            "Rescale the model, or use fewer weight bits (--bits)",
        )
    stored: I32 = whole.astype(np.int32)
    return stored[0] if stored.ndim and stored.size and (stored == stored[0]).all() else stored


def _port_unit(population: Population, port: str) -> PortUnitOf:
    model = get(population.model)
    fixed = all(word.unit != port for word in model.params)
    return PortUnitOf(fixed, 0 if fixed else model.traits.fine_bits)


LOWERING = Lowering(lower_words, port_unit=_port_unit)

"""Lowering: a float population -> the integer words of its model.

A model names the module of its lowering (`NeuronModel.lowering`); a model that names none has the general one of
`bimhw.compiler.lower.words`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import Floats
from simulator.base.errors import FitError
from simulator.neurons.base import get
from simulator.program.graph import Population

# lower(population, port -> value of 1 in its accumulator, calibration, options)
Lower = Callable[[Population, Mapping[str, Floats], Calibration, CompileOptions], "Lowered"]
# value of payload 1 of the population's spikes (1.0 for binary spikes)
OutScale = Callable[[Population, Calibration, CompileOptions], float]
# port_unit(population, port): the unit that the model asks of a port's accumulator
PortUnit = Callable[[Population, str], "PortUnitOf"]

GENERAL = "bimhw.compiler.lower.words"


@dataclass(frozen=True)
class PortUnitOf:
    """Demand of a model on the unit of a port's accumulator.

    Attributes:
        fixed: the unit must be 1 (the model's words have units of their own), else the weights choose it.
        finer: bits by which the accumulator is finer than the weights: room for what a leak leaves.
    """

    fixed: bool = False
    finer: int = 0


@dataclass(frozen=True, eq=False)
class Lowered:
    """The integer form of a population.

    Attributes:
        population: integer stage.
        fracs: word -> fractional bits (value = stored 2^-frac).
        notes: what the integer form does otherwise than the float one, for the report.
    """

    population: Population
    fracs: Mapping[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lowering:
    """Lowering of a family of models."""

    lower: Lower
    out_scale: OutScale = field(default=lambda population, calibration, options: 1.0)
    port_unit: PortUnit = field(default=lambda population, port: PortUnitOf())


def lowering_of(population: Population) -> Lowering:
    """Return the lowering of a population's model.

    Raises:
        FitError: the model has no kernel in integers.
    """
    model = get(population.model)
    if model.kernel is None:
        raise FitError(
            f"population {population.name!r}",
            f"its neuron model {population.model!r} has no integer form",
            "Use a model with an integer kernel (docs/neurons.md)",
        )
    lowering: Lowering = importlib.import_module(model.lowering or GENERAL).LOWERING
    return lowering

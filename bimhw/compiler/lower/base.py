"""Lowering: a float population -> the integer words of its model. One function a family of models, found by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.options import CompileOptions
from simulator.base.errors import FitError
from simulator.program.graph import Population

Floats = npt.NDArray[np.float64]
# lower(population, port -> value of 1 in its accumulator, calibration, options)
Lower = Callable[[Population, Mapping[str, Floats], Calibration, CompileOptions], "Lowered"]
# value of payload 1 of the population's spikes (1.0 for binary spikes)
OutScale = Callable[[Population, Calibration, CompileOptions], float]


@dataclass(frozen=True, eq=False)
class Lowered:
    """The integer form of a population.

    Attributes:
        population: integer stage.
        fracs: word -> fractional bits (value = stored 2^-frac).
    """

    population: Population
    fracs: Mapping[str, int]


@dataclass(frozen=True)
class Lowering:
    """How a family of models is lowered."""

    lower: Lower
    out_scale: OutScale = field(default=lambda population, calibration, options: 1.0)


# family (the start of a model's name) -> module with a `LOWERING`
_FAMILIES = {
    "bim_d_": "bimhw.compiler.lower.bim",
    "clamp_fuse": "bimhw.compiler.lower.spikessm",
    "leaky": "bimhw.compiler.lower.leaky",
    "loihi_cuba": "bimhw.compiler.lower.loihi",
    "p_ssm_": "bimhw.compiler.lower.spikessm",
    "readout_li": "bimhw.compiler.lower.readout",
    "s6_": "bimhw.compiler.lower.s6",
}


def register_family(prefix: str, module: str) -> None:
    """Make the lowering of a family of models known: `module` has a `LOWERING`."""
    _FAMILIES[prefix] = module


def lowering_of(population: Population) -> Lowering:
    """The lowering of a population's model.

    Raises:
        FitError: no lowering for this model.
    """
    matches = [p for p in _FAMILIES if population.model.startswith(p)]
    if not matches:
        raise FitError(
            f"population {population.name!r}",
            f"its neuron model {population.model!r} has no integer form",
            f"Models with one start with: {', '.join(sorted(_FAMILIES))}",
        )
    lowering: Lowering = importlib.import_module(_FAMILIES[max(matches, key=len)]).LOWERING
    return lowering

"""Float network -> integer network: weights port by port, then each population with its port's units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.lowering import lowering_of
from bimhw.compiler.options import CompileOptions
from bimhw.compiler.quantise import quantise_port
from mapping.network import Network
from simulator.graph import INPUT_MODEL, Population, Projection
from simulator.neurons.base import get

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LoweredNetwork:
    """An integer network and how its words are to be read.

    Attributes:
        network: integer stage.
        fracs: population -> word -> fractional bits.
        out_scales: population -> value of a spike of payload 1.
        weight_errors: projection -> relative root-mean-square error of its stored weights.
    """

    network: Network
    fracs: Mapping[str, Mapping[str, int]]
    out_scales: Mapping[str, float]
    weight_errors: Mapping[str, float]


def lower(
    network: Network, calibration: Calibration, options: CompileOptions, input_scales: Mapping[str, float]
) -> LoweredNetwork:
    """Lower a float network.

    Args:
        network: float stage.
        calibration: of this network.
        options: bits and layouts.
        input_scales: input population -> value of a spike of payload 1.
    """
    scales = {p.name: _out_scale(p, calibration, options, input_scales) for p in network.populations}
    populations: list[Population] = []
    stored: dict[str, Projection] = {}
    fracs: dict[str, Mapping[str, int]] = {}
    errors: dict[str, float] = {}
    for population in network.populations:
        if population.model == INPUT_MODEL:
            populations.append(population)
            continue
        units: dict[str, Floats] = {}
        for port in get(population.model).ports:
            into = [q for q in network.projections if q.target == population.name and q.port == port]
            done = quantise_port(into, population.size, scales, options, calibration.drives)
            units[port] = done.unit
            stored |= {q.name: q for q in done.projections}
            errors |= done.rms_error
        lowered = lowering_of(population).lower(population, units, calibration, options)
        populations.append(lowered.population)
        fracs[population.name] = lowered.fracs
    projections = tuple(stored[q.name] for q in network.projections)
    integer = Network("integer", tuple(populations), projections, network.meta)
    return LoweredNetwork(integer, fracs, scales, errors)


def _out_scale(
    p: Population, calibration: Calibration, options: CompileOptions, input_scales: Mapping[str, float]
) -> float:
    if p.model == INPUT_MODEL:
        return input_scales.get(p.name, 1.0)
    return lowering_of(p).out_scale(p, calibration, options)

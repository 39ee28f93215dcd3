"""Float network -> integer network: weights port by port, then each population with its port's units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.lower.base import lowering_of
from bimhw.compiler.options import CompileOptions
from bimhw.compiler.quantise import channels_of, finer, quantise_port
from bimhw.compiler.row_errors import layer_error
from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection, csr_to_dense


@dataclass(frozen=True, eq=False)
class LoweredNetwork:
    """An integer network and how its words are to be read.

    Attributes:
        network: integer stage.
        fracs: population -> word -> fractional bits.
        out_scales: population -> value of a spike of payload 1.
        weight_errors: projection -> relative root-mean-square error of its stored weights.
        row_errors: projection -> error of what its target neurons receive (`bimhw.compiler.row_errors`).
        notes: what populations do otherwise than in the float network.
    """

    network: Network
    fracs: Mapping[str, Mapping[str, int]]
    out_scales: Mapping[str, float]
    weight_errors: Mapping[str, float]
    row_errors: Mapping[str, float]
    notes: tuple[str, ...] = ()


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
    weights = store_weights(network, calibration, options, input_scales, by_row=True)
    populations: list[Population] = []
    fracs: dict[str, Mapping[str, int]] = {}
    notes: list[str] = []
    for population in network.populations:
        if population.model == INPUT_MODEL:
            populations.append(population)
            continue
        units = {port: weights.units[population.name, port] for port in get(population.model).ports}
        lowered = lowering_of(population).lower(population, units, calibration, options)
        populations.append(lowered.population)
        fracs[population.name] = lowered.fracs
        notes += lowered.notes
    projections = tuple(weights.projections[q.name] for q in network.projections)
    integer = Network("integer", tuple(populations), projections, network.meta)
    rows = {
        q.name: layer_error(weights.row_errors[q.name], calibration.rates.get(q.target)) for q in network.projections
    }
    return LoweredNetwork(integer, fracs, weights.out_scales, weights.errors, rows, tuple(notes))


@dataclass(frozen=True, eq=False)
class StoredWeights:
    """All weights of a network as integers.

    Attributes:
        projections: by name, integer stage.
        units: (population, port) -> value of 1 in its accumulator, () or [n].
        out_scales: population -> value of a spike of payload 1.
        errors: projection -> relative root-mean-square error.
        row_errors: projection -> error of each row; empty unless they were asked for.
    """

    projections: Mapping[str, Projection]
    units: Mapping[tuple[str, str], Floats]
    out_scales: Mapping[str, float]
    errors: Mapping[str, float]
    row_errors: Mapping[str, Floats]

    def real(self, name: str, n_target: int) -> Floats:
        """Return the weights of a projection that the stored integers stand for, float64 [n_target, n_source]."""
        q = self.projections[name]
        unit = self.units[q.target, q.port] * 2.0**q.exponent / self.out_scales[q.source]
        return csr_to_dense(q, n_target) * (unit[:, None] if unit.ndim else unit)


def store_weights(
    network: Network,
    calibration: Calibration,
    options: CompileOptions,
    input_scales: Mapping[str, float],
    by_row: bool = False,
) -> StoredWeights:
    """Quantise the weights of a float network, port by port; arguments as in `lower` and `quantise_port`."""
    scales = {p.name: _out_scale(p, calibration, options, input_scales) for p in network.populations}
    stored: dict[str, Projection] = {}
    units: dict[tuple[str, str], Floats] = {}
    errors: dict[str, float] = {}
    rows: dict[str, Floats] = {}
    for population in network.populations:
        for port in () if population.model == INPUT_MODEL else get(population.model).ports:
            into = [q for q in network.projections if q.target == population.name and q.port == port]
            asked = lowering_of(population).port_unit(population, port)
            done = quantise_port(
                into, population.size, scales, options, calibration.drives, asked.fixed, by_row, channels_of(population)
            )
            done = finer(done, population.size, asked.finer) if asked.finer else done
            units[population.name, port] = done.unit
            stored |= {q.name: q for q in done.projections}
            errors |= done.rms_error
            rows |= done.row_errors
    return StoredWeights(stored, units, scales, errors, rows)


def _out_scale(
    p: Population, calibration: Calibration, options: CompileOptions, input_scales: Mapping[str, float]
) -> float:
    if p.model == INPUT_MODEL:
        return input_scales.get(p.name, 1.0)
    return lowering_of(p).out_scale(p, calibration, options)

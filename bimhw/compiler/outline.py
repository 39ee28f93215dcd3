"""Integer form of a network whose projections are counted, not unrolled: what `fit` needs of it, and no more.

Layouts, words of neurons and kernels are those that `compile` would store. Weights are not quantised one by one: those that
would round to 0 count as stored, and the scale of a port follows from a bound of its largest weight.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import weight_limit
from bimhw.compiler.lower.base import lowering_of
from bimhw.compiler.options import CompileOptions
from mapping.limits import check_capabilities
from mapping.network import Network
from mapping.patterned import PatternProjection
from mapping.words import dense_bits, sparse_bits
from simulator.base.arrays import Floats
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection

_NOTHING = Calibration({}, {}, 0, "")
NOTE = "convolutions are counted, not unrolled: weights that round to 0 count as stored"


def outline_integers(network: Network, chip: Chip, options: CompileOptions) -> Network:
    """Return the integer outline of a float network in the chip's neurons.

    Raises:
        FitError: the chip's neurons, delays or weight widths do not serve it.
    """
    check_capabilities(network, chip, options.bits)
    projections = tuple(_stored(network, q, options) for q in network.projections)
    populations = tuple(_lowered(network, p, options) for p in network.populations)
    return replace(network, stage="integer", populations=populations, projections=projections)


def _stored(network: Network, q: Projection, options: CompileOptions) -> Projection:
    n_source, n_target = q.indptr.size - 1, network.population(q.target).size
    if q.layout == "conv":
        return replace(q, weight_bits=options.bits)
    dense = dense_bits(n_source, n_target, options.bits) <= sparse_bits(q.n_synapses, n_target, options.bits)
    return replace(q, weight_bits=options.bits, layout="dense" if dense and options.bits > 1 else "sparse")


def _lowered(network: Network, p: Population, options: CompileOptions) -> Population:
    if p.model == INPUT_MODEL:
        return p
    units: dict[str, Floats] = {}
    for port in get(p.model).ports:
        into = [q for q in network.projections if q.target == p.name and q.port == port]
        peak = max((q.peak for q in into if isinstance(q, PatternProjection)), default=0.0)
        unit = 2.0 ** math.ceil(math.log2(max(peak, 1e-9) / weight_limit(options.bits)))
        # a scale for each neuron is a word of each neuron
        scales = unit * 2.0 ** (np.arange(p.size) % 2) if options.per_row else np.asarray(unit)
        units[port] = np.asarray(scales, np.float64)
    return lowering_of(p).lower(p, units, _NOTHING, options).population

"""Sigma-delta neurons -> integers: the activation's binary point from calibration; the sum keeps the accumulator's unit.

Error: half a unit of the activation, which does not grow with time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import frac_bits, multiplier, to_fixed
from bimhw.compiler.lower.base import Lowered, Lowering
from bimhw.compiler.lower.membrane import MARGIN, PAYLOAD_BITS
from bimhw.compiler.lower.words import in_word
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import Floats
from simulator.neurons.base import get
from simulator.program.graph import Population


def frac_of(population: Population, calibration: Calibration, options: CompileOptions) -> int:
    """Return the fractional bits of the activation: one payload holds the largest change that calibration saw."""
    largest = max(calibration.of(population.name, "y", "d", "sent"), float(np.abs(population.params["vth"]).max()))
    bits = min(options.state_bits, PAYLOAD_BITS)
    return frac_bits(MARGIN * largest, bits, bits - 1)


def lower_sigma_delta(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Return the integer population; see `simulator.neurons.sigma_delta` for its words."""
    frac, where = frac_of(population, calibration, options), f"population {population.name!r}: parameter"
    p, limit = population.params, 2 ** (options.state_bits - 1) - 1
    mul, shift = multiplier(units["in"] * 2.0**frac)
    out = {
        "mul": mul,
        "sh": shift,
        "bias": to_fixed(p["bias"], frac, 24, f"{where} 'bias'"),
        "vth": np.maximum(to_fixed(p["vth"], frac, 24, f"{where} 'vth'"), 1),
        "relu": np.asarray(p["relu"]),
        "limit": np.asarray(limit),
        "wait": np.asarray(population.layer),
        "sh_out": np.asarray(0),
    }
    words = {
        w.name: in_word(f"{where} {w.name!r}", w, np.asarray(out[w.name], np.float64))
        for w in get("sigma_delta").params
    }
    return Lowered(replace(population, params=words), {"sent": frac})


def out_scale(population: Population, calibration: Calibration, options: CompileOptions) -> float:
    """Return the value of payload 1: the unit of the activation."""
    return float(2.0 ** -frac_of(population, calibration, options))


LOWERING = Lowering(lower_sigma_delta, out_scale)

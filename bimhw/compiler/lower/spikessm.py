"""P-SpikeSSM -> integers: binary points for the modes h and the weights c of a layer, and for the residual stream.

The stream r has at most 16 bits (it travels as graded spikes), with the binary point that holds kappa. The modes have 24 bits
whatever the width of other states: a mode of 1,000 steps moves by a thousandth of its size in a step, and 16 bits would stand
still below that. lambda and gamma have 22 fractional bits, y 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import frac_bits, multiplier, to_fixed
from bimhw.compiler.lower.base import Lowered, Lowering
from bimhw.compiler.lower.membrane import MARGIN, PAYLOAD_BITS
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import I32, Floats
from simulator.neurons import p_spike_ssm as p_ssm
from simulator.neurons.base import get
from simulator.program.graph import Population

_WEIGHT_BITS = 24  # words of c, D, lambda, gamma
_BIAS_BITS = 24


def stream_frac(population: Population, options: CompileOptions) -> int:
    """Return the fractional bits of the residual stream."""
    bits = min(options.state_bits, PAYLOAD_BITS)
    return frac_bits(MARGIN * float(np.max(population.params["kappa"])), bits, bits - 1)


def lower_p_ssm(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Lower a population of this family to integer parameters; see `simulator.neurons.p_spike_ssm` for their meaning."""
    if population.model == p_ssm.CLAMP_FUSE:
        return _lower_fuse(population, units, options)
    modes = range(p_ssm.states_of(population.model))
    p, name = population.params, population.name
    seen = calibration.of(name, *(f"{part}{n}" for n in modes for part in ("re", "im")))
    frac_h = frac_bits(MARGIN * seen, p_ssm.MODE_BITS, p_ssm.MODE_BITS - 1)
    weights = [p["D"], *(p[f"{part}{n}"] for n in modes for part in ("cr", "ci"))]
    frac_c = frac_bits(MARGIN * max(float(np.abs(w).max()) for w in weights), _WEIGHT_BITS, _WEIGHT_BITS - 1)
    frac_u = frac_bits(MARGIN * calibration.of(name, "u"), PAYLOAD_BITS, PAYLOAD_BITS - 1)

    def fixed(word: str, frac: int, bits: int = _WEIGHT_BITS) -> I32:
        return to_fixed(p[word], frac, bits, f"population {name!r}: parameter {word!r}")

    out = {"b": fixed("b", p_ssm.Y_FRAC, _BIAS_BITS), "D": fixed("D", frac_c)}
    out["mul"], out["sh"] = multiplier(units["in"] * 2.0**frac_u)
    shifts = {
        "sh_g": p_ssm.POLE_FRAC + frac_u - frac_h,
        "sh_c": frac_c + frac_h - p_ssm.Y_FRAC,
        "sh_d": frac_c + frac_u - p_ssm.Y_FRAC,
        "limit": 2 ** (p_ssm.MODE_BITS - 1) - 1,
        "wait": population.layer,
    }
    out |= {word: np.asarray(value, np.int32) for word, value in shifts.items()}
    for n in modes:
        out |= {f"{word}{n}": fixed(f"{word}{n}", p_ssm.POLE_FRAC) for word in ("lr", "li", "g")}
        out |= {f"{word}{n}": fixed(f"{word}{n}", frac_c) for word in ("cr", "ci")}
    params = {w.name: out[w.name] for w in get(population.model).params}
    words = {f"{part}{n}": frac_h for n in modes for part in ("re", "im")} | {"u": frac_u, "c": frac_c}
    return Lowered(replace(population, params=params, tables={"p": p_ssm.probability_table()}), words)


def _lower_fuse(population: Population, units: Mapping[str, Floats], options: CompileOptions) -> Lowered:
    frac = stream_frac(population, options)
    where = f"population {population.name!r}: parameter"
    params = {
        "b": to_fixed(population.params["b"], frac, _BIAS_BITS, f"{where} 'b'"),
        "kappa": to_fixed(population.params["kappa"], frac, PAYLOAD_BITS, f"{where} 'kappa'"),
        "wait": np.asarray(population.layer, np.int32),
    }
    for port in ("in", "res"):
        params[f"mul_{port}"], params[f"sh_{port}"] = multiplier(units[port] * 2.0**frac)
    return Lowered(replace(population, params=params), {"r": frac})


def out_scale(population: Population, calibration: Calibration, options: CompileOptions) -> float:
    """Return the value of payload 1: 1 for spikes, the unit of the stream for ``clamp_fuse``."""
    return float(2.0 ** -stream_frac(population, options)) if population.model == p_ssm.CLAMP_FUSE else 1.0


LOWERING = Lowering(lower_p_ssm, out_scale)

"""P-SpikeSSM by its authors' definition -> integers: binary points of modes, of v and of their weights, and of the stream.

The modes have 24 bits whatever the width of other states, as in `bimhw.compiler.lower.spikessm`; the stream travels as graded
spikes of at most 16 bits. Values before a GELU or a draw have 16 fractional bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import frac_bits, multiplier, to_fixed
from bimhw.compiler.lower.base import Lowered, Lowering, PortUnitOf
from bimhw.compiler.lower.membrane import MARGIN, PAYLOAD_BITS
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import I32, Floats
from simulator.neurons import p_spike_s4 as s4
from simulator.neurons.base import get
from simulator.program.graph import Population

_WEIGHT_BITS = 24
_BIAS_BITS = 32
_SCORE_BITS, _SCORE_FRAC = 32, 28
_LEAST_GAIN = 2.0**-14  # a probability cannot follow a smaller one


class _Words:
    """Fixed-point words of one population."""

    def __init__(self, population: Population, units: Mapping[str, Floats]) -> None:
        self.population, self.units = population, units

    def fixed(self, word: str, frac: int, bits: int) -> I32:
        """Store a parameter."""
        where = f"population {self.population.name!r}: parameter {word!r}"
        return to_fixed(self.population.params[word], frac, bits, where)

    def input(self, frac: int) -> dict[str, I32]:
        """Return scale and bias of a value with `frac` fractional bits."""
        mul, sh = multiplier(self.units["in"] * 2.0**frac)
        return {"mul": mul, "sh": sh, "b": self.fixed("b", frac, _BIAS_BITS)}

    def affine(self) -> dict[str, I32]:
        """Return gain and shift of a sampler."""
        gain = np.asarray(self.population.params["gain"], np.float64)
        mul, sh = multiplier(np.where(np.abs(gain) < _LEAST_GAIN, 0.0, gain))
        return {"gain": mul, "sh_gain": sh, "shift": self.fixed("shift", s4.Y_FRAC, _BIAS_BITS)}


def lower_s4(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Lower a population of this family to integer parameters; see `simulator.neurons.p_spike_s4` for their meaning."""
    words = _Words(population, units)
    lowered: dict[str, I32]
    fracs: dict[str, int]
    if population.model == s4.SAMPLER:
        lowered, fracs = words.input(s4.Y_FRAC) | {"gelu": words.fixed("gelu", 0, 2)} | words.affine(), {}
    elif population.model == s4.FUSE:
        lowered, fracs = _fuse(words, _stream_frac(population, calibration, options))
    elif population.model == s4.MEAN:
        largest = calibration.of(population.name, "y")
        frac = frac_bits(MARGIN * largest, _SCORE_BITS, _SCORE_FRAC)
        lowered, fracs = words.input(frac), {"y": frac}
    else:
        lowered, fracs = _state_space(words, calibration)
    lowered["wait"] = np.asarray(population.layer, np.int32)
    model = get(population.model)
    params = {w.name: lowered[w.name] for w in model.params}
    tables = {"gelu": s4.gelu_table()} if model.tables else {}
    return Lowered(replace(population, params=params, tables=tables), fracs)


def _stream_frac(population: Population, calibration: Calibration, options: CompileOptions) -> int:
    bits = min(options.state_bits, PAYLOAD_BITS)
    return frac_bits(MARGIN * calibration.of(population.name, "r"), bits, min(bits - 1, s4.Y_FRAC))


def _fuse(words: _Words, frac: int) -> tuple[dict[str, I32], dict[str, int]]:
    mul, sh = multiplier(words.units["res"] * 2.0**frac)
    out = words.input(s4.Y_FRAC) | {"gelu": words.fixed("gelu", 0, 2), "mul_res": mul, "sh_res": sh}
    out["sh_r"] = np.asarray(s4.Y_FRAC - frac, np.int32)
    out["limit"] = np.asarray(2 ** (PAYLOAD_BITS - 1) - 1, np.int32)
    return out, {"r": frac}


def _state_space(words: _Words, calibration: Calibration) -> tuple[dict[str, I32], dict[str, int]]:
    population = words.population
    name, p, modes = population.name, population.params, range(s4.modes_of(population.model))

    def frac_of(kinds: str) -> int:
        largest = max(float(np.abs(p[f"{kind}{part}{m}"]).max()) for kind in kinds for part in "ri" for m in modes)
        return frac_bits(MARGIN * largest, _WEIGHT_BITS, _WEIGHT_BITS - 1)

    seen = calibration.of(name, *(f"{part}{m}" for m in modes for part in ("re", "im")))
    frac = {kind: frac_of(kind) for kind in "qpc"} | {"e": s4.POLE_FRAC}
    frac["b"] = frac["h"] = min(frac_bits(MARGIN * seen, s4.MODE_BITS, s4.MODE_BITS - 1), frac_of("b"))
    frac["v"] = frac_bits(MARGIN * calibration.of(name, "v"), s4.MODE_BITS, s4.MODE_BITS - 1)
    out = {"D": words.fixed("D", s4.Y_FRAC, _BIAS_BITS)} | words.affine()
    shifts = {
        "limit": 2 ** (s4.MODE_BITS - 1) - 1,
        "sh_v": frac["q"] + frac["h"] - frac["v"],
        "sh_p": frac["p"] + frac["v"] - frac["h"],
        "sh_c": frac["c"] + frac["h"] - s4.Y_FRAC,
    }
    out |= {word: np.asarray(value, np.int32) for word, value in shifts.items()}
    for m in modes:
        out |= {f"{w}{m}": words.fixed(f"{w}{m}", frac[w[0]], _WEIGHT_BITS) for w in s4.MODE_PARAMS}
    return out, {f"{part}{m}": frac["h"] for m in modes for part in ("re", "im")} | {"v": frac["v"]}


def out_scale(population: Population, calibration: Calibration, options: CompileOptions) -> float:
    """Return the value of payload 1: 1 for spikes, the unit of the stream for ``gelu_fuse``."""
    return float(2.0 ** -_stream_frac(population, calibration, options)) if population.model == s4.FUSE else 1.0


def port_unit(population: Population, port: str) -> PortUnitOf:
    """Return that a state space counts spikes."""
    return PortUnitOf(fixed=bool(s4.modes_of(population.model)))


LOWERING = Lowering(lower_s4, out_scale, port_unit)

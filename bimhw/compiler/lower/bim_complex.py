"""BIM with a complex state -> integers: binary points from calibration, the shifts between them, the tables of Abar and g.

Formats: z, the state, c, y and q have binary points of their own; d has 12 fractional bits, cosine and sine 15, C and D as
many as their largest value leaves in 16 bits; the membrane's words as in `lower_membrane`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import frac_bits, multiplier
from bimhw.compiler.lower.base import Lowered, Lowering
from bimhw.compiler.lower.membrane import Words, fracs_of, membrane_out_scale, tables_of_decays
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import Floats
from simulator.neurons import bim_complex as neuron
from simulator.neurons.base import get
from simulator.neurons.bim_d import ABAR_FRAC, D_FRAC
from simulator.program.graph import Population

_SEEN = {"z": ("z",), "x": ("re", "im"), "c": ("c",), "y": ("y",)}
_CONSTANT_BITS = 16


def lower_complex(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Lower a population to integer parameters; see `simulator.neurons.bim_complex` for their meaning."""
    frac = _fracs(population, calibration, options)
    value = Words(population)
    value.membrane(frac, calibration, options)
    for port, target in (("z", frac["z"]), ("d", D_FRAC), ("c", frac["c"])):
        value.out[f"mul_{port}"], value.out[f"sh_{port}"] = multiplier(units[port] * 2.0**target)
        value.fixed(f"b_{port}", target)
    for name in ("turn_cos", "turn_sin"):
        value.fixed(name, neuron.TURN_FRAC, bits=17)
    weight, skip = _constant_frac(population, "c_re", "c_im"), _constant_frac(population, "D")
    value.fixed("c_re", weight, _CONSTANT_BITS)
    value.fixed("c_im", weight, _CONSTANT_BITS)
    value.fixed("D", skip, _CONSTANT_BITS)
    value.fixed("b_q", frac["q"])
    value.set(
        sh_gz=ABAR_FRAC + frac["z"] - frac["x"],
        sh_y=weight + frac["x"] - frac["y"],
        sh_cy=frac["c"] + frac["y"] - frac["q"],
        sh_dz=skip + frac["z"] - frac["q"],
    )
    variance = bool(np.asarray(population.params["variance"]).reshape(-1)[0])
    value.out["lut"], tables = tables_of_decays(population, lambda a: neuron.tables(a, variance))
    model = get(population.model)
    lowered = replace(population, params={w.name: value.out[w.name] for w in model.params}, tables={"decay": tables})
    words = {w: f for w, f in frac.items() if w != "x"} | {"re": frac["x"], "im": frac["x"], "d": D_FRAC}
    known = {w.name for w in model.states} | {"z", "d", "c", "y", "q"}
    return Lowered(lowered, {w: f for w, f in (words | {"A": frac["V"]}).items() if w in known})


def _fracs(population: Population, calibration: Calibration, options: CompileOptions) -> dict[str, int]:
    """Return the fractional bits of each word; q also holds the constant current alone."""
    frac = fracs_of(population, calibration, options, _SEEN)
    current = float(np.abs(population.params["b_q"]).max(initial=0.0))
    current *= 1 + 2.0**-options.state_bits
    frac["q"] = min(frac["q"], frac_bits(current, options.state_bits, options.state_bits - 1))
    return frac


def _constant_frac(population: Population, *names: str) -> int:
    largest = max(float(np.abs(population.params[n]).max(initial=0.0)) for n in names)
    return frac_bits(largest * (1 + 2.0**-_CONSTANT_BITS), _CONSTANT_BITS, _CONSTANT_BITS - 1)  # 2^k itself has no room


def out_scale(population: Population, calibration: Calibration, options: CompileOptions) -> float:
    """Return the value of payload 1: 1 for spikes, the unit of the sent membrane for ``graded`` models."""
    return membrane_out_scale(_fracs(population, calibration, options)["V"], population, calibration)


LOWERING = Lowering(lower_complex, out_scale)

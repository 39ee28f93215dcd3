"""S6 -> integers: a binary point for each of z, u = Delta z, B, C, x, q, r, I, V from calibration, and the shifts between them.

Formats: one binary point for all states x_n, one for all B_n, one for all C_n; d has 12 fractional bits, A_log and the skip
weight D 11, the tables as in `simulator.neurons.s6`; the membrane's words as in `lower_membrane`. B and C arrive as graded
spikes of the layer's `s6_project` neurons, whose word has at most 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import frac_bits, multiplier, to_fixed
from bimhw.compiler.lower.base import Lowered, Lowering
from bimhw.compiler.lower.membrane import MARGIN, PAYLOAD_BITS, Words, fracs_of, membrane_out_scale
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import Floats
from simulator.base.errors import FitError
from simulator.neurons import s6
from simulator.neurons.base import get
from simulator.program.graph import Population


def _seen(population: Population) -> dict[str, list[str]]:
    numbers = range(s6.states_of(population.model))
    return {"z": ["z"], "u": ["u"]} | {word: [f"{word}{n}" for n in numbers] for word in "xbc"}


def lower_s6(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Lower an S6 population to integer parameters; see `simulator.neurons.s6` for their meaning."""
    if population.model == s6.PROJECT:
        return _lower_project(population, units, calibration, options)
    model, states = get(population.model), s6.states_of(population.model)
    frac = fracs_of(population, calibration, options, _seen(population))
    value = Words(population)
    value.membrane(frac, calibration, options)
    ports = {"z": ("z", frac["z"]), "d": ("d", s6.D_FRAC), "b": ("b0", frac["b"]), "c": ("c0", frac["c"])}
    for name, (port, target) in ports.items():
        value.out[f"mul_{name}"], value.out[f"sh_{name}"] = multiplier(units[port] * 2.0**target)
    for name in "bc":
        _check_one_unit(population, [units[f"{name}{n}"] for n in range(states)], name)
    value.fixed("b_z", frac["z"])
    value.fixed("b_d", s6.D_FRAC)
    value.fixed("D", s6.D_SKIP_FRAC, bits=16)
    value.fixed("zoh", 0)
    for n in range(states):
        value.fixed(f"l{n}", s6.LOG_FRAC, bits=16)
    value.set(
        sh_u=s6.DELTA_FRAC + frac["z"] - frac["u"],
        sh_bu=frac["b"] + frac["u"] - frac["x"],
        sh_cx=frac["c"] + frac["x"] - frac["q"],
        sh_dz=s6.D_SKIP_FRAC + frac["z"] - frac["q"],
    )
    words = {w.name: frac["x"] for w in model.states if w.name.startswith("x")}
    words |= {w: f for w, f in (frac | {"A": frac["V"]}).items() if w in [s.name for s in model.states]}
    words |= {w: frac[w] for w in ("z", "u", "b", "c", "q")} | {"d": s6.D_FRAC}
    params = {w.name: value.out[w.name] for w in model.params}
    return Lowered(replace(population, params=params, tables=s6.tables()), words)


def _check_one_unit(population: Population, units: list[Floats], name: str) -> None:
    if any(not np.array_equal(units[0], u) for u in units):
        raise FitError(
            f"population {population.name!r}",
            f"gets the ports {name}0..{name}{len(units) - 1} in different units, which share one scale",
            "Send all of them from one s6_project population through weights of 1",
        )


def _project_frac(population: Population, calibration: Calibration, options: CompileOptions) -> int:
    bits = min(options.state_bits, PAYLOAD_BITS)
    return frac_bits(MARGIN * calibration.of(population.name, "p"), bits, bits - 1)


def _lower_project(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    frac, bits = _project_frac(population, calibration, options), min(options.state_bits, PAYLOAD_BITS)
    mul, shift = multiplier(units["in"] * 2.0**frac)
    params = {
        "b": to_fixed(population.params["b"], frac, bits, f"population {population.name!r}: parameter 'b'"),
        "mul": mul,
        "sh": shift,
        "limit": np.asarray(2 ** (bits - 1) - 1, np.int32),
        "wait": np.asarray(population.layer, np.int32),
    }
    return Lowered(replace(population, params=params), {"p": frac})


def out_scale(population: Population, calibration: Calibration, options: CompileOptions) -> float:
    """Return the value of payload 1: 1 for spikes, the unit of the value that ``s6_project`` and ``graded`` models send."""
    if population.model == s6.PROJECT:
        return float(2.0 ** -_project_frac(population, calibration, options))
    frac = fracs_of(population, calibration, options, _seen(population))
    return membrane_out_scale(frac["V"], population, calibration)


LOWERING = Lowering(lower_s6, out_scale)

"""Plain integrators (``lif``, ``if``, ``li``) -> integers: threshold, bias and resets in units of the weights.

A leaky neuron's accumulator is finer than its weights by `FINER` bits, so that the truncation of a decay costs at most
2^-FINER of a weight unit a step. Thresholds are rounded to the side on which comparing stored values is comparing values.
Error: half an accumulator unit of bias and resets, 1/8192 a step of a decay. Neurons without leak, whose bias and
threshold lie on the grid of the weights, are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.lower.base import Lowered, Lowering, PortUnitOf
from bimhw.compiler.lower.start import start_value
from bimhw.compiler.lower.words import early, in_word
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import I64, Bools, Floats
from simulator.neurons.base import get
from simulator.neurons.integrate import V_MAX
from simulator.program.graph import Population

FINER = 6


def lower_lif(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Return the integer population; see `simulator.neurons.lif`, ``if_`` and ``li`` for its words."""
    unit, model = np.asarray(units["in"], np.float64), get(population.model)
    whole: dict[str, Floats] = {}
    for word in model.params:
        value = np.asarray(population.params.get(word.name, model.defaults.get(word.name, 0)), np.float64)
        whole[word.name] = np.round(value / unit) if word.unit else np.round(value)
    if "vth" in whole:
        exact = np.asarray(population.params["vth"], np.float64) / unit
        whole["vth"] = np.where(whole.get("strict", np.zeros(())) != 0, np.floor(exact), np.ceil(exact))
    whole["v_init"], calm = _start(whole, population.layer)
    params = {
        w.name: in_word(f"population {population.name!r}: parameter {w.name!r}", w, np.asarray(whole[w.name]))
        for w in model.params
    }
    return Lowered(replace(population, params=params), fracs_of(unit), () if calm else (early(population),))


def _start(whole: Mapping[str, Floats], layer: int) -> tuple[Floats, bool]:
    v, dv, bias = (np.asarray(whole.get(k, np.zeros(())), np.int64) for k in ("v_init", "dv", "bias"))
    strict = np.asarray(whole.get("strict", np.zeros(()))) != 0

    def fires(x: I64) -> Bools:
        if "vth" not in whole:
            return np.zeros(x.shape, bool)
        over: Bools = np.where(strict, x > whole["vth"], x >= whole["vth"])
        return over

    first, calm = start_value(v, dv, bias, layer, V_MAX, fires)
    return first.astype(np.float64), calm


def fracs_of(unit: Floats, finer: int = 0) -> dict[str, int]:
    """Return the fractional bits of v where the unit is one power of two; `finer`: bits below a weight unit."""
    bits = -np.log2(unit.reshape(-1)) + finer
    same = bool((bits == bits[0]).all()) and bits[0] == np.round(bits[0])
    return {"v": int(bits[0])} if same else {}


def _port_unit(population: Population, port: str) -> PortUnitOf:
    leaks = "dv" in population.params and bool(np.any(population.params["dv"]))
    return PortUnitOf(finer=FINER if leaks else 0)


LOWERING = Lowering(lower_lif, port_unit=_port_unit)

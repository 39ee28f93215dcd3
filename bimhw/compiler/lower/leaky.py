"""Leaky integrators (`simulator.neurons.leaky`) -> integers: one binary point for x, u and v from calibration.

A threshold `_BEYOND` times the others and all that the membranes reached does not set it: that neuron never fires.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import frac_bits, multiplier, to_fixed
from bimhw.compiler.lower.base import Lowered, Lowering
from bimhw.compiler.lower.membrane import shared_if_equal
from bimhw.compiler.options import CompileOptions
from bimhw.compiler.state_advice import cause
from simulator.base.arrays import I32, Bools, Floats
from simulator.base.errors import FitError
from simulator.neurons import leaky
from simulator.neurons.base import get
from simulator.program.graph import Population

MARGIN = 1.2  # unseen data may go this far beyond the calibrated range before a word saturates
_PAYLOAD_BITS = 16
_BEYOND = 16.0
_MOST = 2**23 - 1  # of a threshold's word
_VALUES = ("theta", "v_reset", "v_init", "v_min", "bias", "bias_u")  # parameters with the binary point of v


def frac_of(population: Population, calibration: Calibration, options: CompileOptions) -> int:
    """Return the fractional bits of x, u and v."""
    given = {name: np.asarray(population.params[name]) for name in _VALUES if name in population.params}
    given["theta"] = given["theta"][~_beyond(population, calibration)]
    largest = max(float(np.abs(value[np.isfinite(value)]).max(initial=0.0)) for value in given.values())
    return frac_bits(MARGIN * max(_seen(population, calibration), largest), options.state_bits, options.state_bits - 1)


def _seen(population: Population, calibration: Calibration) -> float:
    return calibration.of(population.name, "v_pre", "v", "u")


def _beyond(population: Population, calibration: Calibration) -> Bools:
    """Return which thresholds are out of reach."""
    theta = np.asarray(population.params["theta"])
    reach = _BEYOND * max(float(np.median(theta)), _seen(population, calibration)) if theta.size else 0.0
    beyond: Bools = (theta > reach) & (reach > 0)
    return beyond


def lower_leaky(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Lower a leaky population to integer parameters; see `simulator.neurons.leaky` for their meaning."""
    frac = frac_of(population, calibration, options)
    limit, beyond = 2 ** (options.state_bits - 1) - 1, _beyond(population, calibration)
    out: dict[str, I32] = {}
    out["mul"], out["sh"] = multiplier(units["in"] * 2.0**frac)
    _check_shift(out["sh"], population, calibration, options)
    for name in _VALUES:
        if name in population.params:
            value = _bounded(population.params[name], -limit * 2.0**-frac)
            where = f"population {population.name!r}: parameter {name!r}"
            if name == "theta":
                value = np.where(beyond, 0.0, value)
            out[name] = to_fixed(_on_grid(name, value, population, frac), frac, options.state_bits, where)
    out["theta"] = np.where(beyond, np.int32(min(limit + 1, _MOST)), out["theta"]).astype(np.int32)
    _check_divisor(out["theta"], population, calibration, options)
    for name in ("keep", "keep_u"):
        if name in population.params:
            out[name] = np.round(population.params[name] * 2.0**leaky.KEEP_FRAC).astype(np.int32)
    for name in ("cmp", "reset", "fires", "wait"):
        out[name] = np.asarray(population.params[name]).astype(np.int32)
    out["sh_out"] = np.asarray(frac - _out_frac(frac, population, calibration), np.int32)
    out["limit"] = np.asarray(limit, np.int32)
    params = {w.name: shared_if_equal(out[w.name]) for w in get(population.model).params}
    fracs = {"v": frac} | ({"u": frac} if "bias_u" in out else {})
    return Lowered(replace(population, params=params), fracs)


def _check_shift(shift: I32, population: Population, calibration: Calibration, options: CompileOptions) -> None:
    """Raise `FitError` where the largest weight is less than a step of the states, and no shift brings it there."""
    word = next(w for w in get(population.model).params if w.name == "sh")
    if np.abs(shift).max(initial=0) >= 2 ** (word.bits - 1):
        raise FitError(
            f"population {population.name!r}",
            f"its states in {options.state_bits} bits take none of its weights in: {cause(population, calibration)}",
            "Scale that down, or use wider states (--state-bits 24)",
        )


def _check_divisor(theta: I32, population: Population, calibration: Calibration, options: CompileOptions) -> None:
    """Raise `FitError` where floor(v / theta) spikes a step would divide by a threshold that rounds to 0."""
    if np.any((theta < 1) & (population.params["cmp"] == leaky.MULTI)):
        reached = _seen(population, calibration)
        raise FitError(
            f"population {population.name!r}",
            f"reaches membranes of {reached:.3g}, beside which its threshold is 0 in {options.state_bits} bits",
            "Use wider states (--state-bits 24), or lower the weights of a loop that grows",
        )


def _bounded(value: Floats, least: float) -> Floats:
    return np.maximum(value, least)


def _on_grid(name: str, value: Floats, population: Population, frac: int) -> Floats:
    """Round a threshold to the grid of v so that stored values compare as values do: down for >, up for >=."""
    if name != "theta":
        return value
    scaled, how = value * 2.0**frac, population.params["cmp"]
    grid = np.where(
        how == leaky.ABOVE, np.floor(scaled), np.where(how == leaky.REACHED, np.ceil(scaled), np.round(scaled))
    )
    return grid * 2.0**-frac


def _out_frac(frac: int, population: Population, calibration: Calibration) -> int:
    """Return the fractional bits of a graded spike that carries v."""
    return min(frac, frac_bits(MARGIN * calibration.of(population.name, "v_pre", "v"), _PAYLOAD_BITS, frac))


def out_scale(population: Population, calibration: Calibration, options: CompileOptions) -> float:
    """Return the value of payload 1: 1 for spikes and their counts, the unit of the sent membrane where it is sent."""
    if not population.model.endswith("_graded") or np.all(population.params["fires"] == 1):
        return 1.0
    frac = frac_of(population, calibration, options)
    return float(2.0 ** -_out_frac(frac, population, calibration))


LOWERING = Lowering(lower_leaky, out_scale)

"""Loihi's CUBA-LIF -> integers: everything in units of the weights, so that weights, threshold and bias share one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.lower.base import Lowered, Lowering
from bimhw.compiler.options import CompileOptions
from simulator.base.errors import FitError
from simulator.neurons.base import get
from simulator.program.graph import Population

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
VTH_MAX = 2**17 - 1
BIAS_MAX = 2**12 - 1  # mantissa; the exponent has 3 bits
_ON_GRID = 1e-6


def lower_loihi(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Integer parameters of a CUBA-LIF population; see `simulator.neurons.loihi_cuba`."""
    unit = np.asarray(units["in"], np.float64)
    p = {k: np.asarray(v, np.float64) for k, v in population.params.items()}
    where = f"population {population.name!r}"
    out: dict[str, Ints] = {k: np.asarray(v, np.int32) for k, v in p.items()}
    out["du"] = np.clip(np.round(p["du"]), 0, 4095).astype(np.int32)
    out["dv"] = np.clip(np.round(p["dv"]), 0, 4096).astype(np.int32)
    out["vth"] = _threshold(p["vth"] / unit, p["dv"], where)
    out["bias_mant"], out["bias_exp"] = _bias(p["bias_mant"] / unit, where)
    words = {w.name: out[w.name] for w in get(population.model).params}
    return Lowered(replace(population, params=words), _fracs(unit))


def _threshold(scaled: Floats, dv: Floats, where: str) -> Ints:
    """Nearest mantissa; down where nothing decays, so that sums of stored weights compare as their values do."""
    nearest = np.round(scaled)
    vth = np.where((np.abs(scaled - nearest) < _ON_GRID) | (dv != 0), nearest, np.floor(scaled))
    if (vth > VTH_MAX).any():
        raise FitError(
            where,
            f"has a threshold of {float(vth.max()):.0f} weight units, above {VTH_MAX}",
            "Use fewer weight bits, or larger weights for the same threshold",
        )
    stored: Ints = np.maximum(vth, 1).astype(np.int32)
    return stored


def _bias(scaled: Floats, where: str) -> tuple[Ints, Ints]:
    """Mantissa and exponent of each bias: the smallest exponent at which the mantissa fits."""
    with np.errstate(divide="ignore"):
        exponent = np.ceil(np.log2(np.maximum(np.abs(scaled), 1) / BIAS_MAX)).clip(0)
    if (exponent > 7).any():
        raise FitError(
            where, f"has a bias of {float(np.abs(scaled).max()):.0f}, above {BIAS_MAX} * 2^7", "Scale it down"
        )
    return np.round(scaled * 2.0**-exponent).astype(np.int32), exponent.astype(np.int32)


def _fracs(unit: Floats) -> dict[str, int]:
    """Fractional bits of u and v (in 1/64 of a weight unit) where the unit is one power of two."""
    bits = -np.log2(unit.reshape(-1)) + 6
    same = bool((bits == bits[0]).all()) and bits[0] == np.round(bits[0])
    return {"u": int(bits[0]), "v": int(bits[0])} if same else {}


LOWERING = Lowering(lower_loihi)

"""Loihi's CUBA-LIF -> integers: everything in units of the weights, so that weights, threshold and bias share one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.lower.base import Lowered, Lowering
from bimhw.compiler.lower.lif import fracs_of
from bimhw.compiler.lower.start import start_value
from bimhw.compiler.lower.words import early
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import I32, I64, Floats
from simulator.base.errors import FitError
from simulator.neurons.base import get
from simulator.neurons.loihi_cuba import V_MAX
from simulator.program.graph import Population

VTH_MAX = 2**17 - 1
BIAS_MAX = 2**12 - 1  # mantissa; the exponent has 3 bits
_ON_GRID = 1e-6
ACC_BITS = 6  # u and v are in 1/64 of a weight unit


def lower_loihi(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Lower a CUBA-LIF population to integer parameters; see `simulator.neurons.loihi_cuba`."""
    unit = np.asarray(units["in"], np.float64)
    p = {k: np.asarray(v, np.float64) for k, v in population.params.items()}
    where = f"population {population.name!r}"
    out: dict[str, I32] = {k: np.asarray(v, np.int32) for k, v in p.items()}
    out["du"] = np.clip(np.round(p["du"]), 0, 4095).astype(np.int32)
    out["dv"] = np.clip(np.round(p["dv"]), 0, 4096).astype(np.int32)
    out["vth"] = _threshold(p["vth"] / unit, p["dv"], where)
    out["bias_mant"], out["bias_exp"] = _bias(p["bias_mant"] / unit, where)
    wanted = np.round(np.asarray(p.get("v_init", 0.0)) / unit).astype(np.int64)
    first, calm = _start(out, wanted, population.layer)
    out.pop("v_init", None)
    if first.any():
        out["v_init"] = first
    words = {w.name: out[w.name] for w in get(population.model).params if w.name in out}
    fracs = fracs_of(unit, ACC_BITS)
    return Lowered(
        replace(population, params=words),
        {"u": fracs["v"], **fracs} if fracs else {},
        () if calm else (early(population),),
    )


def _start(out: Mapping[str, I32], wanted: I64, layer: int) -> tuple[I32, bool]:
    """Return v before step 0, and whether it makes up for the constant input until the layer starts."""
    dv, vth, mant = (np.asarray(out[k], np.int64) for k in ("dv", "vth", "bias_mant"))
    bias = mant << np.asarray(out["bias_exp"], np.int64)
    first, calm = start_value(wanted, dv, bias, layer, V_MAX, lambda v: v > (vth << ACC_BITS))
    return first.astype(np.int32), calm


def _threshold(scaled: Floats, dv: Floats, where: str) -> I32:
    """Return the nearest mantissa; lower where nothing decays, so that sums of stored weights compare as their values do."""
    nearest = np.round(scaled)
    vth = np.where((np.abs(scaled - nearest) < _ON_GRID) | (dv != 0), nearest, np.floor(scaled))
    if (vth > VTH_MAX).any():
        raise FitError(
            where,
            f"has a threshold of {float(vth.max()):.0f} weight units, above {VTH_MAX}",
            "Use fewer weight bits, or larger weights for the same threshold",
        )
    stored: I32 = np.maximum(vth, 1).astype(np.int32)
    return stored


def _bias(scaled: Floats, where: str) -> tuple[I32, I32]:
    """Return the mantissa and exponent of each bias: the smallest exponent at which the mantissa fits."""
    with np.errstate(divide="ignore"):
        exponent = np.ceil(np.log2(np.maximum(np.abs(scaled), 1) / BIAS_MAX)).clip(0)
    if (exponent > 7).any():
        raise FitError(
            where, f"has a bias of {float(np.abs(scaled).max()):.0f}, above {BIAS_MAX} * 2^7", "Scale it down"
        )
    return np.round(scaled * 2.0**-exponent).astype(np.int32), exponent.astype(np.int32)


LOWERING = Lowering(lower_loihi)

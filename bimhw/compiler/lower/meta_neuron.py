"""Meta-neurons -> integers: 16 fractional bits everywhere, whatever the width of other states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import multiplier, to_fixed
from bimhw.compiler.lower.base import Lowered, Lowering
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import Floats
from simulator.neurons import meta_neuron as meta
from simulator.program.graph import Population

_BITS = 24


def lower_meta(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Return the integer parameters of a population; see `simulator.neurons.meta_neuron`."""
    given = population.params
    where = f"population {population.name!r}: parameter"
    out = {
        name: to_fixed(given[name], meta.FRAC, _BITS, f"{where} {name!r}")
        for name in ("bias", "leak", "theta", "rec_v", "rec_u", "reset", "jump")
    }
    out["mul"], out["sh"] = multiplier(units["in"] * 2.0**meta.FRAC)
    out["chance"] = np.round(given["chance"] * meta.CHANCE_ONE).astype(np.int32)
    out["sh_h"] = np.asarray(given["sh_h"]).astype(np.int32)
    out["wait"] = np.asarray(population.layer, np.int32)
    return Lowered(replace(population, params=out), {"v": meta.FRAC, "u": meta.FRAC})


LOWERING = Lowering(lower_meta)

"""Readout neurons -> integers; the score word has 24 bits whatever the width of the hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import frac_bits, small_multiplier, to_fixed
from bimhw.compiler.lower.base import Lowered, Lowering
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import Floats
from simulator.neurons.readout_li import LEAK_FRAC
from simulator.program.graph import Population

SCORE_BITS = 24
_HIGHEST_FRAC = 16
_MARGIN = 4.0  # the drive before the filter is larger than the filtered score that calibration sees


def lower_readout(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Lower a readout population to integer parameters; see `simulator.neurons.readout_li`."""
    bias, k = population.params["b"], population.params["k"]
    two = "k_v" in population.params
    words = ("y", "f", "g") if two else ("y",)
    largest = max(calibration.of(population.name, *words), float(np.abs(bias).max(initial=0.0)))
    frac = frac_bits(_MARGIN * largest, SCORE_BITS, _HIGHEST_FRAC)
    where = f"population {population.name!r}: parameter"
    mul, shift = small_multiplier(units["in"] * 2.0**frac)
    params = {
        "b": to_fixed(bias, frac, SCORE_BITS, f"{where} 'b'"),
        "mul": mul,
        "sh": shift,
        "m": to_fixed(1 - k, LEAK_FRAC, 17, f"{where} 'k'"),
        "limit": np.asarray(2 ** (SCORE_BITS - 1) - 1, np.int32),
    }
    if two:
        mul, shift = small_multiplier(units["membrane"] * 2.0**frac)
        m_v = to_fixed(1 - population.params["k_v"], LEAK_FRAC, 17, f"{where} 'k_v'")
        params |= {"mul_v": mul, "sh_v": shift, "m_v": m_v}
    return Lowered(replace(population, params=params), dict.fromkeys(words, frac))


LOWERING = Lowering(lower_readout)

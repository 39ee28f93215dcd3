"""BIM-D -> integers: the binary point of every state from calibration, the shifts between them, the decay table.

Formats: x and z share a binary point; c has its own; d has 12 fractional bits, the skip weight D 11, the table of Abar 16;
the membrane's words as in `lower_membrane`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import multiplier
from bimhw.compiler.lower.base import Lowered, Lowering
from bimhw.compiler.lower.membrane import Words, fracs_of, membrane_out_scale, tables_of_decays
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import Floats
from simulator.neurons import bim_d
from simulator.neurons.base import get
from simulator.program.graph import Population

_SEEN = {"x": ("x", "z"), "c": ("c",)}


def lower_bim(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Lower a BIM-D population to integer parameters; see `simulator.neurons.bim_d` for their meaning."""
    frac = fracs_of(population, calibration, options, _SEEN)
    value = Words(population)
    value.membrane(frac, calibration, options)
    for port, target in (("z", frac["x"]), ("d", bim_d.D_FRAC), ("c", frac["c"])):
        value.out[f"mul_{port}"], value.out[f"sh_{port}"] = multiplier(units[port] * 2.0**target)
        value.fixed(f"b_{port}", target)
    value.fixed("D", bim_d.D_SKIP_FRAC, bits=16)
    value.set(sh_cx=frac["c"] + frac["x"] - frac["q"], sh_dz=bim_d.D_SKIP_FRAC + frac["x"] - frac["q"])
    value.out["lut"], tables = tables_of_decays(population, bim_d.decay_table)
    model = get(population.model)
    lowered = replace(population, params={w.name: value.out[w.name] for w in model.params}, tables={"decay": tables})
    states = [w.name for w in model.states]
    words = {w: f for w, f in (frac | {"A": frac["V"]}).items() if w in states or w in ("c", "q")}
    return Lowered(lowered, words | {"z": frac["x"], "d": bim_d.D_FRAC})


def out_scale(population: Population, calibration: Calibration, options: CompileOptions) -> float:
    """Return the value of payload 1: 1 for spikes, the unit of the sent membrane for ``graded`` models."""
    return membrane_out_scale(fracs_of(population, calibration, options, _SEEN)["V"], population, calibration)


LOWERING = Lowering(lower_bim, out_scale)

"""BIM-D -> integers: the binary point of every state from calibration, the shifts between them, the decay table.

Formats: x and z share a binary point; c, q, r, I and V have their own; d has 12 fractional bits, the skip weight D 11,
constants of the PSP 15, the table of Abar 16. The threshold and its adaptation have the binary point of V.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import frac_bits, multiplier, to_fixed
from bimhw.compiler.lowering import Lowered, Lowering
from bimhw.compiler.options import CompileOptions
from simulator.errors import FitError
from simulator.graph import Population
from simulator.neurons import bim_d
from simulator.neurons.base import get

Floats = npt.NDArray[np.float64]
MARGIN = 1.2  # unseen data may go this far beyond the calibrated range before a word saturates
_PAYLOAD_BITS = 16


def fracs_of(population: Population, calibration: Calibration, options: CompileOptions) -> dict[str, int]:
    """Fractional bits of each state and intermediate of a BIM-D population."""
    name, bits = population.name, options.state_bits
    words = {
        "x": ("x", "z"),
        "c": ("c",),
        "q": ("q",),
        "r": ("r", "r_pre"),
        "I": ("I", "i_pre"),
        "V": ("V", "v_pre", "A"),
    }
    largest = {word: calibration.of(name, *seen) for word, seen in words.items()}
    largest["V"] = max(largest["V"], float(np.max(population.params["theta"])))
    return {word: frac_bits(MARGIN * value, bits, bits - 1) for word, value in largest.items()}


def lower_bim(
    population: Population, units: Mapping[str, Floats], calibration: Calibration, options: CompileOptions
) -> Lowered:
    """Integer parameters of a BIM-D population; see `simulator.neurons.bim_d` for their meaning."""
    if float(np.max(population.params["n_ref"])) > 15:
        raise FitError(f"population {population.name!r}", "refractory time above 15 steps (a 4-bit word)", "Shorten it")
    frac = fracs_of(population, calibration, options)
    value = _Words(population)
    for port, target in (("z", frac["x"]), ("d", bim_d.D_FRAC), ("c", frac["c"])):
        value.out[f"mul_{port}"], value.out[f"sh_{port}"] = multiplier(units[port] * 2.0**target)
        value.fixed(f"b_{port}", target)
    value.fixed("D", bim_d.D_SKIP_FRAC, bits=16)
    value.fixed("theta", frac["V"])
    value.fixed("beta", frac["V"])
    for name in ("n_ref", "hard", "graded"):
        value.fixed(name, 0)
    for name in ("kap", "rho", "rho_a", "gain", "p_vi", "p_vr", "b"):
        value.fixed(name, bim_d.CONST_FRAC)
    value.set(wait=population.layer)
    value.set(limit=2 ** (options.state_bits - 1) - 1, sh_out=frac["V"] - _out_frac(frac["V"], population, calibration))
    value.set(**_shifts(population.model, frac))
    offset, tables = _decay_tables(population)
    value.out["lut"] = offset
    params = {w.name: value.out[w.name] for w in get(population.model).params}
    lowered = Population(
        population.name, population.model, population.size, params, {"decay": tables}, population.layer, population.role,
        population.shape,
    )  # fmt: skip
    states = [w.name for w in get(population.model).states]
    words = {w: f for w, f in (frac | {"A": frac["V"]}).items() if w in states or w in ("c", "q")}
    return Lowered(lowered, words | {"z": frac["x"], "d": bim_d.D_FRAC})


class _Words:
    """Collects integer parameters."""

    def __init__(self, population: Population) -> None:
        self.population, self.out = population, dict[str, npt.NDArray[np.int32]]()

    def fixed(self, name: str, frac: int, bits: int = 24) -> None:
        value = _shared_if_equal(np.asarray(self.population.params[name]))
        self.out[name] = to_fixed(value, frac, bits, f"population {self.population.name!r}: parameter {name!r}")

    def set(self, **values: int) -> None:
        self.out |= {k: np.asarray(v, np.int32) for k, v in values.items()}


def _shared_if_equal(value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return value[0] if value.ndim and value.size and (value == value[0]).all() else value


def _shifts(model: str, frac: Mapping[str, int]) -> dict[str, int]:
    """Right shift of each product from the sum of its factors' binary points to its result's."""
    const = bim_d.CONST_FRAC
    into = "r" if "_alpha" in model else "I" if "_exp" in model else "V"
    return {
        "sh_cx": frac["c"] + frac["x"] - frac["q"],
        "sh_dz": bim_d.D_SKIP_FRAC + frac["x"] - frac["q"],
        "sh_q": const + frac["q"] - frac[into],
        "sh_iv": const + frac["I"] - frac["V"],
        "sh_rv": const + frac["r"] - frac["V"],
        "sh_ri": const + frac["r"] - frac["I"],
    }


def _decay_tables(population: Population) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """First table entry of each neuron, and the tables: one for each distinct a."""
    a = _shared_if_equal(np.asarray(population.params["a"]))
    distinct, which = np.unique(a, return_inverse=True)
    tables = np.concatenate([bim_d.decay_table(float(v)) for v in distinct])
    return (which.reshape(a.shape) * bim_d.TABLE_ENTRIES).astype(np.int32), tables


def _out_frac(frac_v: int, population: Population, calibration: Calibration) -> int:
    """Fractional bits of a graded spike that carries V-."""
    return min(frac_v, frac_bits(MARGIN * calibration.of(population.name, "v_pre"), _PAYLOAD_BITS, frac_v))


def out_scale(population: Population, calibration: Calibration, options: CompileOptions) -> float:
    """Value of payload 1: 1 for spikes, the unit of the sent membrane for ``graded`` models."""
    if not population.model.endswith("_graded"):
        return 1.0
    return float(2.0 ** -_out_frac(fracs_of(population, calibration, options)["V"], population, calibration))


LOWERING = Lowering(lower_bim, out_scale)

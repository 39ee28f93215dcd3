"""Parts that the lowerings of BIM neurons share: binary points, the words of kernel and membrane, the unit of a sent membrane.

q, r, I and V have binary points of their own, from calibration; constants of the PSP 15 fractional bits. The threshold and
its adaptation have the binary point of V.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.fixed import frac_bits, to_fixed
from bimhw.compiler.options import CompileOptions
from simulator.base.arrays import I32
from simulator.base.errors import FitError
from simulator.neurons.membrane import CONST_FRAC
from simulator.program.graph import Population

MARGIN = 1.2  # unseen data may go this far beyond the calibrated range before a word saturates
PAYLOAD_BITS = 16
_SEEN = {"q": ("q",), "r": ("r", "r_pre"), "I": ("I", "i_pre"), "V": ("V", "v_pre", "A")}


Kind = TypeVar("Kind", bound=np.generic)


def fracs_of(
    population: Population, calibration: Calibration, options: CompileOptions, own: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    """Return the fractional bits of each word: of the membrane's, and of `own` (word -> what calibration saw of it)."""
    name, bits = population.name, options.state_bits
    largest = {word: calibration.of(name, *seen) for word, seen in (dict(own) | _SEEN).items()}
    largest["V"] = max(largest["V"], float(np.max(population.params["theta"])))
    return {word: frac_bits(MARGIN * value, bits, bits - 1) for word, value in largest.items()}


class Words:
    """Collects integer parameters of a population."""

    def __init__(self, population: Population) -> None:
        self.population, self.out = population, dict[str, I32]()

    def fixed(self, name: str, frac: int, bits: int = 24) -> None:
        """Store a float parameter with `frac` fractional bits in a word of `bits`."""
        value = shared_if_equal(np.asarray(self.population.params[name]))
        self.out[name] = to_fixed(value, frac, bits, f"population {self.population.name!r}: parameter {name!r}")

    def set(self, **values: int) -> None:
        """Set words of the whole population."""
        self.out |= {k: np.asarray(v, np.int32) for k, v in values.items()}

    def membrane(self, frac: Mapping[str, int], calibration: Calibration, options: CompileOptions) -> None:
        """Store the words of `simulator.neurons.membrane`."""
        p = self.population
        if float(np.max(p.params["n_ref"])) > 15:
            raise FitError(f"population {p.name!r}", "refractory time above 15 steps (a 4-bit word)", "Shorten it")
        self.fixed("theta", frac["V"])
        self.fixed("beta", frac["V"])
        for name in ("n_ref", "hard", "graded"):
            self.fixed(name, 0)
        for name in ("kap", "rho", "rho_a", "gain", "p_vi", "p_vr", "b"):
            self.fixed(name, CONST_FRAC)
        into = "r" if "_alpha" in p.model else "I" if "_exp" in p.model else "V"
        self.set(
            wait=p.layer,
            limit=2 ** (options.state_bits - 1) - 1,
            sh_out=frac["V"] - out_frac(frac["V"], p, calibration),
            sh_q=CONST_FRAC + frac["q"] - frac[into],
            sh_iv=CONST_FRAC + frac["I"] - frac["V"],
            sh_rv=CONST_FRAC + frac["r"] - frac["V"],
            sh_ri=CONST_FRAC + frac["r"] - frac["I"],
        )


def shared_if_equal(value: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
    """Return one value where all are the same: the core stores it once."""
    return value[0] if value.ndim and value.size and (value == value[0]).all() else value


def tables_of_decays(population: Population, make: Callable[[float], I32]) -> tuple[I32, I32]:
    """Return the first table entry of each neuron, and the tables: one, by `make`, for each distinct a."""
    a = shared_if_equal(np.asarray(population.params["a"]))
    distinct, which = np.unique(a, return_inverse=True)
    tables = [make(float(v)) for v in distinct]
    return (which.reshape(a.shape) * tables[0].size).astype(np.int32), np.concatenate(tables)


def out_frac(frac_v: int, population: Population, calibration: Calibration) -> int:
    """Return the fractional bits of a graded spike that carries V-."""
    return min(frac_v, frac_bits(MARGIN * calibration.of(population.name, "v_pre"), PAYLOAD_BITS, frac_v))


def membrane_out_scale(frac_v: int, population: Population, calibration: Calibration) -> float:
    """Return the value of payload 1: 1 for spikes, the unit of the sent membrane for ``graded`` models."""
    if not population.model.endswith("_graded"):
        return 1.0
    return float(2.0 ** -out_frac(frac_v, population, calibration))

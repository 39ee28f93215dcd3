"""A figure of each neuron parameter, by which a program knows the network it was compiled from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.names import INPUT_MODEL

_CYCLE = 97  # of the factors, so that neurons that change places are seen
_ENDLESS = 1e9
_SAME = 1e-4  # of a parameter's size: a file of another format rounds by less


def neuron_marks(network: Network) -> dict[str, dict[str, float]]:
    """Return population -> parameter -> mean of value_i (1 + (i mod 97) / 97) over its neurons i."""
    return {
        p.name: {name: _mark(values, p.size) for name, values in p.params.items()}
        for p in network.populations
        if p.model != INPUT_MODEL
    }


def other_parameter(network: Network, marks: Mapping[str, Mapping[str, float]]) -> str:
    """Return the first parameter of a network that is not the one marked, as "parameter 'x' of population 'p'"; or ""."""
    for p in network.populations:
        for name, mark in marks.get(p.name, {}).items():
            values = p.params.get(name)
            size = 0.0 if values is None else float(np.sqrt(np.mean(np.square(_finite(values)))))
            if values is None or abs(_mark(values, p.size) - mark) > _SAME * max(size, abs(mark)):
                return f"parameter {name!r} of population {p.name!r}"
    return ""


def _mark(values: npt.ArrayLike, size: int) -> float:
    given = _finite(values)
    spread = np.broadcast_to(given, size) if given.size == 1 else given
    return float(np.mean(spread * (1 + np.arange(spread.size) % _CYCLE / _CYCLE))) if spread.size else 0.0


def _finite(values: npt.ArrayLike) -> Floats:
    """Return values in a row; a threshold that is never reached is infinite, and JSON has no such number."""
    flat = np.asarray(values, np.float64).reshape(-1)
    return np.nan_to_num(flat, nan=0.0, posinf=_ENDLESS, neginf=-_ENDLESS)

"""Several inputs side by side: the columns of a sample's values are the input populations, in logical order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from simulator.base.arrays import I32, AnyInts, Floats
from simulator.base.names import INPUT_MODEL
from simulator.program.graph import Population
from simulator.program.meta import ProgramInput

Scalar = TypeVar("Scalar", bound=np.generic)


def input_populations(populations: Sequence[Population]) -> tuple[Population, ...]:
    """Return the populations that are driven from outside."""
    return tuple(p for p in populations if p.model == INPUT_MODEL)


def input_name(populations: Sequence[Population]) -> str:
    """Return the name of the first population that is driven from outside."""
    return input_populations(populations)[0].name


def input_width(populations: Sequence[Population]) -> int:
    """Return the values of a step of all inputs together."""
    return sum(p.size for p in input_populations(populations))


def by_input(values: npt.NDArray[Scalar], populations: Sequence[Population]) -> dict[str, npt.NDArray[Scalar]]:
    """Return values [..., all inputs] as input population -> [..., n]."""
    out, at = {}, 0
    for p in input_populations(populations):
        out[p.name] = values[..., at : at + p.size]
        at += p.size
    return out


def bits_of_payloads(payloads: AnyInts) -> int:
    """Return the bits of a word that holds these payloads, sign included; 0 where all spikes are binary."""
    largest, least = int(payloads.max(initial=0)), int(payloads.min(initial=0))
    return 0 if largest <= 1 and least >= 0 else 1 + max(largest, -least - 1).bit_length()


def column_scales(entry: ProgramInput, populations: Sequence[Population]) -> float | Floats:
    """Return the value of payload 1: one for all inputs, or one a column where they differ."""
    inputs = input_populations(populations)
    scales = [entry.scale_of(p.name) for p in inputs]
    if len(set(scales)) <= 1:
        return scales[0] if scales else entry.scale
    return np.repeat(scales, [p.size for p in inputs])


def scale_facts(scales: Mapping[str, float]) -> dict[str, object]:
    """Return what the meta says of the value of payload 1, by input; one number where they are alike."""
    first = next(iter(scales.values()))
    return {"scale": first} | ({"scales": dict(scales)} if set(scales.values()) != {first} else {})


def input_ids(populations: Sequence[Population]) -> I32:
    """Return the logical id of each column, ascending."""
    parts, first = [], 0
    for p in populations:
        if p.model == INPUT_MODEL:
            parts.append(np.arange(first, first + p.size, dtype=np.int32))
        first += p.size
    return np.concatenate(parts) if parts else np.zeros(0, np.int32)

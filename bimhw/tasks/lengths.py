"""Samples of several lengths brought to one."""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import Array
from simulator.base.errors import InputError


def one_length(arrays: list[Array], axis: int, lead: int, name: str) -> tuple[list[Array], tuple[str, ...]]:
    """Bring arrays to one length along the axis of time: shorter ones end in zeros, which a note states.

    Args:
        arrays: [T, ...], or [B, T, ...] or [T, B, ...]; a sample without events may be empty.
        axis: of time.
        lead: axes before the values of a step.
        name: for messages.

    Raises:
        InputError: steps of different shapes.
    """
    full = next((a for a in arrays if a.size), arrays[0])
    if len({a.shape for a in arrays}) > 1:
        arrays = [
            a if a.size else np.zeros((*full.shape[:axis], 0, *full.shape[axis + 1 :]), full.dtype) for a in arrays
        ]
    steps = {a.shape[axis : axis + 1] for a in arrays}
    still = full.ndim <= lead and len(steps) > 1  # values without time, of different widths
    if full.ndim <= axis or still or len({(a.ndim, a.shape[lead:]) for a in arrays}) > 1:
        shapes = sorted({a.shape for a in arrays})
        raise InputError(name, f"has samples of different shapes: {shapes[:3]}", "Bring them to one length")
    lengths = [a.shape[axis] for a in arrays]
    least, most = min(lengths), max(lengths)
    if least == most:
        return arrays, ()
    pads = [[(0, most - n if k == axis else 0) for k in range(full.ndim)] for n in lengths]
    note = f"samples of {least} to {most} steps end in zeros, so that all have {most}"
    return [np.pad(a, pad) for a, pad in zip(arrays, pads, strict=True)], (note,)

"""Checks of what a user feeds in, and its split by input population."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.base.arrays import I32, I64
from simulator.base.errors import InputError
from simulator.function.layout import PAYLOAD_MAX, Cells, Layout
from simulator.program.spikes import SpikeTrain


@dataclass(frozen=True, eq=False)
class Drive:
    """The events of one input population: of step t, ``ids[ptr[t]:ptr[t+1]]`` (logical ids) with their payloads."""

    ptr: I64
    ids: I32
    payload: I32


def check_inputs(inputs: SpikeTrain, layout: Layout) -> None:
    """Raise `InputError` unless a spike train can drive this program.

    Checked: step pointers in order and covering the ids, ids ascending and unique within a step, ids of input
    populations only, payloads not 0 and within 24 bits.
    """
    ptr, ids = inputs.ptr, inputs.ids
    if ptr.ndim != 1 or ptr.size == 0 or ptr[0] != 0 or ptr[-1] != ids.size or (np.diff(ptr) < 0).any():
        raise InputError("inputs", "have step pointers that are not in time order or do not cover the events")
    if not ids.size:
        return
    same_step = np.ones(ids.size, bool)
    same_step[ptr[:-1][np.diff(ptr) > 0]] = False
    bad = np.flatnonzero(same_step[1:] & (np.diff(ids) <= 0))
    if bad.size:
        step = int(np.searchsorted(ptr, bad[0] + 1, side="right")) - 1
        raise InputError(
            "inputs", f"step {step} has ids that do not ascend", "Sort the ids of each step, one event each"
        )
    _check_width(ids, layout)
    if inputs.payload is not None:
        _check_payload(inputs.payload, ids.size)


def _check_width(ids: I32, layout: Layout) -> None:
    driven = np.zeros(layout.n_neurons, bool)
    for c in layout.cells:
        if c.model.kernel is None:
            driven[c.first : c.first + c.size] = True
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= driven.size or not driven[ids].all():
        wrong = low if low < 0 else high if high >= driven.size else int(ids[~driven[ids]][0])
        ranges = [f"{c.name}: {c.first}..{c.first + c.size - 1}" for c in layout.cells if c.model.kernel is None]
        raise InputError("inputs", f"drive neuron {wrong}, which is no input", f"Input ids: {'; '.join(ranges)}")


def _check_payload(payload: I32, events: int) -> None:
    if payload.shape != (events,):
        raise InputError("inputs", f"have {payload.size} payloads for {events} events")
    if (payload == 0).any() or int(np.abs(payload.astype(np.int64)).max()) > PAYLOAD_MAX:
        raise InputError(
            "inputs", f"have a payload of 0 or beyond +-{PAYLOAD_MAX}", "Drop empty events; scale the rest"
        )


def split_inputs(inputs: SpikeTrain, cells: Cells, steps: int) -> Drive:
    """Return the events of one input population over `steps` steps; silent after the end of the train."""
    inside = (inputs.ids >= cells.first) & (inputs.ids < cells.first + cells.size)
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(inside)])
    ptr = np.full(steps + 1, running[-1])
    known = min(steps, inputs.steps) + 1
    ptr[:known] = running[inputs.ptr[:known]]
    payload = np.ones(inputs.ids.size, np.int32) if inputs.payload is None else inputs.payload
    return Drive(ptr, inputs.ids[inside].astype(np.int32), payload[inside].astype(np.int32))

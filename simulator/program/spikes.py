"""Spike trains over time: the one form of inputs and outputs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from simulator.base.arrays import I32, I64, AnyInts
from simulator.base.errors import InputError
from simulator.base.shown import Shown


@dataclass(frozen=True, eq=False, repr=False)
class SpikeTrain(Shown):
    """Events by step: the events of step t are ``ids[ptr[t]:ptr[t+1]]``, ids ascending within a step.

    Attributes:
        ptr: int64 [T + 1].
        ids: int32 [events], logical neuron ids.
        payload: int32 [events] of graded spikes, or ``None`` where every spike is binary (payload 1).
    """

    ptr: I64
    ids: I32
    payload: I32 | None = None

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return int(self.ptr.size - 1)

    def counts(self) -> I64:
        """Return the events of each step, int64 [T]."""
        return np.diff(self.ptr)

    def check(self, where: str, n_ids: int = 2**31) -> None:
        """Raise `InputError` unless pointers rise from 0 to the number of events and every array has its type."""
        ptr, ids, payload = self.ptr, self.ids, self.payload
        if ptr.dtype != np.int64 or ids.dtype != np.int32 or (payload is not None and payload.dtype != np.int32):
            raise InputError(where, "have events of other types than int64 and int32", "Write them again")
        shapes = ptr.ndim == ids.ndim == 1 and ptr.size > 0 and (payload is None or payload.shape == ids.shape)
        pointers = shapes and ptr[0] == 0 and ptr[-1] == ids.size and not (ptr[1:] < ptr[:-1]).any()
        if not pointers:
            raise InputError(where, "have step pointers that do not fit their spikes", "Write them again")
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < n_ids:
            raise InputError(where, f"have ids outside 0..{n_ids - 1}", "Write them again")

    def spike_hash(self) -> str:
        """Return the first 16 hex digits of sha256(int64 ptr bytes + int32 ids bytes)."""
        digest = hashlib.sha256(self.ptr.tobytes() + np.ascontiguousarray(self.ids).tobytes())
        return digest.hexdigest()[:16]

    @staticmethod
    def from_dense(values: AnyInts, first_id: int = 0) -> SpikeTrain:
        """Return the events of an integer array [T, n]: neuron j of step t fires with payload values[t, j] where it is not 0."""
        steps, local = np.nonzero(values)
        ptr = np.zeros(values.shape[0] + 1, np.int64)
        np.cumsum(np.bincount(steps, minlength=values.shape[0]), out=ptr[1:])
        payload = values[steps, local].astype(np.int32)
        binary = bool((payload == 1).all())
        return SpikeTrain(ptr, (local + first_id).astype(np.int32), None if binary else payload)

    def to_dense(self, first_id: int, size: int) -> I32:
        """Return payloads as int32 [T, size] of the ids in [first_id, first_id + size)."""
        out = np.zeros((self.steps, size), np.int32)
        step = np.repeat(np.arange(self.steps), self.counts())
        inside = (self.ids >= first_id) & (self.ids < first_id + size)
        value = np.ones(self.ids.size, np.int32) if self.payload is None else self.payload
        out[step[inside], self.ids[inside] - first_id] = value[inside]
        return out


def window(spikes: SpikeTrain, start: int, stop: int) -> SpikeTrain:
    """Return steps [start, stop) of a train, counted from 0."""
    lo, hi = int(spikes.ptr[start]), int(spikes.ptr[stop])
    payload = None if spikes.payload is None else spikes.payload[lo:hi]
    return SpikeTrain(spikes.ptr[start : stop + 1] - lo, spikes.ids[lo:hi], payload)

"""The per-neuron history that the backward sweep reads: a few words per neuron and step, no word per synapse.

Words per neuron and step (diag): Abar, c, psi, g, x, z, delta = 7, where g = dx/dd; one more (the reset factor) for a hard
reset, for a soft reset that is not detached none (it is 1 - theta psi); two more (s, theta_i) with an adaptive threshold.
Delta is kept only where A_log is learned. s6 keeps Abar and x (N each), z, d, psi, delta; B and C are one row for all channels.
An input whose delay is learnt has a word too, its slope over the delay (`bimhw.models.bim.delays`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bimhw.learning.forms.traces import spike_slope
from bimhw.models.bim.cell import Drive, Record
from bimhw.models.bim.config import BimConfig


@dataclass(frozen=True, eq=False)
class _Piece:
    """One step [B, ...] or, where `steps` is given, so many [K, B, ...]: inputs, record, dL/df, slopes over learnt delays."""

    inputs: Tensor
    record: Record
    deltas: Tensor
    steps: int | None = None
    slopes: Tensor | None = None

    def cut(self, first: int) -> _Piece:
        """Return the steps from `first` on."""
        rest = slice(first, None)
        slopes = None if self.slopes is None else self.slopes[rest]
        return _Piece(self.inputs[rest], _of(self.record, rest), self.deltas[rest], len(self) - first, slopes)

    def __len__(self) -> int:
        return 1 if self.steps is None else self.steps


@dataclass
class LayerHistory:
    """The newest steps of one layer, oldest first, in pieces as they came."""

    config: BimConfig
    pieces: list[_Piece] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(piece) for piece in self.pieces)

    def push(self, u: Tensor, record: Record, slopes: Tensor | None = None) -> None:
        """Append a step without an error signal (see `signal`)."""
        self.pieces.append(_Piece(u, record, torch.zeros_like(record.s), slopes=slopes))

    def extend(self, u: Tensor, record: Record, deltas: Tensor, slopes: Tensor | None = None) -> None:
        """Append steps with their error signals; all [K, B, ...]."""
        self.pieces.append(_Piece(u, record, deltas, len(u), slopes))

    def signal(self, delta: Tensor) -> None:
        """Keep dL/df of the newest step, which was pushed."""
        self.pieces[-1] = dataclasses.replace(self.pieces[-1], deltas=delta)

    def forget(self, keep: int) -> None:
        """Forget all but the newest ``keep`` steps, and all error signals."""
        left, pieces = keep, list[_Piece]()
        for piece in reversed(self.pieces):
            if left <= 0:
                break
            kept = piece if len(piece) <= left else piece.cut(len(piece) - left)
            pieces.append(dataclasses.replace(kept, deltas=torch.zeros_like(kept.deltas)))
            left -= len(kept)
        self.pieces = pieces[::-1]

    def slopes(self) -> Tensor | None:
        """Return the slopes of the inputs over their learnt delays [T, B, M]; None: no delay is learnt."""
        parts = [p.slopes[None] if p.steps is None else p.slopes for p in self.pieces if p.slopes is not None]
        return torch.cat(parts) if parts else None

    def steps(self) -> Iterator[tuple[Tensor, Record, Tensor]]:
        """Yield inputs, record and dL/df of each step, oldest first."""
        for piece in self.pieces:
            if piece.steps is None:
                yield piece.inputs, piece.record, piece.deltas
                continue
            for t in range(piece.steps):
                yield piece.inputs[t], _of(piece.record, t), piece.deltas[t]

    def checkpoint(self) -> dict[str, Any]:
        """Return the steps as plain containers of tensors."""
        inputs, records, deltas = [], [], []
        for u, r, delta in self.steps():
            inputs.append(u)
            records.append((tuple(r.drive), *tuple(r)[1:]))
            deltas.append(delta)
        slopes = self.slopes()
        more = {} if slopes is None else {"slopes": list(slopes)}
        return {"inputs": inputs, "records": records, "deltas": deltas} | more

    @classmethod
    def restored(cls, config: BimConfig, content: dict[str, Any]) -> LayerHistory:
        """Return the history that `checkpoint` was called on."""
        records = (Record(Drive(*r[0]), *r[1:]) for r in content["records"])
        slopes = content.get("slopes", [None] * len(content["inputs"]))
        steps = zip(content["inputs"], records, content["deltas"], slopes, strict=True)
        return cls(config, [_Piece(u, r, delta, slopes=slope) for u, r, delta, slope in steps])

    def events(self) -> int:
        """Count the non-zero inputs in the kept steps."""
        return sum(int(torch.count_nonzero(piece.inputs)) for piece in self.pieces)


def newest(record: Record) -> Record:
    """Return the last step [B, ...] of a record [K, B, ...]."""
    return _of(record, -1)


def _of(record: Record, which: int | slice) -> Record:
    drive = Drive._make(v if v is None else v[which] for v in record.drive)
    return Record._make([drive, *(v if v is None else v[which] for v in record[1:])])


def words_per_step(config: BimConfig) -> int:
    """Return history words per neuron and step (the words shared by the channels of s6 not counted)."""
    n = config.n_states
    words = 7 if config.kind == "diag" else 2 * n + 4
    words += config.learn_a_log and config.kind == "diag"
    words += config.reset == "hard"
    return words + (2 if config.adapt_beta else 0)


@dataclass(frozen=True, eq=False)
class Stacked:
    """The kept steps as tensors [T, B, H] (s6: abar, gain, x [T, B, H, N]; b, c [T, B, N])."""

    u: Tensor
    z: Tensor
    d: Tensor
    b: Tensor | None
    c: Tensor
    delta: Tensor
    abar: Tensor
    gain: Tensor
    x_old: Tensor
    x_new: Tensor
    psi: Tensor
    keep: Tensor | None  # dV/dV- without the spike's part; None: 1
    by_spike: Tensor | None  # dV/ds; None: 0 (detached)
    s: Tensor
    signal: Tensor


def stack(history: LayerHistory) -> Stacked:
    """Return the history as tensors, spike slopes and reset factors worked out."""
    pieces = history.pieces
    single = all(piece.steps is None for piece in pieces)

    def joined(values: Iterable[Tensor | None]) -> Tensor | None:
        held = [v for v in values if v is not None]
        if not held or single:
            return torch.stack(held) if held else None
        return torch.cat([v[None] if p.steps is None else v for v, p in zip(held, pieces, strict=True)])

    drive = Drive._make(map(joined, zip(*(p.record.drive for p in pieces), strict=True)))
    record = Record._make([drive, *map(joined, zip(*(p.record[1:] for p in pieces), strict=True))])
    inputs, deltas = joined(p.inputs for p in pieces), joined(p.deltas for p in pieces)
    assert inputs is not None and deltas is not None
    return from_record(history.config, inputs, record, deltas)


def from_record(config: BimConfig, u: Tensor, record: Record, signal: Tensor) -> Stacked:
    """Make the history from a record of all steps [T, B, ..], its inputs and its error signals dL/df."""
    s, m, v_pre = record.s, record.m, record.v_pre
    keep = by_spike = None
    if config.reset == "hard":
        keep = 1 - s if m is None else m * (1 - s)
        if not config.detach_reset:
            by_spike = -v_pre if m is None else -m * v_pre
    elif not config.detach_reset:
        beta = config.adapt_beta
        by_spike = -(config.theta + beta * record.a_old) if beta else torch.full_like(s, -config.theta)
    drive, psi = record.drive, spike_slope(record, config)
    states = (record.delta, record.abar, record.gain, record.x_old, record.x_new)
    return Stacked(u, drive.z, drive.d, drive.b, drive.c, *states, psi, keep, by_spike, s, signal)

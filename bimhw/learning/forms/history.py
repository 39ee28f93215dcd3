"""The per-neuron history that the backward sweep reads: a few words per neuron and step, no word per synapse.

Words per neuron and step (diag): Abar, c, psi, g, x, z, delta = 7, where g = dx/dd; one more (the reset factor) for a hard
reset, for a soft reset that is not detached none (it is 1 - theta psi); two more (s, theta_i) with an adaptive threshold.
Delta is kept only where A_log is learned. s6 keeps Abar and x (N each), z, d, psi, delta; B and C are one row for all channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bimhw.learning.forms.traces import spike_slope
from bimhw.models.bim.cell import Drive, Record
from bimhw.models.bim.config import BimConfig

_RECORDED = ("delta", "abar", "gain", "x_old", "x_new", "a_old", "v_pre", "s")


@dataclass
class LayerHistory:
    """The newest steps of one layer, oldest first; all [B, ...]."""

    config: BimConfig
    inputs: list[Tensor] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    deltas: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.inputs)

    def push(self, u: Tensor, record: Record) -> None:
        """Append a step without an error signal (see `signal`)."""
        self.inputs.append(u)
        self.records.append(record)
        self.deltas.append(torch.zeros_like(record.s))

    def extend(self, u: Tensor, record: Record, deltas: Tensor) -> None:
        """Append steps with their error signals; all [K, B, ...]."""
        columns = [_steps(v, len(u)) for v in record.drive], [_steps(v, len(u)) for v in record[1:]]
        drives = (Drive(*parts) for parts in zip(*columns[0], strict=True))
        self.inputs += u.unbind(0)
        self.records += (Record(*parts) for parts in zip(drives, *columns[1], strict=True))
        self.deltas += deltas.unbind(0)

    def signal(self, delta: Tensor) -> None:
        """Keep dL/df of the newest step."""
        self.deltas[-1] = delta

    def drop(self, keep: int) -> None:
        """Forget all but the newest ``keep`` steps."""
        for items in (self.inputs, self.records, self.deltas):
            del items[: max(len(items) - keep, 0)]

    def checkpoint(self) -> dict[str, Any]:
        """Return the steps as plain containers of tensors."""
        records = [(tuple(r.drive), *tuple(r)[1:]) for r in self.records]
        return {"inputs": list(self.inputs), "records": records, "deltas": list(self.deltas)}

    @classmethod
    def restored(cls, config: BimConfig, content: dict[str, Any]) -> LayerHistory:
        """Return the history that `checkpoint` was called on."""
        records = [Record(Drive(*r[0]), *r[1:]) for r in content["records"]]
        return cls(config, list(content["inputs"]), records, list(content["deltas"]))

    def events(self) -> int:
        """Count the non-zero inputs in the kept steps."""
        return sum(int(torch.count_nonzero(u)) for u in self.inputs)


def _steps(values: Tensor | None, count: int) -> Sequence[Tensor | None]:
    return (None,) * count if values is None else values.unbind(0)


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
    records = history.records

    def of(name: str) -> Tensor:
        return torch.stack([getattr(r, name) for r in records])

    drives = [r.drive for r in records]
    b = None if drives[0].b is None else torch.stack([d.b for d in drives if d.b is not None])
    z, d, c = (torch.stack([getattr(v, name) for v in drives]) for name in "zdc")
    m = None if records[0].m is None else of("m")
    delta, abar, gain, x_old, x_new, a_old, v_pre, s = (of(n) for n in _RECORDED)
    record = Record(Drive(z, d, b, c), delta, abar, gain, x_old, x_new, a_old, v_pre, m, s)
    return from_record(history.config, torch.stack(history.inputs), record, torch.stack(history.deltas))


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

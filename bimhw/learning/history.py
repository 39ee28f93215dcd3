"""The per-neuron history that the backward sweep reads: a few words per neuron and step, no word per synapse.

Words per neuron and step (diag): Abar, c, psi, g, x, z, delta = 7, where g = dx/dd; one more (the reset factor) for a hard
reset, for a soft reset that is not detached none (it is 1 - theta psi); two more (s, theta_i) with an adaptive threshold.
Delta is kept only where A_log is learned. s6 keeps Abar and x (N each), z, d, psi, delta; B and C are one row for all channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from bimhw.learning.traces import spike_slope
from bimhw.models.cell import Record
from bimhw.models.config import BimConfig


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

    def signal(self, delta: Tensor) -> None:
        """dL/df of the newest step."""
        self.deltas[-1] = delta

    def drop(self, keep: int) -> None:
        """Forget all but the newest ``keep`` steps."""
        for items in (self.inputs, self.records, self.deltas):
            del items[: max(len(items) - keep, 0)]

    def events(self) -> int:
        """Non-zero inputs in the kept steps."""
        return sum(int(torch.count_nonzero(u)) for u in self.inputs)


def words_per_step(config: BimConfig) -> int:
    """History words per neuron and step (the words shared by the channels of s6 not counted)."""
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
    """The history as tensors, spike slopes and reset factors worked out."""
    config, records = history.config, history.records

    def of(name: str) -> Tensor:
        return torch.stack([getattr(r, name) for r in records])

    drives = [r.drive for r in records]
    s, v_pre = of("s"), of("v_pre")
    m = None if records[0].m is None else of("m")
    keep = by_spike = None
    if config.reset == "hard":
        keep = 1 - s if m is None else m * (1 - s)
        if not config.detach_reset:
            by_spike = -v_pre if m is None else -m * v_pre
    elif not config.detach_reset:
        theta = (
            config.theta + config.adapt_beta * of("a_old") if config.adapt_beta else torch.full_like(s, config.theta)
        )
        by_spike = -theta
    b = None if drives[0].b is None else torch.stack([d.b for d in drives if d.b is not None])
    return Stacked(
        u=torch.stack(history.inputs),
        z=torch.stack([d.z for d in drives]),
        d=torch.stack([d.d for d in drives]),
        b=b,
        c=torch.stack([d.c for d in drives]),
        delta=of("delta"),
        abar=of("abar"),
        gain=of("gain"),
        x_old=of("x_old"),
        x_new=of("x_new"),
        psi=torch.stack([spike_slope(r, config) for r in records]),
        keep=keep,
        by_spike=by_spike,
        s=s,
        signal=torch.stack(history.deltas),
    )

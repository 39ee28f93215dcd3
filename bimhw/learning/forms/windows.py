"""What the loop of `window_kernels` works on, and the way there and back from a network, its optimiser and its history."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bimhw.learning.forms import window_kernels as rows
from bimhw.learning.forms.history import LayerHistory
from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.optim import FlatParameters
from bimhw.models.bim.cell import Drive, Record
from bimhw.models.bim.lanes import W
from bimhw.models.bim.net import BimNet

_KEPT = {
    "abar": rows.ABAR,
    "x_old": rows.X_OLD,
    "x_new": rows.X_NEW,
    "delta": rows.DELTA,
    "v_pre": rows.V_PRE,
    "s": rows.S,
}
_DRIVE = {"z": rows.Z, "d": rows.D, "c": rows.C}


@dataclass(frozen=True, eq=False)
class Layout:
    """The places of parameters in the vectors of the loop.

    Attributes:
        places: [P'] places in the flat vector of a network; behind its end: A_log where it is not learnt, then 0.
        inside: [P'] whether they are in the vector.
        a_log: [H] that is not learnt, or [0].
        sizes: numbers of the ports and of A_log and D together.
    """

    places: Tensor
    inside: Tensor
    a_log: Tensor
    sizes: tuple[int, int]

    @classmethod
    def of(cls, parameters: FlatParameters, net: BimNet) -> Layout:
        """Lay out a network of one ``diag`` layer."""
        counts = [shape.numel() for shape in parameters.shapes]
        starts = torch.tensor([0, *counts]).cumsum(0).tolist()
        places = {
            name: torch.arange(start, start + n).view(shape)
            for name, start, n, shape in zip(parameters.names, starts, counts, parameters.shapes, strict=False)
        }
        layer, end, zero = net.layer(0), starts[-1], starts[-1]
        a_log = layer.get_parameter("a_log").detach()
        if "layers.0.a_log" in places:
            a_log = a_log[:0]
        else:
            places["layers.0.a_log"], zero = torch.arange(end, end + len(a_log)), end + len(a_log)

        def lanes(place: Tensor) -> Tensor:
            """Return [H, ...] as [H / W, W, ...]."""
            more = -len(place) % W
            filled = torch.cat([place, place.new_full((more, *place.shape[1:]), zero)])
            return filled.view(-1, W, *place.shape[1:])

        ports = [
            torch.cat([places[f"layers.0.w_{p}"], places[f"layers.0.b_{p}"][:, None]], 1) for p in layer.ports
        ]  # [H, M + 1]
        wide = torch.stack([lanes(p).transpose(1, 2) for p in ports], 2).reshape(-1)
        own = torch.stack([lanes(places[f"layers.0.{n}"]) for n in ("a_log", "d")], 1).reshape(-1)
        whole = torch.cat([wide, own, places["readout.weight"].reshape(-1), places["readout.bias"]])
        return cls(whole, whole < end, a_log, (len(wide), len(wide) + len(own)))

    def packed(self, vector: Tensor, fixed: bool = False) -> Tensor:
        """Return a vector in the layout of the loop; `fixed`: with A_log where it is not learnt, else 0 there."""
        rest = self.a_log if fixed else torch.zeros_like(self.a_log)
        return torch.cat([vector, rest, vector.new_zeros(1)])[self.places]

    def unpack(self, packed: Tensor, vector: Tensor) -> None:
        """Write a vector of the loop back."""
        vector[self.places[self.inside]] = packed[self.inside]


class Ring:
    """The newest K + L steps of a learner, as the loop keeps them: words [H / W, B, K + L, ROWS W], inputs [K + L, B, M].

    Args:
        learner: between two windows, of one ``diag`` layer.
        batch: B.
    """

    def __init__(self, learner: SweepLearner, batch: int) -> None:
        config, history = learner.net.config, learner.histories[0]
        assert learner.block is not None
        self.config, self.hidden = config, config.hidden[0]
        self.size, self.kept = learner.block + learner.lookback, len(history)
        like = learner.net.readout.weight.detach()
        self.inputs = like.new_zeros(self.size, batch, config.fan_in(0))
        self.words = like.new_zeros(-(-self.hidden // W), batch, self.size, rows.ROWS * W)
        by_row = self.words.view(*self.words.shape[:3], rows.ROWS, W)
        for slot, (u, record, _) in enumerate(history.steps()):
            self.inputs[slot] = u
            given = record._asdict() | record.drive._asdict()
            for name, row in (_KEPT | _DRIVE).items():
                by_row[:, :, slot, row] = self._lanes(given[name])
            by_row[:, :, slot, rows.FREE] = 1.0 if record.m is None else self._lanes(record.m)

    def _lanes(self, value: Tensor) -> Tensor:
        """Return [B, H] as [H / W, B, W]."""
        wide = functional.pad(value, (0, -self.hidden % W))
        return wide.view(len(value), -1, W).transpose(0, 1)

    def newest(self, seen: int, count: int) -> tuple[Tensor, Record]:
        """Return inputs and record [n, B, ..] of the newest steps, oldest first, after `seen` steps in all."""
        slots = [t % self.size for t in range(seen - count, seen)]
        by_row = self.words.view(*self.words.shape[:3], rows.ROWS, W)[:, :, slots]

        def values(row: int) -> Tensor:
            return by_row[:, :, :, row].permute(2, 1, 0, 3).flatten(2)[..., : self.hidden].contiguous()

        own = {name: values(row) for name, row in _KEPT.items()}
        free = values(rows.FREE) if self.config.refractory else None
        drive = Drive(b=None, **{name: values(row) for name, row in _DRIVE.items()})
        gain, zero = 1 - own["abar"], torch.zeros_like(own["s"])
        return self.inputs[slots], Record(drive=drive, gain=gain, a_old=zero, m=free, **own)

    def history(self, seen: int, count: int) -> LayerHistory:
        """Return the newest steps as a history without error signals."""
        history = LayerHistory(self.config)
        if count:
            u, record = self.newest(seen, count)
            history.extend(u, record, torch.zeros_like(record.s))
        return history

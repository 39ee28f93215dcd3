"""A text as batches: stretches of streams that are read side by side."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from bimhw.learning.loop import Batch
from bimhw.learning.objectives.scoring import Encode
from simulator.base.errors import InputError

STRETCH = 256  # steps between two looks at the loss


def _pairs(symbols: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    part = symbols[start : start + count + 1]
    return part[:-1], part[1:]


class TextBatches:
    """Stretches of a text in streams side by side, one after the other; the state goes on from one to the next.

    Args:
        symbols: [T, B].
        encode: symbols [T, B] -> inputs of the network.
        window: steps of a stretch.
        whole: only stretches of the whole length.
    """

    name = "text"

    def __init__(self, symbols: Tensor, encode: Encode, window: int, whole: bool) -> None:
        self.symbols, self.encode, self.window = symbols, encode, window
        self.starts = range(0, len(symbols) - (window if whole else 1), window)
        if not self.starts:
            raise InputError("text", f"{len(symbols)} symbols a stream for windows of {window}", "Give a longer text")

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch[Tensor]]:
        """See `Source`; y [T, B] are the next symbols."""
        for start in self.starts[first:]:
            x, y = _pairs(self.symbols, start, self.window)
            yield Batch(self.encode(x), y, len(y), begins=start == 0, ends=False)

"""Threads of torch while it trains: one unless more are asked for.

The networks are small: a second thread mostly waits for the first, and on a busy machine training is ten times slower with it.
Sums of matrix products may be taken in another order with another number, so results are stored with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from simulator.base.errors import InputError


@contextmanager
def torch_threads(number: int = 1) -> Iterator[None]:
    """Use this many threads within the block, and the number from before after it.

    Raises:
        InputError: fewer than one.
    """
    if number < 1:
        raise InputError("threads", f"are {number}", "Give at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)

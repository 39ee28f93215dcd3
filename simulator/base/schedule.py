"""Course of the learning rate: the one definition of `lr_end`, for training on the host and on the chip."""

from __future__ import annotations

import math
from typing import Literal, get_args

LrCourse = Literal["cosine", "linear"]
LR_COURSES: tuple[LrCourse, ...] = get_args(LrCourse)


def learning_rate(lr: float, lr_end: float, done: float, course: LrCourse = "cosine") -> float:
    """Return the learning rate after a share of all updates.

    ``cosine``: lr (e + (1 - e) (1 + cos(pi done)) / 2); ``linear``: lr (1 + (e - 1) done); e is `lr_end`.

    Args:
        lr: first learning rate.
        lr_end: last one as a fraction of the first.
        done: share of the updates done; more than 1 counts as 1.
        course: shape of the decay.
    """
    done = min(done, 1.0)
    if course == "linear":
        return lr * (1 + (lr_end - 1) * done)
    return lr * (lr_end + (1 - lr_end) * 0.5 * (1 + math.cos(math.pi * done)))

"""The Pareto front of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pareto_front(costs: Sequence[Sequence[float]]) -> list[bool]:
    """For each row of costs (all to be minimised) whether no other row dominates it: <= in all, < in one."""
    if not costs:
        return []
    table = np.asarray(costs, np.float64)
    dominated = [bool(((table <= row).all(1) & (table < row).any(1)).any()) for row in table]
    return [not d for d in dominated]

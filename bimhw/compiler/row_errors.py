"""Error of what each target neuron receives through stored weights, by row: a layer's own figure hides rows under an outlier.

For the row i of a projection, with the payloads s_j of its sources taken as independent::

    e_i = sqrt(E[(sum_j miss_ij s_j)^2] / E[(sum_j w_ij s_j)^2]),   the denominator over all projections into the port

Means and variances are the calibration's; without calibration they are 0 and 1, and e_i is the error of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.base.arrays import AnyInts, Floats


class Received:
    """Power that arrives at each target of a port through some weights, in a step.

    Attributes:
        rows: target of each weight.
        mean, variance: of the payload that arrives over each.
        n_target: neurons of the target.
        plane: neurons that share a row: those of a channel where kernels are shared, else 1.
    """

    def __init__(self, rows: AnyInts, mean: Floats, variance: Floats, n_target: int, plane: int) -> None:
        self.rows, self.mean, self.variance, self.n_target, self.plane = rows, mean, variance, n_target, plane

    def power(self, values: Floats) -> Floats:
        """Return E[(sum_j values_ij s_j)^2] of each row, float64 [n_target / plane]."""
        spread = np.bincount(self.rows, weights=values * values * self.variance, minlength=self.n_target)
        shift = np.bincount(self.rows, weights=values * self.mean, minlength=self.n_target)
        found: Floats = (spread + shift * shift).reshape(-1, self.plane).sum(axis=1)
        return found


def row_errors(received: Sequence[Received], values: Sequence[Floats], misses: Sequence[Floats]) -> list[Floats]:
    """Return e_i of each projection into a port, 0 where nothing arrives; `misses` are stored - float weights."""
    total = np.sum([r.power(v) for r, v in zip(received, values, strict=True)], axis=0)
    missed = [r.power(m) for r, m in zip(received, misses, strict=True)]
    return [np.sqrt(np.divide(m, total, out=np.zeros(total.shape), where=total > 0)) for m in missed]


def layer_error(rows: Floats, rates: Floats | None) -> float:
    """Return the root mean square of e_i, each at most 1, over the rows whose neurons sent anything in calibration.

    All rows count where none did.
    """
    if rates is not None and rates.any():
        rows = rows[rates.reshape(rows.size, -1).any(axis=1)]
    return float(np.sqrt(np.mean(np.minimum(rows, 1.0) ** 2))) if rows.size else 0.0

"""Orthogonal initialisation of recurrent weights by local rules (Manchev & Spratling 2022, arXiv:2211.08408).

Scheme 1, before training: W ~ N(0, 0.001^2), then gradient descent on an error that only needs products of neighbours::

    E(W) = ||W W^T - I||_F^2   (rows <= columns)        W <- W - alpha 4 (W W^T - I) W
    E(W) = ||W^T W - I||_F^2   (rows > columns)         W <- W - alpha 4 W (W^T W - I)

Scheme 2, while training: add the regulariser's gradient to that of the loss::

    lambda 2 (W W^T - I) W / ||W W^T - I||_F            (of lambda ||W W^T - I||_F)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from simulator.base.arrays import Floats
from simulator.base.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Start = Literal["normal", "orthogonal", "local"]


@dataclass(frozen=True, eq=False)
class Orthogonal:
    """A matrix with orthonormal rows (or columns, if it has more rows), and how it came to be.

    Attributes:
        weights: [rows, columns].
        errors: ||W W^T - I||_F before each iteration and after the last.
    """

    weights: Floats
    errors: tuple[float, ...]

    @property
    def iterations(self) -> int:
        """Return the number of updates done."""
        return len(self.errors) - 1


def orthogonal_weights(
    rows: int,
    columns: int,
    *,
    seed: int = 0,
    alpha: float = 0.1,
    tolerance: float = 1e-6,
    most: int = 100,
    sd: float = 1e-3,
) -> Orthogonal:
    """Return weights made orthogonal by the local rule of scheme 1.

    Args:
        rows: neurons.
        columns: inputs of a neuron.
        seed: of the start W ~ N(0, sd^2).
        alpha: step size; the iteration converges for 0 < alpha <= 1/8, as singular values then grow without overshoot.
        tolerance: error at which it stops.
        most: iterations after which it stops in any case.
        sd: standard deviation of the start.

    Raises:
        InputError: a size below 1, or alpha out of range.
    """
    if rows < 1 or columns < 1:
        raise InputError("orthogonal weights", f"of {rows} x {columns}", "Give sizes of at least 1")
    if not 0 < alpha <= 0.125:
        raise InputError("orthogonal weights: alpha", f"is {alpha}, it must be in (0, 0.125]", "The default is 0.1")
    w = np.random.default_rng(seed).normal(0.0, sd, (rows, columns))
    wide = w if rows <= columns else w.T
    unit = np.eye(len(wide))
    errors = [float(np.linalg.norm(wide @ wide.T - unit))]
    while errors[-1] >= tolerance and len(errors) <= most:
        wide = wide - 4 * alpha * (wide @ wide.T - unit) @ wide
        errors.append(float(np.linalg.norm(wide @ wide.T - unit)))
    return Orthogonal(wide if rows <= columns else wide.T, tuple(errors))


def orthogonal_start(rows: int, columns: int, how: Start, generator: torch.Generator) -> Tensor:
    """Return initial weights, orthogonal by torch's QR (``orthogonal``) or by the local rule (``local``)."""
    import torch

    if how == "orthogonal":
        return torch.nn.init.orthogonal_(torch.empty(rows, columns), generator=generator)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    return torch.from_numpy(orthogonal_weights(rows, columns, seed=seed).weights).float()

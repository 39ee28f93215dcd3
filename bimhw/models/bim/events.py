"""Products of inputs that are mostly 0 with weights, by the inputs that are not: one-hot symbols, spikes.

A product of matrices multiplies by every 0; with fewer than one input in `FEW` going from event to event is faster. Sums run over
ascending inputs and the bias comes last, as in a product of matrices, so results are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from bimhw.models.bim.loops import Words, call_kernel, check_first_order
from simulator.base.arrays import Array

FEW = 16


def few_events(u: Tensor) -> bool:
    """Return whether fewer than one of the inputs in `FEW` is not 0; u lies where the compiled loops reach it."""
    return int(_count(u.contiguous().view(-1).numpy())) * FEW < u.numel()


def by_events(p: Tensor, u: Tensor) -> Tensor:
    """Return p^T u [H, M] of p [n, H] and u [n, M], by the entries of u that are not 0."""
    out = p.new_zeros(u.shape[1], p.shape[1])
    call_kernel(_add_events, p.contiguous().numpy(), u.contiguous().numpy(), out.numpy())
    return out.T


class Project(torch.autograd.Function):
    """(inputs u [.., M], weights [R, M] and bias [R] of each port) -> u W^T + b of each port [.., R]."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, *ports: Tensor) -> tuple[Tensor, ...]:
        """Go from event to event."""
        weights, biases = ports[::2], ports[1::2]
        ctx.save_for_backward(u, *weights)
        flat = u.detach().contiguous().view(-1, u.shape[-1])
        out = [flat.new_empty(len(flat), len(b)) for b in biases]
        columns = tuple(w.detach().t().contiguous().numpy() for w in weights)
        call_kernel(
            _project, flat.numpy(), columns, tuple(b.detach().numpy() for b in biases), tuple(o.numpy() for o in out)
        )
        return tuple(o.view(*u.shape[:-1], -1) for o in out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return dL/du where it is asked for, and those of weights and biases."""
        check_first_order()
        u, *weights = ctx.saved_tensors
        flat, rows = u.reshape(-1, u.shape[-1]), [g.reshape(-1, g.shape[-1]) for g in grads]
        below = None
        if ctx.needs_input_grad[0]:
            below = sum((g @ w for g, w in zip(rows, weights, strict=True)), torch.zeros(())).view(u.shape)
        out = (part for g in rows for part in (by_events(g, flat), g.sum(0)))
        return below, *out


@njit(cache=True, nogil=True)
def _count(u: Array) -> int:
    found = 0
    for i in range(np.uint64(len(u))):
        found += u[i] != 0
    return found


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_events(p: Array, u: Array, out: Array) -> None:
    """Update out [M, H] <- out + u^T p, of p [n, H] and u [n, M], by the entries of u that are not 0."""
    for n in range(len(u)):
        for m in range(u.shape[1]):
            w = u[n, m]
            if w != 0:
                for h in range(p.shape[1]):
                    out[m, h] += w * p[n, h]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _project(
    u: Array,  # [n, M]
    columns: Words,  # weights of each port, transposed [M, R]
    biases: Words,  # [R]
    out: Words,  # [n, R] overwritten
) -> None:
    found = np.empty(u.shape[1], np.int64)
    for n in range(len(u)):
        events = 0
        for m in range(u.shape[1]):
            found[events] = m
            events += u[n, m] != 0
        for port in range(len(out)):
            row, bias = out[port][n], biases[port]
            row[:] = 0
            for e in range(events):
                w, column = u[n, found[e]], columns[port][found[e]]
                for r in range(len(row)):
                    row[r] += w * column[r]
            for r in range(len(row)):
                row[r] += bias[r]

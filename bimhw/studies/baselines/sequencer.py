"""The interface of a baseline, and the spike of those that have one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Sequencer(nn.Module):
    """A causal model; `carries` says whether its state may be handed on to the next window."""

    carries = True

    def __init__(self) -> None:
        super().__init__()
        self.spikes: Tensor | None = None

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Map inputs [T, B, M] to logits [T, B, C] and the state after them."""
        raise NotImplementedError


class _FastSigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return (v >= 0).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        scaled: Tensor = grad[0] / (1 + v.abs() / 0.5).square()
        return scaled


def spike(v: Tensor) -> Tensor:
    """Return [v >= 0] with the derivative 1/(1+|v|/.5)^2."""
    out: Tensor = _FastSigmoid.apply(v)  # type: ignore[no-untyped-call]
    return out

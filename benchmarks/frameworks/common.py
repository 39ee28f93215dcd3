"""What the makers share: random stimuli and weights, and the form of a case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

STEPS, SAMPLES, INPUTS, HIDDEN, OUTPUTS = 32, 8, 16, 12, 5


class Made(NamedTuple):
    """A network as its framework exports and runs it."""

    graph: Any  # nir.NIRGraph
    x: Tensor  # [T, B, ...]
    out: Tensor  # [T, B, ...], the framework's own
    profile: str | dict[str, Any] | None  # under which the file must give `out`
    dt: float | None = None


Make = Callable[[], Made]


def stimuli(*shape: int, rate: float = 0.4, seed: int = 1) -> Tensor:
    """Random spikes [T, B, *shape]."""
    return (torch.rand(STEPS, SAMPLES, *shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def uniform(n: int, low: float, high: float, seed: int = 2) -> Tensor:
    """n random values."""
    return torch.rand(n, generator=torch.Generator().manual_seed(seed)) * (high - low) + low


def randomise(net: nn.Module, gain: float, grid: float = 0.0, seed: int = 0) -> nn.Module:
    """Random weights, more excitation than inhibition; multiples of `grid` let sums meet the threshold exactly."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            continue
        fan_in = module.weight[0].numel()
        module.weight.data = (torch.randn(module.weight.shape, generator=generator) + 0.4) * gain / fan_in**0.5
        if module.bias is not None:
            module.bias.data = torch.randn(module.bias.shape, generator=generator) * 0.1
        if grid:
            for p in module.parameters():
                p.data = (p.data / grid).round() * grid
    return net


@torch.no_grad()
def step_by_step(net: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """Output spikes [T, B, ...] of a network that keeps its own state."""
    outs = [net(x[t]) for t in range(len(x))]
    return torch.stack([o[0] if isinstance(o, tuple) else o for o in outs])

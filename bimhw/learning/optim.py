"""Optimisers on one flat vector of all parameters: SGD, one second moment per neuron (fits a chip), Adam."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from bimhw.models.bim.loops import call_kernel, takes_loops
from simulator.base.errors import unknown_name

OptimiserName = Literal["sgd", "rms", "adam"]
OPTIMISERS: tuple[OptimiserName, ...] = get_args(OptimiserName)
_RATES = {
    "omega": 0.3
}  # share of a step that a parameter takes: angles are radians a step, and a phase adds up over time
A_LOG_LIMIT = 3.0  # A_log stays in [-3, 3]: beyond, the decay is 0 or 1 to rounding


class FlatParameters:
    """Makes the trained parameters of a network views of one vector, so that an update is a few operations.

    Args:
        net: its parameters keep their names and shapes.
        hidden: share of a step that all but the readout takes.
    """

    def __init__(self, net: nn.Module, hidden: float = 1.0) -> None:
        self.net = net
        named = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
        self.names = [n for n, _ in named]
        self.shapes = [p.shape for _, p in named]
        self.values = torch.cat([p.detach().reshape(-1) for _, p in named])
        sizes = [p.numel() for _, p in named]
        for (_, p), view in zip(named, torch.split(self.values, sizes), strict=True):
            p.data = view.view(p.shape)
        self.rows = self._row_index(named)
        self._a_log = [p for n, p in named if n.endswith("a_log")]
        self._delays = [p for n, p in named if n.endswith("delay")]
        shares = [
            (p, _RATES.get(n.split(".")[-1], 1.0) * (1.0 if n.startswith("readout.") else hidden)) for n, p in named
        ]
        self.slow = [(p, share) for p, share in shares if share != 1]

    def _row_index(self, named: list[tuple[str, torch.nn.Parameter]]) -> Tensor:
        """Return the number of each element's (parameter, row): a neuron's synapses at one port are one row."""
        out, start = [], 0
        for _, p in named:
            rows = torch.arange(p.shape[0], device=p.device).repeat_interleave(p.numel() // p.shape[0])
            out.append(rows + start)
            start += p.shape[0]
        return torch.cat(out)

    def gather(self, gradients: dict[str, Tensor]) -> Tensor:
        """Gather gradients by parameter name as one vector; a missing one is 0."""
        like = self.values
        parts = [
            gradients[n].reshape(-1) if n in gradients else like.new_zeros(s.numel())
            for n, s in zip(self.names, self.shapes, strict=True)
        ]
        return torch.cat(parts)

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients that autograd left in the parameters."""
        return {n: p.grad for n, p in self.net.named_parameters() if p.grad is not None}

    def clamp(self) -> None:
        """Keep A_log and delays in their ranges."""
        for p in self._a_log:
            p.data.clamp_(-A_LOG_LIMIT, A_LOG_LIMIT)
        for p in self._delays:
            p.data.clamp_(0, 1)


class Moments(NamedTuple):
    """First and second moment of some weights, each [n], and the updates that they come from, this one included."""

    first: Tensor
    second: Tensor
    updates: int


def adam(
    values: Tensor, g: Tensor, of: Moments, lr: float, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8
) -> None:
    """Update weights [n] and moments in place, by Adam (Kingma & Ba 2015): one compiled pass on the CPU."""
    if takes_loops(values):
        from bimhw.learning.forms.kernels import adam_step

        arrays = (t.numpy() for t in (values, g.contiguous(), of.first, of.second))
        call_kernel(adam_step, *arrays, *betas, lr, of.updates, eps)
        return
    b1, b2 = betas
    of.first.lerp_(g, 1 - b1)
    of.second.lerp_(g * g, 1 - b2)
    root = (of.second / (1 - b2**of.updates)).sqrt_().add_(eps)
    values.addcdiv_(of.first, root, value=-lr / (1 - b1**of.updates))


class Optimiser:
    """Turns a gradient vector into a step; its words are `moments` and `count`.

    Args:
        name: ``sgd``; ``rms``: g / sqrt(mean over a neuron's row of g^2, decayed); ``adam``.
        parameters: what is optimised.
        betas: decays of first and second moment (rms: the second).
        eps: added to the root.
    """

    def __init__(
        self,
        name: OptimiserName,
        parameters: FlatParameters,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ) -> None:
        if name not in OPTIMISERS:
            raise unknown_name("optimiser", name, OPTIMISERS)
        self.name, self.parameters, self.betas, self.eps = name, parameters, betas, eps
        self.count = 0
        like = parameters.values
        n_rows = int(parameters.rows.max()) + 1
        sizes = {"sgd": (0, 0), "rms": (0, n_rows), "adam": (len(like), len(like))}[name]
        self.first, self.second = (like.new_zeros(n) for n in sizes)
        self._row_size = torch.bincount(parameters.rows, minlength=n_rows).to(like) if name == "rms" else like

    def direction(self, g: Tensor) -> Tensor:
        """Return the scaled step for gradient g (to be multiplied by -lr); advances the moments."""
        if self.name == "sgd":
            return g
        self.count += 1
        if self.name == "rms":
            b2 = self.betas[1]
            mean = torch.zeros_like(self.second).index_add_(0, self.parameters.rows, g * g) / self._row_size
            self.second.lerp_(mean, 1 - b2)
            root = (self.second / (1 - b2**self.count)).sqrt_().add_(self.eps)
            return g / root[self.parameters.rows]
        raise AssertionError(self.name)

    def step(self, g: Tensor, lr: float) -> None:
        """Update values <- values - lr direction(g), a share of it for the parameters that move slowly."""
        before = [p.detach().clone() for p, _ in self.parameters.slow]
        if self.name == "adam":
            self._adam(g, lr)
        else:
            self.parameters.values.add_(self.direction(g), alpha=-lr)
        for (p, share), old in zip(self.parameters.slow, before, strict=True):
            p.data.copy_(torch.lerp(old, p.data, share))
        self.parameters.clamp()

    def _adam(self, g: Tensor, lr: float) -> None:
        """Do the same as `direction`, in one pass."""
        self.count += 1
        adam(self.parameters.values, g, Moments(self.first, self.second, self.count), lr, self.betas, self.eps)

    @property
    def words(self) -> int:
        """Optimiser words."""
        return self.first.numel() + self.second.numel()

    def state(self) -> dict[str, Tensor]:
        """Return all that a resumed run needs."""
        return {"first": self.first, "second": self.second, "count": torch.tensor(self.count)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`."""
        self.first.copy_(state["first"])
        self.second.copy_(state["second"])
        self.count = int(state["count"])

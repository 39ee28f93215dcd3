"""Plain spiking neurons for torch stacks: one time step a call, trained through a surrogate gradient, compiled as they are.

Equations of one step, x the input of this step::

    IF        v = v + x
    LIF       v = keep v + x
    CubaLIF   u = keep_u u + x;  v = keep v + u          (the current first, in the same step)
    z = [v > theta]  (``cmp`` ">=": [v >= theta])
    reset     hard: v = v_reset where z      soft: v = v - theta z
    LI        v = keep v + x, gives v in every step

keep in [0, 1] is what a state keeps of itself in a step, e^(-dt/tau) or 1 - dt/tau.
Surrogate: dz/dv = 1 / (1 + |v - theta| / w)^2.

    >>> net = Stack(torch.nn.Linear(16, 32), LIF(keep=0.875), torch.nn.Linear(32, 10), LI(keep=0.9))
    >>> out = net.run(x)            # x [T, B, 16] -> [T, B, 10], from rest
    >>> program = bimhw.compile(net).program
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from simulator.base.errors import InputError


class _Spike(torch.autograd.Function):
    """Step function with the derivative of a fast sigmoid."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, width: float, reached: bool) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.width = width
        return (distance >= 0 if reached else distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None, None]:
        (distance,) = ctx.saved_tensors
        return grad[0] / (1 + distance.abs() / ctx.width) ** 2, None, None


class Neuron(nn.Module):
    """A layer of neurons of one kind; its state takes the shape of the first input and is kept until `reset`.

    Args:
        keep: what v keeps of itself in a step, a number or an array of the layer's shape.
        theta: threshold; ``None`` for neurons that give their membrane.
        reset: ``hard`` (to `v_reset`) or ``soft`` (by subtraction).
        v_reset: v after a hard reset.
        cmp: firing rule.
        keep_u: what the synaptic current keeps of itself; ``None`` for neurons without one.
        width: of the surrogate.
    """

    keep: Tensor
    theta: Tensor | None
    keep_u: Tensor | None

    def __init__(
        self,
        keep: Any = 1.0,
        theta: Any = 1.0,
        reset: Literal["hard", "soft"] = "hard",
        v_reset: float = 0.0,
        cmp: Literal[">", ">="] = ">",
        keep_u: Any = None,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        for name, value in (("keep", keep), ("keep_u", keep_u)):
            _check_keep(type(self).__name__, name, value)
        if reset not in ("hard", "soft") or cmp not in (">", ">="):
            raise InputError(type(self).__name__, f"has reset {reset!r} and cmp {cmp!r}", "Use hard or soft, > or >=")
        self.register_buffer("keep", torch.as_tensor(keep, dtype=torch.get_default_dtype()))
        self.register_buffer(
            "theta", None if theta is None else torch.as_tensor(theta, dtype=torch.get_default_dtype())
        )
        self.register_buffer(
            "keep_u", None if keep_u is None else torch.as_tensor(keep_u, dtype=torch.get_default_dtype())
        )
        self.soft, self.v_reset, self.reached, self.width = reset == "soft", v_reset, cmp == ">=", width
        self.v: Tensor | None = None
        self.u: Tensor | None = None

    def named_states(self) -> list[tuple[str, Tensor | None]]:
        """Return the constants that may differ by neuron, by name: keep, theta, keep_u."""
        return [("keep", self.keep), ("theta", self.theta), ("keep_u", self.keep_u)]

    def reset(self) -> None:
        """Go back to rest."""
        self.v = self.u = None

    def forward(self, x: Tensor) -> Tensor:
        """Take one step: x [B, ...] -> spikes, or membranes of LI, [B, ...]."""
        if self.keep_u is not None:
            x = self.u = x if self.u is None else self.keep_u * self.u + x
        v = x if self.v is None else self.keep * self.v + x
        if self.theta is None:
            self.v = v
            return v
        z = cast(Tensor, _Spike.apply(v - self.theta, self.width, self.reached))  # type: ignore[no-untyped-call]
        self.v = v - self.theta * z if self.soft else torch.where(z > 0, torch.full_like(v, self.v_reset), v)
        return z


def _check_keep(kind: str, name: str, value: Any) -> None:
    if value is None:
        return
    array = torch.as_tensor(value)
    if not array.is_meta and not bool(((array >= 0) & (array <= 1)).all()):
        raise InputError(f"{kind}: {name}", f"is {value}", "A state keeps 0 to 1 of itself in a step")


class IF(Neuron):
    """Integrate and fire, without leak."""

    def __init__(self, theta: Any = 1.0, **options: Any) -> None:
        super().__init__(1.0, theta, **options)


class LIF(Neuron):
    """Leaky integrate and fire."""

    def __init__(self, keep: Any = 0.9, theta: Any = 1.0, **options: Any) -> None:
        super().__init__(keep, theta, **options)


class CubaLIF(Neuron):
    """Leaky integrate and fire behind a synaptic current."""

    def __init__(self, keep_u: Any = 0.5, keep: Any = 0.9, theta: Any = 1.0, **options: Any) -> None:
        super().__init__(keep, theta, keep_u=keep_u, **options)


class LI(Neuron):
    """Leaky integrator: a readout that gives its membrane."""

    def __init__(self, keep: Any = 0.9) -> None:
        super().__init__(keep, None)


class Recurrent(nn.Module):
    """A neuron layer whose output of the last step comes back through a linear layer: x(t) + W z(t-1) (+ b).

    Args:
        neuron: the layer.
        weight: ``torch.nn.Linear(n, n)``; its bias, if any, is added from the first step on.
    """

    def __init__(self, neuron: Neuron, weight: nn.Linear) -> None:
        super().__init__()
        self.neuron, self.weight = neuron, weight
        self.last: Tensor | None = None

    def reset(self) -> None:
        """Go back to rest."""
        self.last = None
        self.neuron.reset()

    def forward(self, x: Tensor) -> Tensor:
        """Take one step."""
        last = torch.zeros_like(x) if self.last is None else self.last
        self.last = cast(Tensor, self.neuron(x + self.weight(last)))
        return self.last


class Filter(nn.Module):
    """Leaky average f <- k f + (1 - k) x of a sequence [T, B, ...], from f = 0; on the chip part of the readout neuron.

    Args:
        k: what the average keeps of itself in a step, in [0, 1).
    """

    def __init__(self, k: float = 0.8) -> None:
        super().__init__()
        if not 0 <= k < 1:
            raise InputError("Filter: k", f"is {k}", "Give a number in [0, 1)")
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        """Filter a sequence."""
        f, out = torch.zeros_like(x[0]), []
        for step in x:
            f = self.k * f + (1 - self.k) * step
            out.append(f)
        return torch.stack(out)

    def extra_repr(self) -> str:
        """Describe the filter in `print(model)`."""
        return f"k={self.k}"


class Residual(nn.Module):
    """Layers and the way around them, x + layers(x): spikes add up element by element (SEW ADD, Fang et al. 2021).

    Args:
        layers: one after another; the last gives spikes of the input's shape.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        if not layers:
            raise InputError(
                "Residual", "has no layers to lead around", "Give it a BIM layer, or a linear layer and a neuron"
            )
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Run a sequence [T, B, ...], or a step.

        Raises:
            InputError: layers that change the shape.
        """
        y: Tensor = self.layers(x)
        if y.shape != x.shape:
            problem = f"makes {tuple(y.shape)} of {tuple(x.shape)}, which do not add up"
            raise InputError("Residual", problem, "Give it layers whose outputs are as many as its inputs")
        return x + y


class Stack(nn.Sequential):
    """Layers one after another, all in the same time step.

    Args:
        layers: torch's Linear, Conv1d, Conv2d, AvgPool2d, Flatten, and the neurons here.
        input_shape: of one sample and step, without batch; needed where the first layer does not tell it.
    """

    def __init__(self, *layers: nn.Module, input_shape: tuple[int, ...] | None = None) -> None:
        super().__init__(*layers)
        self.input_shape = input_shape

    def reset(self) -> None:
        """Bring all neurons back to rest."""
        for module in self.modules():
            if isinstance(module, Neuron | Recurrent):
                module.reset()

    def run(self, x: Tensor) -> Tensor:
        """Run every step of x [T, B, ...] from rest: the last layer's output [T, B, ...]."""
        self.reset()
        return torch.stack([self(step) for step in x])

"""Interface of all online learners: one step in, logits out, gradients when the rule has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from bimhw.models.bim.cell import LayerState
from bimhw.models.bim.net import BimNet, NetState
from simulator.base.errors import InputError

Gradients = dict[str, Tensor]
LossOf = Callable[[Tensor, Tensor, float], tuple[float, Tensor]]  # as `softmax_error`


class StepResult(NamedTuple):
    """Result of one step: logits [B, C], the loss if there was a label, gradients if the rule is due."""

    logits: Tensor
    loss: float | None
    gradients: Gradients | None


class Spiking(Protocol):
    """Spikes and membranes of a layer in a step."""

    @property
    def s(self) -> Tensor:
        """Spikes [B, H]."""


class Learner(Protocol):
    """An online learning rule on a network."""

    @property
    def records(self) -> Sequence[Spiking]:
        """Record of each layer in the newest step."""

    @property
    def inputs(self) -> Sequence[Tensor]:
        """Inputs of each layer in the newest step."""

    def reset(self) -> None:
        """Begin a new sequence."""

    def observe(self, u: Tensor, target: Tensor | None, weight: float = 1.0) -> StepResult:
        """Observe one step of inputs [B, n_in], with labels [B] where there are any."""

    def finish(self) -> Gradients | None:
        """End a sequence: return the gradients that are still due."""

    def settle(self) -> None:
        """Bring weights up to date that wait for their next use; the state stays."""

    def checkpoint(self) -> dict[str, Any]:
        """Return the state of network and rule as plain containers of tensors, loadable without running code."""

    def restore(self, content: dict[str, Any]) -> None:
        """Continue from what `checkpoint` of a learner of the same configuration returned."""

    @property
    def memory_words(self) -> int:
        """Learning words of one sequence held now (traces or history)."""


def check_step(u: Tensor, batch: int, like: Tensor, n_in: int) -> None:
    """Raise `InputError` unless inputs are one step [batch, n_in] of the network's type: compiled loops check no bounds."""
    if u.shape != (batch, n_in):
        raise InputError(
            "step of a learner", f"has shape {tuple(u.shape)}", f"Give [{batch}, {n_in}], as it was made for"
        )
    if u.dtype != like.dtype or u.device != like.device:
        own = f"{like.dtype} on {like.device}"
        raise InputError(
            "step of a learner", f"is {u.dtype} on {u.device}, its network {own}", "Convert it with .to(...)"
        )


def _check_labels(logits: Tensor, target: Tensor) -> None:
    if target.shape not in (logits.shape, logits.shape[:1]):
        problem = f"have shape {tuple(target.shape)} beside scores {tuple(logits.shape)}"
        raise InputError("labels of a step", problem, "Give class numbers [B], or 0 and 1 for each class [B, C]")


def softmax_error(logits: Tensor, target: Tensor, weight: float) -> tuple[float, Tensor]:
    """Return (mean cross-entropy, dL/dlogits [B, C] times weight / B) of classes [B].

    Labels [B, C] of 0 and 1 have a sigmoid each: the mean of their binary cross-entropies, its gradient times weight.
    """
    _check_labels(logits, target)
    if target.ndim == 2:
        y = target.to(logits)
        loss = functional.binary_cross_entropy_with_logits(logits, y)
        return float(loss), (torch.sigmoid(logits) - y).mul_(weight / y.numel())
    log_p, index = torch.log_softmax(logits, -1), target[:, None]
    share = weight / len(target)
    try:
        error = log_p.exp().mul_(share).scatter_add_(1, index, logits.new_full(index.shape, -share))
        return -float(log_p.gather(1, index).mean()), error
    except RuntimeError as fault:  # torch's own check: of another type, or no class
        classes = f"Give class numbers of torch.int64, 0 to {logits.shape[1] - 1}"
        raise InputError("labels of a step", str(fault).split("\n")[0], classes) from fault


class Ends:
    """Connections of the two ends of a learner's network.

    Attributes:
        loss_of: loss and error of the readout's outputs.
        sends_below: work out dL/du for what lies below the network.
        below: with it, dL/du [T, B, M] of the steps (the last one the newest) whose gradients were given last.
    """

    def __init__(self) -> None:
        self.loss_of: LossOf = softmax_error
        self.sends_below = False
        self.below: Tensor | None = None


def readout_gradients(net: BimNet, state: NetState, error: Tensor) -> Gradients:
    """Return the readout gradients for one time step."""
    feature = net.features([s.f for s in state.layers])
    return {"readout.weight": error.T @ feature, "readout.bias": error.sum(0)}


def network_checkpoint(state: NetState) -> dict[str, Any]:
    """Return the state of a network as plain containers of tensors."""
    return {"layers": [tuple(v.clone() for v in s) for s in state.layers], "taps": state.taps.clone()}


def network_state(content: dict[str, Any]) -> NetState:
    """Return what `network_checkpoint` was given."""
    return NetState(tuple(LayerState(*s) for s in content["layers"]), content["taps"])


def add(total: Gradients, more: Gradients) -> None:
    """Add more to total, by name."""
    for name, g in more.items():
        total[name] = total[name] + g if name in total else g

"""The two ways to learn from a batch: autograd through the whole of it, or a forward rule step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bimhw.learning.checkpoints import Content, load_weights, weights_of
from bimhw.learning.device import device_of, placed
from bimhw.learning.forms.learner import Learner, StepResult, network_checkpoint, network_state
from bimhw.learning.loop import Batch, Learnt, Objective
from bimhw.learning.objectives.scoring import Carried, Forward
from bimhw.learning.pruning import Pruning
from bimhw.learning.saved_words import saved_words
from bimhw.learning.updater import Updater
from bimhw.models.bim.net import NetState
from simulator.base.schedule import learning_rate

AnyBatch = Batch[Any]
AnyObjective = Objective[Any]  # of what the batches hold


class Descent(Protocol):
    """Turns the gradient of a loss into an update."""

    @property
    def updates(self) -> int:
        """Updates so far."""
        ...

    def step(self, loss: Tensor) -> None:
        """Go back through a loss and update."""
        ...

    def finish(self) -> None:
        """End the training."""
        ...

    def state(self) -> Content:
        """Return all that `load` needs beside the weights."""
        ...

    def load(self, state: Content) -> None:
        """Continue from `state`."""
        ...


class UpdaterDescent:
    """Descent by an `Updater`: its optimiser, pruning and learning rate."""

    def __init__(self, updater: Updater) -> None:
        self.updater = updater

    @property
    def updates(self) -> int:
        """Updates so far."""
        return self.updater.updates

    def step(self, loss: Tensor) -> None:
        """See `Descent`."""
        self.updater.net.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.updater.update(self.updater.parameters.gradients())

    def finish(self) -> None:
        """See `Descent`."""
        self.updater.finish()

    def state(self) -> Content:
        """See `Descent`."""
        return self.updater.state()

    def load(self, state: Content) -> None:
        """See `Descent`."""
        self.updater.load(state)


class ClippedAdam:
    """Adam(.9, .99) with a cosine decay and clipped gradients, for any torch module.

    Args:
        parameters: what is trained.
        lr, lr_end: first learning rate, last one as a fraction of it.
        total: updates over which it decays.
        pruning: prunes after updates.
        clip: largest norm of the gradient; 0: the default of 1.
        one_pass: update in one pass over the memory; torch's own default, several passes, differs by rounding.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        lr: float,
        lr_end: float,
        total: int,
        pruning: Pruning | None = None,
        clip: float = 0.0,
        one_pass: bool = False,
    ) -> None:
        self.clip = clip or 1.0
        self.trained = [p for p in parameters if p.requires_grad]
        self.lr, self.lr_end, self.total, self.pruning = lr, lr_end, total, pruning
        self.updates = 0
        self.optimiser = torch.optim.Adam(self.trained, lr=lr, betas=(0.9, 0.99), fused=one_pass or None)

    def step(self, loss: Tensor) -> None:
        """See `Descent`."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.lr, self.lr_end, self.updates / self.total)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimiser.step()
        self.updates += 1
        if self.pruning is not None:
            self.pruning.after(self.updates)

    def finish(self) -> None:
        """See `Descent`."""
        if self.pruning is not None:
            self.pruning.finish()

    def state(self) -> Content:
        """See `Descent`."""
        pruning = None if self.pruning is None else self.pruning.state()
        return {"updates": self.updates, "optimiser": self.optimiser.state_dict(), "pruning": pruning}

    def load(self, state: Content) -> None:
        """See `Descent`."""
        self.updates = int(state["updates"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.pruning is not None:
            self.pruning.load(state["pruning"])


class ByAutograd:
    """Back-propagation through the steps of a batch.

    Args:
        net: the module that is trained.
        forward: (inputs [T, B, M], state) -> (logits, state).
        objective: the error.
        descent: what makes the update.
        carry: hand the state on to a batch that does not begin (truncated BPTT).
        penalty: a further term of the loss, after `forward`.
        rates: spike rate of each layer, after `forward`.
        count: count the words that autograd keeps for a batch.
    """

    def __init__(
        self,
        net: nn.Module,
        forward: Forward,
        objective: AnyObjective,
        descent: Descent,
        carry: bool = False,
        penalty: Callable[[], Tensor] | None = None,
        rates: Callable[[], tuple[float, ...]] = tuple,
        count: bool = False,
    ) -> None:
        self.net, self.forward, self.objective, self.descent = net, forward, objective, descent
        self.carry, self.penalty, self.rates, self.count = carry, penalty, rates, count
        self.memory_words = 0
        self._state: Carried = None

    @property
    def updates(self) -> int:
        """Updates so far."""
        return self.descent.updates

    def learn(self, batch: AnyBatch) -> Learnt:
        """See `Method`."""
        batch = _near(batch, self.net)
        old = self._state if self.carry and not batch.begins else None
        with saved_words(active=self.count and self.memory_words == 0) as counter:
            logits, state = self.forward(batch.x, old)
            loss = self.objective.loss(logits, batch.y)
            whole = loss if self.penalty is None else loss + self.penalty()
        self.descent.step(whole)
        self._state = detached(state) if self.carry else None
        self.memory_words = max(self.memory_words, counter.words)
        return Learnt(float(loss.detach()), self.rates())

    def finish(self) -> None:
        """See `Method`."""
        self.descent.finish()

    def state(self) -> Content:
        """See `Method`."""
        return {
            "weights": weights_of(self.net),
            "descent": self.descent.state(),
            "carried": network_checkpoint(self._state) if isinstance(self._state, NetState) else self._state,
            "words": self.memory_words,
            "drawn": getattr(self.forward, "seen", 0),
        }

    def load(self, state: Content) -> None:
        """See `Method`."""
        load_weights(self.net, state["weights"])
        self.descent.load(state["descent"])
        carried = state["carried"]
        self._state = placed(network_state(carried) if isinstance(carried, dict) else carried, device_of(self.net))
        self.memory_words = int(state["words"])
        if hasattr(self.forward, "seen"):
            self.forward.seen = state["drawn"]


class ByRule:
    """A forward rule, which learns while the batch runs.

    Args:
        updater: the rule, and what turns its gradients into weights.
        objective: gives the labels of each step.
        clock: counts the steps, for a learning rate that decays by them.
        rates: count spikes.
    """

    def __init__(
        self, updater: Updater, objective: AnyObjective, clock: Clock | None = None, rates: bool = False
    ) -> None:
        self.updater, self.objective, self.clock, self._rates = updater, objective, clock, rates
        self.memory_words = 0
        self.learner: Learner | None = None
        self.lanes = 0  # sequences side by side
        self.trained: nn.Module = updater.net  # all that is trained

    @property
    def updates(self) -> int:
        """Updates so far."""
        return self.updater.updates

    def learn(self, batch: AnyBatch) -> Learnt:
        """See `Method`."""
        learner = self.ready(batch)
        losses, spikes = [], [0.0] * self.updater.net.config.n_layers
        for u, y in zip(batch.x, self.objective.labels(batch.y, len(batch.x)), strict=True):
            if self.clock is not None:
                self.clock.steps += 1
            result = self._observe(learner, u, y)
            if self._rates:
                spikes = [a + float(r.s.mean()) for a, r in zip(spikes, learner.records, strict=True)]
            if result.loss is not None:
                losses.append(result.loss)
        self.memory_words = max(self.memory_words, learner.memory_words)
        if batch.ends:
            self.updater.update(learner.finish())
        loss = float(np.mean(losses)) if losses else 0.0
        return Learnt(loss, tuple(a / len(batch.x) for a in spikes) if self._rates else ())

    def ready(self, batch: AnyBatch) -> Learner:
        """Return the learner of a batch, a new one where a sequence begins."""
        if batch.begins or self.learner is None:
            self.lanes = batch.x.shape[1]
            self.learner = self._begin(self.lanes)
        return self.learner

    def _begin(self, lanes: int) -> Learner:
        return self.updater.learner(lanes)

    def _observe(self, learner: Learner, u: Tensor, y: Tensor | None) -> StepResult:
        return self.updater.observe(learner, u, y)

    def finish(self) -> None:
        """See `Method`."""
        self.updater.finish()

    def state(self) -> Content:
        """See `Method`."""
        return {
            "weights": weights_of(self.trained),
            "updater": self.updater.state(),
            "learner": None if self.learner is None else self.learner.checkpoint(),
            "lanes": self.lanes,
            "words": self.memory_words,
            "steps": 0 if self.clock is None else self.clock.steps,
        }

    def load(self, state: Content) -> None:
        """See `Method`."""
        if self.clock is not None:
            self.clock.steps = int(state["steps"])
        self.memory_words = int(state["words"])
        load_weights(self.trained, state["weights"])
        if state["learner"] is not None:
            self.lanes = int(state["lanes"])
            self.learner = self._begin(self.lanes)
        here = device_of(self.updater.net)
        self.updater.load(placed(state["updater"], here))
        if self.learner is not None:
            self.learner.restore(placed(state["learner"], here))


class Clock:
    """Counts steps up to a total; `share` is the part that is done."""

    def __init__(self, total: int) -> None:
        self.total, self.steps = total, 0

    def share(self) -> float:
        """Return steps / total."""
        return self.steps / self.total


def _near(batch: AnyBatch, net: nn.Module) -> AnyBatch:
    """Return a batch on the device of the network."""
    device = device_of(net)
    return batch if device.type == "cpu" else replace(batch, x=batch.x.to(device), y=placed(batch.y, device))


def detached(state: Carried) -> Carried:
    """Return a state (tensors in any nesting of tuples) cut off from the graph."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, tuple):
        parts = [detached(s) for s in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state

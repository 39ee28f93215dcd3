"""From gradients to weights: optimiser, learning rate, STDP, pruning, rate regulariser; and its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bimhw.learning.continual import Plasticity
from bimhw.learning.forms.learner import Gradients, Learner, StepResult
from bimhw.learning.optim import FlatParameters, Optimiser
from bimhw.learning.pruning import Pruner, PruneSettings, Pruning
from bimhw.learning.rules.homeostasis import Homeostasis
from bimhw.learning.rules.hybrid import Hybrid, clip_inputs
from bimhw.learning.rules.registry import LearnerSettings, gradient_form, learning_rule, make_learner
from bimhw.learning.rules.stdp import StdpSettings
from bimhw.learning.settings import TrainSettings
from bimhw.models.bim.net import as_bim
from bimhw.models.nets import Net
from simulator.base.errors import InputError
from simulator.base.schedule import learning_rate


class Updater:
    """Applies a rule's gradients to a network.

    Args:
        net: its parameters become views of one vector.
        settings: the rule and its numbers.
        total_updates: of the whole training, for the learning rate's decay.
        done: share of the training done; default: of the updates.

    Raises:
        InputError: the network learns delays, and the rule does not.
    """

    def __init__(
        self, net: Net, settings: TrainSettings, total_updates: int, done: Callable[[], float] | None = None
    ) -> None:
        _check_delays(net, settings)
        self._done = done
        self.net, self.settings, self.updates, self._total = net, settings, 0, total_updates
        self.parameters = FlatParameters(net, settings.lr_hidden)
        self.optimiser = Optimiser(settings.optimiser, self.parameters)
        self.hybrid, self.homeostasis = _make_hybrid(net, settings), _make_homeostasis(net, settings)
        self.pruning = make_pruning(net, settings)
        self.plasticity: Plasticity | None = None
        self.moves: Tensor | None = None  # 1 for weights that move, 0 for those that stand still; None: all move

    @property
    def lr(self) -> float:
        """Learning rate of the next update."""
        s = self.settings
        done = self.updates / max(self._total - 1, 1) if self._done is None else self._done()
        return learning_rate(s.lr, s.lr_end, done, s.lr_course)

    def learner(self, batch: int) -> Learner:
        """Return the rule at the beginning of a sequence, for this many parallel sequences."""
        s = self.settings
        if self.hybrid is not None:
            self.hybrid.resize(batch)
        credit = s.k_credit or None
        settings = LearnerSettings(
            s.rule, s.form, s.credit, s.seed, s.block, s.lookback, self.lr, self.homeostasis, credit
        )
        return make_learner(self.net, settings, batch)

    def observe(self, learner: Learner, u: Tensor, target: Tensor | None) -> StepResult:
        """Observe one step of a learner, and make the update that is due."""
        result = learner.observe(u, target)
        if self.hybrid is not None:
            right = None if target is None else _right(result.logits, target)
            self.hybrid.observe(list(learner.inputs), [r.s for r in learner.records], right)
        self.update(result.gradients)
        return result

    def update(self, gradients: Gradients | None) -> None:
        """Apply gradients, where there are any."""
        if gradients is None:
            return
        if self.hybrid is not None:
            gradients = self.hybrid.combine(gradients)
        self._step(clipped(self.parameters.gather(gradients), self.settings.clip))
        if self.hybrid is not None:
            clip_inputs(as_bim(self.net, "the hybrid rule"), self.settings.w_max)
        self.updates += 1
        if self.pruning is not None:
            self.pruning.after(self.updates)

    def _step(self, g: Tensor) -> None:
        values, plastic = self.parameters.values, self.plasticity
        before = None if plastic is None and self.moves is None else values.clone()
        self.optimiser.step(g if plastic is None else plastic.gradient(g, values), self.lr)
        if before is None:
            return
        after = values if plastic is None else plastic.landed(before, values)
        values.copy_(after if self.moves is None else torch.where(self.moves > 0, after, before))

    def finish(self) -> None:
        """End the training."""
        if self.pruning is not None:
            self.pruning.finish()

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs beside the weights and the learner."""
        out: dict[str, Any] = {
            "updates": self.updates,
            "optimiser": {k: v.clone() for k, v in self.optimiser.state().items()},
        }
        if self.hybrid is not None:
            traces = [(t.a.clone(), t.b.clone(), t.omega.clone()) for t in self.hybrid.traces]
            eligibility = [m.eligibility.clone() for m in self.hybrid.modulated]
            out["hybrid"] = {"squares": self.hybrid.squares.clone(), "traces": traces, "eligibility": eligibility}
            out["hybrid"]["expected"] = self.hybrid.expected
        if self.homeostasis is not None:
            out["rates"] = [r.clone() for r in self.homeostasis.rates]
        if self.pruning is not None:
            out["pruner"] = self.pruning.state()
        return out

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.updates = int(state["updates"])
        self.optimiser.load(state["optimiser"])
        if self.hybrid is not None:
            self.hybrid.squares = state["hybrid"]["squares"].clone()
            for traces, held in zip(self.hybrid.traces, state["hybrid"]["traces"], strict=True):
                traces.a, traces.b, traces.omega = (v.clone() for v in held)
            self.hybrid.expected = float(state["hybrid"]["expected"])
            for modulated, held in zip(self.hybrid.modulated, state["hybrid"]["eligibility"], strict=True):
                modulated.eligibility = held.clone()
        if self.homeostasis is not None:
            self.homeostasis.rates = [r.clone() for r in state["rates"]]
        if self.pruning is not None:
            self.pruning.load(state["pruner"])


def _check_delays(net: Net, s: TrainSettings) -> None:
    rule = learning_rule(s.rule)
    if not rule.online or (rule.forms and gradient_form(s.form).delays):
        return
    if any(name.endswith("delay") and p.requires_grad for name, p in net.named_parameters()):
        what = f"rule {s.rule!r}" + (f" in form {s.form!r}" if rule.forms else "")
        raise InputError(
            what,
            "learns no delays, and the network has delays to learn",
            "Keep them as drawn (--set learn_delays=false), or take rule bptt, or form seq or tr",
        )


def _right(logits: Tensor, target: Tensor) -> Tensor:
    """Return which sequences [B] are decided rightly, in all their labels."""
    return logits.argmax(-1) == target if target.ndim == 1 else ((logits > 0) == (target > 0)).all(-1)


def clipped(g: Tensor, most: float) -> Tensor:
    """Return a gradient scaled down to this norm where it is larger; 0 is no limit."""
    if not most:
        return g
    return torch.mul(g, (most / g.norm()).clamp(max=1.0))


def updates_of(settings: TrainSettings, labelled: Sequence[bool]) -> int:
    """Return the updates of a sequence, from which of its steps are labelled."""
    rule = learning_rule(settings.rule)
    if not rule.online:
        return 1
    return gradient_form(settings.form).updates(settings, labelled) if rule.forms else sum(labelled)


def make_pruning(net: Net, s: TrainSettings) -> Pruning | None:
    """Return the pruning that the settings ask for."""
    if not s.prune:
        return None
    target = PruneSettings(rho=s.prune, mode=s.prune_mode, seed=s.seed)
    return Pruning(Pruner(as_bim(net, "pruning"), target, s.prune_readout), s.prune_every)


def _make_homeostasis(net: Net, s: TrainSettings) -> Homeostasis | None:
    if not s.rate_strength or not learning_rule(s.rule).online:  # bptt has it in its loss
        return None
    bim = as_bim(net, "online learning")
    return Homeostasis(bim.config, s.rate_strength, s.rate_target, bim.readout.weight.detach())


def _make_hybrid(any_net: Net, s: TrainSettings) -> Hybrid | None:
    rule = learning_rule(s.rule)
    if not rule.stdp:
        return None
    net = as_bim(any_net, f"rule {s.rule!r}")
    window = StdpSettings(pairing=s.pairing)
    if s.zero_drift:
        window = window.without_drift()
    tau_e = s.tau_e if s.third_factor == "reward" else None
    if not rule.hidden:
        return Hybrid(net, s.batch, 0.0, window, s.kappa or None, hidden_gradient=False, tau_e=tau_e)
    return Hybrid(net, s.batch, s.lam, window, s.kappa or None, tau_e=tau_e)

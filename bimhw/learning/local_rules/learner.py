"""The online learner of a leaky network by any of the local rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bimhw.learning.forms.learner import Gradients, StepResult, check_step, softmax_error
from bimhw.learning.local_rules import eligibility, signals
from bimhw.models.leaky.net import LeakyNet, LeakyRecord, LeakyState
from simulator.base.errors import InputError


@dataclass(frozen=True)
class LocalRule:
    """Parts of a local rule.

    Attributes:
        name: as in `--rule`.
        source: where it is from.
        eligibility: kind of it.
        signal: kind of it.
        filtered: ``readout``: the eligibility is filtered as the readout filters spikes; ``next``: as the layer above does
            (the readout above the top layer); "": it is not.
        recurrent, adaptive: the rule is defined for recurrent layers, for ALIF neurons.
    """

    name: str
    source: str
    eligibility: eligibility.Kind
    signal: signals.Kind
    filtered: str = ""
    recurrent: bool = False
    adaptive: bool = False

    def decay(self, net: LeakyNet, layer: int) -> float | None:
        """Return k of the filter behind a layer's eligibility."""
        if not self.filtered:
            return None
        top = layer == net.config.n_layers - 1
        return net.config.k_o if top or self.filtered == "readout" else net.config.keep


class LocalLearner:
    """A local rule on a leaky network; see `bimhw.learning.forms.learner.Learner`.

    Args:
        net: whose weights are learnt.
        rule: the rule.
        batch: sequences in parallel.
        seed: of fixed random matrices.

    Raises:
        InputError: a network that the rule is not defined for.
    """

    def __init__(self, net: LeakyNet, rule: LocalRule, batch: int, seed: int = 0) -> None:
        c = net.config
        for has, able, what in ((c.recurrent, rule.recurrent, "recurrent layers"), (c.adaptive, rule.adaptive, "ALIF")):
            if has and not able:
                raise InputError(f"rule {rule.name!r}", f"is not defined for {what}", "Take e-prop")
        self.net, self.rule = net, rule
        like, below = net.readout.get_parameter("weight").detach(), (c.n_in, *c.hidden)
        self.eligibility = [
            eligibility.Eligibility(rule.eligibility, c, (batch, h, m + h * c.recurrent), like, rule.decay(net, layer))
            for layer, (m, h) in enumerate(zip(below, c.hidden, strict=False))
        ]
        self.signals = signals.Signals(rule.signal, net, seed)
        self.state: tuple[LeakyState, ...] = net.rest(batch)
        self.filtered, self.logits = like.new_zeros(batch, c.hidden[-1]), like.new_zeros(batch, c.n_out)
        self.records: list[LeakyRecord] = []
        self.inputs: list[Tensor] = []
        self.reset()

    def reset(self) -> None:
        """See `Learner`."""
        for each in self.eligibility:
            each.reset()
        self.state = tuple(LeakyState(*(torch.zeros_like(v) for v in s)) for s in self.state)
        self.filtered, self.logits = torch.zeros_like(self.filtered), torch.zeros_like(self.logits)
        self.records, self.inputs = [], [torch.zeros_like(e.x) for e in self.eligibility]

    @torch.no_grad()
    def observe(self, u: Tensor, target: Tensor | None, weight: float = 1.0) -> StepResult:
        """See `Learner`: gradients at every labelled step."""
        check_step(u, len(self.filtered), self.filtered, self.net.config.n_in)
        last, k = self.state, self.net.config.k_o
        self.state, self.records = self.net.step(u, last)
        self.inputs = [r.x for r in self.records]
        self.filtered = k * self.filtered + (1 - k) * self.records[-1].s
        self.logits = self.filtered @ self.net.readout.get_parameter("weight").T
        for each, record, old in zip(self.eligibility, self.records, last, strict=True):
            seen = torch.cat([record.x, old.z], 1) if self.net.config.recurrent else record.x
            each.advance(seen, record)
        if target is None:
            return StepResult(self.logits, None, None)
        loss, error = softmax_error(self.logits, target, weight)
        return StepResult(self.logits, loss, self._gradients(error, target, weight))

    def _gradients(self, error: Tensor, target: Tensor, weight: float) -> Gradients:
        out: Gradients = {"readout.weight": error.T @ self.filtered}
        made = self.signals.make(error, target, weight, self.records)
        for layer, (each, signal) in enumerate(zip(self.eligibility, made, strict=True)):
            gradient, below = each.gradient(signal), self.records[layer].x.shape[1]
            out[f"layers.{layer}.weight"] = gradient[:, :below]
            if self.net.config.recurrent:
                out[f"layers.{layer}.recurrent"] = gradient[:, below:]
        return out

    def finish(self) -> None:
        """Finish: nothing is left over."""

    def settle(self) -> None:
        """Do nothing: weights are always up to date."""

    def checkpoint(self) -> dict[str, Any]:
        """See `Learner`."""
        return {
            "state": [tuple(v.clone() for v in s) for s in self.state],
            "held": [{name: v.clone() for name, v in e.held.items()} for e in self.eligibility],
            "filtered": self.filtered.clone(),
        }

    def restore(self, content: dict[str, Any]) -> None:
        """See `Learner`."""
        self.state = tuple(LeakyState(*s) for s in content["state"])
        for each, held in zip(self.eligibility, content["held"], strict=True):
            each.held = dict(held)
        self.filtered = content["filtered"]

    @property
    def memory_words(self) -> int:
        """Learning words of one sequence: eligibilities and the readout's filter."""
        held = 0 if self.rule.signal == "none" else sum(e.words for e in self.eligibility)
        return held + self.filtered.shape[1]

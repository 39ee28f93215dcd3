"""Learners without synaptic traces: SEQ (whole sequences) and TR (a sliding window), by the sweep of `adjoint`.

SEQ sweeps back over the whole sequence at its end: the exact gradient, also of a stack (credit ``exact``: the errors go down
through all ports, layers top down). TR sweeps every K steps over the newest K + L steps with the error signals of the newest K
only: exact up to what the L older steps no longer reach.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bimhw.learning.forms.adjoint import Adjoint, Lambdas, PortAdjoints
from bimhw.learning.forms.counts import OpCounts, sweep_counts
from bimhw.learning.forms.credit import Credit, CreditAssigner, direct_signals
from bimhw.learning.forms.history import LayerHistory, from_record, newest, words_per_step
from bimhw.learning.forms.learner import (
    Ends,
    Gradients,
    StepResult,
    add,
    check_step,
    network_checkpoint,
    network_state,
    readout_gradients,
    softmax_error,
)
from bimhw.learning.rules.homeostasis import Homeostasis
from bimhw.models.bim.cell import LayerState, Record
from bimhw.models.bim.loops import cell_is_fused, takes_loops
from bimhw.models.bim.net import BimNet, NetState
from simulator.base.errors import InputError

SweepCredit = Literal["exact"] | Credit


class SweepLearner(Ends):
    """SEQ (``block`` None) or TR with K = ``block`` and L = ``lookback``.

    Args:
        net: the network; its parameters must not change between two sweeps.
        batch: sequences in parallel.
        credit: ``exact`` or a rule of `bimhw.learning.forms.credit` (but ``inst``, which has no meaning without E^V-).
        seed: of random matrices.
        block: K; None sweeps at the end of the sequence.
        lookback: L.
        homeostasis: rate regulariser.
    """

    learns_delays = True

    def __init__(
        self,
        net: BimNet,
        batch: int,
        credit: SweepCredit = "exact",
        seed: int = 0,
        block: int | None = None,
        lookback: int = 0,
        homeostasis: Homeostasis | None = None,
    ) -> None:
        super().__init__()
        self.homeostasis = homeostasis
        if credit == "inst":
            raise InputError("credit rule 'inst'", "needs the traces of rule rtrl", "Take filt-inst or exact")
        if block is not None and (block < 1 or lookback < 0):
            raise InputError("TR window", f"K={block}, L={lookback}", "K must be at least 1, L at least 0")
        self.net, self.batch, self.block, self.lookback = net, batch, block, lookback
        self.credit = None if credit == "exact" else CreditAssigner(net, credit, seed)
        self.sweeps = [Adjoint(net.layer(i)) for i in range(net.config.n_layers)]
        self.counts = OpCounts()
        self.reset()

    def reset(self) -> None:
        """Begin a new sequence."""
        self.state: NetState = self.net.initial_state(self.batch)
        self.records: list[Record] = []
        self.inputs: list[Tensor] = []
        self.histories = [LayerHistory(self.net.config) for _ in self.sweeps]
        self.since = 0
        self.readout_due: Gradients = {}
        if self.credit is not None:
            self.credit.reset()

    @property
    def memory_words(self) -> int:
        """History words of one sequence held now."""
        per_step = words_per_step(self.net.config)
        words = sum(per_step * len(h) * n for h, n in zip(self.histories, self.net.config.hidden, strict=True))
        slopes = (h.slopes() for h in self.histories)
        return words + sum(s.shape[0] * s.shape[2] for s in slopes if s is not None)

    @torch.no_grad()
    def observe(self, u: Tensor, target: Tensor | None, weight: float = 1.0) -> StepResult:
        """See `Learner`: gradients at the end of a block (TR)."""
        check_step(u, self.batch, self.net.readout.weight, self.net.config.n_in)
        old = self.state.layers
        logits, self.state, self.records, sources, self.inputs = self.net.take(u, self.state)
        for i, history in enumerate(self.histories):
            history.push(self.inputs[i], self.records[i], self._slopes(i, sources[i][None], old[i], 0))
        if self.credit is not None:
            self.credit.observe(self.records)
        if self.homeostasis is not None:
            self.homeostasis.observe([r.s for r in self.records])
        loss = None if target is None else self._label(logits, target, weight)
        self.since += 1
        due = self.block is not None and self.since == self.block
        return StepResult(logits, loss, self._sweep() if due else None)

    @property
    def takes_blocks(self) -> bool:
        """True if `learn_block` serves now: compiled loops, error signals that need no step's intermediates."""
        direct = self.homeostasis is None and (self.credit is None or self.net.config.n_layers == 1)
        begins = self.block is not None and self.since == 0
        return direct and begins and cell_is_fused(self.net.config) and takes_loops(self.net.readout.weight)

    @torch.no_grad()
    def learn_block(self, x: Tensor, target: Tensor) -> tuple[float, Gradients]:
        """Learn a block at once, by the compiled loops: the same as `observe` at each of its steps.

        Args:
            x: inputs [K, B, n_in].
            target: labels [K, B].

        Returns:
            Mean loss, gradients.
        """
        signal, taps = self.net.delayed(x, self.state.taps)
        self.inputs, ends, made, features = [], [], [], []
        for i, old in enumerate(self.state.layers):
            layer, slopes = self.net.layer(i), self._slopes(i, signal, old)
            arriving, line = layer.arriving(signal, old.line)
            end, record, f = layer.sequence(layer.project(arriving), old)
            made.append((arriving, record, slopes))
            ends.append(end._replace(line=line))
            features.append(f)
            self.inputs.append(arriving[-1])
            signal = self.net.above(i, signal, record.s)
        self.state = NetState(tuple(ends), taps)
        feature = self.net.features(features)
        loss, flat = self.loss_of(self.net.readout(feature).flatten(0, 1), target.flatten(), float(len(x)))
        self.readout_due = {"readout.weight": flat.T @ feature.flatten(0, 1), "readout.bias": flat.sum(0)}
        deltas = direct_signals(self.net, flat.view(*target.shape, -1))
        for history, (inputs, record, slopes), delta in zip(self.histories, made, deltas, strict=True):
            history.extend(inputs, record, delta, slopes)
        self.records = [newest(record) for _, record, _ in made]
        return loss, self._sweep()

    @torch.no_grad()
    def finish(self) -> Gradients | None:
        """Sweep what no block has covered."""
        return self._sweep() if self.since else None

    def settle(self) -> None:
        """Do nothing: weights are always up to date."""

    def checkpoint(self) -> dict[str, Any]:
        """See `Learner`."""
        histories = [h.checkpoint() for h in self.histories]
        slopes = [] if self.credit is None else [s.clone() for s in self.credit.slopes]
        due = {"since": self.since, "readout": dict(self.readout_due), "slopes": slopes}
        return network_checkpoint(self.state) | {"histories": histories} | due

    def restore(self, content: dict[str, Any]) -> None:
        """See `Learner`."""
        self.state = network_state(content)
        self.histories = [LayerHistory.restored(self.net.config, h) for h in content["histories"]]
        self.since, self.readout_due = int(content["since"]), dict(content["readout"])
        if self.credit is not None:
            self.credit.slopes = list(content["slopes"])

    @property
    def takes_sequences(self) -> bool:
        """True if `sequence` serves: SEQ by the compiled loops, error signals that need no step's intermediates."""
        plain = self.block is None and self.homeostasis is None and self.credit is None
        return plain and cell_is_fused(self.net.config) and takes_loops(self.net.readout.weight)

    @torch.no_grad()
    def sequence(self, x: Tensor, target: Tensor, labelled: Tensor) -> tuple[float, Gradients, list[float]]:
        """Learn a whole sequence at once: the same as `observe` at every step and `finish`, from the zero state.

        Args:
            x: inputs [T, B, n_in].
            target: classes [B], or labels [B, C].
            labelled: bool [T].

        Returns:
            Mean loss of the labelled steps, gradients, spike rates of the layers.
        """
        signal, _ = self.net.delayed(x, self.net.initial_state(x.shape[1]).taps)
        inputs, slopes, records, features = [], [], [], []
        for i, state in enumerate(self.net.initial_state(x.shape[1]).layers):
            layer = self.net.layer(i)
            slopes.append(self._slopes(i, signal, state))
            arriving, _ = layer.arriving(signal, state.line)
            inputs.append(arriving)
            _, record, f = layer.sequence(layer.project(arriving), state)
            records.append(record)
            features.append(f)
            signal = self.net.above(i, signal, record.s)
        feature = self.net.features(features)
        loss, error = self._errors(self.net.readout(feature), target, labelled)
        flat = error.flatten(0, 1)
        out = {"readout.weight": flat.T @ feature.flatten(0, 1), "readout.bias": flat.sum(0)}
        messages = None
        for i in range(len(records) - 1, -1, -1):
            delta = direct_signals(self.net, error)[i]
            stacked = from_record(self.net.config, inputs[i], records[i], delta)
            g, _, ports = self.sweeps[i].sweep_stacked(stacked, messages)
            down, own = self._descend(i, ports, slopes[i])
            messages = None if down is None else self.net.below(down, messages)
            out |= {f"layers.{i}.{name}": value for name, value in (g | own).items()}
            self.counts += sweep_counts(self.net.config, stacked)
        return loss, out, [float(r.s.mean()) for r in records]

    def _errors(self, logits: Tensor, target: Tensor, labelled: Tensor) -> tuple[float, Tensor]:
        if target.ndim == 2:
            parts = [softmax_error(each, target, 1.0) for each in logits[labelled]]
            out = torch.zeros_like(logits)
            out[labelled] = torch.stack([error for _, error in parts])
            return float(np.mean([loss for loss, _ in parts])), out
        log_p = torch.log_softmax(logits, -1)
        index = target.expand(logits.shape[:2])[..., None]
        error = log_p.exp().scatter_add_(2, index, logits.new_full(index.shape, -1.0)) / len(target)
        loss = -float(log_p.gather(2, index)[labelled].mean())
        return loss, error * labelled[:, None, None]

    def _label(self, logits: Tensor, target: Tensor, weight: float) -> float:
        loss, error = self.loss_of(logits, target, weight)
        add(self.readout_due, readout_gradients(self.net, self.state, error))
        if self.credit is None:
            signals = direct_signals(self.net, error)
        else:
            signals = self.credit.signals(error, target, weight, self.records, self.state.layers)
        if self.homeostasis is not None:
            signals = self.homeostasis.add(signals, weight)
        for history, delta in zip(self.histories, signals, strict=True):
            history.signal(delta)
        return loss

    def _sweep(self) -> Gradients:
        out, messages = dict(self.readout_due), None
        for i in range(len(self.sweeps) - 1, -1, -1):
            g, stacked, ports = self.sweeps[i].sweep(self.histories[i], messages)
            add(g, self._extra(i, ports.start))
            down, own = self._descend(i, ports, self.histories[i].slopes())
            out |= {f"layers.{i}.{name}": value for name, value in (g | own).items()}
            self.counts += sweep_counts(self.net.config, stacked)
            messages = None if down is None or self.credit is not None else self.net.below(down, messages)
            if self.sends_below and not i:
                self.below = down
        self._forget()
        return out

    def _slopes(self, index: int, sources: Tensor, old: LayerState, at: int | None = None) -> Tensor | None:
        """Return the slopes over the delays of a layer's inputs, where this form learns them; `at`: of one step."""
        slopes = self.net.layer(index).delay_slope(sources, old.line) if self.learns_delays else None
        return slopes if slopes is None or at is None else slopes[at]

    def _descend(self, index: int, ports: PortAdjoints, slopes: Tensor | None) -> tuple[Tensor | None, Gradients]:
        """Return what a layer sends below, where anything reads it, and the gradient of its delays."""
        read = (index and self.credit is None) or (not index and self.sends_below)
        return self.sweeps[index].descend(ports, slopes) if read or slopes is not None else (None, {})

    def _extra(self, index: int, start: Lambdas) -> Gradients:
        """Return what a form adds to a layer's swept gradient."""
        return {}

    def _forget(self) -> None:
        self.readout_due, self.since = {}, 0
        for history in self.histories:
            history.forget(self.lookback if self.block is not None else 0)

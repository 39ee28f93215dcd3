"""LAZY: exact RTRL with plain gradient descent at every step, synapses touched only when their input is not 0 (kind ``diag``).

A synapse keeps its trace vector e as of its last event. Each layer keeps, for every distinct live time tau of a last event, the
propagator since then F = M(t)..M(tau+1) and A = sum over s of eta delta(s) (last row of F(s)), per neuron. At an event::

    (1) before W is read: W -= A . e     (2) forward step, M, beta     (3) all F <- M F     (4) e <- F e + beta u, tau = t
    (5) drop unused tau, open tau = t with F = 1, A = 0                (6) all A += eta delta (last row of F)

W is one more state of the linear system, so weights that change at every step are exact: W is read only where its input fires.
Biases, A_log and D see an event at every step and are kept per neuron. One sequence (a chip's case). The error of lower layers
must not come through W_in, whose silent columns are not up to date: credit ``direct``, ``dfa`` or ``local``.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bimhw.learning.forms.counts import OpCounts, lazy_counts
from bimhw.learning.forms.credit import Credit, CreditAssigner
from bimhw.learning.forms.lazy_kernels import TALLY, lazy_step, materialise
from bimhw.learning.forms.learner import (
    Gradients,
    StepResult,
    check_step,
    network_checkpoint,
    network_state,
    readout_gradients,
    softmax_error,
)
from bimhw.learning.forms.packed import aligned, own_gradients, step_arguments
from bimhw.learning.forms.packed_kernels import W
from bimhw.learning.forms.propagate import check_supported, state_count
from bimhw.learning.forms.traces import kernel_constants
from bimhw.models.bim.cell import Record
from bimhw.models.bim.loops import call_kernel
from bimhw.models.bim.net import BimLayer, BimNet, NetState
from simulator.base.arrays import I64
from simulator.base.errors import InputError

Events = I64


class LazyLayer:
    """Synaptic traces, live propagators and pending weight changes of one layer, moved by `.lazy_kernels`."""

    def __init__(self, layer: BimLayer) -> None:
        self.layer, self.config, self.n = layer, layer.config, state_count(layer.config)
        h, m = self.config.hidden[layer.index], self.config.fan_in(layer.index)
        self._constants, n = kernel_constants(layer), self.n
        blocks, dtype = -(-h // W), kernel_constants(layer).dtype
        per_block = (m * (3 * n - 1), 5 * n - 2, (m + 1) * (n * (n + 1) // 2), (m + 1) * n)
        self._e, self._own, self._f, self._a = (aligned(blocks * size * W, dtype) for size in per_block)
        self._waits, self._live = np.full(m, -1), np.zeros(m + 2, np.int64)
        self._users, self.tally = np.zeros(m + 1, np.int64), np.zeros(len(TALLY), np.int64)
        self._blocks, self._steps, self._events = blocks, 0, 0

    def materialise(self, events: Events) -> None:
        """Apply (step 1) what is pending to the columns that are about to be read."""
        names = [f"w_{port}" for port in self.layer.ports]
        weights = tuple(self.layer.get_parameter(name).detach().numpy() for name in names)
        none = np.zeros((0, 0), np.bool_)
        masks = [self.layer._buffers.get(name.replace("w_", "mask_")) for name in names]
        kept = tuple(none if mask is None else mask.numpy() for mask in masks)
        call_kernel(materialise, self._e, self._a, self._waits, events, weights, kept, self.n, self.tally)

    def learn(self, events: Events, u: Tensor, record: Record, delta: Tensor | None, lr: float) -> Gradients:
        """Do (2)-(6) after the forward step with inputs u [1, M]; return the gradients of what neurons own, given a signal."""
        single = record.v_pre.new_empty(5, record.v_pre.shape[1])
        arrays = (self._e, self._own, self._f, self._a, self._waits, self._live, self._users, self.tally)
        arguments = step_arguments(self.layer, record, delta, self._constants)
        rate = self._constants.dtype.type(lr)
        call_kernel(lazy_step, *arrays, u[0].numpy(), events, *arguments, rate, delta is not None, single.numpy())
        self._steps += 1
        self._events += len(events)
        return {} if delta is None else own_gradients(single)

    def settle(self) -> None:
        """Apply everything pending to all synapses."""
        self.materialise(np.flatnonzero(self._waits >= 0))
        self._a[:] = 0

    @property
    def live(self) -> int:
        """Distinct times of last events now."""
        return int(self._live[-1])

    @property
    def counts(self) -> OpCounts:
        """Operations done: the visits that the loops counted, times the operations of a visit."""
        per_neuron = dict(zip(TALLY, (self.tally / self._blocks).round().astype(int).tolist(), strict=True))
        return lazy_counts(self.config, self.config.hidden[self.layer.index], per_neuron, self._events, self._steps)

    @property
    def words(self) -> int:
        """Synaptic trace words and live propagators held now."""
        n, h = self.n, self.config.hidden[self.layer.index]
        synapses = len(self._waits) * h * (3 * n - 1)
        return synapses + self.live * h * (n * (n + 1) // 2 + n) + h * (5 * n - 2)

    def state(self) -> dict[str, Tensor]:
        """Return all that `load` needs."""
        return {name: torch.tensor(getattr(self, name)) for name in _STATE}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`."""
        for name in _STATE:
            getattr(self, name)[:] = state[name].numpy()


_STATE = ("_e", "_own", "_f", "_a", "_waits", "_live", "_users", "tally")


class LazyLearner:
    """LAZY on a network; it changes W_in, W_delta and W_c itself, with learning rate `lr`.

    Args:
        net: kind ``diag`` without adaptive threshold.
        lr: learning rate, may be changed between steps.
        credit: how the error reaches lower layers (one layer: all are the same).
        seed: of the credit rule's random matrices.

    Raises:
        InputError: a network that has no such form, or a credit rule that reads W_in backwards.
    """

    def __init__(self, net: BimNet, lr: float, credit: Credit | Literal["exact"] = "direct", seed: int = 0) -> None:
        check_supported(net.config, "lazy")
        rule: Credit = "direct" if net.config.n_layers == 1 or credit == "exact" else credit
        if net.config.n_layers > 1 and credit not in ("direct", "dfa", "local"):
            raise InputError(
                "rule 'lazy'",
                f"cannot take credit rule {credit!r} on several layers: W_in of silent inputs is not up to date",
                "Take credit direct (with a dense readout), dfa or local",
            )
        self.net, self.lr = net, lr
        self.credit = CreditAssigner(net, rule, seed)
        self.reset()

    def reset(self) -> None:
        """Begin a new sequence; pending weight changes must have been taken by `finish`."""
        self.state: NetState = self.net.initial_state(1)
        self.records: list[Record] = []
        self.inputs: list[Tensor] = []
        self.layers = [LazyLayer(self.net.layer(i)) for i in range(self.net.config.n_layers)]

    @property
    def memory_words(self) -> int:
        """Learning words held now."""
        return sum(layer.words for layer in self.layers)

    @property
    def counts(self) -> OpCounts:
        """Operations done since `reset`."""
        total = OpCounts()
        for layer in self.layers:
            total += layer.counts
        return total

    @torch.no_grad()
    def observe(self, u: Tensor, target: Tensor | None, weight: float = 1.0) -> StepResult:
        """See `Learner`; the gradients returned are those of the per-neuron parameters and the readout."""
        if len(u) != 1:
            raise InputError("rule 'lazy'", f"got {len(u)} sequences in parallel, works on one", "Use --batch 1")
        check_step(u, 1, self.net.readout.weight, self.net.config.n_in)
        signal, taps = self.net.delayed(u[None], self.state.taps)
        states, events = [], []
        self.inputs, self.records = [], []
        for i, (lazy, old) in enumerate(zip(self.layers, self.state.layers, strict=True)):
            arriving, line = lazy.layer.arriving(signal, old.line)
            value = arriving[0]
            events.append(np.flatnonzero(value[0].numpy()))
            lazy.materialise(events[-1])
            new, record = lazy.layer.step(lazy.layer.project(value), old)
            self.inputs.append(value)
            self.records.append(record)
            states.append(new._replace(line=line))
            signal = self.net.above(i, signal, record.s[None])
        self.state = NetState(tuple(states), taps)
        logits = self.net.readout(self.net.features([s.f for s in states]))
        if target is None:
            self._learn(events, None)
            return StepResult(logits, None, None)
        loss, error = softmax_error(logits, target, weight)
        signals = self.credit.signals(error, target, weight, self.records, self.state.layers)
        return StepResult(logits, loss, readout_gradients(self.net, self.state, error) | self._learn(events, signals))

    def _learn(self, events: list[Events], signals: list[Tensor] | None) -> Gradients:
        out: Gradients = {}
        for i, lazy in enumerate(self.layers):
            delta = None if signals is None else signals[i]
            own = lazy.learn(events[i], self.inputs[i], self.records[i], delta, self.lr)
            out |= {f"layers.{i}.{name}": g for name, g in own.items()}
        return out

    @torch.no_grad()
    def finish(self) -> None:
        """Apply everything pending to all synapses."""
        self.settle()

    @torch.no_grad()
    def settle(self) -> None:
        """Apply everything pending: weights are up to date only where an input has just fired."""
        for lazy in self.layers:
            lazy.settle()

    def checkpoint(self) -> dict[str, Any]:
        """See `Learner`."""
        return network_checkpoint(self.state) | {"lazy": [layer.state() for layer in self.layers]}

    def restore(self, content: dict[str, Any]) -> None:
        """See `Learner`."""
        self.state = network_state(content)
        for layer, held in zip(self.layers, content["lazy"], strict=True):
            layer.load(held)

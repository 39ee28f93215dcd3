"""LAZY: exact RTRL with plain gradient descent at every step, synapses touched only when their input is not 0 (kind ``diag``).

A synapse keeps its trace vector e as of its last event. Each layer keeps, for every distinct live time tau of a last event, the
propagator since then F = M(t)..M(tau+1) and A = sum over s of eta delta(s) (last row of F(s)), per neuron. At an event::

    (1) before W is read: W -= A . e     (2) forward step, M, beta     (3) all F <- M F     (4) e <- F e + beta u, tau = t
    (5) drop unused tau, open tau = t with F = 1, A = 0                (6) all A += eta delta (last row of F)

W is one more state of the linear system, so weights that change at every step are exact: W is read only where its input fires.
Biases, A_log and D see an event at every step and are kept per neuron. One sequence (a chip's case), credit ``direct``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bimhw.learning.counts import TRACE_WORDS, OpCounts
from bimhw.learning.credit import CreditAssigner
from bimhw.learning.learner import Gradients, StepResult, readout_gradients, softmax_error
from bimhw.learning.propagate import check_supported, state_count, transition
from bimhw.models.cell import Record
from bimhw.models.net import BimLayer, BimNet, NetState
from simulator.errors import InputError


class LazyLayer:
    """Synaptic traces, live propagators and pending weight changes of one layer."""

    def __init__(self, layer: BimLayer) -> None:
        self.layer, self.config, self.n = layer, layer.config, state_count(layer.config)
        h, m = self.config.hidden[layer.index], self.config.fan_in(layer.index)
        self._zeros = layer.get_parameter("w_in").detach().new_zeros
        self.e = self._zeros(m, h, 3, self.n)
        self.slot = torch.full((m,), -1)  # which live time a synapse column waits at; -1: never fired
        self.f, self.a = self._zeros(0, h, self.n, self.n), self._zeros(0, h, self.n)
        self.bias, self.own = self._zeros(h, 3, self.n), self._zeros(h, 2, self.n)
        self.counts = OpCounts()

    def materialise(self, events: Tensor) -> None:
        """(1) Apply what is pending to the columns that are about to be read."""
        live = events[self.slot[events] >= 0]
        if len(live) == 0:
            return
        change = torch.einsum("jhn,jhpn->pjh", self.a[self.slot[live]], self.e[live])
        for i, port in enumerate(self.layer.ports):
            mask = self.layer._buffers.get(f"mask_{port}")
            step = change[i].T if mask is None else change[i].T * mask[:, live]
            self.layer.get_parameter(f"w_{port}")[:, live] -= step

    def advance(self, events: Tensor, u: Tensor, record: Record) -> None:
        """(2)-(5) after the forward step; u [M] are the layer's inputs."""
        step = transition(self.layer, record)
        matrix, beta = step.matrix[0], torch.stack([p[0] for p in step.ports], 1)  # [H, n, n], [H, 3, n]
        self.f = matrix @ self.f
        self.bias = torch.einsum("hkn,hpn->hpk", matrix, self.bias) + beta
        own = torch.stack([step.a_log[0], step.d[0]], 1)
        self.own = torch.einsum("hkn,hpn->hpk", matrix, self.own) + own
        self._catch_up(events, u, beta)
        self._count(len(events))
        self._reopen(events)

    def _catch_up(self, events: Tensor, u: Tensor, beta: Tensor) -> None:
        fired = self.slot[events] >= 0
        seen, live = events[fired], self.slot[events][fired]
        if len(seen):
            self.e[seen] = torch.einsum("jhkn,jhpn->jhpk", self.f[live], self.e[seen])
        self.e[events] += beta * u[events][:, None, None, None]

    def _reopen(self, events: Tensor) -> None:
        if len(events) == 0:
            return
        self.slot[events] = len(self.f)
        h = self.f.shape[1]
        self.f = torch.cat([self.f, torch.eye(self.n).to(self.f).expand(1, h, self.n, self.n)])
        self.a = torch.cat([self.a, self._zeros(1, h, self.n)])
        used, index = torch.unique(self.slot[self.slot >= 0], return_inverse=True)
        self.f, self.a = self.f[used], self.a[used]
        self.slot[self.slot >= 0] = index

    def learn(self, delta: Tensor, lr: float) -> Gradients:
        """(6) with the error signal [H]; returns the gradients of what is kept per neuron."""
        self.a += (lr * delta)[:, None] * self.f[..., -1, :]
        self.counts += OpCounts(neuron_macs=self.a.numel())
        bias, own = self.bias[..., -1] * delta[:, None], self.own[..., -1] * delta[:, None]
        out = {f"b_{port}": bias[:, i] for i, port in enumerate(self.layer.ports)}
        return out | {"a_log": own[:, 0], "d": own[:, 1]}

    def _count(self, events: int) -> None:
        n, words = self.n, TRACE_WORDS[self.config.psp]
        h = self.f.shape[1]
        triangle = n * (n + 1) // 2
        per_event = 2 * triangle + triangle - n + words  # F e of three ports (W_c has no x entry), A . e
        self.counts += OpCounts(
            neuron_macs=len(self.f) * h * (n * (n + 1) * (n + 2) // 6),
            event_ops=events * h * (per_event + words),
            rmw=events * h * (words + 3),
            events=events,
            steps=1,
        )

    @property
    def words(self) -> int:
        """Synaptic trace words and live propagators held now."""
        n, h = self.n, self.e.shape[1]
        synapses = self.e.shape[0] * h * TRACE_WORDS[self.config.psp]
        return synapses + len(self.f) * h * (n * (n + 1) // 2 + n) + self.bias.numel() + self.own.numel()


class LazyLearner:
    """LAZY on a network; it changes W_in, W_delta and W_c itself, with learning rate `lr`.

    Args:
        net: kind ``diag`` without adaptive threshold; several layers need the dense readout (credit ``direct``).
        lr: learning rate, may be changed between steps.
    """

    def __init__(self, net: BimNet, lr: float) -> None:
        check_supported(net.config, "lazy")
        if net.config.n_layers > 1 and not net.config.dense_readout:
            raise InputError(
                "rule 'lazy'", "needs a dense readout on several layers (credit direct)", "Set dense_readout"
            )
        self.net, self.lr = net, lr
        self.credit = CreditAssigner(net, "direct")
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
        """What was done since `reset`."""
        total = OpCounts()
        for layer in self.layers:
            total += layer.counts
        return total

    @torch.no_grad()
    def observe(self, u: Tensor, target: Tensor | None, weight: float = 1.0) -> StepResult:
        """See `Learner`; the gradients returned are those of the per-neuron parameters and the readout."""
        if len(u) != 1:
            raise InputError("rule 'lazy'", f"got {len(u)} sequences in parallel, works on one", "Use --batch 1")
        signal, taps = self.net.delayed(u[None], self.state.taps)
        value, states = signal[0], []
        self.inputs, self.records = [], []
        for lazy, old in zip(self.layers, self.state.layers, strict=True):
            events = torch.nonzero(value[0])[:, 0]
            lazy.materialise(events)
            new, record = lazy.layer.step(lazy.layer.project(value), old)
            lazy.advance(events, value[0], record)
            self.inputs.append(value)
            self.records.append(record)
            states.append(new)
            value = record.s
        self.state = NetState(tuple(states), taps)
        logits = self.net.readout(self.net.features([s.f for s in states]))
        if target is None:
            return StepResult(logits, None, None)
        loss, error, onehot = softmax_error(logits, target, weight)
        return StepResult(logits, loss, self._gradients(error, onehot))

    def _gradients(self, error: Tensor, onehot: Tensor) -> Gradients:
        out = readout_gradients(self.net, self.state, error)
        signals = self.credit.signals(error, onehot, self.records, self.state.layers)
        for i, (lazy, delta) in enumerate(zip(self.layers, signals, strict=True)):
            out |= {f"layers.{i}.{name}": g for name, g in lazy.learn(delta[0], self.lr).items()}
        return out

    @torch.no_grad()
    def finish(self) -> None:
        """Apply everything pending to all synapses."""
        for lazy in self.layers:
            lazy.materialise(torch.arange(len(lazy.slot)))
            lazy.a.zero_()

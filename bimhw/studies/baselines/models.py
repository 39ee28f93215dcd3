"""Baselines of BIM, each with one interface: inputs [T, B, M] and a state -> logits [T, B, C] and the next state.

Gated recurrent nets (Cho 2014, Hochreiter 1997), a causal Transformer (Vaswani 2017), a Mamba block without spikes (Gu & Dao
2023), a causal 1-D CNN and a recurrent LIF network with surrogate gradients (Neftci 2019). All causal: a logit at t sees
inputs up to t.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bimhw.studies.baselines.s4d_lif import S4dLif
from bimhw.studies.baselines.sequencer import Sequencer as Sequencer
from bimhw.studies.baselines.sequencer import spike as spike
from simulator.base.errors import InputError, unknown_name


class Recurrent(Sequencer):
    """A GRU or LSTM layer and a linear readout."""

    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM], n_in: int, n_out: int, hidden: int) -> None:
        super().__init__()
        self.cell = kind(n_in, hidden)
        self.readout = nn.Linear(hidden, n_out)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """See `Sequencer`."""
        h, state = self.cell(x, state)
        return self.readout(h), state


class CausalTransformer(Sequencer):
    """Pre-norm Transformer layers with causal attention and learned positions; sees its window only."""

    carries = False

    def __init__(
        self, n_in: int, n_out: int, hidden: int, layers: int = 2, heads: int = 4, longest: int = 1024
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(n_in, hidden)
        self.positions = nn.Parameter(0.02 * torch.randn(longest, 1, hidden))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(hidden, heads, 2 * hidden, dropout=0.0, norm_first=True) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden)
        self.readout = nn.Linear(hidden, n_out)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """See `Sequencer`.

        Raises:
            InputError: a window longer than the learned positions.
        """
        if len(x) > len(self.positions):
            raise InputError(
                "transformer", f"{len(x)} steps, has {len(self.positions)} positions", "Use shorter windows"
            )
        mask = torch.full((len(x), len(x)), -math.inf).triu(1)
        h = self.embed(x) + self.positions[: len(x)]
        for layer in self.layers:
            h = layer(h, src_mask=mask, is_causal=True)
        return self.readout(self.norm(h)), None


class MambaBlock(Sequencer):
    """One Mamba block without spikes: expand, causal conv (k = 4), selective SSM, gate, project back; residual and RMS norm.

    delta = softplus(W_d x + b_d), A = -exp(A_log), h <- exp(delta A) h + delta B x, y = C h + D x. Source: arXiv:2312.00752.
    """

    def __init__(self, n_in: int, n_out: int, hidden: int, states: int = 8, kernel: int = 4) -> None:
        super().__init__()
        inner, rank = 2 * hidden, math.ceil(hidden / 16)
        self.embed, self.norm = nn.Linear(n_in, hidden), nn.RMSNorm(hidden)
        self.expand = nn.Linear(hidden, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, kernel, groups=inner)
        self.select = nn.Linear(inner, rank + 2 * states, bias=False)
        self.to_delta = nn.Linear(rank, inner)
        self.a_log = nn.Parameter(torch.log(torch.arange(1.0, states + 1)).repeat(inner, 1))
        self.d = nn.Parameter(torch.ones(inner))
        self.back, self.readout = nn.Linear(inner, hidden, bias=False), nn.Linear(hidden, n_out)
        self.sizes = (rank, states, kernel)
        with torch.no_grad():  # delta log-uniform in [.02, .5], as for the spiking nets: the sequences are short
            delta = torch.exp(torch.rand(inner) * math.log(25.0) + math.log(0.02))
            self.to_delta.bias.copy_(torch.log(torch.expm1(delta)))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """See `Sequencer`."""
        rank, states, kernel = self.sizes
        h = self.embed(x)
        u, gate = self.expand(self.norm(h)).chunk(2, -1)  # [T, B, I]
        past = u.new_zeros(kernel - 1, *u.shape[1:]) if state is None else state[0]
        line = torch.cat([past, u])
        u = functional.silu(self.conv(line.permute(1, 2, 0)).permute(2, 0, 1))
        low, b, c = self.select(u).split([rank, states, states], -1)
        delta = functional.softplus(self.to_delta(low))
        memory = u.new_zeros(u.shape[1], u.shape[2], states) if state is None else state[1]
        decay = torch.exp(delta[..., None] * -torch.exp(self.a_log))
        drive = (delta * u)[..., None] * b[:, :, None, :]
        outputs = []
        for a, e, c_t in zip(decay, drive, c, strict=True):
            memory = a * memory + e
            outputs.append((memory * c_t[:, None, :]).sum(-1))
        y = (torch.stack(outputs) + self.d * u) * functional.silu(gate)
        return self.readout(h + self.back(y)), (line[len(line) - kernel + 1 :], memory)


class CausalCnn(Sequencer):
    """Three causal convolutions over time with dilation 1, 2, 4 and ReLU; the decision over steps is the trainer's mean."""

    def __init__(self, n_in: int, n_out: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        self.kernel = kernel
        widths = (n_in, hidden, hidden, hidden)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel, dilation=2**i) for i, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.readout = nn.Linear(hidden, n_out)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """See `Sequencer`."""
        h, pasts = x, []
        for i, convolution in enumerate(self.convolutions):
            reach = (self.kernel - 1) * 2**i
            past = h.new_zeros(reach, *h.shape[1:]) if state is None else state[i]
            line = torch.cat([past, h])
            pasts.append(line[len(line) - reach :])
            h = functional.relu(convolution(line.permute(1, 2, 0)).permute(2, 0, 1))
        return self.readout(h), tuple(pasts)


class LifNet(Sequencer):
    """Leaky integrate-and-fire neurons with recurrent synapses: V <- k V + W u + R s, s = [V >= 1], V <- V - s.

    k is learned per neuron; fast-sigmoid surrogate; the readout reads spikes filtered with k_o. Spikes arrive one step later.
    """

    def __init__(self, n_in: int, n_out: int, hidden: int, k_o: float = 0.8, recurrent: bool = True) -> None:
        super().__init__()
        self.drive = nn.Linear(n_in, hidden)
        self.back = nn.Linear(hidden, hidden, bias=False) if recurrent else None
        self.leak = nn.Parameter(torch.full((hidden,), 2.0))  # k = sigmoid(2) = .88
        self.readout, self.k_o = nn.Linear(hidden, n_out), k_o
        if self.back is not None:
            nn.init.normal_(self.back.weight, std=0.2 / math.sqrt(hidden))
        nn.init.normal_(self.drive.weight, std=1.0 / math.sqrt(n_in))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """See `Sequencer`."""
        current, k = self.drive(x), torch.sigmoid(self.leak)
        zero = torch.zeros_like(current[0])
        v, s, f = (zero, zero, zero) if state is None else state
        features, spikes = [], []
        for u in current:
            v = k * v + u + (self.back(s) if self.back is not None else 0.0)
            s = spike(v - 1.0)
            v = v - s.detach()
            f = self.k_o * f + (1 - self.k_o) * s
            features.append(f)
            spikes.append(s)
        self.spikes = torch.stack(spikes)
        return self.readout(torch.stack(features)), (v, s, f)


_BUILDERS: dict[str, Callable[[int, int, int], Sequencer]] = {
    "gru": lambda m, c, h: Recurrent(nn.GRU, m, c, h),
    "lstm": lambda m, c, h: Recurrent(nn.LSTM, m, c, h),
    "transformer": CausalTransformer,
    "mamba": MambaBlock,
    "cnn": CausalCnn,
    "lif": LifNet,
    "s4d-lif": S4dLif,
}
NAMES = tuple(_BUILDERS)


def build(name: str, n_in: int, n_out: int, hidden: int, seed: int) -> Sequencer:
    """Build a baseline by name with seeded weights.

    Raises:
        InputError: no such baseline.
    """
    if name not in _BUILDERS:
        raise unknown_name("baseline", name, NAMES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _BUILDERS[name](n_in, n_out, hidden)


def hidden_for(name: str, n_in: int, n_out: int, parameters: int) -> int:
    """Return the width whose number of parameters is nearest to `parameters` (multiples of 4, so that heads divide it)."""
    widths = range(4, 513, 4)
    low, high = 0, len(widths) - 1
    while low < high:  # the count grows with the width
        middle = (low + high) // 2
        if count(build(name, n_in, n_out, widths[middle], 0)) < parameters:
            low = middle + 1
        else:
            high = middle
    near = [widths[i] for i in (low - 1, low) if i >= 0]
    return min(near, key=lambda w: abs(count(build(name, n_in, n_out, w, 0)) - parameters))


def count(model: nn.Module) -> int:
    """Count trained parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)

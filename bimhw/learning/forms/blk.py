"""BLK: the exact gradient on endless streams with dense synaptic work once in K steps (kind ``diag``).

Within a block the sweep of `adjoint` gives the gradient of what entered in it. What entered before reaches the block through one
trace vector e per synapse::

    block end:  G += lambda(start) . e;   e <- S e + sum_t Y_t beta_t u_t;   S = M_K .. M_1,  Y_t = M_K .. M_(t+1)

K = 1 is dense RTRL, K = T is SEQ.
"""

from __future__ import annotations

from typing import Any

import torch

from bimhw.learning.forms.adjoint import Lambdas
from bimhw.learning.forms.counts import OpCounts
from bimhw.learning.forms.history import LayerHistory
from bimhw.learning.forms.learner import Gradients
from bimhw.learning.forms.propagate import check_supported, state_count, transition
from bimhw.learning.forms.seq import SweepCredit, SweepLearner
from bimhw.learning.rules.homeostasis import Homeostasis
from bimhw.models.bim.loops import widened
from bimhw.models.bim.net import BimLayer, BimNet
from simulator.plasticity.operations import OPERATIONS


class LayerCarry:
    """The trace vectors of one layer: synapses and biases [B, H, 3, M1, n], A_log and D [B, H, 2, n]."""

    def __init__(self, layer: BimLayer, batch: int) -> None:
        check_supported(layer.config, "blk")
        self.layer, n = layer, state_count(layer.config)
        h, m1 = layer.config.hidden[layer.index], layer.config.fan_in(layer.index) + 1
        like = widened(layer.get_parameter("w_in").detach())
        self.e = like.new_zeros(batch, h, 3, m1, n)
        self.own = like.new_zeros(batch, h, 2, n)

    @property
    def words(self) -> int:
        """Trace words of one sequence; W_c, D have no x entry."""
        e, own = self.e[0], self.own[0]
        return e.numel() - e[:, 2, :, 0].numel() + own.numel() - own[:, 1, 0].numel()

    def gradient(self, start: Lambdas) -> Gradients:
        """Return the part of the gradient from before the block: lambda(start) . e."""
        config = self.layer.config
        parts = {"x": start.x, "r": start.r, "i": start.i, "v": start.v, "f": start.f}
        names = {"alpha": "xrivf", "exp": "xivf", "delta": "xvf"}[config.psp]
        lam = torch.stack([parts[name] for name in names], -1)
        g = torch.einsum("bhn,bhpmn->hpm", lam, self.e)
        own = torch.einsum("bhn,bhpn->hp", lam, self.own)
        out = {"a_log": own[:, 0], "d": own[:, 1]}
        for i, port in enumerate(self.layer.ports):
            mask = self.layer._buffers.get(f"mask_{port}")
            out[f"w_{port}"] = g[:, i, :-1] if mask is None else g[:, i, :-1] * mask
            out[f"b_{port}"] = g[:, i, -1]
        return out

    def advance(self, history: LayerHistory) -> None:
        """Carry e over the block: newest step first, Y starts as 1 and ends as S."""
        n = self.e.shape[-1]
        y = torch.eye(n).to(self.e).expand(*self.e.shape[:2], n, n)
        gain, own = torch.zeros_like(self.e), torch.zeros_like(self.own)
        for u, record, _ in reversed(list(history.steps())):
            step = transition(self.layer, record)
            u1 = torch.cat([u, u.new_ones(len(u), 1)], -1)
            beta = torch.stack(step.ports, 2)  # [B, H, 3, n]
            gain += torch.einsum("bhkn,bhpn,bm->bhpmk", y, beta, u1)
            own += torch.einsum("bhkn,bhpn->bhpk", y, torch.stack([step.a_log, step.d], 2))
            y = y @ step.matrix
        self.e = torch.einsum("bhkn,bhpmn->bhpmk", y, self.e) + gain
        self.own = torch.einsum("bhkn,bhpn->bhpk", y, self.own) + own


class BlockLearner(SweepLearner):
    """BLK with blocks of K steps.

    Args:
        net: kind ``diag``, no adaptive threshold; its parameters may change at block ends.
        batch: sequences in parallel.
        credit: as for `SweepLearner`; ``exact`` on a stack is exact within a block only (the carry is per layer).
        seed: of random matrices.
        block: K.
    """

    learns_delays = False  # the carry has no vector for them

    def __init__(
        self,
        net: BimNet,
        batch: int,
        credit: SweepCredit = "filt-win",
        seed: int = 0,
        block: int = 64,
        homeostasis: Homeostasis | None = None,
    ) -> None:
        self.carries: list[LayerCarry] = []
        check_supported(net.config, "blk")
        super().__init__(net, batch, credit, seed, block, 0, homeostasis)

    def reset(self) -> None:
        """Begin a new sequence."""
        super().reset()
        self.carries = [LayerCarry(self.net.layer(i), self.batch) for i in range(self.net.config.n_layers)]

    @property
    def memory_words(self) -> int:
        """History and trace words of one sequence held now."""
        return super().memory_words + sum(c.words for c in self.carries)

    def checkpoint(self) -> dict[str, Any]:
        """See `Learner`."""
        return super().checkpoint() | {"carries": [(c.e.clone(), c.own.clone()) for c in self.carries]}

    def restore(self, content: dict[str, Any]) -> None:
        """See `Learner`."""
        super().restore(content)
        for carry, (e, own) in zip(self.carries, content["carries"], strict=True):
            carry.e, carry.own = e, own

    def _extra(self, index: int, start: Lambdas) -> Gradients:
        carry = self.carries[index]
        out = carry.gradient(start)
        self.counts += self._carry_counts(index)
        carry.advance(self.histories[index])
        return out

    def _carry_counts(self, index: int) -> OpCounts:
        """Count the dense work of the carry and the adds of its events (after the sweep's own)."""
        config, history = self.net.config, self.histories[index]
        neurons, costs = config.hidden[index], OPERATIONS[config.psp]
        synapses, events = neurons * config.fan_in(index) * self.batch, history.events()
        per_neuron = costs.propagator_macs + costs.injection_macs
        return OpCounts(
            neuron_macs=per_neuron * neurons * len(history) * self.batch,
            event_ops=costs.words() * neurons * events,
            dense_macs=sum(costs.carry_macs) * synapses,
            rmw=costs.words() * (synapses + neurons * events),
        )

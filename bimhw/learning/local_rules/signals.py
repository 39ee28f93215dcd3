"""Learning signals: what of the error reaches the spikes of each layer, L [B, H], without the layer's own slope.

e = softmax(y) - onehot [B, C] (divided by B), y* the onehot, g = 1 - kappa the readout's gain, B and G fixed random matrices::

    chain      L^top = g W_o^T e,   L^l = W^(l+1)T (psi^(l+1) L^(l+1))      OTTT, OSTL, OTPE, S-TLLR: the same step only
    broadcast  L^top = g W_o^T e,   L^l = g B^l e                           e-prop: each neuron hears the error directly
    label      L^l = - g B^l y*                                             ETLP: the label alone, no error
    local      L^l = G^lT (softmax(G^l z^l) - onehot)                       DECOLLE: a fixed random readout of each layer
    none       L^l = 0                                                      delta rule: the readout alone learns
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from bimhw.learning.forms.learner import softmax_error
from bimhw.models.leaky.net import LeakyNet, LeakyRecord, slope

Kind = Literal["chain", "broadcast", "label", "local", "none"]


class Signals:
    """Makes the learning signals of all layers.

    Args:
        kind: see the module.
        net: the network.
        seed: of the fixed random matrices.

    Attributes:
        random: B^l or G^l of each layer, [C, H], entries N(0, 1 / H).
    """

    def __init__(self, kind: Kind, net: LeakyNet, seed: int) -> None:
        self.kind, self.net = kind, net
        generator, like = torch.Generator().manual_seed(seed), net.readout.get_parameter("weight")
        c = net.config
        self.random = [(torch.randn(c.n_out, h, generator=generator) / h**0.5).to(like) for h in c.hidden]

    def make(self, error: Tensor, target: Tensor, weight: float, records: list[LeakyRecord]) -> list[Tensor]:
        """Return L of each layer for a labelled step: error [B, C], labels [B]."""
        gain, top = 1 - self.net.config.k_o, self.net.readout.get_parameter("weight")
        if self.kind == "none":
            return [torch.zeros_like(r.s) for r in records]
        if self.kind == "local":
            return [softmax_error(r.s @ g.T, target, weight)[1] @ g for r, g in zip(records, self.random, strict=True)]
        if self.kind == "label":
            if target.ndim == 2:
                share = target.to(error) * (weight / target.numel())
            else:
                share = torch.zeros_like(error).scatter_(1, target[:, None], weight / len(target))
            return [-gain * share @ b for b in self.random]
        out = [gain * error @ top]
        if self.kind == "broadcast":
            return [gain * error @ b for b in self.random[:-1]] + out
        width = self.net.config.surrogate_width
        for k in range(len(records) - 1, 0, -1):
            r = records[k]
            psi = slope(r.v - r.threshold, width)
            out.insert(0, (psi * out[0]) @ self.net.layers[k].get_parameter("weight"))
        return out

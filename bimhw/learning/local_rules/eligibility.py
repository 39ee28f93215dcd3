"""Eligibilities: what a layer keeps of its past so that a signal L(t) at its spikes becomes a gradient, [H, M].

x the inputs of a layer (its own last spikes beside them where it is recurrent), psi the surrogate slope, alpha, rho, beta the
constants of `bimhw.models.leaky.net`, A the threshold::

    trace    eps_i(t)  = alpha eps_i(t-1) + x_i(t)                                        LIF
             epa_ji(t) = rho (epa_ji(t-1) + e_ji(t-1))                                    ALIF beside it
             e_ji(t)   = psi_j(t) (eps_i(t) - beta epa_ji(t))                             the reset counts as a constant
    full     q_ji(t)   = alpha (q_ji(t-1) - A_j(t-1) e_ji(t-1) - beta z_j(t-1) epa_ji(t-1)) + x_i(t)
             e_ji(t)   = psi_j(t) (q_ji(t) - beta epa_ji(t))                              through the reset as well
    pair     e_ji(t)   = psi_j(t) tr_i(t) + c s_j(t) x_i(t)
             tr_i(t) = l tr_i(t-1) + x_i(t),   s_j(t) = m (s_j(t-1) + psi_j(t-1))         S-TLLR

    instant  dW_ji(t)  = L_j(t) e_ji(t)
    filtered dW_ji(t)  = L_j(t) f_ji(t),   f_ji(t) = k f_ji(t-1) + e_ji(t)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bimhw.models.leaky.config import LeakyConfig
from bimhw.models.leaky.net import LeakyRecord, slope

Kind = Literal["trace", "full", "pair"]


@dataclass(frozen=True)
class Pairing:
    """Constants of S-TLLR: decays l and m of the two traces, factor c of the acausal part."""

    pre: float = 0.8
    post: float = 0.5
    acausal: float = -0.2


class Eligibility:
    """The eligibility of one layer for a batch of sequences.

    Args:
        kind: see the module.
        config: of the network.
        shape: sequences B, neurons H, inputs M (its own spikes included).
        like: gives type and place of the tensors.
        filtered: decay k of the filter behind it; None: there is none.
        pairing: of kind ``pair``.
    """

    def __init__(
        self,
        kind: Kind,
        config: LeakyConfig,
        shape: tuple[int, int, int],
        like: Tensor,
        filtered: float | None = None,
        pairing: Pairing | None = None,
    ) -> None:
        batch, neurons, inputs = shape
        self.kind, self.config, self.decay, self.pairing = kind, config, filtered, pairing or Pairing()
        self._dense = kind == "full" or config.adaptive or filtered is not None
        held: dict[str, tuple[int, ...]] = {"eps": (batch, inputs), "psi": (batch, neurons)}
        if kind == "full":
            held |= {"q": shape, "threshold": (batch, neurons), "spikes": (batch, neurons)}
        if kind == "pair":
            held["post"] = (batch, neurons)
        if config.adaptive and kind != "pair":
            held["raised"] = shape
        if self._dense and kind != "pair":
            held["e"] = shape
        if filtered is not None:
            held["f"] = shape
        self.held = {name: like.new_zeros(size) for name, size in held.items()}
        self.x = like.new_zeros(batch, inputs)

    @property
    def words(self) -> int:
        """Words of one sequence that are kept from step to step."""
        trace = (
            ("eps", "raised", "e", "f") if self.config.adaptive else ("eps", "f")
        )  # only ALIF needs e of the last step
        kept = {"trace": trace, "full": ("q", "raised", "e", "f"), "pair": ("eps", "post", "f")}
        return sum(v[0].numel() for name, v in self.held.items() if name in kept[self.kind])

    def reset(self) -> None:
        """Begin a new sequence."""
        for value in self.held.values():
            value.zero_()

    def advance(self, x: Tensor, record: LeakyRecord) -> None:
        """Take in a step: inputs [B, M] with the layer's own last spikes, and what the layer showed."""
        c, held, self.x = self.config, self.held, x
        psi = slope(record.v - record.threshold, c.surrogate_width)
        if self.kind == "pair":
            held["post"] = self.pairing.post * (held["post"] + held["psi"])
            held["eps"] = self.pairing.pre * held["eps"] + x
        elif self.kind == "trace":
            held["eps"] = c.keep * held["eps"] + x
            self._advance_dense(held["eps"][:, None], psi)
        else:
            before = held["q"] - held["threshold"][:, :, None] * held["e"]
            if c.adaptive:
                before = before - c.adapt_jump * held["spikes"][:, :, None] * held["raised"]
            held["q"] = c.keep * before + x[:, None]
            held["threshold"], held["spikes"] = record.threshold, record.s
            self._advance_dense(held["q"], psi)
        held["psi"] = psi
        if self.decay is not None:
            held["f"] = self.decay * held["f"] + self._now()

    def _advance_dense(self, membrane: Tensor, psi: Tensor) -> None:
        """Move e, and what the raised threshold owes to the weights, where they are kept by synapse."""
        if not self._dense:
            return
        c, held = self.config, self.held
        if c.adaptive:
            held["raised"] = c.adapt_keep * (held["raised"] + held["e"])
            membrane = membrane - c.adapt_jump * held["raised"]
        held["e"] = psi[:, :, None] * membrane

    def _now(self) -> Tensor:
        """Return e of the step, [B, H, M]."""
        held = self.held
        if self.kind == "pair":
            causal = held["psi"][:, :, None] * held["eps"][:, None]
            return causal + self.pairing.acausal * held["post"][:, :, None] * self.x[:, None]
        return held["e"]

    def gradient(self, signal: Tensor) -> Tensor:
        """Return the sum over the batch of L(t) times the eligibility, [H, M], for L [B, H]."""
        held = self.held
        if self.decay is not None:
            return torch.einsum("bh,bhm->hm", signal, held["f"])
        if self.kind == "pair":
            acausal = (signal * held["post"]).T @ self.x
            return (signal * held["psi"]).T @ held["eps"] + self.pairing.acausal * acausal
        if self._dense:
            return torch.einsum("bh,bhm->hm", signal, held["e"])
        return (signal * held["psi"]).T @ held["eps"]

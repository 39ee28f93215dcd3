"""Spike-timing-dependent plasticity: trace form of the pair rule.

Paper eqs 5-6: ``Omega_ij = sum over pairs W(t_i - t_j)`` (post i, pre j), ``W(d >= 0) = A+ e^(-d/tau+)``,
``W(d < 0) = -A- e^(d/tau-)``.
Order within a step (normative; it puts the tie d = 0 into the A+ branch, as W(0) = A+ demands)::

    a_j *= e^(-1/tau+);  b_i *= e^(-1/tau-);   a_j += u_j;   Omega_ij += A+ s_i a_j;   Omega_ij -= A- u_j b_i;   b_i += s_i

Nearest neighbour: ``= u`` on a spike instead of ``+= u``: each post spike pairs with the latest pre spike at or before it, each
pre spike with the latest earlier post spike. Graded pre spikes count with their value.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simulator.base.arrays import Floats
from simulator.base.errors import InputError


class StdpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Window of the pair rule (times in steps)."""

    a_plus: float = 1.0
    a_minus: float = 1.0
    tau_plus: float = 5.0
    tau_minus: float = 5.0
    pairing: Literal["all", "nearest"] = "all"

    def __post_init__(self) -> None:
        for name in ("tau_plus", "tau_minus"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"STDP {name}", f"is {getattr(self, name)!r}, must be positive", "Give it in steps")

    @property
    def decays(self) -> tuple[float, float]:
        """(e^(-1/tau+), e^(-1/tau-))."""
        return math.exp(-1 / self.tau_plus), math.exp(-1 / self.tau_minus)

    def without_drift(self) -> StdpSettings:
        """Choose A- so that uncorrelated trains do not change the weight: A- = A+ (1-d-)/(d- (1-d+)).

        With equal amplitudes the tie term is a net potentiation of A+ r_i r_j per step.
        """
        plus, minus = self.decays
        return msgspec.structs.replace(self, a_minus=self.a_plus * (1 - minus) / (minus * (1 - plus)))

    def window(self, lag: npt.ArrayLike) -> Floats:
        """Return W(t_post - t_pre)."""
        d = np.asarray(lag, dtype=np.float64)
        late = self.a_plus * np.exp(-np.maximum(d, 0) / self.tau_plus)
        return np.where(d >= 0, late, -self.a_minus * np.exp(np.minimum(d, 0) / self.tau_minus))


class StdpTraces:
    """Traces and Omega of one layer.

    Args:
        settings: the window.
        batch: sequences in parallel; Omega is their mean.
        pre: inputs M.
        post: neurons H.
        like: type of the tensors.
    """

    def __init__(self, settings: StdpSettings, batch: int, pre: int, post: int, like: Tensor) -> None:
        self.settings = settings
        self.a, self.b = like.new_zeros(batch, pre), like.new_zeros(batch, post)
        self.omega = like.new_zeros(post, pre)
        self._decays = settings.decays

    def reset(self) -> None:
        """Begin a new sequence (traces only: Omega is what is due)."""
        self.a.zero_()
        self.b.zero_()

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        """Advance with delivered pre spikes [B, M] and post spikes [B, H]; returns the step's part of Omega [H, M]."""
        c = self.settings
        self._begin(u)
        part = (c.a_plus * (s.T @ self.a) - c.a_minus * (self.b.T @ u)) / len(u)
        self._arrive(self.b, s)
        self.omega += part
        return part

    def step_each(self, u: Tensor, s: Tensor) -> Tensor:
        """Do as `step`, the sequences kept apart: [B, H, M]; Omega stays as it is."""
        c = self.settings
        self._begin(u)
        part = c.a_plus * s[:, :, None] * self.a[:, None] - c.a_minus * self.b[:, :, None] * u[:, None]
        self._arrive(self.b, s)
        return part

    def _begin(self, u: Tensor) -> None:
        self.a.mul_(self._decays[0])
        self.b.mul_(self._decays[1])
        self._arrive(self.a, u)

    def _arrive(self, trace: Tensor, spikes: Tensor) -> None:
        if self.settings.pairing == "all":
            trace += spikes
        else:
            torch.where(spikes != 0, spikes, trace, out=trace)

    def take(self) -> Tensor:
        """Return Omega since the last call, and clear it."""
        omega, self.omega = self.omega, torch.zeros_like(self.omega)
        return omega


class ModulatedStdp:
    """STDP with a third factor: Omega collects in a decaying eligibility and acts only through a broadcast scalar.

    ``z <- e^(-1/tau_e) z + Omega(t);   dw = mean over sequences of (scalar z)``, each sequence with its own scalar

    Args:
        traces: the pair rule.
        tau_e: decay of the eligibility in steps.
    """

    def __init__(self, traces: StdpTraces, tau_e: float = 20.0) -> None:
        if not 0 < tau_e < math.inf:
            raise InputError("STDP tau_e", f"is {tau_e!r}, must be positive", "Give it in steps")
        self.traces, self.tau_e, self._decay = traces, tau_e, math.exp(-1 / tau_e)
        self.eligibility = traces.omega.new_zeros(len(traces.a), *traces.omega.shape)

    def step(self, u: Tensor, s: Tensor, scalar: Tensor | float | None = None) -> Tensor | None:
        """Advance; the weight change [H, M] for the neuromodulator's value (one, or one a sequence [B]); None: there is none now.

        What there is also adds to the traces' Omega.
        """
        self.eligibility.mul_(self._decay).add_(self.traces.step_each(u, s))
        if scalar is None:
            return None
        factor = torch.as_tensor(scalar).to(self.eligibility).expand(len(u))
        change = torch.einsum("b,bhm->hm", factor, self.eligibility) / len(u)
        self.traces.omega += change
        return change

"""Post-synaptic potential kernels: exact propagators of a leaky integrator fed by a current kernel.

Equation (inputs of a step are applied at its start; h is the step in the unit of the time constants)::

    tau_m V' = -V + R I(t),   I(t) = sum_t' c q_t' k(t - t')

    delta   k = Dirac            V <- kap V + P_VI (c q)
    exp     k = exp(-t/tau_s)    II = I + c q;  V <- kap V + P_VI II;              I <- rho II
    alpha   k = t/tau_s e^(1-t/tau_s)   rr = r + c q;  V <- kap V + P_VI I + P_Vr rr;  I <- b rr + rho I;  r <- rho rr

where ``kap = exp(-h/tau_m)``, ``rho = exp(-h/tau_s)``, ``b = (h/tau_s) rho``. For alpha the factor e of the kernel's peak
is part of ``c``. Written with ``x = h (1/tau_m - 1/tau_s)`` both propagators are entire functions of x::

    P_VI = R kap (h/tau_m) phi(x),               phi(x) = expm1(x)/x
    P_Vr = R kap h^2/(tau_m tau_s) chi(x),       chi(x) = (x e^x - expm1(x))/x^2  (a series for |x| < 1)

so that nothing cancels near ``tau_m = tau_s``. Source: Rotter & Diesmann 1999 (doi:10.1007/s004220050570), exact integration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from simulator.base.errors import InputError

Psp = Literal["delta", "exp", "alpha"]
PspNorm = Literal["dc", "peak"]

_SERIES_TERMS = 24  # x^24/25! < 1e-25 for |x| < 1


@dataclass(frozen=True)
class PspConstants:
    """Constants of one kernel; those a kernel does not have are 0 (delta: rho, p_vr, b; exp: p_vr, b)."""

    psp: Psp
    kap: float  # decay of V in one step
    rho: float  # decay of the synaptic states in one step
    p_vi: float  # V per unit I (alpha: the old I; exp: the new one; delta: per unit of c q)
    p_vr: float  # V per unit rr (alpha)
    b: float  # I per unit rr (alpha)
    c: float  # input gain

    @property
    def same_step_gain(self) -> float:
        """dV-/dq within one step."""
        return self.c * (self.p_vr if self.psp == "alpha" else self.p_vi)

    @property
    def dc_gain(self) -> float:
        """V/q for a constant q (1 x R with the ``dc`` norm)."""
        if self.psp == "delta":
            per_step = self.p_vi
        elif self.psp == "exp":
            per_step = self.p_vi / (1 - self.rho)
        else:
            per_step = self.p_vi * self.b / (1 - self.rho) ** 2 + self.p_vr / (1 - self.rho)
        return self.c * per_step / (1 - self.kap)


def psp_constants(
    psp: Psp, tau_m: float, tau_s: float = 1.0, norm: PspNorm = "dc", h: float = 1.0, resistance: float = 1.0
) -> PspConstants:
    """Return the constants of a kernel for time constants in the unit of the step ``h``.

    Args:
        psp: kernel.
        tau_m: membrane time constant.
        tau_s: synaptic time constant (not used by ``delta``).
        norm: ``dc``: a constant q gives V = R q; ``peak``: the current kernel has peak 1 (delta: V jumps by R q).
        h: step.
        resistance: R.

    Raises:
        InputError: a time constant or the step is not positive.
    """
    for name, value in (("tau_m", tau_m), ("tau_s", tau_s), ("h", h)):
        if not (value > 0 and math.isfinite(value)):
            raise InputError(name, f"is {value}, must be positive and finite", "Give it in time steps, e.g. 3.0")
    kap = math.exp(-h / tau_m)
    if psp == "delta":
        p_vi = resistance * -math.expm1(-h / tau_m)
        gain = 1.0 if norm == "dc" else resistance / p_vi
        return PspConstants(psp, kap, 0.0, p_vi, 0.0, 0.0, gain)
    rho = math.exp(-h / tau_s)
    x = h / tau_m - h / tau_s
    p_vi = resistance * kap * (h / tau_m) * _phi(x)
    if psp == "exp":
        raw = PspConstants(psp, kap, rho, p_vi, 0.0, 0.0, 1.0)
    elif psp == "alpha":
        p_vr = resistance * kap * h * h / (tau_m * tau_s) * _chi(x)
        raw = PspConstants(psp, kap, rho, p_vi, p_vr, h / tau_s * rho, 1.0)
    else:
        raise InputError("psp", f"is {psp!r}", "Kernels: delta, exp, alpha")
    gain = resistance / raw.dc_gain if norm == "dc" else (math.e if psp == "alpha" else 1.0)
    return PspConstants(psp, kap, rho, raw.p_vi, raw.p_vr, raw.b, gain)


def _phi(x: float) -> float:
    return math.expm1(x) / x if x else 1.0


def _chi(x: float) -> float:
    """Compute sum_{n>=1} n x^(n-1)/(n+1)!; closed form where it does not cancel."""
    if abs(x) >= 1.0:
        return (x * math.exp(x) - math.expm1(x)) / (x * x)
    total, term = 0.0, 1.0  # term = x^(n-1)/(n+1)!
    for n in range(1, _SERIES_TERMS):
        term = term * x / (n + 1) if n > 1 else 0.5
        total += n * term
    return total

"""HiPPO-LegS as a diagonal plus a rank-one matrix, and its bilinear discretisation: Gu, Goel & Re 2022 (arXiv:2111.00396).

    A_nk = -sqrt((2n+1)(2k+1)) for n > k, -(n+1) for n = k, else 0;   B_n = sqrt(2n+1)
    A = V (Lambda - P P*) V*,  P = V* sqrt(n + 1/2),  B = V* B,  Re Lambda = -1/2

Lambda, P and B come in conjugate pairs; the half with Im Lambda > 0 is kept. With g = 2/Delta and r = 1/(g - Lambda)::

    Abar = diag(e) - p q*,  e = (g + Lambda) r,  p = 2 g k r P,  q* h = 2 sum Re(conj(P) r h),  k = 1/(1 + 2 sum Re(|P|^2 r))
    Bbar = 2 r B - 2 k r P 2 sum Re(conj(P) r B)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.base.arrays import Floats

Complex = npt.NDArray[np.complex128]


class Legs(NamedTuple):
    """One half of the conjugate pairs, [N/2] each; V is [N, N/2]."""

    poles: Complex
    p: Complex
    b: Complex
    basis: Complex


def legs_dense(n_states: int) -> tuple[Floats, Floats]:
    """Return A [N, N] and B [N] of HiPPO-LegS."""
    n = np.arange(n_states)
    root = np.sqrt(2 * n + 1)
    return -np.tril(np.outer(root, root), -1) - np.diag(n + 1.0), root


def legs(n_states: int) -> Legs:
    """Return the diagonal plus rank-one form of HiPPO-LegS with an even number of states."""
    a, b = legs_dense(n_states)
    p = np.sqrt(np.arange(n_states) + 0.5)
    skew = a + np.outer(p, p) + 0.5 * np.eye(n_states)
    frequency, basis = np.linalg.eigh(-1j * skew)
    half = basis[:, n_states // 2 :]
    low, gain = (np.asarray(half.conj().T @ v, np.complex128) for v in (p, b))
    return Legs(-0.5 + 1j * frequency[n_states // 2 :], low, gain, half)


class Discrete(NamedTuple):
    """One step of the recurrence h <- e h - p v + b z, v = sum Re(q h); [H, N/2] each."""

    e: Complex
    q: Complex
    p: Complex
    b: Complex


def discretise(poles: Complex, p: Complex, b: Complex, step: Floats) -> Discrete:
    """Discretise by the bilinear rule with the steps Delta [H]."""
    g = (2 / step)[:, None]
    r = 1 / (g - poles)
    k = 1 / (1 + 2 * (np.abs(p) ** 2 * r).real.sum(1, keepdims=True))
    through = 2 * (p.conj() * r * b).real.sum(1, keepdims=True)
    return Discrete((g + poles) * r, 2 * p.conj() * r, 2 * g * k * r * p, 2 * r * (b - k * p * through))

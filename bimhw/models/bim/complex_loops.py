"""The state of kind ``complex`` over many steps in compiled loops, forward and backward, as one node of autograd.

Backward, G = dL/dq, for t = T..1, l = dL/dx (two words)::

    l <- l + c G (C_re, -C_im);   p = l;   l_z = D G + g p_re;   l_c = G y;   l <- Abar R^T p
    l_Abar = p . (R x_old) + p_re z g'     g' = -1 (dc) | -Abar/g (variance);   l_d = -l_Abar e^a_log Abar sigmoid(d)
    l_omega += Abar (p_im u_re - p_re u_im), u = R x_old;   l_C_re += c G Re x;   l_C_im -= c G Im x;   l_D += G z

R turns by omega. `bimhw.models.bim.complex_state.select` under autograd is its twin in the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

Array = npt.NDArray[np.float64]  # or float32


class ComplexScan(torch.autograd.Function):
    """(variance, z, d, c [T, B, H], a_log, D, omega, C_re, C_im [H], x [B, H, 2]) -> q [T, B, H], x after the steps."""

    @staticmethod
    def forward(ctx: Any, variance: bool, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """Run the steps; keep the states."""
        given = [t.detach().contiguous() for t in tensors]
        *arrays, x0 = given
        states = arrays[0].new_empty(len(arrays[0]) + 1, *x0.shape)  # before each step, and at the end
        states[0] = x0
        q = torch.empty_like(arrays[0])
        _call(_forward, variance, *(a.numpy() for a in arrays), states.numpy(), q.numpy())
        ctx.variance = variance
        ctx.save_for_backward(*arrays, states)
        return q, states[-1].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Sweep back over the steps."""
        *arrays, states = ctx.saved_tensors
        ports = [torch.empty_like(a) for a in arrays[:3]]
        owned = [torch.zeros_like(a) for a in arrays[3:]]
        last = grads[1].contiguous().clone()
        into = [t.numpy() for t in (*arrays, states, grads[0].contiguous(), *ports, *owned, last)]
        _call(_backward, ctx.variance, *into)
        return (None, *ports, *owned, last)


def _call(kernel: Any, *arguments: Any) -> None:
    kernel(*arguments)


@njit(cache=True, nogil=True)
def _decay(d: float, rate: float, variance: bool) -> tuple[float, float, float, float]:
    """Compute (Abar, g, softplus d, sigmoid d)."""
    one = type(d)(1)
    e = np.exp(-abs(d))
    delta = np.log1p(e) + max(d, type(d)(0))
    sigmoid = (one if d > 0 else e) / (one + e)
    abar = np.exp(-rate * delta)
    gain = np.sqrt(-np.expm1(-2 * rate * delta)) if variance else one - abar
    return abar, gain, delta, sigmoid


@njit(cache=True, nogil=True)
def _forward(
    variance: bool,
    z: Array,
    d: Array,
    c: Array,  # [T, B, H]
    a_log: Array,
    direct: Array,
    omega: Array,
    c_re: Array,
    c_im: Array,  # [H]
    x: Array,  # [T + 1, B, H, 2]
    q: Array,  # [T, B, H] out
) -> None:
    rate, cos, sin = np.exp(a_log), np.cos(omega), np.sin(omega)
    for t in range(z.shape[0]):
        for i in range(z.shape[1]):
            for h in range(z.shape[2]):
                abar, gain, _, _ = _decay(d[t, i, h], rate[h], variance)
                re, im = x[t, i, h]
                new_re = abar * (cos[h] * re - sin[h] * im) + gain * z[t, i, h]
                new_im = abar * (sin[h] * re + cos[h] * im)
                x[t + 1, i, h, 0], x[t + 1, i, h, 1] = new_re, new_im
                q[t, i, h] = c[t, i, h] * (c_re[h] * new_re - c_im[h] * new_im) + direct[h] * z[t, i, h]


@njit(cache=True, nogil=True)
def _backward(
    variance: bool,
    z: Array,
    d: Array,
    c: Array,  # [T, B, H]
    a_log: Array,
    direct: Array,
    omega: Array,
    c_re: Array,
    c_im: Array,  # [H]
    x: Array,  # [T + 1, B, H, 2]
    g_q: Array,  # [T, B, H]
    l_z: Array,
    l_d: Array,
    l_c: Array,  # [T, B, H] out
    l_a: Array,
    l_direct: Array,
    l_omega: Array,
    l_re: Array,
    l_im: Array,  # [H] out
    lam: Array,  # [B, H, 2] dL/dx after the last step in, before the first out
) -> None:
    rate, cos, sin = np.exp(a_log), np.cos(omega), np.sin(omega)
    for t in range(z.shape[0] - 1, -1, -1):
        for i in range(z.shape[1]):
            for h in range(z.shape[2]):
                abar, gain, delta, sigmoid = _decay(d[t, i, h], rate[h], variance)
                g, cc, zz = g_q[t, i, h], c[t, i, h], z[t, i, h]
                new_re, new_im = x[t + 1, i, h]
                re, im = x[t, i, h]
                p_re = lam[i, h, 0] + cc * g * c_re[h]
                p_im = lam[i, h, 1] - cc * g * c_im[h]
                u_re, u_im = cos[h] * re - sin[h] * im, sin[h] * re + cos[h] * im
                slope = -1.0
                if variance:
                    slope = -abar / gain if gain > 0 else 0.0
                l_exponent = -abar * (p_re * u_re + p_im * u_im + p_re * zz * slope)
                l_z[t, i, h] = direct[h] * g + gain * p_re
                l_d[t, i, h] = l_exponent * rate[h] * sigmoid
                l_c[t, i, h] = g * (c_re[h] * new_re - c_im[h] * new_im)
                l_a[h] += l_exponent * rate[h] * delta
                l_direct[h] += g * zz
                l_omega[h] += abar * (p_im * u_re - p_re * u_im)
                l_re[h] += cc * g * new_re
                l_im[h] -= cc * g * new_im
                lam[i, h, 0] = abar * (cos[h] * p_re + sin[h] * p_im)
                lam[i, h, 1] = abar * (cos[h] * p_im - sin[h] * p_re)

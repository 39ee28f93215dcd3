"""The state of kind ``complex`` over many steps in compiled loops, forward and backward, as one node of autograd.

The decays, which have no memory, are torch's, over all steps at once. Backward, G = dL/dq, for t = T..1, l = dL/dx (two words)::

    l <- l + c G (C_re, -C_im);   p = l;   l_z = D G + g p_re;   l_c = G y;   l <- Abar R^T p
    l_Abar = p . (R x_old) + p_re z g'     g' = -1 (dc) | -Abar/g (variance);   l_d = -l_Abar e^a_log Abar sigmoid(d)
    l_omega += Abar (p_im u_re - p_re u_im), u = R x_old;   l_C_re += c G Re x;   l_C_im -= c G Im x;   l_D += G z

R turns by omega. `bimhw.models.bim.complex_state.select` under autograd is its twin in the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from bimhw.models.bim.cell import decays
from bimhw.models.bim.loops import call_kernel, check_first_order
from simulator.base.arrays import AnyFloats


class ComplexScan(torch.autograd.Function):
    """(variance, z, d, c [T, B, H], a_log, D, omega, C_re, C_im [H], x [B, H, 2]) -> q [T, B, H], x after the steps."""

    @staticmethod
    def forward(ctx: Any, variance: bool, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """Run the steps; keep the states."""
        z, d, c, a_log, *own, x0 = (t.detach().contiguous() for t in tensors)
        decay = decays(d, a_log, variance)
        states = z.new_empty(len(z) + 1, *x0.shape)  # before each step, and at the end
        states[0] = x0
        q = torch.empty_like(z)
        arrays = (*decay, z, c, *own, states)
        call_kernel(_forward, *(a.numpy() for a in (*arrays[1:], q)))
        ctx.variance = variance
        ctx.save_for_backward(d, a_log, *arrays)
        return q, states[-1].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Sweep back over the steps."""
        check_first_order()
        d, a_log, *arrays = ctx.saved_tensors
        ports = [torch.empty_like(d) for _ in range(3)]
        owned = [torch.zeros_like(a_log) for _ in range(5)]
        last = grads[1].contiguous().clone()
        into = (t.numpy() for t in (*arrays, grads[0].contiguous(), *ports, *owned, last))
        call_kernel(_backward, ctx.variance, *into)
        rate, (l_z, l_exponent, l_c), (l_a, *others) = a_log.exp(), ports, owned
        return None, l_z, l_exponent.mul_(rate).mul_(torch.sigmoid(d)), l_c, l_a.mul_(rate), *others, last


@njit(cache=True, nogil=True)
def _forward(
    abar: AnyFloats,
    gain: AnyFloats,
    z: AnyFloats,
    c: AnyFloats,  # [T, B, H]
    direct: AnyFloats,
    omega: AnyFloats,
    c_re: AnyFloats,
    c_im: AnyFloats,  # [H]
    x: AnyFloats,  # [T + 1, B, H, 2]
    q: AnyFloats,  # [T, B, H] out
) -> None:
    cos, sin = np.cos(omega), np.sin(omega)
    for t in range(z.shape[0]):
        for i in range(z.shape[1]):
            for h in range(z.shape[2]):
                re, im = x[t, i, h, 0], x[t, i, h, 1]
                new_re = abar[t, i, h] * (cos[h] * re - sin[h] * im) + gain[t, i, h] * z[t, i, h]
                new_im = abar[t, i, h] * (sin[h] * re + cos[h] * im)
                x[t + 1, i, h, 0], x[t + 1, i, h, 1] = new_re, new_im
                q[t, i, h] = c[t, i, h] * (c_re[h] * new_re - c_im[h] * new_im) + direct[h] * z[t, i, h]


@njit(cache=True, nogil=True)
def _backward(
    variance: bool,
    delta: AnyFloats,
    abar: AnyFloats,
    gain: AnyFloats,
    z: AnyFloats,
    c: AnyFloats,  # [T, B, H]
    direct: AnyFloats,
    omega: AnyFloats,
    c_re: AnyFloats,
    c_im: AnyFloats,  # [H]
    x: AnyFloats,  # [T + 1, B, H, 2]
    g_q: AnyFloats,  # [T, B, H]
    l_z: AnyFloats,
    l_exponent: AnyFloats,
    l_c: AnyFloats,  # [T, B, H] out
    l_rate: AnyFloats,
    l_direct: AnyFloats,
    l_omega: AnyFloats,
    l_re: AnyFloats,
    l_im: AnyFloats,  # [H] out
    lam: AnyFloats,  # [B, H, 2] dL/dx after the last step in, before the first out
) -> None:
    cos, sin, zero = np.cos(omega), np.sin(omega), z.dtype.type(0)
    for t in range(z.shape[0] - 1, -1, -1):
        for i in range(z.shape[1]):
            for h in range(z.shape[2]):
                a, n, zz = abar[t, i, h], gain[t, i, h], z[t, i, h]
                g = g_q[t, i, h]
                kick = c[t, i, h] * g
                new_re, new_im = x[t + 1, i, h, 0], x[t + 1, i, h, 1]
                re, im = x[t, i, h, 0], x[t, i, h, 1]
                p_re, p_im = lam[i, h, 0] + kick * c_re[h], lam[i, h, 1] - kick * c_im[h]
                u_re, u_im = cos[h] * re - sin[h] * im, sin[h] * re + cos[h] * im
                through = -p_re * zz
                if variance:
                    through = -p_re * zz * a / n if n > 0 else zero
                exponent = -a * (p_re * u_re + p_im * u_im + through)
                l_z[t, i, h] = direct[h] * g + n * p_re
                l_exponent[t, i, h] = exponent
                l_c[t, i, h] = g * (c_re[h] * new_re - c_im[h] * new_im)
                l_rate[h] += exponent * delta[t, i, h]
                l_direct[h] += g * zz
                l_omega[h] += a * (p_im * u_re - p_re * u_im)
                l_re[h] += kick * new_re
                l_im[h] -= kick * new_im
                lam[i, h, 0] = a * (cos[h] * p_re + sin[h] * p_im)
                lam[i, h, 1] = a * (cos[h] * p_im - sin[h] * p_re)

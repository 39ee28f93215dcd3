"""A ``diag`` layer over many steps in one compiled loop, without gradients: forward pass of inference and online rules.

The same equations as `bimhw.models.bim.cell`, its twin in the tests; only rounding may differ (other exp and log functions).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from bimhw.models.bim.cell import Drive, LayerState, Record
from bimhw.models.bim.config import BimConfig
from simulator.neurons.psp import PspConstants

Array = npt.NDArray[Any]

_PSP = {"delta": 0, "exp": 1, "alpha": 2}


def run(
    drive: Drive, a_log: Tensor, d: Tensor, state: LayerState, config: BimConfig, k: PspConstants, membrane: bool
) -> tuple[LayerState, Record, Tensor]:
    """Run all steps of a layer: the state after them, the record and the features, stacked [T, B, H].

    Args:
        drive: port values [T, B, H].
        a_log: [H].
        d: [H].
        state: before the first step.
        config: the network's constants.
        k: the kernel's constants.
        membrane: the feature is the filtered membrane.
    """
    ports = [p.contiguous() for p in (drive.z, drive.d, drive.c)]
    new, out, m = _run(ports, a_log, d, state, config, k, membrane)
    delta, abar, gain, x_old, v_pre, s, f = out.unbind(0)
    x_new = torch.cat([x_old[1:], new.x[None]])
    record = Record(drive, delta, abar, gain, x_old, x_new, state.a.expand(drive.z.shape), v_pre, m, s)
    return new, record, f


def step(
    drive: Drive, a_log: Tensor, d: Tensor, state: LayerState, config: BimConfig, k: PspConstants, membrane: bool
) -> tuple[LayerState, Record]:
    """Do as `run` for one step, port values and record [B, H]: online learning takes this way at every step."""
    ports = [p.contiguous() for p in (drive.z, drive.d, drive.c)]
    new, out, m = _run(ports, a_log, d, state, config, k, membrane)
    delta, abar, gain, x_old, v_pre, s, _ = out.unbind(0)
    return new, Record(drive, delta, abar, gain, x_old, new.x, state.a.expand(s.shape), v_pre, m, s)


def membrane(
    q: Tensor, state: LayerState, config: BimConfig, k: PspConstants, reads_membrane: bool
) -> tuple[LayerState, Tensor, Tensor]:
    """Take q [T, B, H] through kernel and membrane alone: state after the steps (x as it was), features, spikes."""
    new, record, f = membrane_record(q, state, config, k, reads_membrane)
    return new, f, record.s


def membrane_record(
    q: Tensor, state: LayerState, config: BimConfig, k: PspConstants, reads_membrane: bool
) -> tuple[LayerState, Record, Tensor]:
    """Do as `membrane`, with the record of all steps between the state after them and the features."""
    none = torch.zeros_like(q)
    zero, one = torch.zeros_like(q[0, 0]), torch.ones_like(q[0, 0])
    alone = state._replace(x=torch.zeros_like(q[0]))
    new, record, f = run(Drive(q, none, None, none), zero, one, alone, config, k, reads_membrane)  # c x + D z = q
    return new._replace(x=state.x), record, f


def _run(
    ports: list[Tensor], a_log: Tensor, d: Tensor, state: LayerState, config: BimConfig, k: PspConstants, membrane: bool
) -> tuple[LayerState, Tensor, Tensor | None]:
    """Return the state after the steps, what the loop wrote [7, (T,) B, H], and who was not refractory; ports [(T,) B, H]."""
    z, *_ = arrays = [p.numpy() for p in ports]
    out = ports[0].new_empty(7, *z.shape)
    m = ports[0].new_empty(z.shape if config.refractory else (0,) * z.ndim)
    used = (True, k.psp == "alpha", k.psp != "delta", True, config.refractory > 0, True)  # the loop writes these words
    given = (state.x, state.r, state.i, state.v, state.ref, state.f)
    changed = [t.clone() if u else t for t, u in zip(given, used, strict=True)]
    decay = config.k_membrane if membrane else config.k_o
    consts = np.array([k.kap, k.rho, k.p_vi, k.p_vr, k.b, k.c, decay, config.theta], dtype=z.dtype)
    states = (t.numpy() for t in changed)
    flags = (_PSP[k.psp], config.reset == "hard", config.refractory, membrane)
    written, held = out.numpy(), m.numpy()
    if z.ndim == 2:  # one step
        arrays, written, held = [p[None] for p in arrays], written[:, None], held[None]
    _call(_loop, *arrays, a_log.numpy(), d.numpy(), consts, *flags, *states, written, held)
    x, r, i, v, ref, f = changed
    return LayerState(x, r, i, v, ref, state.a, f), out, m if config.refractory else None


def _call(kernel: Any, *arguments: Any) -> None:
    kernel(*arguments)


@njit(cache=True, nogil=True)
def _loop(
    z: Array,
    d: Array,
    c: Array,  # [T, B, H]
    a_log: Array,
    direct: Array,  # [H]
    consts: Array,
    psp: int,
    hard: bool,
    refractory: int,
    membrane: bool,
    x: Array,
    r: Array,
    cur: Array,
    v: Array,
    ref: Array,
    f: Array,  # [B, H] updated
    out: Array,  # [7, T, B, H]
    held: Array,  # [T, B, H], or empty without refractory time
) -> None:
    kap, rho, p_vi, p_vr, b, c_in, k_f, theta = consts
    one, zero = consts.dtype.type(1), consts.dtype.type(0)
    rate = np.exp(a_log)
    for t in range(z.shape[0]):
        for i in range(z.shape[1]):
            for h in range(z.shape[2]):
                dd, zz = d[t, i, h], z[t, i, h]
                e = np.exp(-abs(dd))
                delta = np.log1p(e) + max(dd, zero)
                if rate[h] == one:
                    abar = (e if dd > 0 else one) / (one + e)  # exp(-softplus(d)) = sigmoid(-d)
                else:
                    abar = np.exp(-rate[h] * delta)
                old = x[i, h]
                new = zz + abar * (old - zz)
                x[i, h] = new
                kick = c_in * (c[t, i, h] * new + direct[h] * zz)
                if psp == 0:
                    pre = kap * v[i, h] + p_vi * kick
                elif psp == 1:
                    now = cur[i, h] + kick
                    pre = kap * v[i, h] + p_vi * now
                    cur[i, h] = rho * now
                else:
                    now = r[i, h] + kick
                    pre = kap * v[i, h] + p_vi * cur[i, h] + p_vr * now
                    cur[i, h] = b * now + rho * cur[i, h]
                    r[i, h] = rho * now
                free = True
                if refractory:
                    free = ref[i, h] == 0
                    held[t, i, h] = one if free else zero
                fires = free and pre - theta >= 0
                if refractory:
                    ref[i, h] = refractory if fires else max(ref[i, h] - one, zero)
                if hard:
                    v[i, h] = pre if free and not fires else zero
                else:
                    v[i, h] = pre - theta if fires else pre
                s = one if fires else zero
                feature = k_f * f[i, h] + (one - k_f) * (pre if membrane else s)
                f[i, h] = feature
                out[0, t, i, h] = delta
                out[1, t, i, h] = abar
                out[2, t, i, h] = one - abar
                out[3, t, i, h] = old
                out[4, t, i, h] = pre
                out[5, t, i, h] = s
                out[6, t, i, h] = feature

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
) -> tuple[LayerState, Tensor, Tensor | None, Tensor, Tensor]:
    """Take q [T, B, H] through kernel and membrane alone: state after the steps (x as it was), V-, m, spikes, features."""
    changed, flags, consts = _neurons(state, config, k, reads_membrane, q)
    out = q.new_empty(3, *q.shape)
    out[2] = q
    m = q.new_empty(*q.shape[:-1], q.shape[-1] if config.refractory else 0)
    _call(_membrane_loop, consts, *flags, *(t.numpy() for t in changed), out.numpy(), m.numpy())
    r, i, v, ref, f = changed
    v_pre, s, features = out.unbind(0)
    return LayerState(state.x, r, i, v, ref, state.a, f), v_pre, m if config.refractory else None, s, features


def _neurons(
    state: LayerState, config: BimConfig, k: PspConstants, membrane: bool, like: Tensor
) -> tuple[list[Tensor], tuple[int, bool, int, bool], Array]:
    """Return the words (r, i, v, ref, f) that a loop may write, its flags and its constants in the type of the ports."""
    used = (k.psp == "alpha", k.psp != "delta", True, config.refractory > 0, True)  # the loop writes these words
    given = (state.r, state.i, state.v, state.ref, state.f)
    changed = [t.clone() if u else t for t, u in zip(given, used, strict=True)]
    decay = config.k_membrane if membrane else config.k_o
    consts = np.array([k.kap, k.rho, k.p_vi, k.p_vr, k.b, k.c, decay, config.theta], dtype=like.numpy().dtype)
    return changed, (_PSP[k.psp], config.reset == "hard", config.refractory, membrane), consts


def _run(
    ports: list[Tensor], a_log: Tensor, d: Tensor, state: LayerState, config: BimConfig, k: PspConstants, membrane: bool
) -> tuple[LayerState, Tensor, Tensor | None]:
    """Return the state after the steps, what the loop wrote [7, (T,) B, H], and who was not refractory; ports [(T,) B, H]."""
    z, *_ = arrays = [p.numpy() for p in ports]
    out = ports[0].new_empty(7, *z.shape)
    m = ports[0].new_empty(*z.shape[:-1], z.shape[-1] if config.refractory else 0)
    changed, flags, consts = _neurons(state, config, k, membrane, ports[0])
    changed = [state.x.clone(), *changed]
    states = (t.numpy() for t in changed)
    written, held = out.numpy(), m.numpy()
    if z.ndim == 2:  # one step
        arrays, written, held = [p[None] for p in arrays], written[:, None], held[None]
    _call(_loop, *arrays, a_log.numpy(), d.numpy(), consts, *flags, *states, written, held)
    x, r, i, v, ref, f = changed
    return LayerState(x, r, i, v, ref, state.a, f), out, m if config.refractory else None


def _call(kernel: Any, *arguments: Any) -> None:
    kernel(*arguments)


@njit(cache=True, nogil=True)
def _row(
    consts: Array,
    psp: int,
    hard: bool,
    refractory: int,
    membrane: bool,
    r: Array,
    cur: Array,
    v: Array,
    ref: Array,
    f: Array,  # [H] updated
    pre_out: Array,
    s_out: Array,
    feature: Array,  # [H]: q in, the feature out
    held: Array,  # [H], or empty without refractory time
) -> None:
    """Take q of one step and sequence through kernel, membrane and readout feature."""
    kap, rho, p_vi, p_vr, b, c_in, k_f, theta = consts
    one, zero = consts.dtype.type(1), consts.dtype.type(0)
    for h in range(len(v)):
        kick = c_in * feature[h]
        if psp == 0:
            pre = kap * v[h] + p_vi * kick
        elif psp == 1:
            now = cur[h] + kick
            pre = kap * v[h] + p_vi * now
            cur[h] = rho * now
        else:
            now = r[h] + kick
            pre = kap * v[h] + p_vi * cur[h] + p_vr * now
            cur[h] = b * now + rho * cur[h]
            r[h] = rho * now
        free = True
        if refractory:
            free = ref[h] == 0
            held[h] = one if free else zero
        fires = free and pre - theta >= 0
        if refractory:
            ref[h] = refractory if fires else max(ref[h] - one, zero)
        if hard:
            v[h] = pre if free and not fires else zero
        else:
            v[h] = pre - theta if fires else pre
        s = one if fires else zero
        f[h] = k_f * f[h] + (one - k_f) * (pre if membrane else s)
        pre_out[h], s_out[h], feature[h] = pre, s, f[h]


@njit(cache=True, nogil=True)
def _membrane_loop(
    consts: Array,
    psp: int,
    hard: bool,
    refractory: int,
    membrane: bool,
    r: Array,
    cur: Array,
    v: Array,
    ref: Array,
    f: Array,  # [B, H] updated
    out: Array,  # [3, T, B, H]: V-, spikes, q in and the feature out
    held: Array,  # [T, B, H], or [T, B, 0] without refractory time
) -> None:
    for t in range(out.shape[1]):
        for i in range(out.shape[2]):
            words = (r[i], cur[i], v[i], ref[i], f[i])
            _row(consts, psp, hard, refractory, membrane, *words, out[0, t, i], out[1, t, i], out[2, t, i], held[t, i])


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
    held: Array,  # [T, B, H], or [T, B, 0] without refractory time
) -> None:
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
                out[0, t, i, h] = delta
                out[1, t, i, h] = abar
                out[2, t, i, h] = one - abar
                out[3, t, i, h] = old
                out[6, t, i, h] = c[t, i, h] * new + direct[h] * zz
            words = (r[i], cur[i], v[i], ref[i], f[i])
            _row(consts, psp, hard, refractory, membrane, *words, out[4, t, i], out[5, t, i], out[6, t, i], held[t, i])

"""A ``diag`` layer over many steps in one compiled loop, without gradients: forward pass of inference and online rules.

The same equations as `bimhw.models.bim.cell`, its twin in the tests; only rounding may differ (other exp and log functions).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numba import njit
from torch import Tensor

from bimhw.models.bim.cell import Drive, LayerState, Record
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.lanes import (
    DIRECT,
    FEATURE,
    FREE,
    RATE,
    ROWS,
    V_PRE,
    U,
    W,
    X,
    Z,
    fire,
    load,
    put,
    respond,
    select,
    store,
    take,
)
from bimhw.models.bim.loops import Words, call_kernel
from simulator.base.arrays import Array
from simulator.neurons.psp import PspConstants

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
    call_kernel(_membrane_loop, consts, *flags, _flat(changed), out.numpy(), m.numpy())
    r, i, v, ref, f = changed
    v_pre, s, features = out.unbind(0)
    return (
        LayerState(state.x, r, i, v, ref, state.a, f, state.line),
        v_pre,
        m if config.refractory else None,
        s,
        features,
    )


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
    z = ports[0]
    out = ports[0].new_empty(7, *z.shape)
    m = ports[0].new_empty(*z.shape[:-1], z.shape[-1] if config.refractory else 0)
    changed, flags, consts = _neurons(state, config, k, membrane, ports[0])
    x = state.x.clone()
    written, held = out.numpy(), m.numpy()
    if z.ndim == 2:  # one step
        written, held = written[:, None], held[None]
    owned = a_log.numpy(), d.numpy(), consts
    call_kernel(_loop, _flat(ports), *owned, *flags, x.view(-1).numpy(), _flat(changed), written, held)
    r, i, v, ref, f = changed
    return LayerState(x, r, i, v, ref, state.a, f, state.line), out, m if config.refractory else None


def _flat(tensors: Iterable[Tensor]) -> Words:
    """Return tensors as flat arrays; one that is not contiguous is read only, and copied."""
    return tuple(t.contiguous().view(-1).numpy() for t in tensors)


@njit(cache=True, nogil=True)
def _membrane_loop(
    consts: Array,
    psp: int,
    hard: bool,
    refractory: int,
    membrane: bool,
    states: Words,  # r, i, v, ref, f: each [B, H], updated
    out: Array,  # [3, T, B, H]: V-, spikes, q in and the feature out
    held: Array,  # [T, B, H], or [T, B, 0] without refractory time
) -> None:
    _, steps, batch, hidden = out.shape
    words, flat, rows, size = np.zeros(ROWS * W, consts.dtype), out.ravel(), held.ravel(), steps * batch * hidden
    for i in range(batch):
        for first in range(0, hidden, W):
            n, here = U(min(W, hidden - first)), U(i * hidden + first)
            load(words, states, here, n)
            for t in range(steps):
                at = U((t * batch + i) * hidden + first)
                take(words, FEATURE, flat, at + U(2 * size), n)
                respond(words, consts, psp)
                fire(words, consts, hard, refractory, membrane)
                for row in range(3):
                    put(words, V_PRE + row, flat, at + U(row * size), n)
                if refractory:
                    put(words, FREE, rows, at, n)
            store(words, states, psp, refractory, here, n)


@njit(cache=True, nogil=True)
def _loop(
    ports: Words,  # z, d, c: each [T, B, H]
    a_log: Array,
    direct: Array,  # [H]
    consts: Array,
    psp: int,
    hard: bool,
    refractory: int,
    membrane: bool,
    x: Array,  # [B, H] updated
    states: Words,  # r, i, v, ref, f: each [B, H], updated
    out: Array,  # [7, T, B, H]
    held: Array,  # [T, B, H], or [T, B, 0] without refractory time
) -> None:
    _, steps, batch, hidden = out.shape
    words, flat, rows, size = np.zeros(ROWS * W, consts.dtype), out.ravel(), held.ravel(), steps * batch * hidden
    rate = np.exp(a_log)
    for i in range(batch):
        for first in range(0, hidden, W):
            n, here = U(min(W, hidden - first)), U(i * hidden + first)
            take(words, RATE, rate, U(first), n)
            take(words, DIRECT, direct, U(first), n)
            take(words, X, x, here, n)
            load(words, states, here, n)
            for t in range(steps):
                at = U((t * batch + i) * hidden + first)
                for row in range(3):
                    take(words, Z + row, ports[row], at, n)
                select(words)
                respond(words, consts, psp)
                fire(words, consts, hard, refractory, membrane)
                for row in range(7):
                    put(words, row, flat, at + U(row * size), n)
                if refractory:
                    put(words, FREE, rows, at, n)
            put(words, X, x, here, n)
            store(words, states, psp, refractory, here, n)

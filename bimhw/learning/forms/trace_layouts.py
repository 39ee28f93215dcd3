"""What of a layer's traces depends on its kind: the traces of its states, the columns behind q, and whose column is which.

Letters: B batch, H neurons, M1 = M + 1 (bias last), N states, P columns::

    diag   x-traces [B, H, Px]: W_in M1 | W_delta M1 | A_log 1;   then W_c M1 | D 1 without one         P = 3 M1 + 2
    s6     x-traces [B, H, N, 3 M1 + 1]: W_in M1 | W_delta M1 | W_b M1 | A_log 1;  columns of q: W_in M1 | W_delta M1 |
           W_b N M1 | A_log N | W_c N M1 | D 1 (W_b, W_c are shared by the channels: their gradient is summed over H)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bimhw.models.bim.cell import Record
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimLayer

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """Traces of one kind of layers.

    Attributes:
        x_shape: of a neuron's x-traces, from config and M1.
        columns: P, the parameters of a neuron (s6: with its share of the common ones), from config and M1.
        step: updates E^x in place by a step (inputs [B, M1], record, layer) and returns E^q [B, H, P].
        split: gradients by parameter name from columns [H, P] and M1, pruned synapses as 0.
    """

    x_shape: Callable[[BimConfig, int], tuple[int, ...]]
    columns: Callable[[BimConfig, int], int]
    step: Callable[[Tensor, Tensor, Record, BimLayer], Tensor]
    split: Callable[[BimLayer, Tensor, int], Gradients]


def sides(columns: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights and biases of a port's columns [H, M1]."""
    return columns[:, :-1], columns[:, -1]


def by_name(layer: BimLayer, ports: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Return gradients (weights, biases) of the ports by parameter name, pruned synapses as 0."""
    out = {}
    for port, (weights, biases) in ports.items():
        mask = layer._buffers.get(f"mask_{port}")
        out[f"w_{port}"] = weights if mask is None else weights * mask
        out[f"b_{port}"] = biases
    return out


def _diag_q(ex: Tensor, u1: Tensor, record: Record, layer: BimLayer) -> Tensor:
    a_log, d = layer.get_parameter("a_log").detach(), layer.get_parameter("d").detach()
    drive, abar, m1 = record.drive, record.abar, u1.shape[1]
    u = u1[:, None, :]
    through = a_log.exp() * abar * (drive.z - record.x_old)  # dx/dDelta
    ex.mul_(abar[..., None])
    ex[..., :m1].addcmul_(record.gain[..., None], u)
    ex[..., m1 : 2 * m1].addcmul_((through * torch.sigmoid(drive.d))[..., None], u)
    ex[..., 2 * m1] += through * record.delta
    eq = ex.new_empty(*ex.shape[:2], 3 * m1 + 2)
    torch.mul(ex, drive.c[..., None], out=eq[..., : 2 * m1 + 1])
    eq[..., :m1].addcmul_(d[None, :, None], u)
    torch.mul(record.x_new[..., None], u, out=eq[..., 2 * m1 + 1 : -1])
    eq[..., -1] = drive.z
    return eq


def _s6_q(ex: Tensor, u1: Tensor, record: Record, layer: BimLayer) -> Tensor:
    a_log, d, config = layer.get_parameter("a_log").detach(), layer.get_parameter("d").detach(), layer.config
    drive, abar, gain, m1 = record.drive, record.abar, record.gain, u1.shape[1]
    assert drive.b is not None
    a, delta, z = -a_log.exp(), record.delta[..., None], drive.z[..., None]
    u, bz = u1[:, None, None, :], drive.b[:, None, :] * z  # [B, 1, 1, M1], [B, H, N]
    slope = 1.0 if config.discretisation == "euler" else abar  # dG/dDelta
    ex.mul_(abar[..., None])
    ex[..., :m1].addcmul_((gain * drive.b[:, None, :])[..., None], u)
    through = (a * abar * record.x_old + slope * bz) * torch.sigmoid(drive.d)[..., None]
    ex[..., m1 : 2 * m1].addcmul_(through[..., None], u)
    ex[..., 2 * m1 : 3 * m1].addcmul_((gain * z)[..., None], u)
    own = delta * a * abar * record.x_old
    ex[..., 3 * m1] += own if config.discretisation == "euler" else own + (delta * abar - gain) * bz
    return _s6_columns(ex, u1, record, d, m1)


def _s6_columns(ex: Tensor, u1: Tensor, record: Record, d: Tensor, m1: int) -> Tensor:
    b, h = ex.shape[:2]
    scaled = ex * record.drive.c[:, None, :, None]
    summed = scaled[..., : 2 * m1].sum(2)
    summed[..., :m1].addcmul_(d[None, :, None], u1[:, None, :])
    w_b, a_log = scaled[..., 2 * m1 : 3 * m1].reshape(b, h, -1), scaled[..., 3 * m1]
    w_c = (record.x_new[..., None] * u1[:, None, None, :]).view(b, h, -1)
    return torch.cat([summed, w_b, a_log, w_c, record.drive.z[..., None]], -1)


def _split_diag(layer: BimLayer, g: Tensor, m1: int) -> Gradients:
    w_in, w_delta, a_log, w_c, d = torch.split(g, [m1, m1, 1, m1, 1], dim=1)
    ports = {"in": sides(w_in), "delta": sides(w_delta), "c": sides(w_c)}
    return {"a_log": a_log[:, 0], "d": d[:, 0]} | by_name(layer, ports)


def _split_s6(layer: BimLayer, g: Tensor, m1: int) -> Gradients:
    n = layer.config.n_states
    w_in, w_delta, w_b, a_log, w_c, d = torch.split(g, [m1, m1, n * m1, n, n * m1, 1], dim=1)
    shared = {"b": sides(w_b.sum(0).view(n, m1)), "c": sides(w_c.sum(0).view(n, m1))}
    return {"a_log": a_log, "d": d[:, 0]} | by_name(layer, {"in": sides(w_in), "delta": sides(w_delta), **shared})


DIAG = Layout(lambda c, m1: (2 * m1 + 1,), lambda c, m1: 3 * m1 + 2, _diag_q, _split_diag)
S6 = Layout(
    lambda c, m1: (c.n_states, 3 * m1 + 1),
    lambda c, m1: 2 * m1 + 2 * c.n_states * m1 + c.n_states + 1,
    _s6_q,
    _split_s6,
)

"""The backward sweep inside each neuron: the gradient of a layer from its history, without synaptic traces.

For t = T..1, all lambdas 0 before (l_y = dL/dy after the step; the order is normative)::

    l_f += delta;   l_s = (1-k) l_f [membrane readout: into l_V-] + l_a + message from above;   l_f = k l_f
    l_V- = keep l_V + psi (l_s + by_spike l_V);     l_a = rho_a l_a - beta (psi (l_s + by_spike l_V) + s l_V [soft, not detached])
    alpha: l_rr = rho l_r + b l_I + P_Vr l_V-;  l_q = c l_rr;  l_r = l_rr;  l_I = rho l_I + P_VI l_V-
    exp:   l_II = rho l_I + P_VI l_V-;  l_q = c l_II;  l_I = l_II            delta: l_q = c P_VI l_V-
    l_V = kap l_V-
    diag:  p_c = l_q x;  g_D += l_q z;  l_x += c l_q;  p_in = (1-Abar) l_x + D l_q;  p_delta = g l_x;  l_x = Abar l_x
    s6:    p_c,n = sum_i l_q x_n;  l_x,n += C_n l_q;  p_b,n = sum_i l_x,n G_n z;  p_in, p_delta likewise;  l_x = Abar l_x
    each event j:  G_port,j += p_port u_j;      into the layer below: sum over ports of W_port^T p_port

What this is: back-propagation through time, confined inside each neuron. Local in space, not in time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from bimhw.learning.forms.history import LayerHistory, Stacked, stack
from bimhw.learning.forms.traces import kernel_constants
from bimhw.models.bim.loops import Words, call_kernel, cell_is_fused, takes_loops
from bimhw.models.bim.net import BimLayer


@dataclass
class Lambdas:
    """Adjoints of the states after a step [B, H] (x of s6: [B, H, N])."""

    x: Tensor
    r: Tensor
    i: Tensor
    v: Tensor
    a: Tensor
    f: Tensor


@dataclass(frozen=True, eq=False)
class PortAdjoints:
    """dL/d(port value) of every kept step: z and d [T, B, H], c [T, B, H] or [T, B, N], b [T, B, N] (s6)."""

    values: dict[str, Tensor]
    a_log: Tensor
    d: Tensor
    start: Lambdas  # adjoints of the states before the first kept step
    together: Tensor | None = None  # the values side by side [T B, 3 H], where they lie so

    def flat(self) -> Tensor:
        """Return the values of all ports side by side, a row for each step and sequence."""
        if self.together is not None:
            return self.together
        return torch.cat([p.flatten(0, 1) for p in self.values.values()], -1)


def zero_lambdas(history: Stacked) -> Lambdas:
    """Return all adjoints 0: no future."""
    zero = torch.zeros_like(history.s[0])
    return Lambdas(torch.zeros_like(history.x_new[0]), zero, zero, zero, zero, zero)


def fused_sweep(layer: BimLayer, h: Stacked, messages: Tensor | None, end: Lambdas) -> tuple[Tensor, Lambdas]:
    """Sweep kernel and membrane in the compiled loop: l_q of every step [T, B, H], the adjoints before the first."""
    from bimhw.learning.forms.sweep_kernels import PSP_CODE, sweep

    l_q, start = torch.empty_like(h.s), torch.stack([end.x, end.r, end.i, end.v, end.f])
    options = (kernel_constants(layer), PSP_CODE[layer.constants.psp], layer.config.reads_membrane(layer.index))
    call_kernel(sweep, _rows(_membrane(h, messages)), *options, start.numpy(), l_q.numpy())
    return l_q, _before(start)


def _membrane(h: Stacked, messages: Tensor | None) -> tuple[Tensor | None, ...]:
    return h.signal, messages, h.psi, h.keep, h.by_spike


def _rows(tensors: Iterable[Tensor | None]) -> Words:
    """Return values of all steps as flat arrays, an empty one where there are none."""
    given = list(tensors)
    none = next(t for t in given if t is not None).new_zeros(0).numpy()
    return tuple(none if t is None else t.contiguous().view(-1).numpy() for t in given)


def _before(start: Tensor) -> Lambdas:
    return Lambdas(start[0], start[1], start[2], start[3], torch.zeros_like(start[0]), start[4])


class Adjoint:
    """The sweep of one layer."""

    def __init__(self, layer: BimLayer) -> None:
        self.layer, self.config, self.k = layer, layer.config, layer.constants
        self.membrane = self.config.reads_membrane(layer.index)

    @torch.no_grad()
    def sweep(
        self, history: LayerHistory, messages: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Stacked, PortAdjoints]:
        """Return gradients by parameter name, and what they were made of.

        Args:
            history: the steps to sweep over, with their error signals.
            messages: dL/ds of each step from the layer above [T, B, H].
        """
        return self.sweep_stacked(stack(history), messages)

    @torch.no_grad()
    def sweep_stacked(
        self, h: Stacked, messages: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Stacked, PortAdjoints]:
        """Do as `sweep` over steps that are tensors already."""
        ports = self.port_adjoints(h, messages)
        return self.gradients(h, ports), h, ports

    def port_adjoints(self, h: Stacked, messages: Tensor | None, end: Lambdas | None = None) -> PortAdjoints:
        """Sweep backward; `end`: adjoints of the states after the last step (None: no future)."""
        if cell_is_fused(self.config) and takes_loops(h.s) and takes_loops(self.layer.get_parameter("w_in")):
            return self._fused(h, messages, end)
        return self.plain_adjoints(h, messages, end)

    def _fused(self, h: Stacked, messages: Tensor | None, end: Lambdas | None) -> PortAdjoints:
        from bimhw.learning.forms.sweep_kernels import PSP_CODE, sweep_diag

        end = end or zero_lambdas(h)
        a_log, d = self.layer.get_parameter("a_log").detach(), self.layer.get_parameter("d").detach()
        steps, batch, hidden = h.s.shape
        start, sums = torch.stack([end.x, end.r, end.i, end.v, end.f]), h.s.new_empty(2, hidden)
        ports = h.s.new_empty(steps, batch, 3, hidden)
        rows = (*_membrane(h, messages), h.abar, h.c, h.z, h.d, h.gain, h.x_old, h.x_new, h.delta)
        options = (kernel_constants(self.layer), PSP_CODE[self.k.psp], self.membrane)
        own = (a_log.exp().numpy(), d.numpy())
        call_kernel(sweep_diag, _rows(rows), own, *options, *(t.numpy() for t in (start, ports, sums)))
        values = dict(zip(("in", "delta", "c"), ports.unbind(2), strict=True))
        return PortAdjoints(values, sums[0], sums[1], _before(start), ports.view(steps * batch, -1))

    def plain_adjoints(self, h: Stacked, messages: Tensor | None, end: Lambdas | None = None) -> PortAdjoints:
        """Sweep in plain tensor operations, for every kind of layer."""
        lam, l_q = dataclasses.replace(end or zero_lambdas(h)), []
        for t in range(len(h.u) - 1, -1, -1):
            v_pre = self._neuron(h, t, lam, None if messages is None else messages[t])
            l_q.append(self._kernel(lam, v_pre))
        return self._select(h, torch.stack(l_q[::-1]), lam)

    def _neuron(self, h: Stacked, t: int, lam: Lambdas, message: Tensor | None) -> Tensor:
        """Go from the adjoints after step t to l_V-; update l_f and l_a."""
        c = self.config
        decay = c.k_membrane if self.membrane else c.k_o
        l_f = lam.f + h.signal[t]
        l_s = (1 - decay) * l_f
        v_pre = lam.v if h.keep is None else h.keep[t] * lam.v
        if self.membrane:
            v_pre = v_pre + l_s
            l_s = torch.zeros_like(l_s)
        l_s = l_s if message is None else l_s + message
        if c.adapt_beta:
            l_s = l_s + lam.a
        if h.by_spike is not None:
            l_s = l_s + h.by_spike[t] * lam.v
        by_psi = h.psi[t] * l_s
        if c.adapt_beta:
            drop = by_psi + h.s[t] * lam.v if c.reset == "soft" and not c.detach_reset else by_psi
            lam.a = c.adapt_rho * lam.a - c.adapt_beta * drop
        lam.f = decay * l_f
        return v_pre + by_psi

    def _kernel(self, lam: Lambdas, v_pre: Tensor) -> Tensor:
        """Return l_q; update l_V, l_I, l_r."""
        k = self.k
        lam.v = k.kap * v_pre
        if k.psp == "delta":
            return (k.c * k.p_vi) * v_pre
        if k.psp == "exp":
            lam.i = k.rho * lam.i + k.p_vi * v_pre
            return k.c * lam.i
        lam.r = k.rho * lam.r + k.b * lam.i + k.p_vr * v_pre
        lam.i = k.rho * lam.i + k.p_vi * v_pre
        return k.c * lam.r

    def _select(self, h: Stacked, l_q: Tensor, lam: Lambdas) -> PortAdjoints:
        """Go from l_q of all steps through the selective state."""
        kick = h.c * l_q if self.config.kind == "diag" else h.c[:, :, None, :] * l_q[..., None]
        l_x, carry = torch.empty_like(kick), lam.x
        for t in range(len(kick) - 1, -1, -1):
            torch.add(kick[t], carry, out=l_x[t])
            carry = h.abar[t] * l_x[t]
        lam.x = carry
        return self._ports(h, l_q, l_x, lam)

    def _ports(self, h: Stacked, l_q: Tensor, l_x: Tensor, lam: Lambdas) -> PortAdjoints:
        a_log, d = self.layer.get_parameter("a_log").detach(), self.layer.get_parameter("d").detach()
        sig = torch.sigmoid(h.d)
        if self.config.kind == "diag":
            through = a_log.exp() * h.abar * (h.z - h.x_old) * l_x
            values = {"in": h.gain * l_x + d * l_q, "delta": through * sig, "c": l_q * h.x_new}
            return PortAdjoints(values, (through * h.delta).sum((0, 1)), (l_q * h.z).sum((0, 1)), lam)
        assert h.b is not None
        b, z, delta = h.b[:, :, None, :], h.z[..., None], h.delta[..., None]
        a, euler = -a_log.exp(), self.config.discretisation == "euler"
        bz, decayed = b * z, a * h.abar * h.x_old
        slope = decayed + (bz if euler else h.abar * bz)
        own = delta * decayed if euler else delta * decayed + (delta * h.abar - h.gain) * bz
        values = {
            "in": (l_x * h.gain * b).sum(-1) + d * l_q,
            "delta": (l_x * slope).sum(-1) * sig,
            "b": (l_x * h.gain * z).sum(2),
            "c": (l_q[..., None] * h.x_new).sum(2),
        }
        return PortAdjoints(values, (l_x * own).sum((0, 1)), (l_q * h.z).sum((0, 1)), lam)

    def gradients(self, h: Stacked, ports: PortAdjoints) -> dict[str, Tensor]:
        """Sum over events of p_port u_j; biases see 1 at every step."""
        u, out = h.u.flatten(0, 1), {"a_log": ports.a_log, "d": ports.d}
        flat = ports.flat()
        sizes = [p.shape[-1] for p in ports.values.values()]
        weights = torch.split(_product(flat, u), sizes)
        for port, g, b in zip(ports.values, weights, torch.split(flat.sum(0), sizes), strict=True):
            mask = self.layer._buffers.get(f"mask_{port}")
            out[f"w_{port}"], out[f"b_{port}"] = g if mask is None else g * mask, b
        return out

    def to_below(self, ports: PortAdjoints) -> Tensor:
        """Return dL/du of every step [T, B, M], through all ports."""
        (port, p), *others = ports.values.items()
        out = (p @ self.layer.weight(port).detach().to(p.dtype)).flatten(0, 1)
        for port, other in others:
            out.addmm_(other.flatten(0, 1), self.layer.weight(port).detach().to(p.dtype))
        return out.view(*p.shape[:2], -1)

    def descend(self, ports: PortAdjoints, slopes: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return dL/ds [T, B, M] of what sends the layer's inputs, and the gradient of their delays, by parameter name.

        Args:
            ports: of the swept steps.
            slopes: of the inputs over their delays [T, B, M]; None: no delay is learnt.
        """
        g, axons = self.to_below(ports), self.layer.axons
        if axons is None:
            return g, {}
        return axons.to_sources(g), {} if slopes is None else {"delay": axons.gradient(g, slopes)}


def _product(p: Tensor, u: Tensor) -> Tensor:
    """Return p^T u [H, M] of p [n, H] and u [n, M]."""
    if takes_loops(u):
        from bimhw.models.bim.events import by_events, few_events

        if few_events(u):
            return by_events(p, u)
    return p.T @ u

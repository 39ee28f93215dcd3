"""EventProp through a network of the family ``event``: events forward, the exact gradient of its logits backward.

Hidden layers run event by event (`bimhw.learning.event_prop`). The logits at the end of step t are those of the readout's
membranes, eps its response to a spike::

    y_c(t) = sum over neurons n and their spikes t_k <= t of W_o[c, n] eps(t - t_k)
    eps(s) = tau_s (e^(-s/tau_m) - e^(-s/tau_s)) / (tau_m - tau_s)

eps is 0 at 0 and smooth after it, so that no logit jumps where a spike passes the end of a step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from bimhw.learning.event_prop import EventNeurons, Events, event_gradient, run_events
from bimhw.models.event.config import EventConfig
from bimhw.models.event.net import EventNet, EventRun
from simulator.base.arrays import I64, Floats
from simulator.base.errors import InputError


def event_form(net: EventNet) -> Callable[[Tensor], EventRun]:
    """Return what takes inputs [T, B, n_in] through a network event by event, with gradients.

    It raises `InputError` where the top layer is silent in the first batch: no gradient would wake it.
    """
    heard = False

    def run(x: Tensor) -> EventRun:
        nonlocal heard
        filtered, *spikes = _Events.apply(x, net.config, *net.weights)  # type: ignore[no-untyped-call]
        if not (heard or spikes[-1].any()):
            problem = "is silent in the first batch, and a silent neuron has no gradient of spike times"
            raise InputError(f"layer {net.config.n_layers}", problem, "Raise gain_in or mean_in (--set gain_in=8)")
        heard = True
        return EventRun(filtered @ net.readout.get_parameter("weight").T, tuple(spikes))

    return run


class _Context(FunctionCtx):
    """Values that the backward pass reads."""

    config: EventConfig
    steps: int
    saved_tensors: tuple[Tensor, ...]


class _Events(torch.autograd.Function):
    """Inputs and weights -> filtered spikes of the top layer [T, B, H], and the spikes of every layer in each step."""

    @staticmethod
    def forward(ctx: _Context, x: Tensor, config: EventConfig, *weights: Tensor) -> tuple[Tensor, ...]:
        steps, whole = x.shape[0], _whole(config, weights)
        runs = [run_events(whole, _inputs(x[:, b]), _neurons(config), steps) for b in range(x.shape[1])]
        kept = [torch.from_numpy(a) for r in runs for a in (r.times, r.sources, r.slopes, r.sizes)]
        ctx.save_for_backward(*weights, *kept)
        ctx.config, ctx.steps = config, steps
        filtered = np.stack([_filtered(r, config, steps) for r in runs], 1)
        seen = torch.from_numpy(np.stack([_in_steps(r, config, steps) for r in runs], 1)).to(x)
        layers = tuple(seen[:, :, rows] for rows, _ in _places(config))
        ctx.mark_non_differentiable(*layers)
        return torch.from_numpy(filtered).to(x), *layers

    @staticmethod
    def backward(ctx: _Context, *grad: Tensor) -> tuple[Tensor | None, ...]:
        config = ctx.config
        weights, kept = ctx.saved_tensors[: config.n_layers], [a.numpy() for a in ctx.saved_tensors[config.n_layers :]]
        whole = _whole(config, weights)
        total = np.zeros_like(whole)
        for b in range(grad[0].shape[1]):
            times, sources, slopes, sizes = kept[4 * b : 4 * b + 4]
            events = Events(times, sources, slopes, sizes, config.n_in, float(ctx.steps))
            spikes, neurons, _, slope = _response(events, config, ctx.steps)
            by_time = np.zeros(events.times.size)
            by_time[spikes] = -(slope * grad[0][:, b].double().numpy()[:, neurons]).sum(0)
            total += event_gradient(whole, events, by_time, _neurons(config))
        parts = (torch.from_numpy(total[place]).to(w) for place, w in zip(_places(config), weights, strict=True))
        return None, None, *parts


def _neurons(config: EventConfig) -> EventNeurons:
    return EventNeurons(config.tau_m, config.tau_s, config.theta)


def _places(config: EventConfig) -> list[tuple[slice, slice]]:
    """Return where the weights of each layer stand in one matrix of all neurons, [N, n_in + N]."""
    ends = np.cumsum((0, config.n_in, *config.hidden)).tolist()
    return [
        (slice(b - config.n_in, c - config.n_in), slice(a, b))
        for a, b, c in zip(ends, ends[1:], ends[2:], strict=False)
    ]


def _whole(config: EventConfig, weights: tuple[Tensor, ...]) -> Floats:
    out = np.zeros((sum(config.hidden), config.n_in + sum(config.hidden)))
    for place, weight in zip(_places(config), weights, strict=True):
        out[place] = weight.detach().double().numpy()
    return out


def _inputs(x: Tensor) -> Floats:
    """Return the spikes (time, input, size) of one sequence [T, n_in]."""
    at = x.nonzero()
    return torch.cat([at, x[at[:, :1], at[:, 1:]]], 1).double().numpy()


def _in_steps(events: Events, config: EventConfig, steps: int) -> Floats:
    """Return the spikes of all neurons in each step [T, N]: those in (t, t + 1] are step t's."""
    own = events.sources >= config.n_in
    out = np.zeros((steps, sum(config.hidden)))
    np.add.at(out, (np.ceil(events.times[own]).astype(np.int64) - 1, events.sources[own] - config.n_in), 1)
    return out


def _response(events: Events, config: EventConfig, steps: int) -> tuple[I64, I64, Floats, Floats]:
    """Return the K spikes of the top layer, their neurons, and eps [T, K] and its slope at the end of each step."""
    first = config.n_in + sum(config.hidden[:-1])
    spikes = np.flatnonzero(events.sources >= first)
    since = np.arange(1, steps + 1)[:, None] - events.times[spikes]
    slow, fast = (np.exp(-since.clip(0) / tau) for tau in (config.tau_m, config.tau_s))
    scale = (since > 0) * config.tau_s / (config.tau_m - config.tau_s)
    slope = scale * (fast / config.tau_s - slow / config.tau_m)
    return spikes, events.sources[spikes] - first, scale * (slow - fast), slope


def _filtered(events: Events, config: EventConfig, steps: int) -> Floats:
    _, neurons, eps, _ = _response(events, config, steps)
    filtered: Floats = eps @ np.eye(config.hidden[-1])[neurons]
    return filtered

"""EventProp against autograd through an event-driven simulation, against the closed form of one spike, and in learning."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import Tensor

from bimhw.learning.event_prop import EventNeurons, Events, event_gradient, first_spike_loss, run_events
from simulator.base.errors import InputError


def first_root(v: float, i: float, c: EventNeurons, end: float) -> float:
    """Find when V first passes theta on a fine grid, then by Brent's method."""

    def above(s: npt.ArrayLike) -> npt.NDArray[np.float64]:
        b = i * c.tau_s / (c.tau_s - c.tau_m)
        s = np.asarray(s)
        return (v - b) * np.exp(-s / c.tau_m) + b * np.exp(-s / c.tau_s) - c.theta

    grid = np.linspace(0, end, 2000)
    values = above(grid)
    up = np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0))
    return math.inf if not up.size else brentq(above, grid[up[0]], grid[up[0] + 1], xtol=1e-14, rtol=1e-14)


def followed(w: Tensor, spikes: list[tuple[float, ...]], c: EventNeurons, end: float) -> list[tuple[Tensor, int]]:
    """Simulate with states that autograd follows; a spike time is a root, so one Newton step from it carries its gradient.

    Spikes are (time, input) or (time, input, size).
    """
    n, m = w.shape[0], w.shape[1] - w.shape[0]
    v, i = [torch.zeros((), dtype=torch.float64) for _ in range(n)], [torch.zeros((), dtype=torch.float64)] * n
    now, queue = torch.zeros((), dtype=torch.float64), sorted(spikes)
    out: list[tuple[Tensor, int]] = []

    def flow(k: int, t: Tensor) -> tuple[Tensor, Tensor]:
        b = i[k] * c.tau_s / (c.tau_s - c.tau_m)
        slow, fast = torch.exp(-(t - now) / c.tau_m), torch.exp(-(t - now) / c.tau_s)
        return (v[k] - b) * slow + b * fast, i[k] * fast

    while True:
        best, who = math.inf, -1
        for k in range(n):
            root = float(now.detach()) + first_root(float(v[k].detach()), float(i[k].detach()), c, end)
            if root < best:
                best, who = root, k
        arriving = queue[0][0] if queue else math.inf
        if min(best, arriving) > end:
            return out
        if best < arriving:
            t = torch.tensor(best, dtype=torch.float64)
            at_v, at_i = flow(who, t)
            t = t - (at_v - c.theta) / ((at_i - at_v) / c.tau_m).detach()
            source, size = m + who, 1.0
        else:
            source, size = int(queue[0][1]), queue[0][2] if len(queue[0]) > 2 else 1.0
            t = torch.tensor(queue.pop(0)[0], dtype=torch.float64)
        moved = [flow(k, t) for k in range(n)]
        v, i, now = [a for a, _ in moved], [b + size * w[k, source] for k, (_, b) in enumerate(moved)], t
        if source >= m:
            v[who] = v[who] * 0
        out.append((t, source))


@settings(max_examples=60, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6))
def test_the_gradient_of_spike_times_is_that_of_autograd(seed: int) -> None:
    """Recurrent networks of three neurons, excitatory and inhibitory, several spikes each, any smooth loss of all times."""
    rng = np.random.default_rng(seed)
    c = EventNeurons(tau_m=rng.uniform(5, 25), tau_s=rng.uniform(2, 4.5), theta=rng.uniform(0.5, 1.5))
    w = np.concatenate([rng.uniform(0.5, 4, (3, 4)), rng.uniform(-1.5, 1.5, (3, 3))], axis=1)
    spikes: list[tuple[float, ...]] = [
        (float(t), int(i)) for t, i in zip(rng.uniform(0, 12, 5), rng.integers(0, 4, 5), strict=True)
    ]
    events = run_events(w, spikes, c, 20.0)
    own = events.sources >= 4
    assume(2 <= own.sum() <= 12)
    assume(float(events.slopes[own].min()) > 0.05)  # where V only just reaches theta, the gradient has a pole
    weights = torch.from_numpy(w).requires_grad_()
    twin = followed(weights, spikes, c, 20.0)
    assert [s for _, s in twin] == events.sources.tolist()
    np.testing.assert_allclose([float(t.detach()) for t, _ in twin], events.times, rtol=0, atol=1e-11)
    scale = rng.normal(size=events.times.size)
    loss = sum(float(a) * torch.sin(t / 7) for a, (t, s) in zip(scale, twin, strict=True) if s >= 4)
    assert isinstance(loss, Tensor)
    (wanted,) = torch.autograd.grad(loss, weights)
    found = event_gradient(w, events, scale * np.cos(events.times / 7) / 7 * own, c)
    assert float(np.abs(found - wanted.numpy()).max()) <= 1e-10 * max(1.0, float(wanted.abs().max()))


@settings(max_examples=60, deadline=None)
@given(st.floats(4.5, 40), st.floats(1, 10), st.floats(0, 5))
def test_one_spike_has_its_closed_form(w: float, tau: float, start: float) -> None:
    """tau_m = 2 tau_s: V is a quadratic in exp(-t / tau_m), so dt/dw is known."""
    c = EventNeurons(tau_m=2 * tau, tau_s=tau)
    events = run_events(np.array([[w, 0.0]]), [(start, 0)], c, start + 2 * tau * math.log(2))
    root = math.sqrt(1 - 4 / w)
    x = (1 + root) / 2  # w (x - x^2) = theta, the earlier of two
    assert events.times[1] == pytest.approx(start - 2 * tau * math.log(x), abs=1e-11)
    found = event_gradient(np.array([[w, 0.0]]), events, np.eye(events.times.size)[1], c)
    assert found[0, 0] == pytest.approx(-2 * tau / (x * w * w * root), rel=1e-10)


def test_spikes_learn_the_side_that_came_first() -> None:
    """Descent on the first-spike loss answers by which of two inputs was earlier; the outputs inhibit each other."""
    c, rng = EventNeurons(tau_m=10, tau_s=5), np.random.default_rng(0)
    w = np.concatenate([5 + rng.uniform(0, 0.2, (2, 2)), -np.ones((2, 2))], axis=1)
    losses = []
    for _ in range(60):
        total, gradient = 0.0, np.zeros_like(w)
        for label in (0, 1):
            events = run_events(w, [(1.0, label), (4.0, 1 - label)], c, 40.0)
            loss, by_time = first_spike_loss(events, [0, 1], label, 1.0)
            gradient += event_gradient(w, events, by_time, c)
            total += loss
        losses.append(total / 2)
        w -= 0.5 * gradient
    assert losses[0] > 0.6 and losses[-1] < 0.2


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(InputError, match="equals tau_s"):
        EventNeurons(tau_m=5.0, tau_s=5.0)
    with pytest.raises(InputError, match="more than 50 events"):
        run_events(np.array([[30.0, 30.0]]), [(0.0, 0)], EventNeurons(), 1e4, most_events=50)
    with pytest.raises(InputError, match=r"not in 0\.\.0"):
        run_events(np.array([[1.0, 0.0]]), [(0.0, 1)], EventNeurons(), 10.0)
    silent = run_events(np.array([[0.1, 0.0]]), [(0.0, 0)], EventNeurons(), 100.0)
    assert isinstance(silent, Events) and silent.of(0).size == 0

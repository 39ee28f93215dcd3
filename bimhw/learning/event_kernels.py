"""Compiled loops of EventProp; `bimhw.learning.event_prop` has the equations."""

from __future__ import annotations

import numba as nb
import numpy as np

_NEWTON_STEPS = 60


@nb.njit(cache=True, nogil=True, forceinline=True)
def next_spike(v: float, i: float, tau_m: float, tau_s: float, theta: float) -> float:
    """Return the time until V reaches theta, inf for never: V has one extremum, and rises towards it only while I > V."""
    if i <= v or i <= theta:  # V rises at most to what I is now
        return np.inf
    b = i * tau_s / (tau_s - tau_m)
    a = v - b
    if a * b >= 0:  # V is negative throughout
        return np.inf
    high = np.log(-a * tau_s / (b * tau_m)) / (1 / tau_m - 1 / tau_s)  # the top
    if a * np.exp(-high / tau_m) + b * np.exp(-high / tau_s) <= theta:
        return np.inf
    low, s = 0.0, 0.0
    for _ in range(_NEWTON_STEPS):  # V is concave until its top: Newton from below, held between the bounds
        slow, fast = a * np.exp(-s / tau_m), b * np.exp(-s / tau_s)
        f = slow + fast - theta
        if f < 0:
            low = s
        else:
            high = s
        slope = -slow / tau_m - fast / tau_s
        then = s - f / slope if slope > 0 else np.inf
        if not low < then < high:
            then = (low + high) / 2
        if then == s:
            break
        s = then
    return s


@nb.njit(cache=True, nogil=True, forceinline=True)
def _flow(v, i, wait, tau_m, tau_s):  # type: ignore[no-untyped-def]
    slow, fast, c = np.exp(-wait / tau_m), np.exp(-wait / tau_s), tau_s / (tau_s - tau_m)
    for k in range(v.size):
        b = i[k] * c
        v[k] = (v[k] - b) * slow + b * fast
        i[k] *= fast


@nb.njit(cache=True, nogil=True)
def run_kernel(weights, inputs, tau_m, tau_s, theta, end, times, sources, slopes, sizes):  # type: ignore[no-untyped-def]
    """Run from rest over inputs [S, 3] in their order; write the events and return their number, -1 where they are too many.

    Args:
        weights: W [N, M + N].
        inputs: (time, input, size) each.
        tau_m, tau_s, theta: constants.
        end: time to stop at.
        times, sources, slopes, sizes: of each event, written.
    """
    n, m = weights.shape[0], weights.shape[1] - weights.shape[0]
    v, i, due, stale = np.zeros(n), np.zeros(n), np.full(n, np.inf), np.zeros(n, np.bool_)
    now, count, first = 0.0, 0, 0
    while True:
        who, at = -1, np.inf
        for k in range(n):
            if due[k] < at:
                who, at = k, due[k]
        arriving = inputs[first, 0] if first < len(inputs) else np.inf
        if min(at, arriving) > end:
            return count
        if count == len(times):
            return -1
        _flow(v, i, min(at, arriving) - now, tau_m, tau_s)
        if at < arriving:
            now, source, size, slope = at, m + who, 1.0, i[who] - theta
            v[who] = 0.0
        else:
            now, source, size, slope = arriving, int(inputs[first, 1]), inputs[first, 2], 0.0
            first += 1
        times[count], sources[count], slopes[count], sizes[count] = now, source, slope, size
        count += 1
        more = first < len(inputs) and inputs[first, 0] == now  # nothing happens between inputs of one time
        for k in range(n):
            stale[k] = stale[k] or weights[k, source] != 0 or k == source - m
            i[k] += size * weights[k, source]
            if stale[k] and not more:
                due[k], stale[k] = now + next_spike(v[k], i[k], tau_m, tau_s, theta), False


@nb.njit(cache=True, nogil=True)
def gradient_kernel(weights, times, sources, slopes, sizes, by_time, tau_m, tau_s, theta, end):  # type: ignore[no-untyped-def]
    """Return dL/dW [N, M + N] from the events of a run and dL/dt of each."""
    n, m = weights.shape[0], weights.shape[1] - weights.shape[0]
    grad, lam_v, lam_i, now = np.zeros_like(weights), np.zeros(n), np.zeros(n), end
    c = tau_m / (tau_m - tau_s)
    for e in range(times.size - 1, -1, -1):
        source, own = sources[e], sources[e] - m
        slow, fast = np.exp(-(now - times[e]) / tau_m), np.exp(-(now - times[e]) / tau_s)
        now, down = times[e], by_time[e]
        for k in range(n):
            lam_i[k] = c * lam_v[k] * slow + (lam_i[k] - c * lam_v[k]) * fast
            lam_v[k] *= slow
            grad[k, source] -= tau_s * sizes[e] * lam_i[k]
            down += weights[k, source] * (lam_v[k] - lam_i[k])
        if own >= 0:
            lam_v[own] += (down + theta * lam_v[own]) / slopes[e]
    return grad

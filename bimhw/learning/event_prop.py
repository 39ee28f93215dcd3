"""EventProp: the exact gradient of spike times in a network of leaky integrate-and-fire neurons, event by event.

    tau_m dV/dt = -V + I,   tau_s dI/dt = -I
    a spike of source i:                I <- I + W[:, i]
    V_n reaches theta from below:       neuron n spikes, V_n <- 0

Sources are the inputs and then the neurons, so W [N, M + N] holds layers and recurrence alike. Between events V and I are sums
of two exponentials, and so are the adjoints; nothing is discretised. Backwards in time (' is d/d(-t))::

    tau_m lambda_V' = -lambda_V,   tau_s lambda_I' = -lambda_I + lambda_V
    at a spike of neuron n at time t, with the slope D = tau_m dV_n/dt before it:
        lambda_V,n <- lambda_V,n + (theta lambda_V,n + W[:, M + n] . (lambda_V - lambda_I) + dL/dt) / D
    dL/dW[:, i] = -tau_s sum over the spikes of source i of lambda_I

Source: Wunderlich and Pehle, Scientific Reports 11:12829 (2021). Cost: one pass over the events each way; a spike keeps its
source, its time and D.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from simulator.base.errors import InputError

Floats = npt.NDArray[np.float64]
_NEWTON_STEPS = 60


class EventNeurons(msgspec.Struct, frozen=True):
    """Constants of the neurons; times in any one unit.

    Attributes:
        tau_m, tau_s: of the membrane and of the synaptic current; not equal.
        theta: threshold.
    """

    tau_m: float = 20.0
    tau_s: float = 5.0
    theta: float = 1.0

    def __post_init__(self) -> None:
        for name in ("tau_m", "tau_s", "theta"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"EventNeurons: {name}", f"is {getattr(self, name)}", "Give a number above 0")
        if abs(self.tau_m - self.tau_s) < 1e-6 * self.tau_m:
            raise InputError("EventNeurons: tau_m", f"equals tau_s, {self.tau_s}", "Give different time constants")


@dataclass(frozen=True, eq=False)
class Events:
    """Spikes of a run in their order.

    Attributes:
        times: [K].
        sources: [K], inputs 0..M-1, neuron n is M + n.
        slopes: [K], tau_m dV/dt of a neuron just before its spike; 0 for an input.
        n_in: M.
        end: time at which the run ended.
    """

    times: Floats
    sources: npt.NDArray[np.int64]
    slopes: Floats
    n_in: int
    end: float

    def of(self, neuron: int) -> Floats:
        """Return the spike times of a neuron."""
        times: Floats = self.times[self.sources == self.n_in + neuron]
        return times


def run_events(
    weights: Floats, spikes: npt.ArrayLike, neurons: EventNeurons, end: float, most_events: int = 100_000
) -> Events:
    """Run a network from rest until a time.

    Args:
        weights: W [N, M + N].
        spikes: input spikes [S, 2], (time, input) each, in any order.
        neurons: constants.
        end: time to stop at.
        most_events: more are refused.

    Raises:
        InputError: shapes that do not fit, an input that is not there, more events than `most_events`.
    """
    n, m = weights.shape[0], weights.shape[1] - weights.shape[0]
    given = np.asarray(spikes, np.float64).reshape(-1, 2)
    if m < 0 or not np.isfinite(weights).all() or not np.isfinite(given).all():
        raise InputError("weights", f"have the shape {weights.shape} or are not finite", "Give [N, inputs + N]")
    if given.size and not (given[:, 0].min() >= 0 and given[:, 1].min() >= 0 and given[:, 1].max() < m):
        raise InputError("spikes", f"are before 0 or of an input that is not in 0..{m - 1}", "Correct them")
    queue = [row for row in given[np.argsort(given[:, 0], kind="stable")].tolist() if row[0] <= end]
    v, i, now, out = np.zeros(n), np.zeros(n), 0.0, list[tuple[float, int, float]]()
    while True:
        wait = np.array([_crossing(float(v[k]), float(i[k]), neurons) for k in range(n)])
        first = int(wait.argmin()) if n else 0
        at = now + wait[first] if n else np.inf
        arriving = queue[0][0] if queue else np.inf
        if min(at, arriving) > end:
            break
        if len(out) == most_events:
            raise InputError("network", f"has more than {most_events:,} events until {end:g}", "Lower the weights")
        if at < arriving:
            v, i = _flow(v, i, wait[first], neurons)
            out.append((at, m + first, float(i[first] - neurons.theta)))
            v[first], now = 0.0, at
        else:
            v, i = _flow(v, i, arriving - now, neurons)
            out.append((arriving, int(queue.pop(0)[1]), 0.0))
            now = arriving
        i = i + weights[:, out[-1][1]]
    times, sources, slopes = (np.array([e[k] for e in out]) for k in range(3))
    return Events(times.astype(float), sources.astype(np.int64), slopes.astype(float), m, end)


def event_gradient(weights: Floats, events: Events, by_time: Floats, neurons: EventNeurons) -> Floats:
    """Return dL/dW [N, M + N] of a loss of spike times.

    Args:
        weights: W of the run.
        events: from `run_events`.
        by_time: dL/dt of each event, [K]; that of an input spike does not count.
        neurons: constants of the run.
    """
    n, m = weights.shape[0], events.n_in
    grad, lam_v, lam_i, now = np.zeros_like(weights), np.zeros(n), np.zeros(n), events.end
    c = neurons.tau_m / (neurons.tau_m - neurons.tau_s)
    for k in range(events.times.size - 1, -1, -1):
        time, source = float(events.times[k]), int(events.sources[k])
        slow, fast = (np.exp(-(now - time) / tau) for tau in (neurons.tau_m, neurons.tau_s))
        lam_v, lam_i, now = lam_v * slow, c * lam_v * slow + (lam_i - c * lam_v) * fast, time
        grad[:, source] -= neurons.tau_s * lam_i
        if source >= m:
            down = neurons.theta * lam_v[source - m] + weights[:, source] @ (lam_v - lam_i) + by_time[k]
            lam_v[source - m] += down / events.slopes[k]
    return grad


def first_spike_loss(events: Events, outputs: list[int], label: int, tau: float) -> tuple[float, Floats]:
    """Return the cross-entropy of softmax(-t / tau) over the first spikes of output neurons, and its dL/dt [K].

    A neuron that is silent counts as one that spikes at the end, where no gradient reaches it.
    """
    at = np.full(len(outputs), -1)
    for k, neuron in enumerate(outputs):
        found = np.flatnonzero(events.sources == events.n_in + neuron)
        at[k] = found[0] if found.size else -1
    times = np.array([events.times[k] if k >= 0 else events.end for k in at])
    score = -(times - times.min()) / tau
    p = np.exp(score) / np.exp(score).sum()
    by_time = np.zeros(events.times.size)
    by_time[at[at >= 0]] = ((np.arange(len(outputs)) == label) - p)[at >= 0] / tau
    return -float(np.log(p[label])), by_time


def _flow(v: Floats, i: Floats, wait: float, neurons: EventNeurons) -> tuple[Floats, Floats]:
    b = i * neurons.tau_s / (neurons.tau_s - neurons.tau_m)
    slow, fast = np.exp(-wait / neurons.tau_m), np.exp(-wait / neurons.tau_s)
    return (v - b) * slow + b * fast, i * fast


def _crossing(v: float, i: float, neurons: EventNeurons) -> float:
    """Return the time until V reaches theta, inf for never: V has one extremum, and rises towards it only while I > V."""
    if i <= v or i <= neurons.theta:  # V rises at most to what I is now
        return np.inf
    tau_m, tau_s, theta = neurons.tau_m, neurons.tau_s, neurons.theta
    b = i * tau_s / (tau_s - tau_m)
    a = v - b
    if a * b >= 0:  # V is negative throughout
        return np.inf
    top = float(np.log(-a * tau_s / (b * tau_m)) / (1 / tau_m - 1 / tau_s))
    if a * np.exp(-top / tau_m) + b * np.exp(-top / tau_s) <= theta:
        return np.inf
    low, high, s = 0.0, top, 0.0
    for _ in range(_NEWTON_STEPS):  # V is concave until its top: Newton from below, held between the bounds
        slow, fast = a * float(np.exp(-s / tau_m)), b * float(np.exp(-s / tau_s))
        f = slow + fast - theta
        low, high = (s, high) if f < 0 else (low, s)
        slope = -slow / tau_m - fast / tau_s
        then = s - f / slope if slope > 0 else np.inf
        then = then if low < then < high else (low + high) / 2
        if then == s:
            break
        s = then
    return s

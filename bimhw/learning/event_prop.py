"""EventProp: the exact gradient of spike times in a network of leaky integrate-and-fire neurons, event by event.

    tau_m dV/dt = -V + I,   tau_s dI/dt = -I
    a spike of source i and size s:     I <- I + s W[:, i]              s = 1 but for inputs
    V_n reaches theta from below:       neuron n spikes, V_n <- 0

Sources are the inputs and then the neurons, so W [N, M + N] holds layers and recurrence alike. Between events V and I are sums
of two exponentials, and so are the adjoints; nothing is discretised. Backwards in time (' is d/d(-t))::

    tau_m lambda_V' = -lambda_V,   tau_s lambda_I' = -lambda_I + lambda_V
    at a spike of neuron n at time t, with the slope D = tau_m dV_n/dt before it:
        lambda_V,n <- lambda_V,n + (theta lambda_V,n + W[:, M + n] . (lambda_V - lambda_I) + dL/dt) / D
    dL/dW[:, i] = -tau_s sum over the spikes of source i of s lambda_I

Source: Wunderlich and Pehle, Scientific Reports 11:12829 (2021). Cost: one pass over the events each way; a spike keeps its
source, its time, its size and D.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from bimhw.learning.event_kernels import gradient_kernel, run_kernel
from simulator.base.arrays import I64, Floats
from simulator.base.errors import InputError


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
        sizes: [K], of an input what it multiplies its weights by; 1 of a neuron.
        n_in: M.
        end: time at which the run ended.
    """

    times: Floats
    sources: I64
    slopes: Floats
    sizes: Floats
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
        spikes: input spikes [S, 2] or [S, 3], (time, input) or (time, input, size) each, in any order.
        neurons: constants.
        end: time to stop at.
        most_events: more are refused.

    Raises:
        InputError: shapes that do not fit, an input that is not there, more events than `most_events`.
    """
    w = np.asarray(weights, np.float64)
    m = w.shape[1] - w.shape[0]
    times, slopes, sizes, sources = *(np.empty(most_events) for _ in range(3)), np.empty(most_events, np.int64)
    constants = (float(neurons.tau_m), float(neurons.tau_s), float(neurons.theta))
    count = run_kernel(w, _inputs(w, spikes, m, end), *constants, float(end), times, sources, slopes, sizes)
    if count < 0:
        raise InputError("network", f"has more than {most_events:,} events until {end:g}", "Lower the weights")
    at, slope, size = (part[:count].copy() for part in (times, slopes, sizes))
    return Events(at, sources[:count].copy(), slope, size, m, float(end))


def _inputs(weights: Floats, spikes: npt.ArrayLike, m: int, end: float) -> Floats:
    """Return the checked input spikes until the end in their order, [S, 3]."""
    given = np.asarray(spikes, np.float64)
    given = given.reshape(-1, given.shape[-1] if given.ndim == 2 and given.size else 2)
    if given.shape[1] not in (2, 3):
        raise InputError("spikes", f"have the shape {given.shape}", "Give [S, 2] or [S, 3]")
    if m < 0 or not np.isfinite(weights).all() or not np.isfinite(given).all():
        raise InputError("weights", f"have the shape {weights.shape} or are not finite", "Give [N, inputs + N]")
    if given.size and not (given[:, 0].min() >= 0 and given[:, 1].min() >= 0 and given[:, 1].max() < m):
        raise InputError("spikes", f"are before 0 or of an input that is not in 0..{m - 1}", "Correct them")
    if given.shape[1] == 2:
        given = np.column_stack([given, np.ones(len(given))])
    return given[np.argsort(given[:, 0], kind="stable")][: np.count_nonzero(given[:, 0] <= end)]


def event_gradient(weights: Floats, events: Events, by_time: Floats, neurons: EventNeurons) -> Floats:
    """Return dL/dW [N, M + N] of a loss of spike times.

    Args:
        weights: W of the run.
        events: from `run_events`.
        by_time: dL/dt of each event, [K]; that of an input spike does not count.
        neurons: constants of the run.
    """
    of = (events.times, events.sources, events.slopes, events.sizes, np.asarray(by_time, np.float64))
    constants = (float(neurons.tau_m), float(neurons.tau_s), float(neurons.theta))
    grad: Floats = gradient_kernel(np.asarray(weights, np.float64), *of, *constants, float(events.end))
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

"""The weight update against spike-time difference (section 4.6 of the BIM paper), measured.

(a) One synapse, one BIM-D neuron, one pre spike, one forced post spike with an error signal of -1 at it: the update of W_in is
lambda E^V- + (1-lambda) kappa Omega, with kappa = rms(E) / rms(Omega) over the lags. (b) A trained network: mean
|eligibility| and |update| over synapses at post spikes, by the lag since the synapse's latest pre spike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.traces import LayerTraces
from bimhw.learning.rules.stdp import StdpSettings
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.tasks.base import Split, Task
from simulator.base.arrays import I64, Floats
from simulator.base.errors import InputError


@dataclass(frozen=True)
class Fit:
    """ln |dw| = log_start - lag / tau by least squares over lags ``first`` .. the last."""

    first: int
    tau: float
    r2: float
    log_start: float = math.nan


@dataclass(frozen=True, eq=False)
class Curve:
    """An update against lag (t_post - t_pre), with its exponential fits (all lags >= 0, and from the peak)."""

    name: str
    lags: I64
    update: Floats
    fit: Fit
    from_peak: Fit

    def facts(self) -> dict[str, object]:
        """Return JSON-able facts."""
        fits = {
            k: {"first_lag": f.first, "tau": f.tau, "r2": f.r2}
            for k, f in (("fit", self.fit), ("from_peak", self.from_peak))
        }
        return {"name": self.name, "lags": self.lags.tolist(), "update": self.update.tolist(), **fits}


@torch.no_grad()
def pairing(config: BimConfig, delta: float = 0.1, direct: float = 1.0, longest: int = 30) -> Floats:
    """Return E^V- of W_in at a post spike, for lags -longest .. longest (0 exactly where the post spike comes first).

    Args:
        config: kernel and time constants (one input, one neuron are used).
        delta: the neuron's Delta; 1/delta is its time constant.
        direct: D.
        longest: largest lag.
    """
    if not 0 < delta < math.inf:
        raise InputError("delta", f"is {delta!r}, must be positive", "It is the step of the selective state, e.g. 0.1")
    net = BimNet(config).double()
    layer = net.layer(0)
    for name, value in (("w_in", 0.0), ("w_delta", 0.0), ("w_c", 0.0), ("b_c", 1.0), ("d", direct)):
        layer.get_parameter(name).fill_(value)
    layer.get_parameter("b_delta").fill_(math.log(math.expm1(delta)))
    out = np.zeros(2 * longest + 1)
    traces = LayerTraces(layer, 1, keep_v_pre=True)
    state = net.initial_state(1)
    for lag in range(longest + 1):  # the pre spike at step 0, the post spike at step `lag`
        u = torch.full((1, 1), float(lag == 0), dtype=torch.float64)
        _, state, records = net.step(u, state)
        traces.advance(u, records[0])
        out[longest + lag] = float(traces.ev_pre[0, 0, 0])
    return out


def window(
    config: BimConfig | None = None,
    lambdas: tuple[float, ...] = (1.0, 0.9, 0.5, 0.1),
    delta: float = 0.1,
    direct: float = 1.0,
    stdp: StdpSettings | None = None,
    longest: int = 30,
) -> list[Curve]:
    """Return the curves of part (a), one for each lambda."""
    config = config or pairing_config()
    lags = np.arange(-longest, longest + 1)
    eligibility, omega = pairing(config, delta, direct, longest), (stdp or StdpSettings()).window(lags)
    kappa = math.sqrt(float(np.mean(eligibility**2) / np.mean(omega**2)))
    curves = []
    for lam in lambdas:
        if not 0 <= lam <= 1:
            raise InputError("lambda", f"is {lam}, must be in [0, 1]")
        update = lam * eligibility + (1 - lam) * kappa * omega
        curves.append(curve(f"lambda={lam:g}", lags, update))
    return curves


def pairing_config(psp: str = "alpha", tau_m: float = 5.0, tau_s: float = 2.0) -> BimConfig:
    """Return a config of one input, one neuron."""
    options = {"psp": psp, "tau_m": tau_m, "tau_s": tau_s}
    return BimConfig(n_in=1, hidden=(1,), n_out=2, **options)  # type: ignore[arg-type]


def curve(name: str, lags: I64, update: Floats) -> Curve:
    """Return a curve with its fits over the lags >= 0."""
    later = lags >= 0
    peak = int(np.argmax(np.abs(update[later])))
    return Curve(name, lags, update, fit(lags[later], update[later], 0), fit(lags[later], update[later], peak))


def fit(lags: I64, update: Floats, first: int) -> Fit:
    """Fit an exponential from lag index ``first``; tau infinite or negative where there is no decay."""
    use = (np.arange(len(lags)) >= first) & (np.abs(update) > 0)
    if use.sum() < 3:
        return Fit(first, math.nan, math.nan)
    x, y = lags[use].astype(np.float64), np.log(np.abs(update[use]))
    slope, offset = np.polyfit(x, y, 1)
    spread = float(np.sum((y - y.mean()) ** 2))
    r2 = 1 - float(np.sum((y - slope * x - offset) ** 2)) / spread if spread else 1.0
    return Fit(first, -1 / float(slope) if slope else math.inf, r2, float(offset))


def verdict(curves: list[Curve]) -> str:
    """State what may be said of 'exponential decay resembling the STDP window'."""
    out = []
    for c in curves:
        before = np.abs(c.update[c.lags < 0]).max(initial=0.0)
        side = (
            "one-sided (exactly 0 where the post spike comes first)"
            if before == 0
            else "two-sided through the STDP term"
        )
        out.append(
            f"{c.name}: {side}; from its peak at lag {c.from_peak.first} it decays with tau {c.from_peak.tau:.1f}"
            f" (R2 {c.from_peak.r2:.3f})"
        )
    return "\n".join(
        [
            *out,
            "The decay is set by the kernels (membrane, synapse, state), not by the rule; only lambda < 1 gives depression.",
        ]
    )


LONGEST = 13  # lag of a trained network's curves, in steps


def bernoulli_digits(seed: int = 0) -> Task:
    """Return digits by rows as binary spikes with probability value/16."""
    from dataclasses import replace

    from bimhw.tasks.sources.digits import load

    task, rng = load(repeat=4), np.random.default_rng(seed)

    def spikes(split: Split) -> Split:
        return Split((rng.random(split.x.shape) < split.x / 16).astype(np.uint8), split.y)

    return replace(task, name="digits-bernoulli", input_scale=1.0, train=spikes(task.train), test=spikes(task.test))


@torch.no_grad()
def trained_window(
    net: BimNet,
    task: Task,
    sequences: int = 64,
    lambdas: tuple[float, ...] = (),
) -> list[Curve]:
    """Return curves of part (b): mean |E^f| and mean |delta E^f| of W_in of layer 1 at its post spikes, lags 0 .. 13.

    For each lambda below 1 also the hybrid rule's, the magnitudes of its two terms added, kappa from their root mean squares.
    """
    part = task.test.take(slice(0, sequences))
    learner, m = RtrlLearner(net, len(part)), net.config.fan_in(0)
    plain = [LayerTraces(net.layer(i), len(part)) for i in range(net.config.n_layers)]
    learner.traces = list(plain)
    x = torch.from_numpy(part.x.transpose(1, 0, 2).astype(np.float32)) * task.input_scale
    y, sums = torch.from_numpy(part.y), np.zeros((3, LONGEST + 1))
    since = torch.full((len(part), m), LONGEST + 1)
    for u, labelled in zip(x, task.loss_steps, strict=True):
        logits = learner.observe(u, None).logits
        since = torch.where(learner.inputs[0] != 0, 0, since + 1)
        if not labelled:
            continue
        error = torch.softmax(logits, -1) - torch.nn.functional.one_hot(y, logits.shape[1])
        delta = learner.credit.signals(error, y, 1.0, learner.records, learner.state.layers)[0]
        _collect(sums, plain[0].ef[..., :m].abs(), delta.abs(), learner.records[0].s, since)
    lags, count = np.arange(LONGEST + 1), np.maximum(sums[2], 1)
    update, omega = sums[1] / count, StdpSettings().window(lags)
    kappa = math.sqrt(float(np.mean(update**2) / np.mean(omega**2)))
    mixed = [
        curve(f"|update|, lambda={lam:g}", lags, lam * update + (1 - lam) * kappa * omega) for lam in lambdas if lam < 1
    ]
    return [curve("|eligibility|", lags, sums[0] / count), curve("|update|, lambda=1", lags, update), *mixed]


def trained_verdict(curves: list[Curve]) -> str:
    """State what may be said of a trained network's curves."""
    said = "; ".join(f"{c.name} tau {c.from_peak.tau:.1f} (R2 {c.from_peak.r2:.3f})" for c in curves)
    return (
        f"Trained network, lags to the latest pre spike: {said}.\n"
        "Magnitudes only, their sign is the error's. Inputs that stay on for several steps lengthen tau beyond the kernels'."
    )


def _collect(sums: Floats, e: torch.Tensor, delta: torch.Tensor, s: torch.Tensor, since: torch.Tensor) -> None:
    fired = (s > 0)[..., None] & (since[:, None, :] < sums.shape[1])
    lag = since[:, None, :].expand_as(e)[fired].numpy()
    n = sums.shape[1]
    sums[0] += np.bincount(lag, e[fired].numpy(), n)
    sums[1] += np.bincount(lag, (e * delta[..., None])[fired].numpy(), n)
    sums[2] += np.bincount(lag, minlength=n)

"""Learning rules beside Brian2: the weights of a random pairing, changed at every step, here and as Brian2 synapses.

Here: `bimhw.learning.rules.hybrid.Hybrid` on a layer's W_in. There: `Synapses` whose traces are event-driven
differential equations and
whose pathways collect Omega. Brian2 runs the pre pathway before the post pathway of a step, so that a pre spike meets the post
trace without the step's own spike and a post spike meets the pre trace with it: a tie potentiates, as W(0) = A+ demands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from bimhw.evidence.crosscheck.brian import STEP_MS, brian_scope
from bimhw.learning.rules.hybrid import Hybrid, clip_inputs
from bimhw.learning.rules.stdp import StdpSettings
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from simulator.base.arrays import Floats
from simulator.base.errors import InputError
from simulator.base.shown import Shown

Rule = Literal["stdp", "stdp-nearest", "hybrid", "hybrid-nearest"]
RULES: tuple[Rule, ...] = ("stdp", "stdp-nearest", "hybrid", "hybrid-nearest")
TOLERANCE = 1e-9
_NAME = "layers.0.w_in"


@dataclass(frozen=True, eq=False)
class Pairing:
    """One experiment: ``w <- clip(w - eta (lam g - (1 - lam) kappa Omega), -w_max, w_max)`` at each of T steps.

    Attributes:
        rule: its name.
        stdp: the window.
        lam: lambda; 0 is STDP alone.
        kappa: scale of Omega.
        eta: learning rate.
        w_max: hard bound.
        pre: values of the pre spikes [T, M], 0 none (graded spikes count with their value).
        post: post spikes [T, H], 0 or 1.
        signal: the gradient g [T, H, M].
        start: first weights [H, M].
    """

    rule: str
    stdp: StdpSettings
    lam: float
    kappa: float
    eta: float
    w_max: float
    pre: Floats
    post: Floats
    signal: Floats
    start: Floats


@dataclass(frozen=True, repr=False)
class LearningCheck(Shown):
    """Distance of two weight trajectories.

    Attributes:
        rule: the rule.
        steps: steps compared.
        synapses: weights of each step.
        ties: pre and post spikes of a synapse in one step.
        moved: largest change of a weight from its start.
        at_bound: share of the values that lie on a bound.
        difference: largest difference of a weight over all steps.
    """

    rule: str
    steps: int
    synapses: int
    ties: int
    moved: float
    at_bound: float
    difference: float

    @property
    def equal(self) -> bool:
        """True if the trajectories agree to `TOLERANCE`."""
        return self.difference <= TOLERANCE


def random_pairing(rule: Rule, seed: int = 0, steps: int = 1000, n_pre: int = 8, n_post: int = 6) -> Pairing:
    """Draw trains, gradients, window and rates; every other pre neuron sends graded spikes.

    Raises:
        InputError: an unknown rule, or a size below 1.
    """
    if rule not in RULES:
        raise InputError("rule", f"is {rule!r}", f"Known: {', '.join(RULES)}")
    for name, value in (("steps", steps), ("n_pre", n_pre), ("n_post", n_post)):
        if value < 1:
            raise InputError(name, f"is {value}, must be at least 1", "Give a positive number")
    rng = np.random.default_rng(seed)
    pairing: Literal["all", "nearest"] = "nearest" if rule.endswith("nearest") else "all"
    plus, minus, tau_plus, tau_minus = (float(v) for v in rng.uniform([0.5, 0.5, 2, 2], [1.5, 1.5, 20, 20]))
    stdp = StdpSettings(a_plus=plus, a_minus=minus, tau_plus=tau_plus, tau_minus=tau_minus, pairing=pairing)
    pre = (rng.random((steps, n_pre)) < rng.uniform(0.02, 0.3, n_pre)).astype(np.float64)
    pre[:, ::2] *= rng.uniform(0.25, 2, pre[:, ::2].shape)
    post = (rng.random((steps, n_post)) < rng.uniform(0.02, 0.3, n_post)).astype(np.float64)
    signal, start = rng.normal(size=(steps, n_post, n_pre)), rng.uniform(-0.5, 0.5, (n_post, n_pre))
    lam = float(rng.uniform(0.2, 0.8)) if rule.startswith("hybrid") else 0.0
    kappa = float(rng.uniform(0.5, 2)) if lam else 1.0
    return Pairing(rule, stdp, lam, kappa, 0.01, 0.75, pre, post, signal, start)


@torch.no_grad()
def our_weights(pairing: Pairing) -> Floats:
    """Compute the weights after each step [T, H, M] by `Hybrid` and `clip_inputs`, in doubles."""
    p = pairing
    config = BimConfig(n_in=p.pre.shape[1], hidden=(p.post.shape[1],), n_out=2)
    net = BimNet(config, 0).double()
    weight = net.layer(0).get_parameter("w_in")
    weight.copy_(torch.from_numpy(p.start))
    hybrid = Hybrid(net, 1, p.lam, p.stdp, p.kappa)
    pre, post, signal = (torch.from_numpy(a) for a in (p.pre, p.post, p.signal))
    out = np.empty_like(p.signal)
    for t in range(len(out)):
        hybrid.observe([pre[t : t + 1]], [post[t : t + 1]])
        weight.sub_(hybrid.combine({_NAME: signal[t]})[_NAME], alpha=p.eta)
        clip_inputs(net, p.w_max)
        out[t] = weight.numpy()
    return out


_EQUATIONS = """
w : 1
omega : 1
da/dt = -a / tau_plus : 1 (event-driven)
db/dt = -b / tau_minus : 1 (event-driven)
"""
_ARRIVE = {"all": ("a += u_pre", "b += 1"), "nearest": ("a = u_pre", "b = 1")}


def brian_weights(pairing: Pairing, target: Literal["numpy", "cython"] = "numpy") -> Floats:
    """Compute the same weights [T, H, M] by Brian2.

    Raises:
        MissingExtraError: Brian2 is not installed.
    """
    p, n_pre = pairing, pairing.pre.shape[1]
    with brian_scope(target) as b2:
        dt = STEP_MS * b2.ms
        clock = b2.Clock(dt)
        groups = [_senders(b2, values, clock, dt) for values in (p.pre, p.post)]
        synapses = _synapses(b2, p, groups, clock, dt)
        monitor = b2.StateMonitor(synapses, "w", record=True, clock=clock, when="end")
        b2.Network(*groups, synapses, monitor).run(len(p.pre) * dt, namespace={})
        return np.asarray(monitor.w).T.reshape(-1, p.post.shape[1], n_pre).copy()


def _senders(b2: Any, values: Floats, clock: Any, dt: Any) -> Any:
    """Make neurons that send the given values; 0 is no spike."""
    namespace = {"values": b2.TimedArray(values, dt=dt)}
    n = values.shape[1]
    group = b2.NeuronGroup(n, "u : 1", threshold="u != 0", reset="", namespace=namespace, clock=clock)
    group.run_regularly("u = values(t, i)", clock=clock, when="groups")
    return group


def _synapses(b2: Any, p: Pairing, groups: list[Any], clock: Any, dt: Any) -> Any:
    (h, m), c = p.start.shape, p.stdp
    constants = {"a_plus": c.a_plus, "a_minus": c.a_minus, "tau_plus": c.tau_plus * dt, "tau_minus": c.tau_minus * dt}
    constants |= {"lam": p.lam, "kappa": p.kappa, "eta": p.eta, "w_max": p.w_max}
    constants["g"] = b2.TimedArray(p.signal.reshape(-1, h * m), dt=dt)
    a, b = _ARRIVE[c.pairing]
    synapses = b2.Synapses(
        *groups,
        _EQUATIONS,
        on_pre=f"{a}\nomega -= a_minus * u_pre * b",
        on_post=f"omega += a_plus * a\n{b}",
        namespace=constants,
        clock=clock,
    )
    synapses.connect(i=np.tile(np.arange(m), h), j=np.repeat(np.arange(h), m))
    synapses.w = p.start.ravel()
    synapses.run_regularly(
        f"w = clip(w - eta * (lam * g(t, j * {m} + i) - (1 - lam) * kappa * omega), -w_max, w_max)\nomega = 0",
        clock=clock,
        when="after_synapses",
    )
    return synapses


def compare_weights(pairing: Pairing, target: Literal["numpy", "cython"] = "numpy") -> LearningCheck:
    """Run a pairing in both.

    Raises:
        MissingExtraError: Brian2 is not installed.
    """
    theirs, ours = brian_weights(pairing, target), our_weights(pairing)
    return LearningCheck(
        rule=pairing.rule,
        steps=len(ours),
        synapses=ours[0].size,
        ties=int(((pairing.pre != 0).sum(1) * (pairing.post != 0).sum(1)).sum()),
        moved=float(np.abs(ours - pairing.start).max()),
        at_bound=float((np.abs(ours) == pairing.w_max).mean()),
        difference=float(np.abs(ours - theirs).max()),
    )


def cross_check_learning(
    steps: int = 1000,
    n_pre: int = 8,
    n_post: int = 6,
    seed: int = 0,
    target: Literal["numpy", "cython"] = "numpy",
) -> list[LearningCheck]:
    """Compare each of `RULES` on a random pairing with Brian2.

    Raises:
        InputError: a size below 1.
        MissingExtraError: Brian2 is not installed.
    """
    return [compare_weights(random_pairing(rule, seed, steps, n_pre, n_post), target) for rule in RULES]

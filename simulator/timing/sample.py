"""Sampled timing: some steps of a long run, drawn by strata, estimate the mean step without bias and say how well.

Under a barrier steps are independent of one another, so any of them can be timed alone. Steps are sorted by a cheap lower bound,
the mean work of a core, and cut into strata of equal size; n_h of the N_h steps of each are drawn at random and timed::

    mean = sum_h (N_h / T) mean_h        var = sum_h (N_h / T)^2 (1 - n_h / N_h) s_h^2 / n_h

with Student's t at Satterthwaite's degrees of freedom for the interval. Source: Cochran, Sampling Techniques, 3rd ed., ch. 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from simulator.base.arrays import I64, Bools, Floats
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.program.axons import axon_table
from simulator.program.faults import Faults
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.active import active_updates
from simulator.timing.expand import message_counts
from simulator.timing.plan import Plan, make_plan
from simulator.timing.run import Engine, TimingRun, run_timing

LEAST_STEPS = 40  # timed at least: below, an interval says little
_PER_STRATUM = 10
_CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class TimingSample:
    """Sample of timed steps, and the estimate from it.

    Attributes:
        steps: int64 [n], timed steps, ascending.
        of_steps: steps of the run, T.
        mean_ticks: estimated mean of a step.
        half_width_ticks: half of the confidence interval of the mean.
        confidence: of the interval.
    """

    steps: I64
    of_steps: int
    mean_ticks: float
    half_width_ticks: float
    confidence: float = _CONFIDENCE

    def as_json(self, tick_ns: float) -> dict[str, float | int]:
        """Return plain values, times in ns."""
        return {
            "steps_timed": int(self.steps.size),
            "of_steps": self.of_steps,
            "mean_step_ns": self.mean_ticks * tick_ns,
            "half_width_ns": self.half_width_ticks * tick_ns,
            "confidence": self.confidence,
        }

    @property
    def relative(self) -> float:
        """Half of the interval over the mean."""
        return self.half_width_ticks / self.mean_ticks if self.mean_ticks else 0.0


def sample_timing(
    program: Program,
    chip: Chip,
    spikes: SpikeTrain,
    share: float,
    engine: Engine = "compiled",
    *,
    seed: int = 0,
    threads: int = 1,
    learn_synapses: I64 | None = None,
    faults: Faults | None = None,
) -> tuple[TimingRun, TimingSample]:
    """Time a share of the steps of a run under a barrier.

    The run that comes back has every step: those that were timed with their own ticks, all others with the mean of their
    stratum, so that its sum is the estimate. Busy and stall ticks are scaled up; messages are counted, not estimated.

    Args:
        program, chip, spikes, engine, threads, learn_synapses, faults: as in `run_timing`.
        share: of the steps to time, in (0, 1]; at least `LEAST_STEPS` are timed.
        seed: of the draw; the same seed times the same steps, whatever the mapping of threads.

    Raises:
        InputError: a share that is none, and what `run_timing` raises.
    """
    if not 0 < share <= 1:
        raise InputError("timing sample", f"is {share:g}; it must be above 0 and at most 1", "Give, say, 1%")
    axons = axon_table(program)
    plan = make_plan(program, chip, None, axons)
    total = spikes.steps
    n = min(total, max(LEAST_STEPS, round(share * total)))
    strata = strata_of(work_of(plan, spikes), n)
    drawn = draw(strata, n, seed)
    chosen = np.sort(np.concatenate(drawn)) if drawn else np.zeros(0, np.int64)
    active = None if plan.uniform else _active(program, spikes, chosen)
    timed = run_timing(
        program, chip, _only(spikes, chosen), engine, threads=threads, axons=axons, faults=faults, active=active,
        learn_synapses=None if learn_synapses is None else learn_synapses[chosen],
    )  # fmt: skip
    ticks = np.zeros(total, np.int64)
    ticks[chosen] = timed.step_ticks
    mean, half = estimate(ticks, strata, drawn)
    filled = _filled(ticks, strata, drawn)
    up = total / max(1, chosen.size)
    whole = replace(
        timed,
        step_ticks=filled,
        messages=message_counts(plan, spikes),
        soma_busy_ticks=_scaled(timed.soma_busy_ticks, up),
        synapse_busy_ticks=_scaled(timed.synapse_busy_ticks, up),
        soma_stall_ticks=_scaled(timed.soma_stall_ticks, up),
        link_busy_ticks=_scaled(timed.link_busy_ticks, up),
    )
    return whole, TimingSample(chosen, total, mean, half)


def work_of(plan: Plan, spikes: SpikeTrain) -> Floats:
    """Return ticks of service, axon-out and spike work of each step over all cores: C times a lower bound of its time."""
    of_spike = np.zeros(plan.position.size)
    service = np.zeros(plan.srv.size + 1)
    np.cumsum(plan.srv, out=service[1:])
    sends = np.repeat(plan.out, np.diff(plan.base)) * np.diff(plan.ptr)
    of_spike[plan.neuron] = np.diff(service[plan.ptr]) + plan.spike + sends
    running = np.zeros(spikes.ids.size + 1)
    np.cumsum(of_spike[spikes.ids], out=running[1:])
    return np.diff(running[spikes.ptr])


def strata_of(work: Floats, n: int) -> list[I64]:
    """Sort steps by work and cut them into strata of equal size, about `_PER_STRATUM` drawn steps each."""
    count = max(1, n // _PER_STRATUM)
    return [part for part in np.array_split(np.argsort(work, kind="stable"), count) if part.size]


def draw(strata: list[I64], n: int, seed: int) -> list[I64]:
    """Draw about n steps without replacement, the same number of each stratum, at least two where it has them."""
    rng = np.random.Generator(np.random.Philox(seed))
    ends = np.linspace(0, n, len(strata) + 1).round().astype(int)
    sizes = np.diff(ends)
    return [
        np.sort(rng.choice(s, min(s.size, max(2, int(k))), replace=False)) for s, k in zip(strata, sizes, strict=True)
    ]


def estimate(ticks: I64, strata: list[I64], drawn: list[I64], confidence: float = _CONFIDENCE) -> tuple[float, float]:
    """Estimate the mean ticks of a step and half of its confidence interval, from the drawn steps of each stratum."""
    total = sum(s.size for s in strata)
    mean, variance, below = 0.0, 0.0, 0.0
    for stratum, chosen in zip(strata, drawn, strict=True):
        own, weight = ticks[chosen].astype(np.float64), stratum.size / total
        mean += weight * float(own.mean())
        if own.size > 1:
            part = weight**2 * (1 - own.size / stratum.size) * float(own.var(ddof=1)) / own.size
            variance += part
            below += part**2 / (own.size - 1)
    if variance <= 0:
        return mean, 0.0
    return mean, float(stdtrit(variance**2 / below, 0.5 + confidence / 2)) * float(np.sqrt(variance))


def _filled(ticks: I64, strata: list[I64], drawn: list[I64]) -> I64:
    """Fill in ticks of every step; those that were not timed share the mean of their stratum so that sums stay whole."""
    out = ticks.copy()
    for stratum, chosen in zip(strata, drawn, strict=True):
        rest = np.setdiff1d(stratum, chosen)
        sums = np.rint(np.arange(rest.size + 1) * float(ticks[chosen].mean()))
        out[rest] = np.diff(sums).astype(np.int64)
    return out


def _active(program: Program, spikes: SpikeTrain, chosen: I64) -> Bools:
    """Return who got input at the chosen steps, bool [n, N]; what earlier steps sent counts."""
    rows = [active_updates(program, spikes, int(t), int(t) + 1) for t in chosen]
    return np.concatenate(rows) if rows else np.zeros((0, program.n_neurons), bool)


def _only(spikes: SpikeTrain, chosen: I64) -> SpikeTrain:
    """Return the events of the chosen steps alone, one step after another."""
    ptr = np.zeros(chosen.size + 1, np.int64)
    np.cumsum(spikes.counts()[chosen], out=ptr[1:])
    at = np.repeat(spikes.ptr[chosen] - ptr[:-1], np.diff(ptr)) + np.arange(ptr[-1])
    return SpikeTrain(ptr, spikes.ids[at], None if spikes.payload is None else spikes.payload[at])


def _scaled(ticks: I64, factor: float) -> I64:
    scaled: I64 = np.rint(ticks * factor).astype(np.int64)
    return scaled

"""Objective of a mapping: time, energy, their product, cores or messages, on a sample of steps.

A sample of spikes does not depend on the mapping, so every candidate meets the same one. Its steps are timed by the compiled
engine, its counters charged by the chip's constants: the figures that `simulate` and `energy` give, on fewer steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Literal

import numba
import numpy as np

from energy_models.chip_energy import chip_energy
from energy_models.spread import UNKNOWN, trust
from energy_models.times import at_end, time_word
from mapping.problem import MappingProblem
from simulator.base.arrays import I32, I64, Bools
from simulator.base.errors import unknown_name
from simulator.chips.chip import Chip
from simulator.function.counting import Counter, Tally
from simulator.program.axons import AxonTable, axon_table
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain, window
from simulator.timing.active import active_updates
from simulator.timing.run import Engine, run_timing

Objective = Literal["time", "energy", "edp", "cores", "messages"]
DEFAULT: Objective = "edp"
SAMPLE_STEPS = 32
_MOST_EVENTS = 4_000_000  # synaptic events of a sample; large networks are judged on fewer steps
_LARGE, _FEWER_EVENTS = 4_000_000, 1_000_000  # pins from which a sample is smaller still
_LEAST_STEPS = 4


@dataclass(frozen=True)
class Score:
    """Figures of a mapped program on a sample, means over its steps.

    Attributes:
        cores: that hold a neuron.
        messages: packets a step that leave their core, the host's included.
        hops: of all packets.
        step_ns: time of a step; None where the chip publishes no times.
        energy_pj: known part of the energy of a step; None where nothing is known.
        bound: whether time (and the energy that it brings) is a lower bound, found without queueing.
        low_pj, high_pj: ends of the energy, at the nominal time; the high end lacks what nothing bounds.
        word: how far the energy can be trusted (docs/energy.md).
        low_ns, high_ns: time with all times of the chip file at either end; None before `Judge.ranged`.
        time_word: how far the time can be trusted.
    """

    cores: int
    messages: float
    hops: float
    step_ns: float | None
    energy_pj: float | None
    bound: bool = False
    low_pj: float | None = None
    high_pj: float | None = None
    word: str = UNKNOWN
    low_ns: float | None = None
    high_ns: float | None = None
    time_word: str = UNKNOWN

    @property
    def edp(self) -> float | None:
        """Energy-delay product of a step in pJ ns; the one factor that is known where the other is not."""
        if self.step_ns is None or self.energy_pj is None:
            return self.energy_pj if self.step_ns is None else self.step_ns
        return self.step_ns * self.energy_pj

    def as_json(self) -> dict[str, float | int | str | None]:
        """Return plain values; ``lower_bound`` stands among them where the time was only bounded."""
        mark: dict[str, float | int | str | None] = {"lower_bound": True} if self.bound else {}
        return mark | {
            "cores": self.cores,
            "messages_per_step": self.messages,
            "hops_per_step": self.hops,
            "step_ns": self.step_ns,
            "step_low_ns": self.low_ns,
            "step_high_ns": self.high_ns,
            "time_word": self.time_word,
            "energy_pj_per_step": self.energy_pj,
            "energy_low_pj_per_step": self.low_pj,
            "energy_high_pj_per_step": self.high_pj,
            "word": self.word,
        }


def _first_known(*values: float | None) -> tuple[float, ...]:
    return tuple(v for v in values if v is not None)


_COSTS: Mapping[str, Callable[[Score], tuple[float, ...]]] = {
    "time": lambda s: _first_known(s.step_ns, s.energy_pj, s.messages),
    "energy": lambda s: _first_known(s.energy_pj, s.step_ns, s.messages),
    "edp": lambda s: _first_known(s.edp, s.messages),
    "cores": lambda s: (s.cores, *_first_known(s.edp, s.messages)),
    "messages": lambda s: (s.messages, s.hops),
}
OBJECTIVES = tuple(_COSTS)


def cost(score: Score, objective: str) -> tuple[float, ...]:
    """Order scores by an objective: smaller is better, later entries break ties.

    Raises:
        InputError: an objective that does not exist.
    """
    if objective not in _COSTS:
        raise unknown_name("objective", objective, OBJECTIVES)
    return _COSTS[objective](score)


class Judge:
    """Scores programs of one problem on one sample of spikes.

    Args:
        problem: network, chip and rates.
        spikes: events of some steps of the whole network (logical ids, inputs included), as a run of it gave them; by
            default drawn from the rates, each neuron for itself.
        seed: of the draw.
    """

    def __init__(self, problem: MappingProblem, spikes: SpikeTrain | None = None, seed: int = 0) -> None:
        self.chip = problem.chip
        steps = sample_steps(problem)
        self.spikes = draw_spikes(problem, steps, seed) if spikes is None else _last_steps(spikes, steps)
        self._active: Bools | None = None
        self._once = Lock()  # candidates are judged by several threads

    def __call__(self, program: Program, bound: bool = False) -> Score:
        """Score a program of the problem's network; with `bound`, by the least time that its steps can take."""
        axons = axon_table(program)
        counter = Counter(program, self.chip.topology, axons)
        active = self._active_updates(program)
        by_step, by_neuron = active.sum(axis=1, dtype=np.int64), active.sum(axis=0, dtype=np.int64)
        none = np.zeros_like(by_step)
        rest = np.zeros_like(by_neuron), none  # the same for every mapping, so a candidate is charged every update
        tally = Tally(by_neuron, by_step, np.zeros_like(by_neuron), none, resting=rest)
        activity = counter.activity(self.spikes, tally)
        steps = max(1, self.spikes.steps)
        time = None if self.chip.timing is None else self._time(program, active, axons, bound)
        report = chip_energy(replace(activity, sim_time_ns=time), self.chip, program)
        energy, known = report.energy_pj(), report.energy_pj() > 0
        hops = sum(activity.total(k) for k in ("hops_ew", "hops_ns", "hops_chip", "hops_board"))
        return Score(
            cores=activity.cores_used,
            messages=_remote(program, self.spikes, axons) / steps,
            hops=hops / steps,
            step_ns=None if time is None else time / steps,
            energy_pj=energy / steps if known else None,
            bound=bound and time is not None,
            low_pj=report.low_pj() / steps if known else None,
            high_pj=report.high_pj() / steps if known else None,
            word=trust(report.items),
            time_word=time_word(self.chip, program, learns=False),
        )

    def ranged(self, program: Program, score: Score) -> Score:
        """Return a program's score with both ends of its time; of a lower bound, with its low end only."""
        if score.step_ns is None:
            return score
        axons, active, steps = axon_table(program), self._active_updates(program), max(1, self.spikes.steps)
        ends = [
            None if high and score.bound
            else self._time(program, active, axons, score.bound, at_end(self.chip, high)) / steps
            for high in (False, True)
        ]  # fmt: skip
        return replace(score, low_ns=ends[0], high_ns=ends[1])

    def _time(
        self, program: Program, active: Bools, axons: AxonTable, bound: bool, chip: Chip | None = None
    ) -> float:  # fmt: skip
        given = active if active.any() else None
        engine: Engine = "bound" if bound else "compiled"
        return run_timing(program, chip or self.chip, self.spikes, engine, active=given, axons=axons).sim_time_ns

    def _active_updates(self, program: Program) -> Bools:
        """Return who got input, bool [T, N]; the same for every mapping, and only where the chip tells the difference."""
        with self._once:
            return self._known_active(program)

    def _known_active(self, program: Program) -> Bools:
        if self._active is None:
            if _tells_active(self.chip):
                self._active = active_updates(program, self.spikes, 0, self.spikes.steps)
            else:
                self._active = np.zeros((self.spikes.steps, program.n_neurons), bool)
        return self._active


def sample_steps(problem: MappingProblem) -> int:
    """Return the steps of a sample: `SAMPLE_STEPS`, fewer for networks with many synaptic events a step."""
    graph = problem.graph
    events = float(graph.rate @ np.diff(graph.ptr))
    most = _MOST_EVENTS if graph.pins.size < _LARGE else _FEWER_EVENTS
    return int(np.clip(most / max(events, 1.0), _LEAST_STEPS, SAMPLE_STEPS))


def draw_spikes(problem: MappingProblem, steps: int, seed: int) -> SpikeTrain:
    """Draw spikes from the rates of a problem, each neuron and step for itself; binary."""
    rng = np.random.Generator(np.random.Philox(seed))
    rate = problem.graph.rate  # one net a neuron, in logical order
    return SpikeTrain.from_dense((rng.random((steps, rate.size), np.float32) < rate[None]).astype(np.int8))


def _last_steps(spikes: SpikeTrain, steps: int) -> SpikeTrain:
    """Return the last steps of a train: the first ones of a run are not yet what it settles to."""
    return spikes if spikes.steps <= steps else window(spikes, spikes.steps - steps, spikes.steps)


def _tells_active(chip: Chip) -> bool:
    t = chip.timing
    timed = t is not None and t.neuron_update_active.value != t.neuron_update_inactive.value
    return timed or "neuron_update_active" in chip.energy


def _remote(program: Program, spikes: SpikeTrain, axons: AxonTable) -> float:
    """Return the packets of the sample that leave their core for another, those that the host sends among them."""
    return float(_leaving(axons.ptr, axons.dst, program.core)[spikes.ids].sum())


@numba.njit(cache=True, nogil=True)
def _leaving(ptr: I64, dst: I32, core: I32) -> I64:
    out = np.zeros(ptr.size - 1, np.int64)
    for i in range(out.size):
        for k in range(ptr[i], ptr[i + 1]):
            out[i] += int(dst[k] != core[i])
    return out

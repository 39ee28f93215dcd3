"""Binding term of a step: the max-affine view of a core-by-core bound.

    T >= barrier + max(neurons, spikes out, packets in, synapses, heaviest link)

Each term is that of the core (or link) that has most of it: neuron updates and spikes, packets sent, packets received,
synapses met, occupancy of a link. The term that is largest binds the step; what it takes names what to change. Sources: Timcheck
et al. 2026 (arXiv 2601.10035), Yik et al. 2025 (floorline, arXiv 2511.21549).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from simulator.base.arrays import I32, I64, Floats
from simulator.chips.chip import Chip
from simulator.program.axons import axon_table
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.active import active_updates
from simulator.timing.barrier import release_time, start_times
from simulator.timing.bound import link_busy_of
from simulator.timing.expand import expand
from simulator.timing.plan import make_plan
from simulator.timing.run import run_timing

TERMS = ("neurons", "packets out", "packets in", "synapses", "heaviest link")
CHANGES = {
    "neurons": "fewer neurons per core (more cores), or a cheaper update",
    "packets out": "fewer destination cores per neuron (--objective messages), or fewer neurons per core",
    "packets in": "fewer packets into the fullest core: neurons that share inputs on one core, or more cores",
    "synapses": "prune, lower rates, or fewer neurons on the fullest core",
    "heaviest link": "another placement, fewer messages between chips, or wider links",
    "barrier": "more work in each step, or fewer routers in use: the chip waits for itself",
}


@dataclass(frozen=True, eq=False)
class StepTerms:
    """Terms of each step, in ns.

    Attributes:
        ns: float64 [T, 5], the largest of each of `TERMS` over cores or links.
        barrier_ns: of every step.
        synapses: int64 [T], synapses met by the core that meets most.
        step_ns: float64 [T], by the compiled engine.
    """

    ns: Floats
    barrier_ns: float
    synapses: I64
    step_ns: Floats

    @property
    def binding(self) -> list[str]:
        """Name of the term that binds each step; ``barrier`` where it is longer than all work."""
        names = (*TERMS, "barrier")
        whole = np.column_stack([self.ns, np.full(self.ns.shape[0], self.barrier_ns)])
        return [names[i] for i in whole.argmax(axis=1)]

    def rows(self) -> list[dict[str, Any]]:
        """Summarise each term: share of steps that it binds, mean ns and share of the step, what to change."""
        bound = self.binding
        mean = dict(zip(TERMS, self.ns.mean(axis=0).tolist(), strict=True)) | {"barrier": self.barrier_ns}
        step = float(self.step_ns.mean())
        table = [
            {
                "term": name,
                "binds_steps": bound.count(name) / max(1, len(bound)),
                "mean_ns": ns,
                "of_step": ns / step if step else 0.0,
                "change": CHANGES[name],
            }
            for name, ns in mean.items()
        ]
        return sorted(table, key=lambda r: (-float(r["binds_steps"]), -float(r["mean_ns"])))


def step_terms(program: Program, chip: Chip, spikes: SpikeTrain) -> StepTerms:
    """Compute the terms of every step of a run.

    Args:
        program: mapped.
        chip: with times.
        spikes: all events, inputs included.
    """
    axons = axon_table(program)
    plan = make_plan(program, chip, None, axons)
    active = None if plan.uniform else active_updates(program, spikes, 0, spikes.steps)
    chunk = expand(plan, spikes, 0, spikes.steps, active)
    steps, cores = spikes.steps, plan.mesh.n_cores
    count = np.zeros((3, steps, cores), np.int64)  # packets out, packets in, synapses
    _count(spikes.ptr, spikes.ids, program.core, axons.ptr, axons.dst, axons.n_syn, *count)
    tick, c = plan.costs.tick_ns, plan.costs
    soma = np.empty((steps, cores))
    link = np.empty(steps)
    for t in range(steps):
        work = chunk.step(t)
        running = np.concatenate([[0], np.cumsum(work.gap, dtype=np.int64)])
        soma[t] = (np.diff(running[work.off]) + work.tail)[:cores]
        link[t] = link_busy_of(plan.mesh, work)[:, : plan.mesh.n_links].max(initial=0)
    sent = np.diff(chunk.off, axis=1)[:, :cores] * c.out
    terms = np.column_stack(
        [
            (soma - sent).max(axis=1) * tick,
            sent.max(axis=1) * tick,
            count[1].max(axis=1) * c.packet_in_ns,
            count[2].max(axis=1) * c.synapse_ns,
            link * tick,
        ]
    )
    rest = release_time(plan.mesh, start_times(plan.mesh)) * tick
    timed = run_timing(program, chip, spikes, axons=axons)
    return StepTerms(terms, float(rest), count[2].max(axis=1), timed.step_time_ns)


@numba.njit(cache=True, nogil=True)
def _count(
    ptr: I64, ids: I32, core: I32, ax_ptr: I64, ax_dst: I32, ax_syn: I32, out: I64, into: I64, synapses: I64
) -> None:  # fmt: skip
    for t in range(ptr.size - 1):
        for k in range(ptr[t], ptr[t + 1]):
            i = ids[k]
            for a in range(ax_ptr[i], ax_ptr[i + 1]):
                if core[i] >= 0:
                    out[t, core[i]] += 1
                into[t, ax_dst[a]] += 1
                synapses[t, ax_dst[a]] += ax_syn[a]

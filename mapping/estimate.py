"""Time and energy of a step on K cores in closed form, before any mapping: what ranks numbers of cores.

For n neurons, S spikes and E synaptic events a step, neurons on random cores::

    M    = sum_e rate_e K (1 - (1 - 1/K)^pins_e)                           packets
    soma = [n t_inactive + min(n, E) (t_active - t_inactive) / 2 + S t_spike + M t_axon] / K
    d    = [M t_message + E t_synapse] / K                                 service of a core, the mean
    T    = barrier + soma + d + sqrt(2 ln K) sqrt(d (t_message + t_synapse E / M))     the fullest core of a step
    P    = const + T static + M (hop (W + H) / 3 + in-tile)                W = H = sqrt(routers in use)

It ranks and does not report: against the compiled engine T is off by -5 to +28 %.
"""

from __future__ import annotations

import math

import numpy as np

from mapping.objective import Score
from mapping.problem import MappingProblem
from simulator.chips.chip import Chip
from simulator.timing.scale import Costs, barrier_ns, costs_of


def estimate(problem: MappingProblem, k: int, messages: float | None = None) -> Score:
    """Estimate the figures of a step on k cores; `messages` a step where some partition tells, else those of random parts."""
    graph, chip = problem.graph, problem.chip
    pins = np.diff(graph.ptr)
    events = float(graph.rate @ pins)
    spikes = float(graph.rate[graph.source >= 0].sum())
    if messages is None:
        messages = float(graph.rate @ (k * -np.expm1(pins * np.log1p(-1.0 / max(k, 2)))))
    t = chip.topology
    side = math.sqrt(max(1.0, k / t.cores_per_router))
    hops = messages * 2 * side / 3
    time = None
    if chip.timing is not None:
        time = _step_ns(costs_of(chip), problem.n, k, spikes, events, messages) + barrier_ns(
            chip, min(t.width * t.height, -(-k // t.cores_per_router))
        )
    return Score(k, messages, hops, time, _energy_pj(chip, problem.n, events, messages, hops, time))


def _step_ns(c: Costs, n: int, k: int, spikes: float, events: float, messages: float) -> float:
    t = c.tick_ns
    soma = n * c.update_inactive + min(n, events) * (c.update_active - c.update_inactive) / 2
    soma = t * (soma + spikes * c.spike + messages * c.out) / k
    mean = (messages * c.packet_in_ns + events * c.synapse_ns) / k
    one = c.packet_in_ns + c.synapse_ns * events / max(messages, 1e-9)
    return soma + mean + math.sqrt(2 * math.log(max(k, 2)) * mean * one)


def _energy_pj(chip: Chip, n: int, events: float, messages: float, hops: float, step_ns: float | None) -> float | None:
    def of(key: str) -> float:
        quantity = chip.energy.get(key)
        return 0.0 if quantity is None or quantity.value is None else quantity.value

    work = events * (of("synaptic_event") + of("synaptic_memory_read")) + n * of("neuron_update_inactive")
    moved = messages * (of("packet_out") + of("packet_in")) + hops * (of("hop_east_west") + of("hop_north_south")) / 2
    static = 0.0 if step_ns is None else step_ns * of("static_chip") * chip.topology.chips
    total = work + moved + static  # mW ns = pJ
    return total if total > 0 else None

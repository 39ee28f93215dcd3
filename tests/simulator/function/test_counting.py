"""Synaptic events by population: each spike times the synapses that it meets there, counted one by one."""

from __future__ import annotations

import numpy as np

from simulator.function.counting import Counter, Tally
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def test_synaptic_events_by_population() -> None:
    from bimhw.evidence.silicon.quartz import network
    from simulator.chips.load import load_chip

    program: Program = network(load_chip("loihi1-fitted"))
    ids = np.array([0, 5, 800, 5000, 5000], np.int32)
    spikes = SpikeTrain(np.array([0, 2, 4, 5], np.int64), ids)
    none = np.zeros(program.n_neurons, np.int64)
    still = Tally(none, np.zeros(3, np.int64), none, np.zeros(3, np.int64))
    counted = Counter(program, load_chip("loihi1-fitted").topology).activity(spikes, still).counts["synaptic_events"]
    first, names = program.first_ids(), [p.name for p in program.populations]
    expected = np.zeros(len(names), np.int64)
    for i in ids.tolist():
        for q in program.projections:
            row = i - first[q.source]
            if 0 <= row < q.indptr.size - 1:
                expected[names.index(q.target)] += q.indptr[row + 1] - q.indptr[row]
    assert counted.by_population.tolist() == expected.tolist() and expected.sum() == counted.by_core.sum() > 0

"""A sample of what a network does on its calibration data: spikes by which candidate mappings are judged."""

from __future__ import annotations

import numpy as np

from mapping.network import Network
from mapping.objective import SAMPLE_STEPS
from simulator.base.arrays import AnyInts
from simulator.function import run
from simulator.program.entries import input_ids
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

_WARM_UP = 32  # steps before the sample


def sample_spikes(integer: Network, payloads: AnyInts, seed: int = 0) -> SpikeTrain:
    """Run an integer network on calibration payloads, one sample after another, and return the events of the last steps.

    Args:
        integer: network.
        payloads: integers [samples, steps, n_in], all inputs side by side.
        seed: of random neurons.
    """
    size = sum(p.size for p in integer.populations)
    program = Program("", "", integer.populations, integer.projections, np.zeros(size, np.int32))
    steps = _WARM_UP + SAMPLE_STEPS
    samples = -(-steps // max(1, payloads.shape[1]))
    values = payloads[:samples].reshape(-1, payloads.shape[2])[:steps]
    train, ids = SpikeTrain.from_dense(values), input_ids(integer.populations)
    inputs = SpikeTrain(train.ptr, ids[train.ids], train.payload)
    return run(program, inputs, values.shape[0], seed=seed).spikes

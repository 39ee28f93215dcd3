"""A sample of what a network does on its calibration data: spikes by which candidate mappings are judged."""

from __future__ import annotations

import numpy as np

from mapping.network import Network
from mapping.objective import SAMPLE_STEPS
from simulator.base.names import INPUT_MODEL
from simulator.function import run
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

_WARM_UP = 32  # steps before the sample


def sample_spikes(integer: Network, payloads: np.typing.NDArray[np.integer], seed: int = 0) -> SpikeTrain:
    """Run an integer network on calibration payloads, one sample after another, and return the events of the last steps.

    Args:
        integer: network of one input population.
        payloads: integers [samples, steps, n_in].
        seed: of random neurons.
    """
    source = next(p for p in integer.populations if p.model == INPUT_MODEL)
    size = sum(p.size for p in integer.populations)
    program = Program("", "", integer.populations, integer.projections, np.zeros(size, np.int32))
    steps = _WARM_UP + SAMPLE_STEPS
    samples = -(-steps // max(1, payloads.shape[1]))
    values = payloads[:samples].reshape(-1, payloads.shape[2])[:steps]
    inputs = SpikeTrain.from_dense(values, program.first_ids()[source.name])
    return run(program, inputs, values.shape[0], seed=seed).spikes

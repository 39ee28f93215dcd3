"""A compiled program beside its float network, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bimhw.compiler.compare import Comparison, differences
from bimhw.compiler.decode import encode
from bimhw.compiler.result import CompileResult
from simulator.chips.chip import Topology
from simulator.function import run_samples


def compare(
    result: CompileResult, payloads: npt.NDArray[np.integer[Any]], topology: Topology, seed: int = 0
) -> Comparison:
    """Run the program and its float network on the same inputs [B, T, n_in]."""
    program = result.program
    steps = payloads.shape[1] + max(p.layer for p in program.populations)
    runs = run_samples(program, [encode(program, s) for s in payloads], steps, seed=seed, topology=topology)
    rows, sent = differences(program, result.float_network, payloads, runs.spikes, seed)
    return Comparison(rows, sent, runs.activity)

"""The map of a program whose kernels are shared: read synapse by synapse, not past the end of a kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapping.hypergraph import axon_hypergraph
from mapping.network import Network
from simulator.program.graph import Population
from simulator.program.shared import SharedProjection, pointers

ROW, OFFSET = np.array([0, 1, 0], np.int32), np.array([0, 0, 2], np.int32)
TEMPLATE = np.array([0, 2, 3], np.int64)


def test_axons_of_a_shared_kernel_reach_their_shifted_targets() -> None:
    """Rows {0, 1} and {2}, shifts 0, 0 and 2: the sources reach {0, 1}, {2} and {2, 3}."""
    q = SharedProjection(
        name="q",
        source="in",
        target="a",
        port="in",
        indptr=pointers(ROW, TEMPLATE),
        indices=np.array([0, 1, 2], np.int32),
        weights=np.ones(3, np.int8),
        row=ROW,
        offset=OFFSET,
        template=TEMPLATE,
    )
    one = Population("in", "input", 3, {}, {}, 0, "input", (3,))
    graph = axon_hypergraph(Network("integer", (one, replace(one, name="a", model="if", size=4, shape=(4,))), (q,)))
    assert graph.ptr[:4].tolist() == [0, 2, 3, 5]
    assert graph.pins.tolist() == [0, 1, 2, 2, 3]

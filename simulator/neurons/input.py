"""External input: ids that fire when the input spike train says so. No state, no update, no cost on a core.

out_i[t] = payload of the event (t, i) of the input train, 0 where there is none
"""

from __future__ import annotations

from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import NeuronModel, UpdateOps, register

INPUT = register(
    NeuronModel(
        name=INPUT_MODEL,
        ports=(),
        states=(),
        params=(),
        kernel=None,
        float_step=None,
        ops=UpdateOps(),
        emits="graded",
        fires="driven from outside",
    )
)

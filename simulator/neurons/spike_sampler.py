"""Stochastic neuron (SpikeSampler): fires with a probability that a look-up table makes of its input. No memory.

    x = acc[t] + bias
    p = table_p[clip((x >> shift) + 128, 0, 255)] / 2^16
    fires if a uniform 16-bit random number is below table_p[...]

where ``p`` is a table of 256 entries 0..65536 (`sigmoid_table` makes the logistic one) and the random number is Philox's
of (seed, step, logical id, stream 0): the same under every mapping.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I32, Floats
from simulator.base.random import STREAM_NEURON, random_word
from simulator.neurons.base import NeuronModel, Params, UpdateOps, Word, Words, register

TABLE_ENTRIES = 256


def sigmoid_table(step: float = 1 / 16) -> I32:
    """Return table ``p`` of the logistic function at (index - 128) * step, in 1/2^16."""
    x = (np.arange(256) - 128) * step
    return np.asarray(np.rint(65536 / (1 + np.exp(-x))), np.int32)


@numba.njit(cache=True, nogil=True)
def _kernel(
    acc: Words,
    state: Words,
    params: Words,
    table: Words,
    out: Words,
    lo: int,
    hi: int,
    step: int,
    seed: int,
    first_id: int,
) -> int:
    bias, shift = params[0], params[1]
    for i in range(lo, hi):
        x = (int(acc[0, i]) + int(bias[i])) >> int(shift[i])
        p = int(table[min(max(x + 128, 0), 255)])
        r = int(random_word(seed, step, first_id + i, STREAM_NEURON)) >> 16
        out[i] = 1 if r < p else 0
    return 0


def _float_step(
    acc: dict[str, Floats],
    state: dict[str, Floats],
    params: Params,
) -> Floats:
    """Return the firing probability with the logistic table of `sigmoid_table`, not a sample."""
    x = (acc["in"] + params["bias"]) / 2.0 ** params["shift"]
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -128, 127) / 16)))


SPIKE_SAMPLER = register(
    NeuronModel(
        name="spike_sampler",
        ports=("in",),
        states=(),
        params=(
            Word("bias", 32, meaning="added to the input"),
            Word("shift", 5, signed=False, meaning="right shift from input units to table steps"),
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(add=2, lut=1, random=1),
        tables=("p",),
        table_entries={"p": TABLE_ENTRIES},
        fires="with probability p(x)",
        defaults={"bias": 0, "shift": 0},
        float_tables=lambda params: {"p": sigmoid_table()},
    )
)

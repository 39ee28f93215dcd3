"""ODIN's operations on neurons and synapses: single updates, a whole row, time references, SDSP and bistability."""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I64
from simulator.events.machines.odin.state import ABSENT, LIF, NEURONS, QUEUE, Chip, Options
from simulator.neurons import odin_izhikevich, odin_lif
from simulator.neurons.odin_izhikevich import update as update_izhikevich
from simulator.neurons.odin_lif import DOWN, UP
from simulator.neurons.odin_lif import update as update_lif

HANDSHAKE = 6  # cycles from a request to the end of the stall, with a receiver that answers at once
WEIGHT_MAX = 7
LIF_DISABLE, IZH_DISABLE = odin_lif.DISABLE, odin_izhikevich.DISABLE


@numba.njit(cache=True, nogil=True)
def push(c: Chip, word: int) -> None:
    """Append a word to the queue; a full queue loses it."""
    if c.head[1] < QUEUE:
        c.queue[(c.head[0] + c.head[1]) % QUEUE] = word
        c.head[1] += 1


@numba.njit(cache=True, nogil=True)
def pop(c: Chip) -> None:
    """Drop the word in service."""
    c.head[0] = (c.head[0] + 1) % QUEUE
    c.head[1] -= 1


@numba.njit(cache=True, nogil=True)
def neuron(c: Chip, o: Options, i: int, weight: int, inhibitory: bool, reference: bool) -> bool:
    """Update a neuron; its spike enters the queue. Returns whether it sends one."""
    if c.kind[i] == ABSENT:
        return False
    if c.kind[i] == LIF:
        spike, c.flags[i] = update_lif(c.lif[i], weight, inhibitory, reference)
        disabled = c.lif[i, LIF_DISABLE] != 0
    else:
        spike, c.flags[i] = update_izhikevich(c.izh[i], c.izh_state[i], weight, inhibitory, reference)
        disabled = c.izh[i, IZH_DISABLE] != 0
    if not spike or disabled:
        return False
    if not o.open_loop:
        push(c, i)
    return True


@numba.njit(cache=True, nogil=True)
def conducted(c: Chip, o: Options, source: int, target: int) -> int:
    """Return the weight that a synapse conducts."""
    return c.weight[source, target] if c.mapped[source, target] or o.propagate_unmapped else 0


@numba.njit(cache=True, nogil=True)
def learn(c: Chip, o: Options, source: int, target: int) -> None:
    """Change a synapse by SDSP: one up or one down by the flags of its target."""
    if c.mapped[source, target] or o.update_unmapped:
        w = c.weight[source, target]
        if c.flags[target] & UP:
            c.weight[source, target] = min(w + 1, WEIGHT_MAX)
        elif c.flags[target] & DOWN:
            c.weight[source, target] = max(w - 1, 0)


@numba.njit(cache=True, nogil=True)
def bistable(c: Chip, o: Options, source: int) -> None:
    """Drive the weights of a row away from their middle."""
    for target in range(NEURONS):
        if c.mapped[source, target] or o.update_unmapped:
            w = c.weight[source, target]
            c.weight[source, target] = min(w + 1, WEIGHT_MAX) if w >= 4 else max(w - 1, 0)


@numba.njit(cache=True, nogil=True)
def output(o: Options, now: int, address: int, outputs: I64, count: I64) -> int:
    """Log a request that rises at edge `now`; return the edge at which the output is free again."""
    if count[0] < outputs.shape[0]:
        outputs[count[0], 0], outputs[count[0], 1] = now, address
    count[0] += 1
    return now + HANDSHAKE + o.ack_delay + o.ack_release


@numba.njit(cache=True, nogil=True)
def array(c: Chip, o: Options, start: int, source: int, until: int, outputs: I64, count: I64) -> tuple[int, int]:
    """Update all neurons in order: a neuron event of `source`, or a time reference of all for source -1.

    Args:
        c: chip, changed in place.
        o: options.
        start: edge at which the operation starts.
        source: presynaptic neuron, or -1.
        until: edge after which nothing more happens.
        outputs: int64 [many, 2], gets (edge, address) of the requests.
        count: int64 [1], requests so far.

    Returns:
        Edge at which the operation ends, and the edge at which the output is free.
    """
    now, free = start, 0
    weights = np.zeros(8, np.int64)
    for i in range(NEURONS):
        if now + 2 > until:
            return until + 1, free
        if (
            source >= 0 and i % 8 == 0
        ):  # a word of eight synapses is read, then written back: the neurons see the old one
            for k in range(8):
                weights[k] = conducted(c, o, source, i + k)
                learn(c, o, source, i + k)
        now += 2
        weight = weights[i % 8] if source >= 0 else 0
        spike = neuron(c, o, i, weight, source >= 0 and c.inhibitory[source] != 0, source < 0)
        if o.aer_src_ctrl:
            sends, address = source >= 0 and i == o.monitor_neur, source
        else:
            sends, address = spike, i
        if sends:
            free = output(o, now, address, outputs, count)
            if i < NEURONS - 1:
                now = free
    return now, free

"""State of ODIN: neurons, synapses, the event queue, and the logs of a run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.base.arrays import I64, AnyInts
from simulator.base.errors import InputError
from simulator.neurons import odin_izhikevich, odin_lif

Table = AnyInts
NEURONS = 256
QUEUE = 32
ABSENT, LIF, IZHIKEVICH = range(3)


class Options(NamedTuple):
    """Switches of the chip and of the receiver at its output.

    Attributes:
        open_loop: spikes do not enter the queue.
        aer_src_ctrl: the output sends the neuron event in service, at the update of `monitor_neur`.
        update_unmapped: learning changes synapses with mapping bit 0 too.
        propagate_unmapped: synapses with mapping bit 0 conduct.
        sdsp_on_syn_stim: single-synapse events learn.
        ack_delay: cycles from a request that is seen to the acknowledge.
        ack_release: cycles from the request's end that is seen to that of the acknowledge.
    """

    open_loop: int = 0
    aer_src_ctrl: int = 0
    monitor_neur: int = 0
    update_unmapped: int = 0
    propagate_unmapped: int = 0
    sdsp_on_syn_stim: int = 0
    ack_delay: int = 0
    ack_release: int = 0


class Chip(NamedTuple):
    """State of the chip.

    Attributes:
        kind: int64 [256], `ABSENT`, `LIF` or `IZHIKEVICH`.
        lif: int64 [256, 13], parameters and states (`odin_lif.COLUMNS`).
        izh: int64 [256, 33], parameters (`odin_izhikevich.PARAMS`).
        izh_state: int64 [256, 19] (`odin_izhikevich.STATES`).
        inhibitory: int64 [256].
        flags: int64 [256], SDSP flags of each neuron.
        weight, mapped: int64 [256, 256], [source, target].
        queue: int64 [32], ring; head: int64 [2], place of its first word and its length.
    """

    kind: I64
    lif: I64
    izh: I64
    izh_state: I64
    inhibitory: I64
    flags: I64
    weight: I64
    mapped: I64
    queue: I64
    head: I64


def empty_chip() -> Chip:
    """Return a chip without neurons and synapses."""

    def zeros(*shape: int) -> I64:
        return np.zeros(shape, np.int64)

    n = NEURONS
    return Chip(
        zeros(n), zeros(n, len(odin_lif.COLUMNS)), zeros(n, len(odin_izhikevich.PARAMS)),
        zeros(n, len(odin_izhikevich.STATES)), zeros(n), zeros(n), zeros(n, n), zeros(n, n), zeros(QUEUE), zeros(2),
    )  # fmt: skip


def program_chip(
    ids: Table, params: Table, inhibitory: Table, flags: Table, synapses: Table, izhikevich: bool = False
) -> Chip:
    """Program a chip; neurons that are not listed are disabled.

    Args:
        ids: [k], neurons.
        params: [k, 13] or, for Izhikevich neurons, [k, 33]; columns as the neuron's module names them.
        inhibitory: [k], sign of each neuron's synapses.
        flags: [k], SDSP flags that programming left (up + 2 down).
        synapses: [s, 4], (source, target, mapping bit, weight); others are 0.
        izhikevich: which neurons these are.

    Raises:
        InputError: a neuron outside 0..255, a weight outside 0..7, or parameters of another width.
    """
    chip = empty_chip()
    rows, pairs = np.asarray(ids, np.int64), np.asarray(synapses, np.int64).reshape(-1, 4)
    width = (chip.izh if izhikevich else chip.lif).shape[1]
    if params.shape != (rows.size, width):
        raise InputError("params", f"have shape {params.shape}, not ({rows.size}, {width})", "Give one row a neuron")
    if rows.size and not 0 <= rows.min() <= rows.max() < NEURONS:
        raise InputError("ids", "name a neuron outside 0..255", "The chip has 256 neurons")
    if pairs.size and (pairs.min() < 0 or pairs[:, :2].max() >= NEURONS or pairs[:, 3].max() > 7):
        raise InputError("synapses", "hold a neuron outside 0..255 or a weight outside 0..7", "Weights have 3 bits")
    chip.kind[rows] = IZHIKEVICH if izhikevich else LIF
    (chip.izh if izhikevich else chip.lif)[rows] = params
    chip.inhibitory[rows], chip.flags[rows] = inhibitory, flags
    chip.mapped[pairs[:, 0], pairs[:, 1]], chip.weight[pairs[:, 0], pairs[:, 1]] = pairs[:, 2], pairs[:, 3]
    return chip

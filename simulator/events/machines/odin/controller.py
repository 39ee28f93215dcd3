"""ODIN's controller: which operation comes next, when it starts, and when its input is acknowledged.

A request is seen two edges after it rises. In its waiting state the controller does nothing while the output is busy; else it
takes the head of a full queue, an input that is not bistability, the head of the queue, or bistability, in this order.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I64
from simulator.events.machines.odin.crossbar import array, bistable, conducted, learn, neuron, output, pop, push
from simulator.events.machines.odin.state import NEURONS, QUEUE, Chip, Options

# States of the controller, as its log names them.
WAIT, TREF, BIST, SYNAPSE, PUSH, POP_NEUR, POP_VIRT, HANDSHAKE = 0, 5, 6, 7, 8, 9, 10, 12
SEEN = 2  # edges from a request to its use
RELEASE = 3  # edges from an acknowledge to the end of the handshake
ROW, SINGLE = 64, 2
# Kinds of input.
REFERENCE, STIMULUS, QUEUED, BISTABILITY = range(4)
N_OUTPUTS, N_OPERATIONS, N_SNAPS = range(3)


@numba.njit(cache=True, nogil=True)
def kind_of(address: int) -> int:
    """Return what an input address of 17 bits asks for."""
    if address >> 16:
        return STIMULUS
    if address & 127 == 127:
        return REFERENCE
    return BISTABILITY if address & 127 == 0 else QUEUED


@numba.njit(cache=True, nogil=True)
def _single(o: Options, i: int, spike: bool, now: int, outputs: I64, count: I64) -> int:
    """Output a single update at edge `now`; return the edge at which the output is free."""
    return output(o, now, i, outputs, count) if spike and not o.aer_src_ctrl else 0


@numba.njit(cache=True, nogil=True)
def _log(log: I64, count: I64, now: int, state: int, word: int, until: int) -> None:
    if now <= until:
        if count[N_OPERATIONS] < log.shape[0]:
            row = count[N_OPERATIONS]
            log[row, 0], log[row, 1], log[row, 2] = now, state, word
        count[N_OPERATIONS] += 1


@numba.njit(cache=True, nogil=True)
def _input(c: Chip, o: Options, address: int, start: int, until: int, outputs: I64, count: I64) -> tuple[int, int, int]:
    """Serve an input from edge `start`; returns its state, its end, and the edge at which the output is free."""
    kind, high = kind_of(address), (address >> 8) & 255
    free = 0
    if kind == REFERENCE and not address & 128:
        every = int(np.int64(-1))  # a literal would have numba compile the function once more
        end, free = array(c, o, start, every, until, outputs, count)
        return TREF, end, free
    end = start + SINGLE
    if kind in (REFERENCE, STIMULUS):
        stimulus = kind == STIMULUS
        target, weight, inhibitory = high, 0, False
        if stimulus:
            target, weight, inhibitory = address & 255, conducted(c, o, high, address & 255), c.inhibitory[high] != 0
        if end <= until:
            if stimulus and o.sdsp_on_syn_stim:
                learn(c, o, high, target)
            free = _single(o, target, neuron(c, o, target, weight, inhibitory, not stimulus), end, outputs, count)
        return SYNAPSE if stimulus else TREF, end, free
    if kind == QUEUED:
        push(c, ((address >> 3) & 31) << 8 | high)
        return PUSH, start + 1, free
    rows = 1 if address & 128 else NEURONS
    for k in range(rows if start + ROW * rows <= until else 0):
        bistable(c, o, high if rows == 1 else k)
    return BIST, start + ROW * rows, free


@numba.njit(cache=True, nogil=True)
def _queued(c: Chip, o: Options, start: int, until: int, outputs: I64, count: I64) -> tuple[int, int, int]:
    """Serve the head of the queue; returns as `_input`."""
    word = c.queue[c.head[0]]
    i, virtual, free = word & 255, word >> 8, 0
    if virtual == 0:
        # The word leaves in the cycle in which the last neuron may spike, and a full queue still loses that spike.
        end, free = array(c, o, start, i, until, outputs, count)
        if end <= until:
            pop(c)
        return POP_NEUR, end, free
    end = start + SINGLE
    if end <= until:
        spike = neuron(c, o, i, virtual >> 2, virtual & 2 != 0, virtual & 1 != 0)
        free = _single(o, i, spike, end, outputs, count)
        pop(c)
    return POP_VIRT, end, free


@numba.njit(cache=True, nogil=True)
def run(
    c: Chip, o: Options, events: I64, until: int, inputs: I64, outputs: I64, operations: I64, snaps: I64, snap_lif: I64,
    snap_izh: I64,
) -> I64:  # fmt: skip
    """Run until all is quiet, or up to edge `until`.

    Args:
        c: chip, changed in place.
        o: options.
        events: int64 [k, 2], (earliest edge, address) of the inputs, in order.
        until: last edge.
        inputs: int64 [k, 4], gets (request set, acknowledge seen, acknowledge gone, address), -1 where it did not come.
        outputs: int64 [many, 2], gets (request seen, address).
        operations: int64 [many, 3], gets (edge, state, queue word or -1).
        snaps: int64 [k + 1], gets the edges of the acknowledges of time references.
        snap_lif, snap_izh: the neurons' words then.

    Returns:
        int64 [4]: outputs, operations, snapshots (also those that found no room), and the edge at which all was quiet.
    """
    count = np.zeros(4, np.int64)
    k, now, free = 0, 0, 0  # next input, edge since when the controller waits, edge at which the output is free
    requested = events[0, 0] if events.shape[0] else -1
    while True:
        now = max(now, free)
        waits = k < events.shape[0]
        seen = waits and requested + SEEN <= now
        if c.head[1] == 0 and not seen:
            if not waits:
                break
            now = requested + SEEN
            continue
        if now + 1 > until:
            break
        urgent = seen and kind_of(events[k, 1]) != BISTABILITY
        first = c.head[1] == QUEUE or (c.head[1] > 0 and not urgent)
        row = count[N_OPERATIONS]
        if first:
            word = c.queue[c.head[0]]
            _log(operations, count, now + 1, 0, word, until)
            state, now, free = _queued(c, o, now + 1, until, outputs, count)
            if row < operations.shape[0]:
                operations[row, 1] = state
            _log(operations, count, now, WAIT, -1, until)
            continue
        _log(operations, count, now + 1, 0, -1, until)
        state, end, free = _input(c, o, events[k, 1], now + 1, until, outputs, count)
        if row < operations.shape[0]:
            operations[row, 1] = state
        inputs[k, 0], inputs[k, 3] = requested, events[k, 1]
        if end > until:
            break
        _log(operations, count, end, HANDSHAKE, -1, until)
        inputs[k, 1] = end
        if state == TREF:
            at = count[N_SNAPS]
            snaps[at] = end
            for i in range(NEURONS):
                for j in range(c.lif.shape[1]):
                    snap_lif[at, i, j] = c.lif[i, j]
                for j in range(c.izh_state.shape[1]):
                    snap_izh[at, i, j] = c.izh_state[i, j]
            count[N_SNAPS] += 1
        now = end + RELEASE
        if now > until:
            break
        _log(operations, count, now, WAIT, -1, until)
        inputs[k, 2] = now
        k += 1
        if k < events.shape[0]:
            requested = max(events[k, 0], now + 1)
    count[3] = now
    return count

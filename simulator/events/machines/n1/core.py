"""One step of a Catalyst N1 core: delayed inputs, synapses, neurons, learning; bit for bit and cycle for cycle.

The core is serial, so its time is a sum: 1 + 4 for each delayed input; 3 for each spike of the last step and 6 for each of its
synapses (5 from the second on where one entry serves all targets); 1; 4 for each neuron, 3 more where it joins its parent;
learning (`simulator.events.machines.n1.learning`); 1. A spike is seen in the third cycle of its neuron.
"""

from __future__ import annotations

import numba

from simulator.base.arrays import I64
from simulator.base.shift_registers import galois16
from simulator.events.machines.n1 import state as s
from simulator.events.machines.n1.learning import learn
from simulator.events.machines.n1.state import Core, Options
from simulator.neurons.n1 import bias_of, cuba, lif, limited, payload_of, wrap16, wrap24

SPIKE_VALUE = 100  # of a trace at a spike
DELAY_MASK = s.SLOTS - 1


@numba.njit(cache=True, nogil=True)
def _arrive(c: Core, target: int, compartment: int, current: int) -> None:
    if compartment == 0:
        c.total[target] = wrap24(c.total[target] + current)
    else:
        c.dendrites[compartment - 1, target] = wrap16(c.dendrites[compartment - 1, target] + current)


@numba.njit(cache=True, nogil=True)
def _delayed(c: Core) -> int:
    """Do phase 1: the entries of this step's slot."""
    slot = c.scalars[s.STEP] & DELAY_MASK
    n = int(c.slot_count[slot])
    for k in range(n):
        _arrive(c, c.slot[slot, k, 0], c.slot[slot, k, 1], c.slot[slot, k, 2])
    c.slot_count[slot] = 0
    return 1 + 4 * n


@numba.njit(cache=True, nogil=True)
def _synapse(c: Core, entry: int, target: int, payload: int, graded: bool) -> None:
    current = c.weight[entry]
    if graded:
        current = wrap16((current * payload) >> 7)
    d = c.delay[entry] & DELAY_MASK
    if d > 0:
        slot = (c.scalars[s.STEP] + d) & DELAY_MASK
        k = c.slot_count[slot]
        if k < s.SLOTS:
            c.slot[slot, k, 0], c.slot[slot, k, 1], c.slot[slot, k, 2] = target, c.compartment[entry], current
            c.slot_count[slot] = k + 1
            return
        c.scalars[s.EARLY_ENTRIES] += 1  # a full slot delivers at once
    _arrive(c, target, c.compartment[entry], current)


@numba.njit(cache=True, nogil=True)
def _synapses(c: Core, graded: bool) -> int:
    """Do phase 2: the spikes of the last step walk their synapses."""
    cycles = 1
    for k in range(c.scalars[s.N_KEPT]):
        neuron, payload = c.kept[k, 0], c.kept[k, 1]
        base, n, form = c.base[neuron], c.entries[neuron], c.format[neuron]
        cycles += 3 + 6 * n
        c.scalars[s.SYNAPTIC_OPS] += n
        if form == 2 and n > 0:
            cycles -= n - 1
        for j in range(n):
            entry = base if form == 2 else base + j
            target = c.target[base + j] if form == 0 else (c.target[base] + j) % c.v.size
            _synapse(c, entry, target, payload, graded)
    return cycles


@numba.njit(cache=True, nogil=True)
def _dendrites(c: Core, i: int) -> int:
    """Return the input that a neuron's dendrites add; their sums are cleared."""
    parents = c.params[s.DEND_PARENTS, i]
    out = above1 = above2 = 0  # what reaches the soma and compartments 1 and 2 from above
    for k in (2, 1, 0):
        total = wrap16(c.dendrites[k, i] + (above2 if k == 1 else above1 if k == 0 else 0))
        c.dendrites[k, i] = 0
        threshold = c.params[s.DEND1 + k, i]
        value = wrap16(total - threshold) if total > threshold else 0
        parent = (parents >> (2 * k)) & 3
        if parent == 0:
            out += value
        elif parent == 1 and k > 0:
            above1 += value
        elif parent == 2 and k > 1:
            above2 += value
    return wrap16(out)


@numba.njit(cache=True, nogil=True)
def _noise(c: Core, i: int, word: int) -> int:
    config = c.params[s.NOISE, i]
    mask = ((config & 15) << ((config >> 4) & 31)) & 0xFFFFFFFF
    mask = 0xFFFF if mask >> 16 else mask
    return (word & mask & 0x7FFF) - ((mask >> 1) & 0x7FFF)


@numba.njit(cache=True, nogil=True)
def _decayed(x: int, tau: int, word: int, whole: bool) -> int:
    """Return a trace after a step without a spike; `word` is its random byte."""
    if x == 0:
        return 0
    mask = (1 << tau) - 1
    down = (x >> tau) + (1 if (word if whole else word & mask) < (x & mask) else 0)
    return max(0, x - max(1, down))


@numba.njit(cache=True, nogil=True)
def _traces(c: Core, i: int, word: int, fired: bool) -> None:
    if fired:
        for k in range(5):
            c.traces[k, i] = SPIKE_VALUE
        return
    p, low, high = c.params, word & 255, word >> 8
    x2 = p[s.TAU_X2, i]
    c.traces[0, i] = _decayed(c.traces[0, i], p[s.TAU1, i], low, False)
    c.traces[1, i] = _decayed(c.traces[1, i], x2, low ^ (high & ((1 << x2) - 1)), True)
    c.traces[2, i] = _decayed(c.traces[2, i], p[s.TAU2, i], high, False)
    c.traces[3, i] = _decayed(c.traces[3, i], p[s.TAU_Y2, i], ((word & 15) << 4) | (word >> 12), False)
    c.traces[4, i] = _decayed(c.traces[4, i], p[s.TAU_Y3, i], (word >> 4) & 255, False)


@numba.njit(cache=True, nogil=True)
def _homeostasis(c: Core, i: int, fired: bool) -> None:
    p = c.params
    if c.scalars[s.EPOCH_COUNT] + 1 >= p[s.EPOCH, i]:
        target = p[s.TARGET, i]
        if target > 0:
            if c.epoch_spikes[i] > target:
                p[s.THRESHOLD, i] = min(p[s.THRESHOLD, i] + p[s.ETA, i], 4000)
            elif c.epoch_spikes[i] < target:
                p[s.THRESHOLD, i] = max(p[s.THRESHOLD, i] - p[s.ETA, i], 250)
        c.epoch_spikes[i] = fired  # the last step's spike belongs to the next epoch
    elif fired:
        c.epoch_spikes[i] = (c.epoch_spikes[i] + 1) & 255


@numba.njit(cache=True, nogil=True)
def _join(c: Core, i: int, parent: int, x: int, own: int) -> None:
    """Add a spike's contribution x to the input sum of the parent in its tree, at once; `own` is the sum that i itself took."""
    how = c.params[s.JOIN, i] & 3
    old = own if parent == i else c.total[parent]
    if how == 0:
        c.total[parent] = wrap24(old + x)
    elif how == 1:
        c.total[parent] = x if abs(x) > abs(old) else old
    elif how == 2:
        c.total[parent] = wrap24(old | x)
    else:
        c.total[parent] = old


@numba.njit(cache=True, nogil=True)
def _neuron(c: Core, o: Options, i: int) -> int:
    """Update neuron i; returns the payload of its spike, 0 if silent."""
    p, word = c.params, c.scalars[s.LFSR]
    c.scalars[s.LFSR] = galois16(word)
    own = total = c.total[i]
    if o.dendritic:
        total = wrap24(total + _dendrites(c, i))
    c.total[i] = 0
    n = _noise(c, i, word) if o.noise else 0
    where = p[s.NOISE_TARGET, i]
    threshold = p[s.THRESHOLD, i] + (n if where == 0 else 0)
    noise_v, noise_u = (n if where == 1 else 0), (n if where == 2 else 0)
    v, u = c.v[i], c.u[i]
    leak, rest, config = p[s.LEAK, i], p[s.REST, i], p[s.REFRACTORY, i]
    current_based = p[s.DV, i] != 0 or p[s.DU, i] != 0 or p[s.BIAS, i] != 0
    if current_based:
        after, c.u[i], held, fired = cuba(
            v, u, c.held[i], total, rest, threshold, config & 255, p[s.DV, i], p[s.DU, i], bias_of(p[s.BIAS, i]),
            (config >> 9) & 1 != 0, o.scale_u != 0, noise_v, noise_u,
        )  # fmt: skip
    else:
        c.u[i] = 0
        after, held, fired = lif(v, c.held[i], total, leak, rest, threshold, config & 255)
    c.v[i], c.held[i] = limited(after, p[s.V_MIN, i], p[s.V_MAX, i]), held
    c.fired[i] = fired
    _traces(c, i, word, fired)
    _homeostasis(c, i, fired)
    if not fired:
        return 0
    c.last[i] = c.scalars[s.EPOCH_STEP]
    if p[s.PARENT, i] != s.NO_PARENT:
        which = (p[s.JOIN, i] >> 2) & 3 if current_based else 0
        x = threshold if which == 0 else v if which == 1 else u if which == 2 else own
        _join(c, i, p[s.PARENT, i], x, own)
    return payload_of(v, total, leak, threshold)


@numba.njit(cache=True, nogil=True)
def _neurons(c: Core, o: Options, start: int, spikes: I64) -> tuple[int, int, int]:
    """Do phase 3; return the cycle at its end, the spikes, and how many neurons fired."""
    now, n, fired, kept = start, 0, 0, 0
    for i in range(c.v.size):
        payload = _neuron(c, o, i)
        if payload:
            fired += 1
            if c.params[s.SENDS, i]:
                spikes[n, 0], spikes[n, 1], spikes[n, 2] = now + 3, i, payload
                n += 1
                if kept < s.KEPT_SPIKES:
                    c.kept[kept, 0], c.kept[kept, 1] = i, payload
                    kept += 1
                else:
                    c.scalars[s.LOST_SPIKES] += 1
            if c.params[s.PARENT, i] != s.NO_PARENT:
                now += 3
        now += 4
    c.scalars[s.N_KEPT] = kept
    return now, n, fired


@numba.njit(cache=True, nogil=True)
def step(c: Core, o: Options, reward: int, spikes: I64) -> tuple[int, int]:
    """Advance the core by one step.

    Args:
        c: `Core`, changed in place; inputs from outside have been written to ``c.total``.
        o: `Options`.
        reward: value added to the reward trace at the end of the step.
        spikes: int64 [n, 3], gets (cycle, neuron, payload) of this step's spikes.

    Returns:
        Cycles of the step, and the number of spikes.
    """
    now = _delayed(c)
    now += _synapses(c, o.graded != 0)
    now, n, fired = _neurons(c, o, now, spikes)
    if c.scalars[s.EPOCH_COUNT] == 0 and not (o.skip_idle and fired == 0):
        now += learn(c, o)
    trace, tau = c.scalars[s.REWARD], c.params[s.TAU_REWARD, 0]
    down = trace >> tau
    if down == 0 and trace > 0:
        down = 1
    c.scalars[s.REWARD] = wrap16(trace - down + reward)
    last = c.scalars[s.EPOCH_COUNT] + 1 >= c.params[s.EPOCH, 0]
    c.scalars[s.EPOCH_COUNT] = 0 if last else c.scalars[s.EPOCH_COUNT] + 1
    c.scalars[s.EPOCH_STEP] = 0 if last else (c.scalars[s.EPOCH_STEP] + 1) & 255
    c.scalars[s.STEP] += 1
    return now + 1, n

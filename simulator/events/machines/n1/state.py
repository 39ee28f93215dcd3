"""State of a Catalyst N1 core: its programmed tables and its state words, as arrays that the compiled kernels share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.base.arrays import I64, U8, AnyInts
from simulator.base.errors import InputError
from simulator.base.shift_registers import GALOIS16_SEED

Table = AnyInts
PARAMS = 32
SLOTS = 64  # of delays; each holds so many entries
KEPT_SPIKES = 64  # of a step, for delivery
REVERSE = 32  # synapses that a neuron can reach backwards
PROGRAMS = 256  # words of microcode
ADDRESSES = 1 << 16  # of synapse entries
COMPARTMENTS = 4  # the soma and three dendrites
FORMATS = 3  # of an index row: a target each, targets in a row, the same with one weight
# Ids of the parameters.
(THRESHOLD, LEAK, REST, REFRACTORY) = range(4)
(NOISE, TAU1, TAU2, DEND1) = (5, 6, 7, 8)
(EPOCH, TAU_REWARD, TARGET, ETA, DEND_PARENTS, DV, DU, BIAS) = range(11, 19)
(TAU_X2, TAU_Y2, TAU_Y3, PARENT, JOIN, SENDS) = range(19, 25)
(NOISE_TARGET, V_MIN, V_MAX) = (29, 30, 31)
NO_PARENT = 127
# What reset leaves, and the bits that a parameter keeps; the rest are words of 16 or 24 bits as they are given.
_DEFAULTS = {PARENT: NO_PARENT, SENDS: 1, V_MIN: -(1 << 15), V_MAX: (1 << 15) - 1, EPOCH: 1, TAU_REWARD: 4}
_BITS = {NOISE: 16, TAU1: 4, TAU2: 4, TAU_X2: 4, TAU_Y2: 4, TAU_Y3: 4, TAU_REWARD: 4, EPOCH: 8, TARGET: 8, ETA: 8}
_BITS |= {DEND_PARENTS: 6, DV: 12, DU: 12, BIAS: 16, JOIN: 4, SENDS: 1, NOISE_TARGET: 2}
_NOT_MODELLED = {25: "axon types", 26: "axon types"}  # compressed weights
_WHOLE_CORE = (EPOCH, TAU_REWARD)  # one register each, whatever neuron the write names


class Options(NamedTuple):
    """Switches of a core, 0 or 1 each."""

    learn: int = 0
    graded: int = 0
    dendritic: int = 0
    threefactor: int = 0
    noise: int = 0
    skip_idle: int = 0
    scale_u: int = 0

    @classmethod
    def of(cls, switches: Options) -> Options:
        """Return the switches as integers: a bool among them would have every kernel of the core compiled anew."""
        return cls(*map(int, switches))


class Core(NamedTuple):
    """Arrays of one core with n neurons and m synapse entries.

    Attributes:
        params: int64 [32, n], parameters by id; the threshold moves by homeostasis.
        v, u, held: int64 [n], membrane, current, refractory count.
        total: int64 [n], input sum of the next update.
        dendrites: int64 [3, n].
        traces: int64 [5, n], trace1, x2, trace2, y2, y3 (the order of the microcode's registers).
        last: int64 [n], step within the epoch of the last spike.
        epoch_spikes: int64 [n], spikes of this epoch.
        fired: uint8 [n], of this step.
        target, weight, compartment, delay, tag, eligibility: int64 [m], synapse entries.
        source: int64 [m].
        base, entries, format: int64 [n], the neuron's row of the index.
        reverse, reverse_count: int64 [n, 32], [n].
        slot_count: int64 [64]; slot: int64 [64, 64, 3], (target, compartment, current) still to arrive.
        kept: int64 [64, 2], (neuron, payload) of the last step's spikes; scalars: see `SCALARS`.
        ucode: int64 [256].
    """

    params: I64
    v: I64
    u: I64
    held: I64
    total: I64
    dendrites: I64
    traces: I64
    last: I64
    epoch_spikes: I64
    fired: U8
    source: I64
    target: I64
    weight: I64
    compartment: I64
    delay: I64
    tag: I64
    eligibility: I64
    base: I64
    entries: I64
    format: I64
    reverse: I64
    reverse_count: I64
    slot_count: I64
    slot: I64
    kept: I64
    scalars: I64
    ucode: I64


# Places in `Core.scalars`.
STEP, LFSR, N_KEPT, REWARD, EPOCH_COUNT, SYNAPTIC_OPS, LOST_SPIKES, EARLY_ENTRIES, EPOCH_STEP, HUNG, POOL_END = range(
    11
)
SCALARS = 11


def program_core(neurons: int, params: Table, pool: Table, delay: Table, index: Table, ucode: Table) -> Core:
    """Program a core.

    Args:
        neurons: neurons of the core.
        params: [k, 3], (neuron, id, value), in the order of programming.
        pool: [k, 5], (address, source, target, weight, compartment).
        delay: [k, 2], (address, delay).
        index: [k, 4], (neuron, base, count, format).
        ucode: [k, 2], (address, word).

    Raises:
        InputError: a neuron, id or address that the core does not have.
    """
    rows = [np.asarray(t, np.int64).reshape(-1, width) for t, width in ((params, 3), (pool, 5), (delay, 2))]
    at, words = np.asarray(index, np.int64).reshape(-1, 4), np.asarray(ucode, np.int64).reshape(-1, 2)
    _check("pool", rows[1][:, [0, 4]], (ADDRESSES, COMPARTMENTS), (0, 4))
    _check("delay", rows[2][:, :1], (ADDRESSES,))
    _check("index", at, (neurons, ADDRESSES, ADDRESSES, FORMATS))
    written = int(rows[1][:, 0].max(initial=-1)) + 1
    m = max(written, int((at[:, 1] + at[:, 2]).max(initial=0)), int(rows[2][:, 0].max(initial=-1)) + 1)
    _check("params", rows[0], (neurons, PARAMS))
    _check("pool", rows[1][:, :3], (m, neurons, neurons))
    _check("ucode", words[:, :1], (PROGRAMS,))
    core = _blank(neurons, m)
    _program_params(core, rows[0])
    for address, source, target, weight, compartment in rows[1].tolist():
        core.source[address], core.target[address] = source, target
        core.weight[address], core.compartment[address] = weight, compartment
        core.reverse[target, core.reverse_count[target] % REVERSE] = address  # its counter goes round
        core.reverse_count[target] += 1
    core.reverse_count[:] = np.minimum(core.reverse_count, REVERSE)
    core.delay[rows[2][:, 0]] = rows[2][:, 1]
    for neuron, base, count, form in at.tolist():
        core.base[neuron], core.entries[neuron], core.format[neuron] = base, count, form
    core.ucode[words[:, 0]] = words[:, 1]
    core.scalars[POOL_END] = written  # the three-factor pass ends here, though a format-2 row may count past it
    return core


def _program_params(core: Core, rows: I64) -> None:
    for neuron, place, value in rows.tolist():
        if place in _NOT_MODELLED and value:
            raise InputError(
                f"params, id {place}", f"sets {_NOT_MODELLED[place]}, which are not modelled", "Leave it 0"
            )
        if place == EPOCH and value >> 13:
            raise InputError(f"params, id {place}", "asks for several updates a step, not modelled", "Give 0..255")
        if place == PARENT and value != NO_PARENT and not 0 <= value < core.v.size:
            raise InputError(f"params, id {place}", f"names parent {value}, and the core has 0..{core.v.size - 1}")
        kept = value & ((1 << _BITS[place]) - 1) if place in _BITS else value
        core.params[place, slice(None) if place in _WHOLE_CORE else neuron] = kept


def _check(
    name: str, rows: I64, limits: tuple[int, ...], columns: tuple[int, ...] | None = None
) -> None:  # fmt: skip
    """Raise an error for a value outside 0..limit - 1: compiled kernels look at no bound; `columns` are their numbers."""
    for column, limit in enumerate(limits):
        bad = (rows[:, column] < 0) | (rows[:, column] >= limit)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            value, place = int(rows[row, column]), column if columns is None else columns[column]
            raise InputError(f"{name}, row {row}", f"holds {value} in column {place}; the core has 0..{limit - 1}")


def _blank(n: int, m: int) -> Core:
    def zeros(*shape: int) -> I64:
        return np.zeros(shape, np.int64)

    params = zeros(PARAMS, n)
    for place, value in _DEFAULTS.items():
        params[place] = value
    scalars = zeros(SCALARS)
    scalars[LFSR] = GALOIS16_SEED
    return Core(
        params, zeros(n), zeros(n), zeros(n), zeros(n), zeros(3, n), zeros(5, n), zeros(n), zeros(n),
        np.zeros(n, np.uint8), zeros(m), zeros(m), zeros(m), zeros(m), zeros(m), zeros(m), zeros(m), zeros(n), zeros(n),
        zeros(n), zeros(n, REVERSE), zeros(n), zeros(SLOTS), zeros(SLOTS, SLOTS, 3), zeros(KEPT_SPIKES, 2), scalars,
        zeros(PROGRAMS),
    )  # fmt: skip

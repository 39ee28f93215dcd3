"""Packets that find their synapse in the core's own memory: those of synapses from one to one.

A chip may fetch the synapses of a packet from a memory that its cores share (SpiNNaker), except where a block has at most one
synapse a row and a column: there a word for each source neuron suffices, and the core keeps these words itself while they last
(``topology.one_to_one_words``). A block is what the neurons of one population on one core (or at the host) send to one core.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I32, I64
from simulator.program.axons import AxonTable
from simulator.program.program import HOST, Program
from simulator.program.shared import SharedProjection


def one_to_one(program: Program, axons: AxonTable, words: int) -> I64:
    """Count packets of one spike of each neuron whose synapses all lie in the core's own memory, int64 [N].

    Args:
        program: mapped.
        axons: its axon table.
        words: of such synapses that a core keeps; blocks take them in the order of their projections, each whole or not at all.
    """
    found = np.zeros(program.n_neurons, np.int64)
    if not words:
        return found
    first, sizes = program.first_ids(), {p.name: p.size for p in program.populations}
    n_cores = int(program.core.max(initial=HOST)) + 1
    left, here = np.full(n_cores, words, np.int64), np.zeros(axons.dst.size, np.int64)
    for p in program.projections:
        if isinstance(p, SharedProjection):  # many synapses of few words: rows of their own kind
            continue
        source = program.core[first[p.source] : first[p.source] + sizes[p.source]]
        target = program.core[first[p.target] + p.first : first[p.target] + sizes[p.target]]
        order = np.argsort(source, kind="stable")
        _keep(p.indptr, p.indices, source, order, target, first[p.source], axons.ptr, axons.dst, left, here)
    whole = np.append(0, np.cumsum(here == axons.n_syn))
    return np.diff(whole[axons.ptr])


@numba.njit(cache=True, nogil=True)
def _keep(
    indptr: I64, indices: I32, source: I32, order: I64, target: I32, base: int, ptr: I64, dst: I32, left: I64, here: I64
) -> None:  # fmt: skip
    """Take words of `left` for each block from one to one, and add its synapses to `here`, by packet."""
    entries, many = np.zeros(left.size, np.int64), np.zeros(left.size, np.bool_)
    row_of, block_of = np.full(left.size, -1, np.int64), np.full(target.size, -1, np.int64)
    begin, block = 0, 0
    while begin < order.size:
        stop = begin
        while stop < order.size and source[order[stop]] == source[order[begin]]:
            i = order[stop]
            for k in range(indptr[i], indptr[i + 1]):
                j = indices[k]
                c = target[j]
                many[c] |= row_of[c] == i or block_of[j] == block
                row_of[c], block_of[j] = i, block
                entries[c] += 1
            stop += 1
        for c in range(left.size):
            many[c] |= entries[c] > left[c]
            left[c] -= 0 if many[c] else entries[c]
        for at in range(begin, stop):
            i = order[at]
            for k in range(indptr[i], indptr[i + 1]):
                c = target[indices[k]]
                if not many[c]:
                    a, b = ptr[base + i], ptr[base + i + 1]
                    here[a + np.searchsorted(dst[a:b], c)] += 1
        entries[:], many[:] = 0, False
        begin, block = stop, block + 1

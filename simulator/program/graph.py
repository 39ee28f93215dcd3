"""Populations and projections: the core/synapse graph before and after cores are chosen.

One form serves both stages: *float* (as a front end made it) and *integer* (as a chip computes it).
Neurons are numbered logically: population after population, in the order of the graph. These ids never depend on a
mapping, so random numbers, spikes and learning keyed by them do not either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from simulator.base.arrays import I32, I64, Array

Role = Literal["input", "hidden", "output"]


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one model.

    Attributes:
        name: unique in its graph.
        model: name in `simulator.neurons` (``input`` for externally driven ids).
        size: number of neurons.
        params: parameter name -> array of shape () or (size,): float64 in the float stage, int32 in the integer stage.
        tables: shared look-up tables by name (int32 1-D), empty in the float stage.
        layer: 0 for the host's input; a neuron of layer l does at chip step t + l what a same-step model does at t.
        role: input, hidden or output.
        shape: logical shape (C, H, W) or (n,), for people and for convolutions.
    """

    name: str
    model: str
    size: int
    params: Mapping[str, Array] = field(default_factory=dict)
    tables: Mapping[str, I32] = field(default_factory=dict)
    layer: int = 0
    role: Role = "hidden"
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from one population to one input port of another, as CSR by source.

    A spike (payload 1) or graded spike (payload p) of source i at step t adds ``weights * p << exponent`` to the port
    accumulator of each target at step ``t + 1 + delay``.

    Attributes:
        indptr: int64 [source.size + 1], row pointers; int32 beside 16-bit targets of fewer than 2^31 synapses.
        indices: int32 or uint16 [nnz], target neuron counted from `first`, ascending and unique in a row.
        weights: [nnz] float64 (float stage), or int8/int16/int32 (integer stage).
        delay: extra steps (axonal delay), >= 0.
        exponent: left shift of every product (integer stage), >= 0.
        weight_bits: stored bits of a weight (integer stage).
        layout: ``dense`` (a full matrix in memory), ``sparse`` (with target indices) or ``conv`` (shared kernel words).
        shared_words: distinct weight words that a chip with shared kernels stores (conv only).
        plastic: name of the learning rule that changes these weights, or "".
        first: target neuron (local to the target population) that index 0 stands for. Synapses of more than 65,536 targets
            are held in blocks, one projection each, whose indices have 16 bits (`simulator.program.blocks`).
    """

    name: str
    source: str
    target: str
    port: str
    indptr: I64
    indices: I32
    weights: Array
    delay: int = 0
    exponent: int = 0
    weight_bits: int = 8
    layout: Literal["dense", "sparse", "conv"] = "sparse"
    shared_words: int = 0
    plastic: str = ""
    first: int = 0

    @property
    def targets(self) -> I32:
        """Target neurons, local to the target population, int32 [nnz]; a copy unless the indices are that already."""
        if self.first == 0 and self.indices.dtype == np.int32:
            return self.indices
        return np.add(self.indices, self.first, dtype=np.int32)

    @property
    def n_synapses(self) -> int:
        """Number of stored synapses (pruned ones are absent)."""
        return int(self.indices.size)

    def fan_in(self, n_target: int) -> I64:
        """Return the synapses of each target neuron, int64 [n_target]."""
        out = np.zeros(n_target, np.int64)
        own = np.bincount(self.indices)
        out[self.first : self.first + own.size] = own
        return out

    def synapses_on(self, core: I32, n_cores: int) -> I64:
        """Return the synapses on each core, int64 [n_cores]; `core` of each target neuron."""
        return np.bincount(core[self.first :][self.indices], minlength=n_cores)


def dense_to_csr(weights: Array, keep_zeros: bool = False) -> tuple[I64, I32, Array]:
    """Turn a matrix [n_target, n_source] into CSR by source (indptr, indices, values); zeros are dropped unless kept."""
    by_source = np.ascontiguousarray(weights.T)
    keep = np.ones(by_source.shape, bool) if keep_zeros else by_source != 0
    indptr = np.zeros(by_source.shape[0] + 1, np.int64)
    np.cumsum(keep.sum(axis=1), out=indptr[1:])
    return indptr, np.nonzero(keep)[1].astype(np.int32), by_source[keep]


def csr_to_dense(projection: Projection, n_target: int) -> Array:
    """Return the matrix [n_target, n_source] of a projection; absent synapses are 0."""
    n_source = projection.indptr.size - 1
    out = np.zeros((n_source, n_target), projection.weights.dtype)
    rows = np.repeat(np.arange(n_source), np.diff(projection.indptr))
    out[rows, projection.targets] = projection.weights
    return np.ascontiguousarray(out.T)

"""Plain network files (.npz): integer LIF networks as CSR arrays, with their inputs and, if given, a mapping.

N neurons; ids [0, n_in) are external inputs, [n_in, N) are LIF. V is kept in 1/64 of a weight unit:

    V[t] = (64 v0 if t == 0 else trunc(V[t-1] * 7/8)) + 64 * (bias + sum of the weights whose source spiked at t-1)
    spike if V > 64 thr, then V = 0

Arrays: ``indptr`` [N + 1], ``indices`` [nnz] (ascending and unique in a row), ``weights`` int [nnz], ``bias``, ``v0`` [N],
``thr``, ``n_in``, ``in_ptr`` [T + 1], ``in_idx`` (external spikes by step); optional ``core`` [N] (a mapping), ``ref_hash``
(of the spikes of all T steps, as `SpikeTrain.spike_hash`).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numba
import numpy as np

from bimhw.frontends.npz_blocks import SYNAPSES, read_blocks
from mapping.network import Network
from mapping.words import value_bits
from simulator.base import host_memory
from simulator.base.arrays import I32, I64, AnyInts, Array
from simulator.base.errors import InputError
from simulator.base.files import read_npz
from simulator.base.misplaced import WAY_IN
from simulator.base.names import INPUT_MODEL
from simulator.base.reading import boundary, check_is_file
from simulator.neurons.lif import initial_v
from simulator.program.blocks import n_blocks, pointer_type, worth_blocks
from simulator.program.graph import Population, Projection
from simulator.program.spikes import SpikeTrain

SCALE_SHIFT = 6  # V is in 1/64 of a weight unit
DECAY = 512  # V * 7/8 a step, in 1/4096
_NEEDED = ("indptr", "indices", "weights", "bias", "v0", "thr", "n_in", "in_ptr", "in_idx")
_OPTIONAL = ("core", "ref_hash")
_NO_ROWS = np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int8)
_HELD = 3  # how many times the bytes of a file are held at the peak


@dataclass(frozen=True, eq=False)
class PlainNet:
    """A plain network file.

    Attributes:
        network: integer network, populations ``in`` (external, absent if there is none) and ``lif``, with the external
            spikes of the file's T steps and its mapping.
        ref_hash: spike hash over the T steps that the file states, or "".
    """

    network: Network
    ref_hash: str

    @property
    def inputs(self) -> SpikeTrain:
        """External spikes of the file's T steps."""
        assert self.network.inputs is not None
        return self.network.inputs


def read_plain(path: Path | str) -> PlainNet:
    """Read a plain network file, every size, range and order checked.

    Raises:
        InputError: no such file, not an .npz file, an array missing or wrong (which, where and the rule), or too large
            for the memory there is.
    """
    file = Path(path)
    split = _foresee(file)
    held = _names(file)
    names = (*_NEEDED, *(name for name in _OPTIONAL if name in held))
    if not set(_NEEDED) & set(held):
        held_here = f"holds {', '.join(sorted(held)[:10])}, and none of a plain network's arrays ({', '.join(_NEEDED)})"
        raise InputError(str(file), held_here, f"Samples go to --data. Of another framework's network: {WAY_IN}")
    with boundary(file, "a plain network", "See bimhw.frontends.npz for its arrays"):
        if split:
            return _plain(read_npz(file, tuple(k for k in names if k not in SYNAPSES)), file, True)
        return _plain(read_npz(file, names), file, False)


def _plain(a: dict[str, Any], file: Path, split: bool) -> PlainNet:
    where = str(file)
    n = _check_rows(a, where, length_of(file, "indices") if split else None)
    n_in = _scalar(a, "n_in", where)
    if not 0 <= n_in < n:
        raise InputError(f"{where}: n_in", f"is {n_in}; it must be 0..{n - 1} for {n} neurons")
    core = _core(a["core"], n, where) if "core" in a else None
    populations = _populations(a, n_in, n, where)
    like = tuple(Projection(f"{p.name}_lif", p.name, "lif", "in", *_NO_ROWS, exponent=SCALE_SHIFT) for p in populations)
    if split:
        projections = read_blocks(file, a["indptr"], n_in, like)
    else:
        indices = _targets(a.pop("indices"), a["indptr"], n_in, n, where)
        projections = _projections(a["indptr"], indices, a["weights"], n_in, like)
    meta = {"source": file.name, "steps": int(a["in_ptr"].size - 1)}
    network = Network("integer", populations, projections, meta, inputs=_inputs(a, n_in, where), core=core)
    return PlainNet(network, str(a["ref_hash"]) if "ref_hash" in a else "")


def _names(path: Path) -> set[str]:
    with boundary(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def _foresee(path: Path) -> bool:
    """Return whether its synapses are read into blocks; refuse a file whose arrays, unpacked, would not fit.

    Synapses are held about three times at the peak, in blocks once.
    """
    check_is_file(path)
    with boundary(path, "an .npz file", "Plain networks are .npz files"), zipfile.ZipFile(path) as archive:
        sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in archive.infolist()}
        neurons, synapses = (_length(archive, name) for name in ("bias", "indices"))
        split = worth_blocks(neurons, synapses, neurons) and "weights" in sizes
        need, there = _HELD * sum(sizes.values()), host_memory.available_bytes()
        if split:
            rest = sum(size for name, size in sizes.items() if name not in SYNAPSES)
            pointer_bytes = np.dtype(pointer_type(synapses)).itemsize
            need = _HELD * rest + 2 * synapses + sizes["weights"] + pointer_bytes * n_blocks(neurons) * neurons
        if there is None or need <= there:
            return split
    share = there / need
    raise InputError(
        str(path),
        f"needs {need / 1e9:,.2f} GB for {neurons:,} neurons and {synapses:,} synapses (as read, checked and laid out), and "
        f"{there / 1e9:,.2f} GB are available",
        f"A machine with {need / 1e9:,.2f} GB free holds it; this one holds about {int(share * synapses):,} synapses",
    )


def length_of(path: Path, name: str) -> int:
    """Return the entries of an array of the file by its header alone; 0 where it is not there."""
    with zipfile.ZipFile(path) as archive:
        return _length(archive, name)


def _length(archive: zipfile.ZipFile, name: str) -> int:
    """Return the entries of an array by its header alone; 0 where it is not there."""
    form: Any = np.lib.format  # untyped in numpy
    if f"{name}.npy" not in archive.namelist():
        return 0
    with archive.open(f"{name}.npy") as stream:
        old = form.read_magic(stream) == (1, 0)
        shape = (form.read_array_header_1_0 if old else form.read_array_header_2_0)(stream)[0]
    return int(np.prod(shape))


def _array(a: dict[str, Any], name: str, where: str, shape: tuple[int, ...] | None = None) -> Array:
    value: Array = a[name]
    if value.dtype.kind not in "iu":
        raise InputError(f"{where}: {name}", f"has type {value.dtype}; it must hold integers")
    if shape is None and value.ndim != 1:
        raise InputError(f"{where}: {name}", f"has {value.ndim} dimensions; it must have 1")
    if shape is not None and value.shape != shape:
        raise InputError(f"{where}: {name}", f"has shape {value.shape}; it must be {shape}")
    return value


def _scalar(a: dict[str, Any], name: str, where: str) -> int:
    value = a[name]
    if value.size != 1 or value.dtype.kind not in "iu":
        raise InputError(f"{where}: {name}", "must be one integer")
    return int(value.reshape(()))


def _check_rows(a: dict[str, Any], where: str, synapses: int | None) -> int:
    """Check the row pointers; returns the number of neurons. Synapses that are not read yet are so many."""
    indptr = _array(a, "indptr", where)
    if synapses is None:
        synapses = _array(a, "indices", where).size
        _array(a, "weights", where, (synapses,))
    if indptr.size < 2:
        raise InputError(f"{where}: indptr", f"has {indptr.size} entries; a network of N neurons has N + 1 of them")
    if indptr[0] != 0 or indptr[-1] != synapses:
        raise InputError(f"{where}: indptr", f"runs from {indptr[0]} to {indptr[-1]}; it must run from 0 to {synapses}")
    a["indptr"] = indptr.astype(np.int64, copy=False)
    if (a["indptr"][1:] < a["indptr"][:-1]).any():
        row = int(np.argmax(a["indptr"][1:] < a["indptr"][:-1]))
        raise InputError(f"{where}: indptr", f"goes backwards at row {row}")
    return int(indptr.size - 1)


def _targets(indices: Array, indptr: I64, n_in: int, n: int, where: str) -> I32:
    """Count targets from the first LIF neuron, int32; 32-bit arrays are changed in place."""
    row, bad = _first_bad_row(indptr, indices, n_in, n)
    if row >= 0:
        raise InputError(
            f"{where}: indices",
            f"row {row} has the target {bad}; targets must be LIF neurons {n_in}..{n - 1}, ascending and unique in a row",
        )
    if indices.dtype.itemsize == 4:
        targets = indices.view(np.int32)
        targets -= np.int32(n_in)
        return targets
    return indices.astype(np.int32) - np.int32(n_in)


@numba.njit(cache=True, nogil=True)
def _first_bad_row(indptr: Any, indices: Any, low: int, high: int) -> Any:
    for row in range(indptr.size - 1):
        last = low - 1
        for j in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            target = int(indices[j])
            if target <= last or target >= high:
                return row, target
            last = target
    return -1, 0


def _populations(a: dict[str, Any], n_in: int, n: int, where: str) -> tuple[Population, ...]:
    thr = _scalar(a, "thr", where)
    params = {
        "dv": np.array(DECAY, np.int32),
        "vth": _scaled(np.array([thr]), "thr", where)[0],
        "strict": np.array(1, np.int32),
        "bias": _scaled(_array(a, "bias", where, (n,))[n_in:], "bias", where),
        "v_init": initial_v(_scaled(_array(a, "v0", where, (n,))[n_in:], "v0", where).astype(np.int64), DECAY),
    }
    lif = Population("lif", "lif", n - n_in, params, layer=1)
    return (Population("in", INPUT_MODEL, n_in, role="input"), lif) if n_in else (lif,)


def _projections(
    indptr: I64, indices: I32, weights: AnyInts, n_in: int,
    like: tuple[Projection, ...],
) -> tuple[Projection, ...]:  # fmt: skip
    """Synapses of the inputs, if there are any, and of the neurons."""
    cut = int(indptr[n_in])
    rows = {"in": (indptr[: n_in + 1], slice(0, cut)), "lif": (indptr[n_in:] - cut, slice(cut, indices.size))}
    found = []
    for q in like:
        own, part = rows[q.source]
        words = weights[part]
        found.append(replace(q, indptr=own, indices=indices[part], weights=words, weight_bits=value_bits(words)))
    return tuple(found)


def _scaled(value: Array, name: str, where: str) -> I32:
    """Scale weight units to V units; with room for the decay before step 0."""
    top = (2**31 - 1) * 7 // 8 >> SCALE_SHIFT
    worst = int(np.abs(value.astype(np.int64)).max(initial=0))
    if worst > top:
        raise InputError(f"{where}: {name}", f"has the magnitude {worst}; V holds at most {top} weight units")
    return value.astype(np.int32) << SCALE_SHIFT


def _core(value: Array, n: int, where: str) -> I32:
    if value.dtype.kind not in "iu" or value.shape != (n,):
        raise InputError(f"{where}: core", f"has type {value.dtype} and shape {value.shape}; it must be {n} integers")
    if int(value.min()) < 0 or int(value.max()) >= 2**31:
        raise InputError(f"{where}: core", f"has cores {value.min()}..{value.max()}; the first core is 0")
    return value.astype(np.int32)


def _inputs(a: dict[str, Any], n_in: int, where: str) -> SpikeTrain:
    ptr, ids = _array(a, "in_ptr", where).astype(np.int64), _array(a, "in_idx", where)
    if ptr.size < 1 or ptr[0] != 0 or ptr[-1] != ids.size or (np.diff(ptr) < 0).any():
        raise InputError(f"{where}: in_ptr", f"must rise from 0 to {ids.size}, the number of external spikes")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < n_in:
        raise InputError(f"{where}: in_idx", f"has ids {ids.min()}..{ids.max()}; external inputs are 0..{n_in - 1}")
    ids = ids.astype(np.int32)
    step = np.repeat(np.arange(ptr.size - 1), np.diff(ptr))
    order = np.lexsort((ids, step))
    return SpikeTrain(ptr, ids if (order[1:] > order[:-1]).all() else ids[order])

"""Whether a float model is the one that a program was compiled from: by its file's hash, else by layers and weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from bimhw.compiler.marks import other_parameter
from bimhw.frontends import load_network
from bimhw.runs.folder import file_sha256
from mapping.copies import first_copy
from mapping.network import Network
from simulator.base.arrays import I64, Floats
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.base.reading import check_is_file
from simulator.program.graph import Projection
from simulator.program.program import Program
from simulator.program.shared import SharedProjection, first_of_channel

_MISS = 1.0  # units of the last place, between a float weight and its stored word; rounding costs half of one
_CLIPS = 4.0  # a scale that clips a weight is at most that much finer than one that does not


def check_own_model(program: Program, model: str | Path) -> None:
    """Raise `InputError` unless a model file holds the network that a program was compiled from.

    A file with other bytes is read: populations, projections and weights must be the program's, within the rounding of a stored
    weight, and the parameters of neurons those that it was compiled from.
    """
    check_is_file(Path(model))
    if file_sha256(Path(model)) == program.facts.model_sha256:
        return
    problem = _difference(first_copy(program), load_network(model, None, **program.facts.reading))
    if problem:
        raise InputError(
            str(model),
            f"is another network than the one that was compiled: {problem}",
            "Give its own model, or compile this one",
        )


def _difference(program: Program, network: Network) -> str:
    """Return the first thing that differs, or "" where nothing does."""
    if network.stage == "integer":
        return ""  # what runs it says so
    relays = program.facts.relays.populations
    here = {p.name: p.size for p in program.populations if p.name not in relays}
    for p in network.populations:
        if here.get(p.name) != p.size:
            there = "no such population" if p.name not in here else f"{here[p.name]} neurons"
            return f"its population {p.name!r} has {p.size} neurons, the program's {there}"
    own = {p.name for p in network.populations} | {p.name for p in program.populations if p.model == INPUT_MODEL}
    lacks = sorted(set(here) - own)
    if lacks:
        return f"it has no population {lacks[0]!r}"
    stored, by_row = {q.name: q for q in program.projections}, bool(program.meta.get("options", {}).get("per_row"))
    for q in network.projections:
        if q.name in stored and not _stored_of(stored[q.name], q, here[q.target], by_row):
            return f"the stored weights of projection {q.name!r} are not its own"
    other = other_parameter(network, program.facts.neurons)
    return f"{other} is another" if other else ""


def _stored_of(stored: Projection, q: Projection, n_target: int, by_row: bool) -> bool:
    """Return whether stored words are float weights in one unit (or one a row), rounded, or clipped at the largest word."""
    if isinstance(q, SharedProjection) or isinstance(stored, SharedProjection):
        if not isinstance(q, SharedProjection) or not isinstance(stored, SharedProjection):
            return True
        return _shared(stored, q, n_target, by_row)
    keys, words = _pairs(stored, n_target)
    mine, values = _pairs(q, n_target)
    if not np.isin(keys[words != 0], mine).all():
        return False
    at = np.minimum(np.searchsorted(keys, mine), max(keys.size - 1, 0))
    there = keys[at] == mine if keys.size else np.zeros(mine.size, bool)
    whole = np.where(there, words[at], 0) if keys.size else np.zeros(mine.size, np.int64)
    rows = mine % n_target if by_row else np.zeros(mine.size, np.int64)
    return _in_one_unit(rows, whole, values, n_target, stored.weight_bits)


def _shared(stored: SharedProjection, q: SharedProjection, n_target: int, by_row: bool) -> bool:
    row = np.repeat(np.arange(q.template.size - 1), np.diff(q.template))
    kept = np.repeat(np.arange(stored.template.size - 1), np.diff(stored.template))
    if q.template.size != stored.template.size:
        return False
    span = 1 + max(int(q.indices.max(initial=0)), int(stored.indices.max(initial=0)))
    keys, mine = kept * span + stored.indices, row * span + q.indices
    if not np.isin(keys, mine).all():
        return False
    words = dict(zip(keys.tolist(), stored.weights.tolist(), strict=True))
    whole = np.array([words.get(k, 0) for k in mine.tolist()], np.int64)
    rows = first_of_channel(q, n_target) if by_row else np.zeros(mine.size, np.int64)
    return _in_one_unit(rows, whole, q.weights.astype(np.float64), n_target, stored.weight_bits)


def _pairs(q: Projection, n_target: int) -> tuple[I64, Floats]:
    """Return source x n_target + target of each synapse, ascending, and its weight."""
    source = np.repeat(np.arange(q.indptr.size - 1, dtype=np.int64), np.diff(q.indptr))
    keys = source * n_target + q.targets
    order = np.argsort(keys, kind="stable")
    return keys[order], q.weights[order].astype(np.float64)


def _in_one_unit(rows: I64, whole: npt.NDArray[np.generic], values: Floats, n_rows: int, bits: int) -> bool:
    """Return whether values / unit are the words within `_MISS`, with the best unit of each row."""
    words, limit = whole.astype(np.float64), 2 ** (bits - 1) - 1
    if bits == 1:
        return bool((np.sign(values) == np.sign(words))[values != 0].all())
    free = np.abs(words) < limit  # clipped words do not tell the unit
    power = np.bincount(rows, weights=free * words * words, minlength=n_rows)
    unit = np.divide(
        np.bincount(rows, weights=free * words * values, minlength=n_rows), power, out=np.zeros(n_rows), where=power > 0
    )
    told = (unit > 0)[rows]
    ratio = np.divide(values, unit[rows], out=np.zeros(values.size), where=told)
    near = np.abs(ratio - words) <= _MISS
    clipped = ~free & (np.abs(ratio) >= limit - _MISS) & (np.abs(ratio) <= _CLIPS * (limit + 1))
    signs = (np.sign(values) == np.sign(words)) | (words == 0)
    return bool((signs & (near | clipped | ~told)).all())

"""GAIN: a grid of Izhikevich neurons coupled to their nearest neighbours, placed so that every packet crosses one link at most.

Neuron (r, c) sends to (r +- 1, c) and (r, c +- 1). Input channel r drives the left column's neuron of row r, and class k is read
from its band of rows of the right column by a filtered count of spikes. Neurons are ``izhikevich`` (1 ms a step), by default
regular spiking: a = 0.02, b = 0.2, c = -65 mV, d = 8 mV. Tiles of neighbouring neurons stand on neighbouring routers, and a
readout neuron on the core of its band, so no packet of the grid goes further than one link.

Source: Hooper 2025 (arXiv:2506.04247), of which abstract and introduction were read: Izhikevich neurons in a grid with nearest
neighbours coupled. Sizes, input, readout, weights and learning are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapping.network import Network
from simulator.base.arrays import I32, I64
from simulator.base.errors import FitError, InputError
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.neurons.readout_li import LEAK_FRAC
from simulator.program.graph import Population, Projection
from simulator.program.program import HOST

INPUT, GRID, READOUT, NEIGHBOURS = "input", "grid", "readout", "grid.neighbours"
_EXPONENT, _BITS = 6, 8  # a weight of 1 is 64 / 256 mV/ms
_WORD = 127
_READ = 16  # first weight of a learnt readout
_READOUT_FRAC = 12


@dataclass(frozen=True)
class GainShape:
    """Sizes of a grid.

    Attributes:
        rows, columns: neurons.
        tile_rows, tile_columns: cores side by side; they divide `rows` and `columns`.
        classes: bands of the right column; they divide `tile_rows` or are divided by it.
        coupling: mean weight between neighbours, in words of 64/256 mV/ms.
        spread: standard deviation of the weights over their mean.
        drive: weight of an input channel.
        k_o: decay of the readout's filter.
        steps: of a sample; the scores of the last one decide.
        learnt_readout: each class has a synapse from every row of the right column, to be learnt; at first as without.
    """

    rows: int = 8
    columns: int = 4
    tile_rows: int = 2
    tile_columns: int = 2
    classes: int = 2
    coupling: float = 60.0
    spread: float = 0.2
    drive: int = 120
    k_o: float = 0.98
    steps: int = 60
    learnt_readout: bool = False

    def __post_init__(self) -> None:
        for name, value in (("rows", self.rows), ("columns", self.columns), ("classes", self.classes)):
            if value < 1:
                raise InputError(f"grid: {name}", f"is {value}", "Give at least 1")
        for name, whole, part in (
            ("tile_rows", self.rows, self.tile_rows), ("tile_columns", self.columns, self.tile_columns),
            ("classes", self.rows, self.classes),
        ):  # fmt: skip
            if part < 1 or whole % part:
                raise InputError(f"grid: {name}", f"is {part}, which does not divide {whole}", "Give a divisor")
        if not self.learnt_readout and self.classes % self.tile_rows and self.tile_rows % self.classes:
            raise InputError("grid: classes", f"are {self.classes} over {self.tile_rows} tiles", "Give a multiple")
        if self.tile_rows > (3 if self.learnt_readout else 3 * self.classes):
            raise InputError(
                "grid: tile_rows", f"is {self.tile_rows}: a readout of more than 3 tiles is further than a link"
            )


def gain_grid(shape: GainShape | None = None, chip: Chip | str = "generic", *, seed: int = 0) -> Network:
    """Return a grid as an integer network with its placement; compile it with ``mapping="file"``.

    Args:
        shape: sizes and weights.
        chip: whose mesh it is placed on.
        seed: of the weights.

    Raises:
        FitError: the mesh has fewer routers than the grid has tiles, in a direction.
    """
    s, target = shape or GainShape(), chip if isinstance(chip, Chip) else load_chip(chip)
    rng, size = np.random.default_rng(seed), s.rows * s.columns
    k = round((1 - s.k_o) * 2**LEAK_FRAC)
    readout = {"b": 0, "mul": 1, "sh": -_READOUT_FRAC, "m": k, "limit": 2**23 - 1}
    neuron = {"a": 1311, "b": 13107, "c": -16640, "d": 2048, "bias": 0, "v_init": -17920, "u_init": -3584}
    populations = (
        Population(INPUT, INPUT_MODEL, s.rows, role="input", shape=(s.rows,)),
        Population(GRID, "izhikevich", size, _words(neuron), layer=1, shape=(s.rows, s.columns)),
        Population(READOUT, "readout_li", s.classes, _words(readout), layer=2, role="output", shape=(s.classes,)),
    )
    cells = np.arange(size).reshape(s.rows, s.columns)
    drawn = rng.normal(s.coupling, s.spread * s.coupling, _pairs(cells).shape[0])
    weights = np.clip(np.round(drawn), 0, _WORD).astype(np.int64)
    read = _read(s, cells[:, -1])
    projections = (
        _sparse(f"{GRID}.input", INPUT, GRID, s.rows, np.column_stack([np.arange(s.rows), cells[:, 0]]), s.drive),
        _sparse(NEIGHBOURS, GRID, GRID, size, _pairs(cells), weights),
        _sparse(f"{READOUT}.grid", GRID, READOUT, size, read[:, :2], read[:, 2]),
    )
    meta: dict[str, object] = {
        "input": {"population": INPUT, "scale": 1.0},
        "output": {
            "population": READOUT,
            "state": "y",
            "scale": 2.0**-_READOUT_FRAC,
            "latency": 2,
            "window": [s.steps + 1],
        },
    }
    return Network("integer", populations, projections, meta, core=_cores(s, target))


def _words(values: dict[str, int]) -> dict[str, I32]:
    return {name: np.asarray(value, np.int32) for name, value in values.items()}


def _read(s: GainShape, edge: I64) -> I64:
    """Return (source, class, weight) of the readout's synapses."""
    own = np.arange(s.rows) // (s.rows // s.classes)
    if not s.learnt_readout:
        return np.column_stack([edge, own, np.ones_like(own)])
    source, label = np.repeat(edge, s.classes), np.tile(np.arange(s.classes), s.rows)
    return np.column_stack([source, label, np.where(label == np.repeat(own, s.classes), _READ, 0)])


def _pairs(cells: I64) -> I64:
    """Return (source, target) of all neighbours, [pairs, 2]."""
    sides = [(cells[:-1], cells[1:]), (cells[:, :-1], cells[:, 1:])]
    both = [np.column_stack([a.ravel(), b.ravel()]) for x, y in sides for a, b in ((x, y), (y, x))]
    return np.concatenate(both).astype(np.int64)


def _sparse(name: str, source: str, target: str, sources: int, pairs: I64, weights: I64 | int) -> Projection:
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs, words = pairs[order], np.broadcast_to(weights, len(pairs))[order].astype(np.int8)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(pairs[:, 0], minlength=sources))]).astype(np.int64)
    exponent = 0 if target == READOUT else _EXPONENT
    return Projection(
        name, source, target, "in", indptr, pairs[:, 1].astype(np.int32), words,
        exponent=exponent, weight_bits=_BITS, layout="sparse",
    )  # fmt: skip


def _cores(s: GainShape, chip: Chip) -> I32:
    t = chip.topology
    if s.tile_columns > t.width or s.tile_rows > t.height:
        raise FitError(
            f"a grid of {s.tile_rows} x {s.tile_columns} tiles",
            f"is larger than the mesh of {t.height} x {t.width} routers of {chip.name!r}", "Take fewer tiles",
        )  # fmt: skip
    row = np.arange(s.rows) * s.tile_rows // s.rows
    column = np.arange(s.columns) * s.tile_columns // s.columns
    grid = (column[None, :] * t.height + row[:, None]) * t.cores_per_router
    middle = (np.arange(s.classes) * 2 + 1) * s.tile_rows // (2 * s.classes)
    if s.learnt_readout:
        middle = np.full(s.classes, s.tile_rows // 2)
    readout = ((s.tile_columns - 1) * t.height + middle) * t.cores_per_router
    return np.asarray(np.concatenate([np.full(s.rows, HOST), grid.ravel(), readout]), np.int32)

"""A connectome from a table of connections, as an integer network: the FlyWire brain of a fruit fly, by path.

A table has one row a connection (and region): neuron before, neuron after, number of synapses, transmitter. Rows of one pair
add up.
GABA and glutamate inhibit, all other transmitters excite; a neuron has the sign of most of its synapses.

Neurons are those of Shiu et al. 2024 (Nature 634:210-219), leaky integrators behind a synaptic current, in Loihi's integers:

    tau_m dv/dt = g - v,  tau_s dg/dt = -g,  g += 0.275 mV x synapses at each spike, 1.8 ms later
    fires where v > 7 mV, then v = 0 for 2.2 ms;  tau_m = 20 ms, tau_s = 5 ms

One unit of weight is one synapse. Counts above 127 are stored in two parts, c = low + 128 high, in two projections of 8 bits.
Differences: decays to 1/4096, g and v in 24 bits, and g is not cleared by a spike.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mapping.network import Network
from simulator.base.arrays import I32, I64, Array
from simulator.base.errors import InputError, MissingExtraError
from simulator.base.host_memory import check_memory
from simulator.base.names import INPUT_MODEL
from simulator.base.reading import boundary, check_is_file, check_unique
from simulator.program.blocks import in_blocks
from simulator.program.graph import Population, Projection
from simulator.program.spikes import SpikeTrain

Texts = npt.NDArray[np.str_]
Column = Array  # of one kind of whole numbers, or of text

# names of each column in the public tables
_COLUMNS = {
    "before": ("pre_root_id", "pre_pt_root_id", "Presynaptic_ID", "pre"),
    "after": ("post_root_id", "post_pt_root_id", "Postsynaptic_ID", "post"),
    "synapses": ("syn_count", "Connectivity", "weight"),
    "transmitter": ("nt_type", "nt"),
}
_NEURON = ("root_id", "pt_root_id", "id")
_INHIBITORY = ("GABA", "GLUT")
_TAU_M_MS, _TAU_S_MS, _THRESHOLD_MV, _SYNAPSE_MV, _REFRACTORY_MS, _DELAY_MS = 20.0, 5.0, 7.0, 0.275, 2.2, 1.8
_STIMULUS_SYNAPSES = 250  # of each input, so that every input spike fires its neuron
_FRACTION, _LOW_BITS = 4096, 7
_ROW_BYTES = 200  # of a row at the peak: 155 for the arrays, and what pyarrow holds beside them
_HEAD = 1 << 20


@dataclass(frozen=True, eq=False)
class Connections:
    """Rows of a table.

    Attributes:
        before, after: int64 [rows], ids of the neurons.
        synapses: int64 [rows].
        transmitter: text [rows]; empty strings where the table has none.
    """

    before: I64
    after: I64
    synapses: I64
    transmitter: Texts


def connectome(
    path: Path | str,
    *,
    neurons: Path | str | None = None,
    least: int = 1,
    stimulate: Sequence[int] = (),
    rate_hz: float = 150.0,
    step_ms: float = 0.1,
    steps: int = 1000,
    seed: int = 0,
) -> Network:
    """Read a table of connections into an integer network of `loihi_cuba` neurons.

    Args:
        path: .csv, .csv.gz, .feather or .parquet file; the columns of FlyWire's public tables are known.
        neurons: table of neurons (``root_id``), which fixes their order and adds those without connections.
        least: pairs of fewer synapses are left out.
        stimulate: ids of neurons that get Poisson input spikes, each of which fires them.
        rate_hz: of that input.
        step_ms: time of a step.
        steps: that the input lasts.
        seed: of the input.

    Raises:
        InputError: a file that is no such table, an id that is in no row, a step that does not fit the delay.
        MissingExtraError: pyarrow is not installed (.feather, .parquet).
    """
    _check(step_ms, steps, least)
    table = read_connections(Path(path))
    ids = _neuron_ids(Path(neurons)) if neurons is not None else np.unique(np.concatenate([table.before, table.after]))
    before, after = (_places(of, ids, str(path)) for of in (table.before, table.after))
    sign = _signs(before, table.transmitter, table.synapses, ids.size)
    source, target, count = _pairs(before, after, table.synapses, ids.size, least)
    brain = Population("brain", "loihi_cuba", ids.size, _parameters(step_ms), layer=1, role="output")
    projections = _parts(source, target, count * sign[source], ids.size, round(_DELAY_MS / step_ms))
    meta = {"source": Path(path).name, "steps": steps, "step_ms": step_ms}
    silent = SpikeTrain(np.zeros(steps + 1, np.int64), np.zeros(0, np.int32))
    if not len(stimulate):
        return Network("integer", (brain,), projections, meta, inputs=silent)
    driven = np.unique(_places(np.array(stimulate, np.int64), ids, "stimulate"))
    n, row = driven.size, driven.astype(np.int32)
    weight = np.full(n, _STIMULUS_SYNAPSES // 2, np.int8)
    drive = Projection("drive", "stimulus", "brain", "in", np.arange(n + 1), row, weight, exponent=1)
    fired = np.random.default_rng(seed).random((steps, n)) < rate_hz * step_ms / 1000
    inputs = SpikeTrain(np.concatenate([[0], np.cumsum(fired.sum(axis=1))]), np.nonzero(fired)[1].astype(np.int32))
    populations = Population("stimulus", INPUT_MODEL, n, role="input"), brain
    return Network("integer", populations, (drive, *projections), meta, inputs=inputs)


def read_connections(path: Path) -> Connections:
    """Read the rows of a table of connections.

    Raises:
        InputError: a file that is no such table, a column that is missing, a count below 1.
        MissingExtraError: pyarrow is not installed (.feather, .parquet).
    """
    kinds = {"before": "i8", "after": "i8", "synapses": "i8", "transmitter": "U8"}
    found = _columns(path, _COLUMNS, kinds, optional="transmitter")
    synapses = found["synapses"]
    if not synapses.size:
        raise InputError(str(path), "holds no connection", "Give a table of connections")
    if int(synapses.min()) < 1:
        row = int(np.argmin(synapses))
        raise InputError(f"{path}: row {row + 1}", f"has {synapses[row]} synapses; the least is 1", "Correct the table")
    none = np.zeros(synapses.size, "U1")
    return Connections(found["before"], found["after"], synapses, found.get("transmitter", none))


def neuron_ids(text: str) -> list[int]:
    """Read ids with blanks between them.

    Raises:
        InputError: a word that is no whole number.
    """
    for word in text.split():
        if not word.isdecimal():
            raise InputError(
                "stimulate", f"has {word!r}, which is no id", "Give whole numbers with blanks between them"
            )
    return [int(word) for word in text.split()]


def _check(step_ms: float, steps: int, least: int) -> None:
    if not 0.03 <= step_ms <= _DELAY_MS:
        raise InputError("step_ms", f"is {step_ms:g}", f"Give 0.03 to {_DELAY_MS:g}: the delay is {_DELAY_MS:g} ms")
    for name, value in (("steps", steps), ("least", least)):
        if value < 1:
            raise InputError(name, f"is {value}", "Give 1 or more")


def _columns(
    path: Path, wanted: dict[str, tuple[str, ...]], kinds: dict[str, str], optional: str = ""
) -> dict[str, Column]:
    """Return the columns by our names."""
    check_is_file(path)
    arrow = path.suffix in (".feather", ".parquet")
    with boundary(path, "a table of connections", "Give .csv, .csv.gz, .feather or .parquet"):
        header = list(_arrow(path).schema.names) if arrow else _csv_header(path)
        check_unique(header)
        if not arrow:
            _check_lines(path)
        rows = int(_arrow(path).count_rows()) if arrow else _csv_rows(path)
        way_out = f"A machine with {rows * _ROW_BYTES / 1e9:.1f} GB free holds it; give a table of fewer rows"
        check_memory(rows * _ROW_BYTES, str(path), f"about {rows:,} rows", way_out)
        there = {ours: name for ours, names in wanted.items() for name in names if name in header}
        for ours, names in wanted.items():
            if ours not in there and ours != optional:
                raise InputError(str(path), f"has no column {' or '.join(names)}", f"Its columns: {', '.join(header)}")
        if arrow:
            return _read_arrow(path, there, kinds)
        types = np.dtype([(ours, kinds[ours]) for ours in there])
        places = [header.index(name) for name in there.values()]
        read = np.loadtxt(
            path, types, delimiter=",", skiprows=1, usecols=places, ndmin=1, encoding="utf-8", quotechar='"'
        )
        return {ours: np.ascontiguousarray(read[ours]) for ours in there}


def _csv_header(path: Path) -> list[str]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        return [name.strip().strip('"') for name in stream.readline(1 << 16).lstrip("\ufeff").split(",")]


def _check_lines(path: Path) -> None:
    """Raise `ValueError` for a stretch without a line's end that no row fills: a reader would take it as one line."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        while len(block := stream.read(_HEAD)) == _HEAD:
            if b"\n" not in block and b"\r" not in block:
                raise ValueError(f"a line has more than {_HEAD:,} bytes")


def _csv_rows(path: Path) -> int:
    """Return the rows of a table by its size and its first megabyte."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    taken = len(head)
    if path.suffix == ".gz":
        inflate = zlib.decompressobj(31)  # of gzip's format
        text = inflate.decompress(head, _HEAD)
        head, taken = text, taken - len(inflate.unconsumed_tail) - len(inflate.unused_data)
    return round(head.count(b"\n") * path.stat().st_size / max(1, taken))


def _arrow(path: Path) -> Any:
    try:
        from pyarrow import dataset
    except ImportError as error:
        raise MissingExtraError("pyarrow", "connectome", "reading .feather and .parquet files") from error
    return dataset.dataset(path, format=path.suffix[1:])


def _read_arrow(path: Path, there: dict[str, str], kinds: dict[str, str]) -> dict[str, Column]:
    table = _arrow(path).to_table(columns=list(there.values()))
    table.validate(full=True)  # Arrow trusts the offsets of a file, and crashes where they lead out of it
    return {ours: np.asarray(table[name].to_numpy()).astype(kinds[ours]) for ours, name in there.items()}


def _neuron_ids(path: Path) -> I64:
    ids: I64 = np.asarray(_columns(path, {"id": _NEURON}, {"id": "i8"})["id"], np.int64)
    if np.unique(ids).size != ids.size:
        raise InputError(str(path), "names a neuron twice", "List each once")
    return ids


def _places(wanted: I64, ids: I64, where: str) -> I64:
    """Place of each id in the list."""
    order: I64 = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids, wanted, sorter=order), ids.size - 1)
    places: I64 = order[at]
    wrong = ids[places] != wanted
    if wrong.any():
        raise InputError(where, f"names the neuron {wanted[wrong][0]}, which is in no list", "Correct the id")
    return places


def _signs(before: I64, transmitter: Texts, synapses: I64, n: int) -> I64:
    """Return +1 or -1 of each neuron, by most of its synapses."""
    inhibits = np.isin(np.char.upper(transmitter), _INHIBITORY)
    balance = np.bincount(before, np.where(inhibits, -synapses, synapses), n)
    signs: I64 = 1 - 2 * (balance < 0).astype(np.int64)
    return signs


def _pairs(before: I64, after: I64, synapses: I64, n: int, least: int) -> tuple[I64, I64, I64]:
    """Return source, target and synapses of each pair, sorted."""
    key, inverse = np.unique(before * n + after, return_inverse=True)
    count = np.bincount(inverse, synapses).astype(np.int64)
    kept = count >= least
    return key[kept] // n, key[kept] % n, count[kept]


def _parts(source: I64, target: I64, weight: I64, n: int, delay: int) -> tuple[Projection, ...]:
    """Return projections of 8 bits that add up to the weights."""
    size, sign = np.abs(weight), np.sign(weight)
    parts: list[Projection] = []
    if size.size and int(size.max()) >= 1 << 2 * _LOW_BITS:
        raise InputError(
            "table", f"has a pair of {size.max()} synapses; {(1 << 2 * _LOW_BITS) - 1} fit", "Split the pair"
        )
    for name, part, exponent in (("synapses", size & 127, 0), ("strong", size >> _LOW_BITS, _LOW_BITS)):
        kept = part > 0
        if kept.any():
            ptr = np.zeros(n + 1, np.int64)
            np.cumsum(np.bincount(source[kept], minlength=n), out=ptr[1:])
            words = (sign * part)[kept].astype(np.int8)
            rows = ptr, target[kept].astype(np.int32), words
            whole = Projection(name, "brain", "brain", "in", *rows, delay=delay, exponent=exponent)
            parts += in_blocks(whole, n)
    return tuple(parts)


def _parameters(step_ms: float) -> dict[str, I32]:
    """Return decays, and the threshold in the unit in which a synapse's potential has its area."""
    keep = round(_FRACTION * np.exp(-step_ms / _TAU_S_MS)) / _FRACTION
    leak = round(_FRACTION * -np.expm1(-step_ms / _TAU_M_MS)) / _FRACTION
    unit_mv = _SYNAPSE_MV * _TAU_S_MS / step_ms * leak * (1 - keep) / 64
    params = {
        "du": round(_FRACTION * (1 - keep)) - 1,
        "dv": round(_FRACTION * leak),
        "vth": round(_THRESHOLD_MV / unit_mv / 64),
        "refractory": round(_REFRACTORY_MS / step_ms),
        "v_init": 0,
    }
    return {name: np.array(value, np.int32) for name, value in params.items()}

"""SANA-FE's network YAML as plain tables: neurons with attributes, edges with attributes, and the tile and core of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from simulator.base.errors import InputError
from simulator.base.reading import parse_yaml, read_text

WAY = "Give a SANA-FE 2 network file (groups, edges, mappings)"
MOST_NEURONS = 1_000_000
MOST_CHARACTERS = 2**20  # SANA-FE's own gesture network has 735,675; parsed at 60 to 100 KB/s
UNITS = ("soma", "dendrite", "synapse")
Attributes = dict[str, object]


@dataclass(eq=False)
class Group:
    """Neurons of one group, each with its attributes, the group's first."""

    name: str
    neurons: list[Attributes]


@dataclass(frozen=True, eq=False)
class Edges:
    """Connections from one group to another.

    Attributes:
        source, target: group names.
        pairs: int64 [E, 2], neurons of both groups.
        weights: float64 [E].
        attributes: of all of them, the weights apart.
    """

    source: str
    target: str
    pairs: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    weights: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    attributes: Attributes


@dataclass(eq=False)
class Tables:
    """A network file."""

    name: str
    groups: dict[str, Group]
    edges: list[Edges] = field(default_factory=list)


def read_tables(path: Path) -> Tables:
    """Read a SANA-FE network file.

    Raises:
        InputError: no such file, no network, a group or neuron that is not there, an edge of another form.
    """
    text = re.sub(r"(\bcore:\s*)(\d+\.\d+)", r'\1"\2"', read_text(path))  # 0.10 is core 10, not the number 0.1
    keys = r"(^\s*(?:-\s+)*|[\[{,]\s*)(\d+\.\d+)(?=\s*:(?:\s|$))"
    text = re.sub(keys, r'\1"\2"', text, flags=re.MULTILINE)  # and 0.10 neuron 10 of a group named 0
    raw = parse_yaml(text, path, WAY, MOST_CHARACTERS)
    where = str(path)
    network = _map(_map(raw, where).get("network"), f"{where}: network")
    groups = [_group(entry, where) for entry in _list(network.get("groups"), f"{where}: groups")]
    if not groups or len({g.name for g in groups}) < len(groups):
        raise InputError(f"{where}: groups", "holds no group, or two of one name", WAY)
    tables = Tables(str(network.get("name", path.stem)), {g.name: g for g in groups})
    for key, value in _pairs(network.get("edges", []), f"{where}: edges"):
        tables.edges.append(_edge(tables, key, attributes(value, f"{where}: {key}"), where))
    for key, value in _pairs(_map(raw, where).get("mappings", []), f"{where}: mappings"):
        group, ids = _address(tables, key, where)
        for i in ids:
            group.neurons[i] |= {f"at.{k}": v for k, v in attributes(value, f"{where}: {key}").items()}
    return tables


def attributes(value: object, where: str) -> Attributes:
    """Return attributes from a map or a list of maps; those given for one unit only are joined."""
    out: Attributes = {}
    parts = value if isinstance(value, list) else [value]
    for part in parts:
        for key, inner in (_map(part, where) if part is not None else {}).items():
            if key in UNITS and isinstance(inner, Mapping | list):
                out |= attributes(inner, where)
            else:
                out[str(key)] = inner
    return out


def _map(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InputError(where, "is no table of names and values", WAY)
    return value


def _list(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise InputError(where, "is no list", WAY)
    return value


def _pairs(value: object, where: str) -> Iterator[tuple[str, object]]:
    """Yield keys and values of a map, or of a list of maps."""
    for part in value if isinstance(value, list) else [value]:
        yield from ((str(k), v) for k, v in _map(part, where).items())


def _group(entry: object, where: str) -> Group:
    content = _map(entry, f"{where}: groups")
    name = str(content.get("name", ""))
    own = attributes(content.get("attributes"), f"{where}: group {name!r}")
    found: dict[int, Attributes] = {}
    for item in _list(content.get("neurons"), f"{where}: group {name!r}"):
        rows = [(str(item), None)] if not isinstance(item, Mapping) else [(str(k), v) for k, v in item.items()]
        for key, value in rows:
            more = attributes(value, f"{where}: {name}.{key}")
            for i in _range(key, f"{where}: {name}.{key}"):
                found[i] = own | found.get(i, {}) | more
    if sorted(found) != list(range(len(found))) or not found:
        raise InputError(f"{where}: group {name!r}", "does not number its neurons 0, 1, 2 ...", "Name each once")
    return Group(name, [found[i] for i in range(len(found))])


def _range(text: str, where: str) -> range:
    found = re.fullmatch(r"\s*(\d+)(?:\.\.(\d+))?\s*", text)
    if found is None:
        raise InputError(where, "is neither a neuron's number nor a range such as 0..9", WAY)
    first, last = int(found[1]), int(found[2] or found[1])
    if last - first >= MOST_NEURONS:
        raise InputError(where, f"names {last - first + 1:,} neurons; {MOST_NEURONS:,} are the most", "Name fewer")
    return range(first, last + 1)


def _address(tables: Tables, text: str, where: str) -> tuple[Group, range]:
    """Return the group and neurons of ``name``, ``name.3`` or ``name.0..3``."""
    name, _, ids = text.strip().partition(".")
    if name not in tables.groups:
        raise InputError(f"{where}: {text.strip()}", f"names no group; there are {', '.join(tables.groups)}", WAY)
    group = tables.groups[name]
    chosen = _range(ids, f"{where}: {text.strip()}") if ids else range(len(group.neurons))
    if chosen.stop > len(group.neurons):
        raise InputError(f"{where}: {text.strip()}", f"is beyond the group's {len(group.neurons)} neurons", WAY)
    return group, chosen


def _edge(tables: Tables, key: str, given: Attributes, where: str) -> Edges:
    source, arrow, target = key.partition("->")
    if not arrow:
        raise InputError(f"{where}: edges: {key}", "is not SOURCE -> TARGET", WAY)
    if ".." in key:
        problem = "names several neurons at one end: SANA-FE takes the first alone"
        raise InputError(f"{where}: edges: {key}", problem, "Write one edge a pair, or a sparse list of pairs")
    (a, rows), (b, columns) = _address(tables, source, where), _address(tables, target, where)
    kind = str(given.pop("type", "" if "." in key else "dense"))
    weight = given.pop("weight", given.pop("w", 0.0))
    if kind == "conv2d":
        pairs, at = _convolution(given, len(a.neurons), len(b.neurons), f"{where}: {key}")
    elif kind == "sparse":
        pairs = np.array(given.pop("source_target_pairs", []), np.int64).reshape(-1, 2)
        at = np.arange(len(pairs))
    else:
        grid = np.meshgrid(np.array(rows), np.array(columns), indexing="ij")
        pairs = np.stack([g.reshape(-1) for g in grid], axis=1).astype(np.int64)
        at = np.arange(len(pairs))
    weights = np.asarray(weight, np.float64)
    if weights.ndim and at.size and int(at.max()) >= weights.size:
        raise InputError(f"{where}: {key}", f"has {weights.size} weights for {int(at.max()) + 1} connections", WAY)
    values = weights[at] if weights.ndim else np.full(len(pairs), float(weights))
    if pairs.size and (pairs.max(axis=0) >= (len(a.neurons), len(b.neurons))).any():
        raise InputError(f"{where}: {key}", "connects neurons that its groups do not have", WAY)
    return Edges(a.name, b.name, pairs, values, given)


def _convolution(
    given: Attributes, n_source: int, n_target: int, where: str
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Return the pairs of a 2-D convolution and the index of each one's weight: inputs and outputs [channel, y, x], kernels
    [y, x, channel, filter], no padding."""

    def number(name: str, default: int | None = None) -> int:
        value = given.pop(name, default)
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{where}: {name}", f"is {value!r}; it must be a whole number above 0", WAY)
        return value

    height, width, channels = number("input_height"), number("input_width"), number("input_channels", 1)
    kernel_h, kernel_w, filters = number("kernel_height"), number("kernel_width"), number("kernel_count", 1)
    stride_h, stride_w = number("stride_height", 1), number("stride_width", 1)
    out_h, out_w = (height - kernel_h) // stride_h + 1, (width - kernel_w) // stride_w + 1
    if (height * width * channels, out_h * out_w * filters) != (n_source, n_target):
        sizes = f"{height * width * channels} to {out_h * out_w * filters}"
        raise InputError(where, f"convolves {sizes} values for groups of {n_source} and {n_target} neurons", WAY)
    f, y, x, c, i, j = np.indices((filters, out_h, out_w, channels, kernel_h, kernel_w)).reshape(6, -1)
    source = (c * height + y * stride_h + i) * width + x * stride_w + j
    target = (f * out_h + y) * out_w + x
    return np.stack([source, target], axis=1), ((i * kernel_w + j) * channels + c) * filters + f

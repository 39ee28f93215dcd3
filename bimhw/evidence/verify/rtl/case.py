"""A recorded run of a hardware description, and the comparison of a model's run with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simulator.base.arrays import I64, AnyInts
from simulator.base.errors import InputError
from simulator.base.files import read_npz
from simulator.base.reading import parse_object


@dataclass(frozen=True, eq=False)
class Case:
    """One recorded run.

    Attributes:
        name: folder and name of the case.
        config: settings of the design and of the bench.
        fields: recorded arrays by name.
    """

    name: str
    config: Mapping[str, object]
    fields: Mapping[str, AnyInts]

    @property
    def kind(self) -> str:
        """Kind of the case, as its recorder names it."""
        return str(self.config.get("kind", ""))

    def __getitem__(self, name: str) -> AnyInts:
        if name not in self.fields:
            raise InputError(f"case {self.name}", f"lacks the field {name!r}", "Take a complete recording")
        values = self.fields[name]
        if values.size and values.dtype.kind not in ("U" if name.endswith("_columns") else "iub"):
            raise InputError(f"case {self.name}: {name}", f"holds {values.dtype}", "Take a complete recording")
        return values

    def table(self, name: str, width: int) -> I64:
        """Return a field of rows as int64 [rows, width]; an empty one has no rows."""
        values = self[name]
        if values.size % width:
            raise InputError(f"case {self.name}: {name}", f"holds {values.size} numbers; its rows have {width}")
        return values.astype(np.int64).reshape(-1, width)

    def number(self, name: str) -> int:
        """Return an entry of the config as an integer."""
        value = self.config.get(name)
        if not isinstance(value, int):
            raise InputError(f"case {self.name}: config", f"lacks the integer {name!r}", "Take a complete recording")
        return value


@dataclass
class Comparison:
    """Differences of a model's run from a case.

    Attributes:
        bits: compared words of values (spikes, states, weights, packets) and the bits in which they differ, by field.
        cycles: compared time stamps and the cycles by which they differ, by field.
    """

    words: int = 0
    stamps: int = 0
    bits: dict[str, int] = field(default_factory=dict)
    cycles: dict[str, int] = field(default_factory=dict)

    def values(self, name: str, ours: npt.ArrayLike, recorded: npt.ArrayLike) -> None:
        """Compare words: a word that only one side has differs in all of its bits."""
        a, b, alone = _common(ours, recorded)
        self.words += b.size + alone
        width = 8 * np.asarray(recorded).dtype.itemsize
        self._add(self.bits, name, int(np.bitwise_count(a ^ b).sum()) + alone * width)

    def times(self, name: str, ours: npt.ArrayLike, recorded: npt.ArrayLike) -> None:
        """Compare time stamps: one that only one side has is a cycle off."""
        a, b, alone = _common(ours, recorded)
        self.stamps += b.size + alone
        self._add(self.cycles, name, int(np.abs(a - b).sum()) + alone)

    def _add(self, table: dict[str, int], name: str, off: int) -> None:
        table[name] = table.get(name, 0) + off

    @property
    def bits_off(self) -> int:
        """Bits that differ in all words."""
        return sum(self.bits.values())

    @property
    def cycles_off(self) -> int:
        """Cycles by which all stamps differ, summed without sign."""
        return sum(self.cycles.values())

    def where(self) -> str:
        """Return the fields that differ, with the amount of each."""
        parts = [f"{k} {n} bits" for k, n in self.bits.items() if n]
        return ", ".join(parts + [f"{k} {n} cycles" for k, n in self.cycles.items() if n])


def _common(ours: npt.ArrayLike, recorded: npt.ArrayLike) -> tuple[AnyInts, AnyInts, int]:
    """Return both sides' common part, flat, and how many values only one of them has."""
    a, b = np.asarray(ours, np.int64), np.asarray(recorded).astype(np.int64)
    if a.ndim != b.ndim:
        return a.ravel()[:0], b.ravel()[:0], a.size + b.size
    common = tuple(slice(0, min(m, n)) for m, n in zip(a.shape, b.shape, strict=True))
    both = a[common].size
    return a[common].ravel(), b[common].ravel(), (a.size - both) + (b.size - both)


def read_cases(path: Path) -> Iterator[Case]:
    """Read the cases of a file: ``cases`` lists their names, ``NAME/field`` are their arrays, ``config`` is JSON.

    Raises:
        InputError: not such a file.
    """
    data = read_npz(path)
    if "cases" not in data:
        raise InputError(str(path), "lacks the array 'cases'", "Give folders with cases.npz of complete recordings")
    by_case: dict[str, list[str]] = {}
    for key in data:
        by_case.setdefault(key.rpartition("/")[0], []).append(key)
    for name in (str(n) for n in np.atleast_1d(data["cases"])):
        fields = {key.rpartition("/")[2]: data[key] for key in by_case.get(name, [])}
        if "config" not in fields:
            raise InputError(f"{path}: {name}", "has no config", "Take a complete recording")
        config = parse_object(str(fields.pop("config")), f"{path}: {name}: config", "Take a complete recording")
        yield Case(f"{path.parent.name}/{name}", config, fields)

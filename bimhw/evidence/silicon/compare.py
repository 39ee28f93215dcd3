"""`bimhw silicon DIR`: recognise measurement files by their content, predict, compare."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimhw.evidence.silicon import counts, kws, pair, pilotnet, quartz, vendor
from bimhw.evidence.silicon.judge import LINE, MARK_ENERGY, MARK_TIME, DataSet, number
from simulator.base.errors import InputError
from simulator.base.near import missing_path
from simulator.base.reading import boundary, read_json, read_text, read_yaml
from simulator.base.shown import Shown
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip

TRACE_COLUMNS = {"step", "time_us"}
LOIHI1, LOIHI2 = "loihi1-fitted", "loihi2"
JUDGING = ("quartz", "kws", "pilotnet", "counts", "learning", "total")  # the pair has its own sigma


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """All sets of a folder, the files that were not recognised, and what of the others was left out, with the reason."""

    sets: tuple[DataSet, ...]
    not_recognised: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def mean(self, quantity: str) -> float | None:
        """Mean over the sets of each set's mean absolute error."""
        return _mean([s.figure(quantity) for s in self.sets if s.kind in JUDGING])

    def mean_of_cores(self) -> float | None:
        """Return the same for step times, with the cores' part of each prediction alone."""
        return _mean([s.figure_of_cores() for s in self.sets if s.kind in JUDGING])

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "sets": [s.as_json() for s in self.sets],
            "not_recognised": list(self.not_recognised),
            "left_out": list(self.left_out),
            "mean_over_sets": {
                "dynamic_energy": self.mean("dynamic energy"),
                "step_time": self.mean("step time"),
                "learning_energy": self.mean("learning energy"),
                "total_energy": self.mean("total energy"),
                "step_time_of_cores_alone": self.mean_of_cores(),
            },
            "mark": {"dynamic_energy": MARK_ENERGY, "step_time": MARK_TIME, "source": "SANA-FE on Loihi 1, TCAD 2025"},
        }


PUBLISHED = Path(__file__).parent / "published"
"""Published tables that come with bimhw."""


def _mean(figures: Sequence[float | None]) -> float | None:
    known = [f for f in figures if f is not None]
    return sum(known) / len(known) if known else None


def compare_silicon(
    folder: Path | str | None = None,
    loihi1: str | Chip = LOIHI1,
    loihi2: str | Chip = LOIHI2,
    others: Mapping[str, Chip] | None = None,
) -> Comparison:
    """Predict every measurement file below a folder with one set of constants per chip.

    Args:
        folder: files of the columns described in docs/energy.md, at any depth; None: the published tables of bimhw.
        loihi1: chip file for measurements on Loihi 1.
        loihi2: chip file for measurements on Loihi 2.
        others: chips that stand for those of the same name in tables of counted activity.

    Raises:
        InputError: no such folder, no recognised file, or nothing but faulty files; others leave their reason in `left_out`.
    """
    root = PUBLISHED if folder is None else Path(folder)
    if not root.is_dir():
        raise missing_path(root, "Give the folder of the measurement files", "is not a folder")
    first, second = (load_chip(c) if isinstance(c, str) else c for c in (loihi1, loihi2))
    chips = Chips(first, second, others or {})
    files = sorted(p for p in root.rglob("*") if p.is_file() and not _hidden(p, root))
    tables: dict[Path, set[str]] = {}
    sets: list[DataSet] = []
    strange: list[str] = []
    left_out: list[str] = []
    faulty: list[InputError] = []
    for path in (p for p in files if p.suffix == ".csv"):
        with suppress(InputError):  # said where its rows are read
            tables[path] = _columns(path)
    for path in files:
        name = str(path.relative_to(root))
        try:
            with boundary(path, "a file of measurements", "Mend it, or compare with docs/energy.md"):
                found = list(_predict(path, name, chips, tables))
        except InputError as error:  # one faulty file leaves the others judged
            faulty.append(error)
            left_out.append(f"{name}: {error.problem}")
            continue
        sets += [f for f in found if isinstance(f, DataSet)]
        left_out += [f for f in found if isinstance(f, str)]
        if not found and not _is_companion(tables.get(path, set())) and not _is_prose(path):
            strange.append(name)
    if not sets and faulty:
        raise faulty[0]
    if not sets:
        unknown = f"; not recognised: {', '.join(strange)}" if strange else ""
        reasons = f"; left out: {'; '.join(left_out)}" if left_out else ""
        nothing = "measurement that can be predicted" if left_out else "file of a known kind of measurement"
        raise InputError(
            str(root),
            f"holds no {nothing}{unknown}{reasons}",
            "Known kinds are in docs/energy.md",
        )
    return Comparison(tuple(sets), tuple(strange), tuple(left_out))


def together(*parts: Comparison) -> Comparison:
    """Join comparisons of several folders."""
    return Comparison(
        tuple(s for p in parts for s in p.sets),
        tuple(n for p in parts for n in p.not_recognised),
        tuple(t for p in parts for t in p.left_out),
    )


def vendors_alone(folder: Path | str | None = None) -> Comparison:
    """Predict the same files with the constants that the chips' vendors published, and nothing that was fitted since."""
    return compare_silicon(folder, vendor.LOIHI1, vendor.loihi2(), vendor.chips())


def vendors_with(folder: Path | str | None, variant: str) -> Comparison:
    """Predict the same files with one of the variants of the vendors' constants (`vendor.VARIANTS`)."""
    chips = vendor.VARIANTS[variant]()
    return compare_silicon(folder, chips[LOIHI1], chips[LOIHI2], chips)


@dataclass(frozen=True)
class Chips:
    """Chips whose constants are used: the two Loihis, and others by name."""

    loihi1: Chip
    loihi2: Chip
    others: Mapping[str, Chip]


def _predict(path: Path, name: str, chips: Chips, tables: Mapping[Path, set[str]]) -> Iterator[DataSet | str]:
    """Yield the sets of a file; a text names what was left out and why. A file of no known kind yields nothing."""
    loihi1, loihi2 = chips.loihi1, chips.loihi2
    if path.suffix == ".csv":
        columns = tables[path] if path in tables else _columns(path)
        found = counts.predict(name, _csv(path), chips.others) if counts.recognises(columns) else []
        found += [kind.predict(name, _csv(path), loihi1) for kind in (quartz, kws) if kind.recognises(columns)]
        yield from (f if f.rows else _empty(f) for f in found)
    elif path.suffix == ".json":
        cells = _json(path)
        if pair.looks_like(cells):
            yield pair.predict(name, cells, loihi2)
    elif path.suffix in (".yaml", ".yml"):
        printed = {str(k): v for k, v in _yaml(path).items() if isinstance(v, Mapping) and pilotnet.looks_like(v)}
        for key, result in printed.items():
            table = _activity(path, key, printed, tables)
            missing = pilotnet.missing(result)
            if missing:
                yield f"{name}: {key}: lacks {', '.join(missing)}"
            elif table is None:
                yield f"{name}: {key}: no table of activity by core belongs to it ({key}*.csv)"
            else:
                trace = _trace(path, key, printed, tables)
                yield pilotnet.predict(f"{name}: {key}", result, _csv(table), loihi2, trace)


def _empty(found: DataSet) -> str:
    """Return why a set without rows is left out."""
    gaps = [a for a in found.assumptions if "is left out" in a or "judges no energy" in a or "outside the model" in a]
    return f"{found.name}: holds no row that can be predicted" + (f" ({'; '.join(gaps)})" if gaps else "")


def _activity(path: Path, key: str, keys: Iterable[str], tables: Mapping[Path, set[str]]) -> Path | None:
    """Return the table of activity by core that belongs to a printed result.

    It is the one whose name begins with the result's (and with no longer one of the same file), in the same folder before
    any other; where there is one result and one table only, they belong together.
    """
    return _belonging(path, key, keys, (p for p, columns in tables.items() if columns >= pilotnet.ACTIVITY_COLUMNS))


def _trace(path: Path, key: str, keys: Iterable[str], tables: Mapping[Path, set[str]]) -> list[float]:
    """Return the times of single steps that belong to a printed result; empty where no table has them."""
    table = _belonging(path, key, keys, (p for p, columns in tables.items() if columns == TRACE_COLUMNS))
    cells = () if table is None else (number(row, "time_us") for row in _csv(table))
    return [t for t in cells if t]


def _belonging(path: Path, key: str, keys: Iterable[str], tables: Iterable[Path]) -> Path | None:
    """Return the table, of those given, that belongs to a printed result."""
    known = sorted(tables, key=lambda p: (p.parent != path.parent, str(p)))
    longer = [k for k in keys if k.startswith(key) and k != key]
    named = [p for p in known if p.name.startswith(key) and not any(p.name.startswith(k) for k in longer)]
    alone = known[0] if len(known) == 1 and len(list(keys)) == 1 else None
    return named[0] if named else alone


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _is_companion(columns: set[str]) -> bool:
    return columns >= pilotnet.ACTIVITY_COLUMNS or columns == TRACE_COLUMNS


def _is_prose(path: Path) -> bool:
    return path.suffix == ".md" or path.stem.upper() in ("LICENSE", "LICENCE", "README", "NOTICE")


def _columns(path: Path) -> set[str]:
    return {name.strip() for name in next(csv.reader(line for _, line in _lines(path)), [])}


def _csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, each with its place under the key `LINE`; blank lines and ``# ...`` are left out."""
    lines = _lines(path)
    header = [name.strip() for name in next(csv.reader([lines[0][1]]), [])] if lines else []
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise InputError(str(path), f"names the column {twice[0]!r} twice", "Name each once")
    rows = []
    for at, line in lines[1:]:
        cells = next(csv.reader([line], skipinitialspace=True))
        rows.append(dict(zip(header, cells, strict=False)) | {LINE: f"line {at}"})
    return rows


def _lines(path: Path) -> list[tuple[int, str]]:
    text = read_text(path)
    return [(k + 1, t) for k, t in enumerate(text.splitlines()) if t.strip(" \t,") and not t.lstrip().startswith("#")]


def _json(path: Path) -> Any:
    return read_json(path, "Mend or remove it")


def _yaml(path: Path) -> Mapping[str, Any]:
    value = read_yaml(path, "Mend or remove it")
    return value if isinstance(value, Mapping) else {}

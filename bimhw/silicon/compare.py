"""`bimhw silicon DIR`: recognise measurement files by their content, predict, compare."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimhw.silicon import kws, pair, pilotnet, quartz
from bimhw.silicon.judge import MARK_ENERGY, MARK_TIME, DataSet
from simulator.chip import Chip, load_chip
from simulator.errors import InputError

LOIHI1, LOIHI2 = "loihi1-fitted", "loihi2"
JUDGING = ("quartz", "kws", "pilotnet")  # the pair has its own sigma


@dataclass(frozen=True)
class Comparison:
    """All sets of a folder, and the files that were not recognised."""

    sets: tuple[DataSet, ...]
    not_recognised: tuple[str, ...]

    def mean(self, quantity: str) -> float | None:
        """Mean over the sets of each set's mean absolute error."""
        return _mean([s.figure(quantity) for s in self.sets if s.kind in JUDGING])

    def mean_of_cores(self) -> float | None:
        """The same for step times, with the cores' part of each prediction alone."""
        return _mean([s.figure_of_cores() for s in self.sets if s.kind in JUDGING])

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "sets": [s.as_json() for s in self.sets],
            "not_recognised": list(self.not_recognised),
            "mean_over_sets": {
                "dynamic_energy": self.mean("dynamic energy"),
                "step_time": self.mean("step time"),
                "step_time_of_cores_alone": self.mean_of_cores(),
            },
            "mark": {"dynamic_energy": MARK_ENERGY, "step_time": MARK_TIME, "source": "SANA-FE on Loihi 1, TCAD 2025"},
        }


def _mean(figures: Sequence[float | None]) -> float | None:
    known = [f for f in figures if f is not None]
    return sum(known) / len(known) if known else None


def compare_silicon(folder: Path | str, loihi1: str = LOIHI1, loihi2: str = LOIHI2) -> Comparison:
    """Predict every measurement file below a folder with one set of constants per chip.

    Args:
        folder: files of the columns described in docs/energy.md, at any depth.
        loihi1: chip file for measurements on Loihi 1.
        loihi2: chip file for measurements on Loihi 2.

    Raises:
        InputError: no such folder, no recognised file, or a file with cells that are not numbers.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(str(root), "is not a folder", "Give the folder of the measurement files")
    chips = load_chip(loihi1), load_chip(loihi2)
    sets: list[DataSet] = []
    strange: list[str] = []
    used: set[Path] = set()
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".csv", ".json", ".yaml", ".yml")):
        name = str(path.relative_to(root))
        try:
            found = list(_predict(path, name, chips, used))
        except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
            raise InputError(
                str(path), f"cannot be read as measurements ({error!r})", "Compare with docs/energy.md"
            ) from error
        if found:
            sets += found
        elif path.suffix != ".csv" or not _is_companion(path):
            strange.append(name)
    if not sets:
        raise InputError(str(root), "holds no file of a known kind of measurement", "Known kinds are in docs/energy.md")
    return Comparison(tuple(sets), tuple(strange))


def _predict(path: Path, name: str, chips: tuple[Chip, Chip], used: set[Path]) -> Iterator[DataSet]:
    loihi1, loihi2 = chips
    if path.suffix == ".csv":
        rows = _csv(path)
        columns = set(rows[0]) if rows else set()
        if columns >= quartz.COLUMNS:
            yield quartz.predict(name, rows, loihi1)
        elif columns >= kws.COLUMNS:
            yield kws.predict(name, rows, loihi1)
    elif path.suffix == ".json":
        cells = _json(path)
        if pair.looks_like(cells):
            yield pair.predict(name, cells, loihi2)
    else:
        for key, printed in _yaml(path).items():
            if isinstance(printed, Mapping) and set(printed) >= pilotnet.PRINTED:
                table = _activity(path.parent, str(key))
                if table is not None:
                    yield pilotnet.predict(f"{name}: {key}", printed, _csv(table), loihi2)


def _activity(folder: Path, key: str) -> Path | None:
    """The table of activity by core that belongs to a printed result: of its name, or the only one."""
    tables = [p for p in sorted(folder.glob("*.csv")) if _columns(p) >= pilotnet.ACTIVITY_COLUMNS]
    named = [p for p in tables if p.name.startswith(key)]
    return named[0] if named else tables[0] if len(tables) == 1 else None


def _is_companion(path: Path) -> bool:
    columns = _columns(path)
    return columns >= pilotnet.ACTIVITY_COLUMNS or columns == {"step", "time_us"}


def _columns(path: Path) -> set[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return set(next(csv.reader(file, skipinitialspace=True), []))


def _csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, skipinitialspace=True))
    except UnicodeDecodeError as error:
        raise InputError(str(path), "is not text", "Measurement tables are CSV") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(str(path), f"is not JSON ({error})", "Mend or remove it") from error


def _yaml(path: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError) as error:
        raise InputError(str(path), f"is not YAML ({' '.join(str(error).split())})", "Mend or remove it") from error
    return value if isinstance(value, Mapping) else {}

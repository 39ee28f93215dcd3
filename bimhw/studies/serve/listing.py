"""Content of a folder: runs and sweeps, with the few figures that tell them apart."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from bimhw.runs.folder import RunFolder
from bimhw.studies.sweep.store import StoredPoint, read_points
from energy_models.spread import UNKNOWN
from energy_models.times import time_word
from simulator.base.errors import BimhwError, InputError
from simulator.base.locks import holder
from simulator.base.near import missing_path

MOST_ENTRIES = 5000  # runs and sweeps that a list holds; a larger folder is refused


class RunLine(msgspec.Struct, frozen=True):
    """A run in the list.

    Attributes:
        path: relative to the folder that is served.
        time_word: how far the latency can be trusted, by all times of the chip file: no program is read for it.
        problem: why it cannot be read; the figures are None then.
    """

    path: str
    task: str | None = None
    chip: str | None = None
    samples: int | None = None
    accuracy: float | None = None
    latency_us: float | None = None
    time_word: str = UNKNOWN
    problem: str = ""


class SweepLine(msgspec.Struct, frozen=True):
    """A sweep in the list: points by how they ended, how many there will be, who is running it now, its points."""

    path: str
    done: int = 0
    failed: int = 0
    planned: int = 0
    running: str | None = None
    points: tuple[StoredPoint, ...] = ()
    problem: str = ""


class Listing(msgspec.Struct, frozen=True):
    """All runs and sweeps of a folder, sorted by path."""

    runs: tuple[RunLine, ...]
    sweeps: tuple[SweepLine, ...]


def list_folder(folder: Path) -> Listing:
    """Return the runs and sweeps below a folder; one that cannot be read has its problem in its line.

    Raises:
        InputError: not a folder, or one of more than `MOST_ENTRIES` runs and sweeps.
    """
    if not folder.is_dir():
        raise missing_path(folder, "Give the folder that holds runs", "is not a folder")
    runs, sweeps = [], []
    for path in _found(folder):
        name = _name(path, folder)
        if path.suffix == ".sqlite":
            sweeps.append(_sweep_line(path, name))
        else:
            runs.append(_run_line(path, name))
        if len(runs) + len(sweeps) > MOST_ENTRIES:
            raise InputError(
                str(folder), f"holds more than {MOST_ENTRIES:,} runs and sweeps", "Serve a folder inside it"
            )
    return Listing(tuple(sorted(runs, key=lambda r: r.path)), tuple(sorted(sweeps, key=lambda s: s.path)))


def run_folders(folder: Path) -> dict[str, Path]:
    """Return the run folders below a folder by their names in the list; none is read."""
    return {_name(path, folder): path for path in _found(folder) if path.suffix != ".sqlite"}


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path != folder else "."


def _found(folder: Path) -> Iterator[Path]:
    """Run folders and databases; links are not followed, nothing is looked for inside a run."""
    for here, inner, files in os.walk(folder):
        if "manifest.json" in files:
            inner.clear()
            yield Path(here)
            continue
        inner[:] = [name for name in inner if not name.startswith(".")]
        yield from (Path(here, name) for name in files if name.endswith(".sqlite"))


def _run_line(path: Path, name: str) -> RunLine:
    try:
        run = RunFolder.open(path)
        manifest, result = run.manifest, run.result
        word = time_word(run.chip(), None, bool(manifest.get("learning")))
    except BimhwError as error:
        return RunLine(name, problem=str(error))
    return RunLine(
        name,
        task=manifest.get("task"),
        chip=manifest.get("chip"),
        samples=manifest.get("samples"),
        accuracy=_number(result, "accuracy"),
        latency_us=_number(result, "mean_latency_us"),
        time_word=word if _number(result, "mean_latency_us") is not None else UNKNOWN,
    )


def _number(values: Mapping[str, object], key: str) -> float | None:
    value = values.get(key)
    return float(value) if isinstance(value, int | float) else None


def _sweep_line(path: Path, name: str) -> SweepLine:
    try:
        points, planned = read_points(path)
    except BimhwError as error:
        return SweepLine(name, problem=str(error))
    done = sum(p.status == "done" for p in points)
    return SweepLine(name, done, len(points) - done, planned, holder(path), tuple(points))

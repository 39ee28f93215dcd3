"""`make results`: train what is missing, in the order of its worth, and write the page from what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bimhw.learning.device import torch_device
from bimhw.runs.workers import spreading
from bimhw.studies.results.hours import hours
from bimhw.studies.results.plan import CASE_BY_CASE, TABLES, named_tables
from bimhw.studies.results.points import Data, Point, append_point, decides, point_key, read_points, run_point, unjudged
from bimhw.studies.results.rows import Row, Table
from bimhw.tasks.registry import load
from bimhw.tasks.sources.fsdd import load_spoken_digits
from simulator.base.errors import InputError
from simulator.base.locks import held

# higher is better but for these
LOWER_IS_BETTER = ("bits_per_character", "word_error_rate")


def run_results(
    store: Path,
    tables: Sequence[str] = (),
    paths: Mapping[str, Path] | None = None,
    seeds: int | None = None,
    budget_s: float | None = None,
    say: Callable[[str], None] = print,
    rows: Sequence[str] = (),
    dask: str | None = None,
    device: str = "cpu",
    begins: Callable[[str], None] = lambda what: None,
    workers: int = 1,
) -> dict[str, Point]:
    """Train every missing point: for each table the grids first, then all rows with seed 0, then seed 1, and so on.

    Args:
        store: file of points, one JSON line each; those in it are not trained again.
        tables: names; none: all whose data is there.
        paths: the user's copies of data, by name (``fsdd``, ``mitbih208``).
        seeds: at most so many a row.
        budget_s: no new run begins after so many seconds.
        say: told what happens.
        rows: only those whose label holds one of these texts; none: all.
        dask: address of a Dask scheduler that trains points side by side; its workers may die.
        device: where torch trains tasks and texts.
        begins: told the name of each run, and of other long work, before it.
        workers: processes of this machine that train so many points side by side.

    Raises:
        InputError: an unknown table, a text that no row's label holds, or missing data of a table asked for by name.
    """
    asked = _asked(tables, rows)
    torch_device(device)
    points, paths, end = read_points(store), paths or {}, time.monotonic() + (budget_s or float("inf"))
    store.parent.mkdir(parents=True, exist_ok=True)
    with held(store), spreading(dask, workers) as spread:
        for table in asked:
            name = table.name
            begins(f"{name}: reading the data")
            try:
                data = _data(table, paths)
            except InputError as error:
                if tables and (name in tables or table.path not in paths):
                    raise
                say(f"{name}: left out ({error})")
                continue
            named = [r for r in table.rows if not rows or any(text in r.label for text in rows)]
            wanted = tuple(r if seeds is None else replace(r, seeds=min(r.seeds, seeds)) for r in named)
            table = _able(replace(table, rows=wanted), data, say)
            if table.path == table.task:  # a whole set of the user's
                _say_hours(table, data, points, say, begins)
            while spread is not None and time.monotonic() < end and (ready := _ready(table, data, points, seeds)):
                ready = ready[: workers if dask is None else None]  # what is done is kept before more begins
                begins(f"{name}: {len(ready)} runs side by side")
                for point in spread(run_point, [(data, name, *what, device) for what in ready]):
                    _keep(table, point, points, store, say)
            _run_table(table, data, store, points, seeds, end, say, device, begins)
    return points


def _keep(table: Table, point: Point, points: dict[str, Point], store: Path, say: Callable[[str], None]) -> None:
    points[point.key] = point
    append_point(store, point)
    say(_line(table, point))


def _able(table: Table, data: Data, say: Callable[[str], None]) -> Table:
    """Return the table with what the data can decide: without a validation part the first choice of each grid."""
    if reason := unjudged(data):
        say(f"{table.name}: the test part {reason}; every row is trained once and no figure is given")
        rows = tuple(replace(r, grid=r.grid[:1], seeds=1) for r in table.rows)
        return replace(table, rows=rows)
    if any(len(r.grid) > 1 for r in table.rows) and not decides(data):
        say(f"{table.name}: the validation part is too small to decide: the first setting of each grid is taken")
        return replace(table, rows=tuple(replace(r, grid=r.grid[:1]) for r in table.rows))
    return table


def _say_hours(
    table: Table, data: Data, points: Mapping[str, Point], say: Callable[[str], None], begins: Callable[[str], None]
) -> None:
    """Say how long each row that is not begun will take, where a timed trial is worth its time."""
    begun = {p.row for p in points.values() if p.table == table.name}
    for row in table.rows:
        if row.label not in begun:
            begins(f"{table.name}: {row.label}: timing a small part of the data")
            if (long := hours(table, row, data)) is not None:
                runs = f"{row.seeds} seed{'s' * (row.seeds > 1)}{' and its grid' if len(row.grid) > 1 else ''}"
                say(f"{table.name}: {row.label}: {_in_words(long)} on this machine ({runs})")


def _in_words(hours: float) -> str:
    """Return a duration in hours, or in minutes below one hour."""
    if hours >= 1:
        return f"about {hours:,.1f} hours"
    return f"about {60 * hours:.0f} min" if 60 * hours >= 1 else "under a minute"


def _asked(tables: Sequence[str], rows: Sequence[str]) -> list[Table]:
    """Return the tables; of those that leave cases out only where they, or their group, are named.

    Raises:
        InputError: an unknown table, or a text that no row's label holds.
    """
    named = [t for group in named_tables(tables).values() for t in group]
    asked = named or [t for t in TABLES.values() if t.group != CASE_BY_CASE]
    labels = [r.label for t in asked for r in t.rows]
    nowhere = [text for text in rows if not any(text in label for label in labels)]
    if nowhere:
        raise InputError(f"row {nowhere[0]!r}", "is in no label", f"Labels: {'; '.join(dict.fromkeys(labels))}")
    return asked


def _data(table: Table, paths: Mapping[str, Path]) -> Data:
    options = dict(table.task_options)
    if table.path:
        if table.path not in paths:
            raise InputError(f"table {table.name}", "needs data of yours", f"Give --data {table.path}=PATH")
        options["path"] = paths[table.path]
    if table.metric == "word_error_rate" and table.task == "fsdd":
        return load_spoken_digits(Path(paths[table.path]))
    data: Data = load(table.task, **options)
    return data


def _run_table(
    table: Table,
    data: Data,
    store: Path,
    points: dict[str, Point],
    seeds: int | None,
    end: float,
    say: Callable[[str], None],
    device: str,
    begins: Callable[[str], None],
) -> None:
    def get(row: Row, options: dict[str, Any], seed: int, tuning: bool) -> Point | None:
        key = point_key(table.name, row, options, seed, tuning)
        if key not in points or stale(points[key], data):
            if time.monotonic() > end:
                return None
            begins(_run_name(table, row.label, seed, tuning))
            _keep(table, run_point(data, table.name, row, options, seed, tuning, device), points, store, say)
        return points[key]

    most = max((r.seeds for r in table.rows), default=0)
    for seed in range(most if seeds is None else min(most, seeds)):
        for row in table.rows:
            if seed < row.seeds:
                options = chosen(table, row, get)
                if options is None or get(row, options, seed, False) is None:
                    return


def _run_name(table: Table, label: str, seed: int, tuning: bool) -> str:
    return f"{table.name}: {label}, seed {seed}{' (tuning)' if tuning else ''}"


def _line(table: Table, point: Point) -> str:
    figure = "trained, not judged" if point.not_judged else f"{value(point, table):.4f}"
    return f"{_run_name(table, point.row, point.seed, point.tuning)}: {figure}"


def stale(point: Point, data: Data) -> bool:
    """Return whether a point without figures stands where the data can give them."""
    return bool(point.not_judged) and not unjudged(data)


def _ready(
    table: Table, data: Data, points: Mapping[str, Point], seeds: int | None
) -> list[tuple[Row, dict[str, Any], int, bool]]:
    """Return the points that are missing and wait for no other: grids, and rows whose grid is done."""
    missing: dict[str, tuple[Row, dict[str, Any], int, bool]] = {}

    def look(row: Row, options: dict[str, Any], seed: int, tuning: bool) -> Point | None:
        key = point_key(table.name, row, options, seed, tuning)
        if key not in points or stale(points[key], data):
            missing[key] = (row, options, seed, tuning)
        return points.get(key)

    for row in table.rows:
        options = chosen(table, row, look)
        for seed in range(row.seeds if seeds is None else min(row.seeds, seeds)):
            if options is not None:
                look(row, options, seed, False)
    return list(missing.values())


def chosen(table: Table, row: Row, get: Callable[..., Point | None]) -> dict[str, Any] | None:
    """Return the row's options with the best of its grid in validation; None: no time left.

    Of equal ones it is the more accurate, then the one nearest the middle of the grid.
    """
    if len(row.grid) < 2:
        return row.options | (row.grid[0] if row.grid else {})
    tried = [(get(row, row.options | choice, 0, True), choice) for choice in row.grid]
    if any(p is None for p, _ in tried):
        return None
    sign = -1.0 if table.metric in LOWER_IS_BETTER else 1.0

    def rank(k: int) -> tuple[float, float, float]:
        point = tried[k][0]
        assert point is not None
        return sign * value(point, table), point.accuracy or 0.0, -abs(k - (len(tried) - 1) / 2)

    return row.options | tried[max(range(len(tried)), key=rank)][1]


def value(point: Point, table: Table) -> float:
    """Return the figure that a table compares.

    Raises:
        InputError: the point does not have it.
    """
    found = getattr(point, table.metric)
    if found is None:
        raise InputError(
            f"point {point.key} of table {table.name}", f"has no {table.metric}", "Remove its line and run again"
        )
    return float(found)

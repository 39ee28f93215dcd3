"""`bimhw.run_sweep`: run the points that are not stored yet, in any order, and return the whole table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimhw.sweep.evaluate import attempt, fixed_activity_pj
from bimhw.sweep.pareto import pareto_front
from bimhw.sweep.spec import Point, SweepSpec
from bimhw.sweep.store import Store
from bimhw.sweep.workers import Workers, workers
from simulator.errors import BimhwError, InputError


@dataclass(frozen=True)
class SweepResult:
    """The table of a sweep, in the order of its points.

    Attributes:
        rows: axes, status, and the figures or the reason of the failure.
        computed: points worked on in this call; the others were stored.
        functional_runs: functional runs that the work folder has seen, of all calls.
    """

    rows: tuple[dict[str, Any], ...]
    computed: int
    functional_runs: int

    @property
    def failed(self) -> int:
        """Points that failed."""
        return sum(r["status"] == "failed" for r in self.rows)


def run_sweep(
    spec: SweepSpec,
    db: Path | str = "sweep.sqlite",
    n_workers: int = 1,
    dask: str | None = None,
    retry: bool = False,
    progress: Callable[[int], None] | None = None,
) -> SweepResult:
    """Run a sweep; what is stored under the same keys is not done again.

    Args:
        spec: the sweep.
        db: SQLite file of finished points; models and runs are kept beside it in ``<db>.work``.
        n_workers: local processes.
        dask: address of a Dask scheduler instead.
        retry: do failed points again.
        progress: called with 1 for each finished point.

    Raises:
        InputError: a bad axis or value, a database that cannot be used, an unreachable cluster.
    """
    spec.check()
    if n_workers < 1:
        raise InputError("workers", f"are {n_workers}, must be at least 1")
    path = Path(db)
    say = progress or (lambda n: None)
    with Store(path) as store:
        folder = _work_folder(path)
        points, keys = list(spec.points()), list[str]()
        waiting: dict[str, list[tuple[str, Point]]] = {}
        for point in points:
            key = _key(point, store)
            keys.append(key)
            stored = store.get(key)
            if stored is None or (retry and stored["status"] == "failed"):
                waiting.setdefault(point.function_key(), []).append((key, point))
            else:
                say(1)
        computed = sum(map(len, waiting.values()))
        if waiting:
            with workers(attempt, n_workers, dask) as team:
                _work(team, waiting, store, folder, spec, say)
        rows = tuple(_row(point, store.get(key), folder, spec) for point, key in zip(points, keys, strict=True))
    log = folder / "functional-runs.log"
    runs = len(log.read_text(encoding="utf-8").splitlines()) if log.is_file() else 0
    return SweepResult(_with_front(rows), computed, runs)


def _work_folder(path: Path) -> Path:
    folder = path.with_name(path.name + ".work")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(str(folder), f"cannot be made ({error.strerror})") from error
    return folder


def _key(point: Point, store: Store) -> str:
    """The point's key; a point whose chip cannot be is stored as failed under a key of its axes."""
    from bimhw.sweep.spec import digest

    try:
        return point.key()
    except BimhwError as error:
        key = digest("broken", point.function_key(), dict(point.axes), str(error))
        store.put(key, point.axes, {"status": "failed", "reason": str(error)})
        return key


def _work(
    team: Workers,
    waiting: dict[str, list[tuple[str, Point]]],
    store: Store,
    folder: Path,
    spec: SweepSpec,
    say: Callable[[int], None],
) -> None:
    """Functional runs first, each followed by the points that share it."""
    by_key = {key: point for group in waiting.values() for key, point in group}
    for function_key, group in waiting.items():
        team.submit(function_key, ("function", str(folder), spec, dict(group[0][1].axes)))
    for name, outcome in team.finished():
        if (name in waiting and outcome["status"] == "done") or name in waiting:
            for key, point in waiting[name]:
                team.submit(key, ("point", str(folder), spec, dict(point.axes)))
        else:
            store.put(name, by_key[name].axes, outcome)
            say(1)


def _row(point: Point, stored: dict[str, Any] | None, folder: Path, spec: SweepSpec) -> dict[str, Any]:
    assert stored is not None
    row = {"axes": dict(point.axes), "status": stored["status"], "reason": stored["reason"], **stored["result"]}
    if stored["status"] == "done" and "sparsity" in spec.axes:
        densest = Point(spec, dict(point.axes) | {"sparsity": min(spec.axes["sparsity"])})
        if (folder / f"function-{densest.function_key()}.json").is_file():
            pj = fixed_activity_pj(point, densest, folder)
            row["synapse_uj_fixed_activity"] = None if pj is None else pj / 1e6
    return row


def _with_front(rows: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """Rows marked where no other is at least as good in accuracy, energy and latency and better in one."""
    done = [r for r in rows if r["status"] == "done"]
    front = pareto_front([(-r["accuracy"], r["total_uj"] or 0.0, r["latency_us"] or 0.0) for r in done])
    marks = {id(r): mark for r, mark in zip(done, front, strict=True)}
    return tuple(r | {"pareto": marks.get(id(r), False)} for r in rows)

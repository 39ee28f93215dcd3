"""`bimhw.run_sweep`: run the points that are not stored yet, in any order, and return the whole table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bimhw.runs.workers import Workers, workers
from bimhw.studies.sweep.evaluate import attempt, fixed_activity_pj
from bimhw.studies.sweep.pareto import pareto_front, rank
from bimhw.studies.sweep.spec import Point, SweepSpec
from bimhw.studies.sweep.store import Store
from energy_models.spread import UNKNOWN, weakest
from simulator.base.errors import BimhwError, InputError
from simulator.base.locks import held
from simulator.base.shown import Shown, Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_ENDS = ("total_low_uj", "total_high_uj", "latency_low_us", "latency_high_us")
_WORDS = ("trust", "time_trust")
FIGURES = ("accuracy", "total_uj", "latency_us", "spike_rate", "cores")  # with mean and deviation over seeds


@dataclass(frozen=True, repr=False)
class SweepResult(Shown):
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

    def over_seeds(self) -> list[dict[str, Any]]:
        """Return mean and standard deviation over the seeds of each setting (one row a setting; failed points left out).

        The deviation has n - 1 below; of one seed it is None. Energy and time have the mean of their ends over the seeds, from
        the ranges of the chip file, and the word that is trusted least. ``pareto``: no other setting's means are as good in
        accuracy, energy and latency and better in one.
        """
        groups: dict[tuple[tuple[str, Any], ...], list[dict[str, Any]]] = {}
        for r in self.rows:
            if r["status"] == "done":
                groups.setdefault(tuple((k, v) for k, v in r["axes"].items() if k != "seed"), []).append(r)
        out = []
        for setting, rows in groups.items():
            row: dict[str, Any] = dict(setting) | {"seeds": len(rows)}
            for name in FIGURES:
                values = [float(r[name]) for r in rows if r.get(name) is not None]
                row[f"{name}_mean"] = statistics.fmean(values) if values else None
                row[f"{name}_sd"] = statistics.stdev(values) if len(values) > 1 else None
            for name in _ENDS:
                ends = [float(r[name]) for r in rows if r.get(name) is not None]
                row[f"{name}_mean"] = statistics.fmean(ends) if len(ends) == len(rows) else None
            for name in _WORDS:
                words = {r.get(name) or UNKNOWN for r in rows}  # a seed without a known figure leaves the mean unknown
                row[name] = UNKNOWN if UNKNOWN in words else weakest(words)
            out.append(row)
        keys = ("accuracy_mean", "total_uj_mean", "latency_us_mean")
        front = pareto_front([rank(*(r[k] for k in keys)) for r in out])
        return [row | {"pareto": best} for row, best in zip(out, front, strict=True)]

    def _facts(self) -> Mapping[str, Value]:
        front = sum(bool(r["pareto"]) for r in self.rows)
        return {
            "points": len(self.rows),
            "failed": self.failed,
            "computed": self.computed,
            "on the Pareto front": front,
        }

    def _records(self) -> Sequence[Mapping[str, Value]]:
        return [
            {**r["axes"], **{k: v for k, v in r.items() if k != "axes" and not isinstance(v, dict | list)}}
            for r in self.rows
        ]

    def _draw(self, axes: Axes) -> None:
        from bimhw.studies.sweep.pareto import draw_front

        draw_front(axes, [r for r in self.rows if r["status"] == "done"], self.over_seeds())


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
    with Session(spec, db, n_workers, dask) as session:
        return session.run(list(spec.points()), retry, progress)


class Session:
    """An open sweep: its store, its work folder and, from the first point that must be computed, its workers.

    Raises:
        InputError: a bad axis or value, a database that cannot be used; from `run` an unreachable cluster, a full disk.
    """

    def __init__(self, spec: SweepSpec, db: Path | str, n_workers: int = 1, dask: str | None = None) -> None:
        spec.check()
        if n_workers < 1:
            raise InputError("workers", f"are {n_workers}, must be at least 1")
        self.spec, self._n_workers, self._dask = spec, n_workers, dask
        self._team: Workers | None = None
        path = Path(db)
        with ExitStack() as opened:  # a store that cannot be opened leaves no lock
            opened.enter_context(held(path))
            self._store = opened.enter_context(Store(path))
            self._folder = _work_folder(path)
            self._open = opened.pop_all()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(
        self, points: Sequence[Point], retry: bool = False, progress: Callable[[int], None] | None = None
    ) -> SweepResult:
        """Return the table of these points; compute first what is not stored yet."""
        say, keys = progress or (lambda n: None), list[str]()
        waiting: dict[str, list[tuple[str, Point]]] = {}
        for point in points:
            key = _key(point, self._store)
            keys.append(key)
            stored = self._store.get(key)
            missing = stored is None or (retry and stored["status"] == "failed")
            if missing and key not in keys[:-1]:  # a search may name a point twice
                waiting.setdefault(point.function_key(), []).append((key, point))
            else:
                say(1)
        if waiting:
            found = [self._store.get(key) for points in waiting.values() for key, _ in points]
            self._store.plan(self._store.count() + sum(stored is None for stored in found))
            if self._team is None:
                count = self._n_workers if len(points) > 1 else 1
                self._team = self._open.enter_context(workers(attempt, count, self._dask))
            _work(self._team, waiting, self._store, self._folder, self.spec, say)
        rows = tuple(
            _row(point, self._store.get(key), self._folder, self.spec) for point, key in zip(points, keys, strict=True)
        )
        log = self._folder / "functional-runs.log"
        runs = len(log.read_text(encoding="utf-8", errors="replace").splitlines()) if log.is_file() else 0
        return SweepResult(with_front(rows), sum(map(len, waiting.values())), runs)


def _work_folder(path: Path) -> Path:
    folder = path.with_name(path.name + ".work")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(str(folder), f"cannot be made ({error.strerror})") from error
    return folder


def _key(point: Point, store: Store) -> str:
    """Return the point's key; a point whose chip cannot be is stored as failed under a key of its axes."""
    from bimhw.studies.sweep.spec import digest

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
    """Do functional runs first, each followed by the points that share it; where it fails, they have failed."""
    by_key = {key: point for group in waiting.values() for key, point in group}
    for function_key, group in waiting.items():
        team.submit(function_key, ("function", str(folder), spec, dict(group[0][1].axes)))
    for name, outcome in team.finished():
        if outcome["status"] == "stopped":
            raise InputError(
                str(folder),
                f"cannot be written ({outcome['reason']})",
                "Finished points are safe: make room, then run the same sweep again",
            )
        if name in waiting and outcome["status"] == "done":
            for key, point in waiting[name]:
                team.submit(key, ("point", str(folder), spec, dict(point.axes)))
            continue
        for key in [k for k, _ in waiting[name]] if name in waiting else [name]:
            store.put(key, by_key[key].axes, outcome)
            say(1)


def _row(point: Point, stored: dict[str, Any] | None, folder: Path, spec: SweepSpec) -> dict[str, Any]:
    assert stored is not None
    row = {"axes": dict(point.axes), "status": stored["status"], "reason": stored["reason"], **stored["result"]}
    if stored["status"] == "done" and "sparsity" in spec.axes:
        densest = Point(spec, dict(point.axes) | {"sparsity": min(spec.axes["sparsity"])})
        if (folder / f"function-{densest.function_key()}.json").is_file():
            found, dense = (fixed_activity_pj(p, densest, folder) for p in (point, densest))
            if found is not None and dense is not None:
                row["synapse_uj_fixed_activity"] = found[0] / 1e6
                row["pruned_synops_fixed_activity"] = found[1] / dense[1] if dense[1] else None
    return row


def with_front(rows: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """Mark rows where no other is at least as good in accuracy, energy and latency and better in one."""
    done = [r for r in rows if r["status"] == "done"]
    front = pareto_front([rank(r["accuracy"], r["total_uj"], r["latency_us"]) for r in done])
    marks = {id(r): mark for r, mark in zip(done, front, strict=True)}
    return tuple(r | {"pareto": marks.get(id(r), False)} for r in rows)

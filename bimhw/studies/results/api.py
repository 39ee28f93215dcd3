"""`bimhw.results`: the tables of docs/results.md in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bimhw.studies.results.points import read_points
from bimhw.studies.results.report import write_report
from bimhw.studies.results.run import run_results
from simulator.base.needs import refuses_ignored
from simulator.base.shown import Shown


@dataclass(frozen=True, repr=False)
class ResultsPage(Shown):
    """The page that was written.

    Attributes:
        points: runs that it rests on.
        files: the page and its plots.
    """

    points: int
    files: tuple[Path, ...]


@refuses_ignored("results")
def results(
    tables: Sequence[str] = (),
    rows: Sequence[str] = (),
    data: Mapping[str, str | Path] | None = None,
    seeds: int | None = None,
    minutes: float | None = None,
    docs: str | Path = "docs",
    report_only: bool = False,
    say: Callable[[str], None] = print,
    dask: str | None = None,
    device: str = "cpu",
    begins: Callable[[str], None] = lambda what: None,
    workers: int = 1,
) -> ResultsPage:
    """Train the missing rows of the results, then write ``results.md`` with its plots.

    Args:
        tables: names; none: all tables whose data is here.
        rows: only rows whose label holds one of these texts.
        data: name -> path of your data (``fsdd``, ``mitbih208``).
        seeds: at most this many seeds a row.
        minutes: begin no new run after this time.
        docs: folder of the page; the points lie in ``results/points.jsonl`` below it.
        report_only: train nothing.
        say: called with a line of progress.
        dask: address of a Dask scheduler that trains side by side.
        device: where torch trains tasks and texts, by its name; strings stay on the CPU.
        begins: called with the name of each run before it.
        workers: processes of this machine that train side by side.

    Raises:
        InputError: an unknown table or row, no such device, or missing data of a table asked for by name.
    """
    folder = Path(docs)
    store = folder / "results" / "points.jsonl"
    if not report_only:
        paths = {name: Path(path) for name, path in (data or {}).items()}
        budget_s = None if minutes is None else 60 * minutes
        run_results(store, tables, paths, seeds, budget_s, say, rows, dask, device, begins, workers)
    begins("writing the page")
    points = read_points(store)
    return ResultsPage(len(points), tuple(write_report(points, folder)))

"""`bimhw.table`: runs side by side by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bimhw.views import table as parts
from bimhw.views.neurobench import neurobench
from simulator.base.shown import Shown, Value

_CARDS = (
    "energy of a sample on cards: optimistic bound .. realistic case (batch), assumed: estimates, nothing was measured"
)


@dataclass(frozen=True, eq=False, repr=False)
class TaskTable(Shown):
    """Runs as columns.

    Attributes:
        metrics: NeuroBench metrics and system rows by run.
    """

    metrics: Mapping[str, Mapping[str, object]]

    def _facts(self) -> Mapping[str, Value]:
        return {"runs": ", ".join(self.metrics)}

    def _records(self) -> Sequence[Mapping[str, Value]]:
        return [{"run": run, **figures} for run, figures in self.metrics.items()]

    def tables(self) -> list[tuple[str, tuple[str, ...], list[tuple[object, ...]]]]:
        """Return title, columns and rows of each table."""
        names = tuple(Path(run).name for run in self.metrics)
        out = [("per task, on the chip", ("figure", *names), parts.rows(self.metrics))]
        cards = parts.gpu_rows(self.metrics)
        return [*out, (_CARDS, ("card", *names), cards)] if cards else out

    def markdown(self) -> str:
        """Return the tables as Markdown."""
        return "\n".join(parts.markdown(*table) for table in self.tables())


def compare_runs(runs: Sequence[Path | str], gpu: Sequence[str] = (), neurobench_files: bool = False) -> TaskTable:
    """Compare runs by task: accuracy, energies, times.

    Args:
        runs: run folders.
        gpu: cards to compare with.
        neurobench_files: write ``neurobench.json`` into each run folder.

    Raises:
        InputError: not a run folder, or an unknown card.
    """
    from simulator.base.files import write_json

    found = {str(run): neurobench(Path(run), tuple(gpu)) for run in runs}
    if neurobench_files:
        for run, value in found.items():
            write_json(Path(run) / "neurobench.json", value)
    return TaskTable(found)

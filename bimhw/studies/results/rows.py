"""Tables of results: rows, each one model with its settings, the grid that is tuned, and how many seeds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "bim", "p-spikessm", "baseline", "linear", "bim-text", "baseline-text", "ngram", "bim-ctc", "baseline-ctc"
]


@dataclass(frozen=True)
class Row:
    """One model of a table.

    Attributes:
        label: as printed.
        kind: how it is trained.
        options: fixed settings; ``model`` names a baseline, ``parameters`` sets its width.
        grid: alternatives that the validation part decides between; empty: none.
        seeds: how many.
    """

    label: str
    kind: Kind
    options: dict[str, Any]
    grid: tuple[dict[str, Any], ...] = ()
    seeds: int = 5

    @property
    def is_bim(self) -> bool:
        """Return whether it is a BIM network."""
        return self.kind.startswith("bim") and self.options.get("family", "bim") == "bim"


@dataclass(frozen=True)
class Table:
    """One task with its rows.

    Attributes:
        name: of the table.
        title: heading.
        task: name for `load_task` or `load_corpus`.
        task_options: of its loader, beside the path.
        metric: what is compared.
        path: name of the path a user must give (``fsdd``, ``mitbih208``), or "".
        claim: the BIM paper's claim for this kind of task and what can be compared.
        note: printed below the table.
        seen: rows whose settings were chosen with the test split in sight, and which settings: (label or its begin, what).
        rows: the models.
        group: of the tables that differ by what is left out of training: they are one section, and ``--table`` takes its name.
        left_out: what this table leaves out.
    """

    name: str
    title: str
    task: str
    metric: str
    rows: tuple[Row, ...]
    claim: str
    note: str = ""
    task_options: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    seen: tuple[tuple[str, str], ...] = ()
    group: str = ""
    left_out: str = ""

    def seen_of(self, row: Row) -> list[str]:
        """Return which settings of a row were chosen with the test split in sight."""
        return [what for label, what in self.seen if row.label.startswith(label)]

"""Plan of `make results`: tables of rows; a row is one model with its settings, a grid that is tuned, and seeds.

Each table is one file of `bimhw/studies/results/plans`. Every row with a grid is tuned on the validation part of the training
split (seed 0); the test split is used once a seed, with the settings found. Options are those of `bimhw train` (rows ``bim``), of
`FitSettings` (``baseline``), of `LanguageSettings` (texts).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from bimhw.studies.results.rows import Kind, Row, Table
from simulator.base.errors import unknown_name

CASE_BY_CASE = "chbmit-cases"  # the group of CHB-MIT's cases
# In the order of their worth: an interrupted run has the most wanted figures first.
_FILES = (
    "digits", "fsdd", "lm", "scp1", "mitbih208", "japanese-vowels", "connected", "psmnist", "recall", "fsdd-speakers",
    "wikitext", "wikitext-words", "librispeech", "chbmit", "ptbxl", "chbmit-cases",
)  # fmt: skip


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row as the file has it: the settings that it is `like`, then its own `options`; `lr` is a grid of learning rates."""

    label: str
    kind: Kind
    like: list[str] = []
    options: dict[str, Any] = {}
    lr: list[float] = []
    grid: list[dict[str, Any]] = []
    seeds: int = 5


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"rows": "row"}):
    """A file: the fields of `Table`, named `settings` that rows share, and for a group what each of its tables leaves out.

    Of a group, ``{}`` in `name`, `title` and the values of `task_options` is what a table leaves out.
    """

    name: str
    title: str
    task: str
    metric: str
    claim: str
    note: str = ""
    path: str = ""
    rows: list[_Row] = []
    rows_of: str = ""
    settings: dict[str, dict[str, Any]] = {}
    task_options: dict[str, Any] = {}
    seen: list[tuple[str, str]] = []
    group: str = ""
    left_out: list[str] = []


def _read(stem: str) -> _File:
    content = (Path(__file__).with_name("plans") / f"{stem}.toml").read_bytes()
    return msgspec.toml.decode(content, type=_File)


def _tables(file: _File) -> Iterator[Table]:
    """Yield the table of a file, or those of a group."""
    rows = tuple(_rows(_read(file.rows_of) if file.rows_of else file))
    for out in file.left_out or [""]:
        yield Table(
            file.name.format(out),
            file.title.format(out),
            file.task,
            file.metric,
            rows,
            file.claim,
            file.note,
            {k: v.format(out) if isinstance(v, str) else v for k, v in file.task_options.items()},
            file.path,
            tuple(file.seen),
            file.group,
            out,
        )


def _rows(file: _File) -> Iterator[Row]:
    for row in file.rows:
        options: dict[str, Any] = {}
        for name in row.like:
            options |= file.settings[name]
        options |= row.options
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        yield Row(row.label, row.kind, options, (*({"lr": v} for v in row.lr), *row.grid), row.seeds)


TABLES: dict[str, Table] = {table.name: table for stem in _FILES for table in _tables(_read(stem))}


def named_tables(names: Iterable[str]) -> dict[str, list[Table]]:
    """Return the tables of each name, which is that of a table or of a group.

    Raises:
        InputError: no such table or group.
    """
    found = {name: [t for t in TABLES.values() if name in (t.name, t.group)] for name in names}
    for name, tables in found.items():
        if not tables:
            raise unknown_name("table", name, (*TABLES, *dict.fromkeys(t.group for t in TABLES.values() if t.group)))
    return found

"""Parts of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Drawing = Literal["", "raster", "timeline", "core"]


@dataclass(frozen=True)
class Table:
    """Rows of cells; a mapping with ``quality`` is drawn as a badge, one with ``title`` as a text with a hover."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    numeric: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """One section of the page.

    Attributes:
        title, note: heading and the lines below it.
        svg: a drawing.
        table, lines: below the drawing.
        script: what a script draws here.
        label: of that drawing, for screen readers.
        texts: (name, text) with a button that copies it.
    """

    title: str
    note: str = ""
    svg: str = ""
    table: Table | None = None
    lines: Sequence[str] = field(default=())
    script: Drawing = ""
    label: str = ""
    texts: Sequence[tuple[str, str]] = ()

    @property
    def id(self) -> str:
        """Anchor of the section."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def run_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of runs: of their folders, with the folder above where two are called the same, else A and B."""
    for names in ([p.name for p in paths], [f"{p.resolve().parent.name}/{p.name}" for p in paths]):
        if len(set(names)) == len(names):
            return names
    return [f"{name} {chr(ord('A') + k)}" for k, name in enumerate(p.name for p in paths)]


def beside_part(names: Sequence[str], figures: Sequence[dict[str, str]]) -> Part:
    """Show the figures of two runs, by what they are."""
    first, second = figures
    rows = [[label, first.get(label, "–"), second.get(label, "–")] for label in dict.fromkeys([*first, *second])]
    return Part("Side by side", table=Table(("figure", *names), rows, (1, 2)))

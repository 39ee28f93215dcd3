"""Parts of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
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

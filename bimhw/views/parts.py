"""What a page is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows of cells; a cell that is a mapping with ``quality`` is drawn as a badge."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    numeric: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """One section of the page."""

    title: str
    note: str = ""
    svg: str = ""
    table: Table | None = None
    lines: Sequence[str] = field(default=())

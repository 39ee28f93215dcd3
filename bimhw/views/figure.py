"""Save figures: whole or not at all, and the same figure as the same bytes (no time of day, no random ids)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator.base.writing import replacing

_DATES = {".svg": "Date", ".svgz": "Date", ".pdf": "CreationDate", ".ps": "CreationDate", ".eps": "CreationDate"}


def save_figure(figure: Any, path: Path, dpi: int = 150) -> None:
    """Write a matplotlib figure; the ending of the path chooses the format."""
    import matplotlib as mpl

    ending = path.suffix.lower()
    metadata = {_DATES[ending]: None} if ending in _DATES else None
    with mpl.rc_context({"svg.hashsalt": "bimhw"}), replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=ending[1:], metadata=metadata)

"""Ticks of logarithmic axes; figures saved whole or not at all, the same figure as the same bytes (no time of day)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.base.errors import InputError
from simulator.base.writing import check_output, replacing

if TYPE_CHECKING:
    from matplotlib.axis import Axis

_DATES = {".svg": "Date", ".svgz": "Date", ".pdf": "CreationDate", ".ps": "CreationDate", ".eps": "CreationDate"}
PICTURES = (".png", ".svg", ".pdf")


def check_picture(path: Path | str) -> None:
    """Refuse a picture that cannot be written, before the work that it shows.

    Raises:
        InputError: another ending than .png, .svg or .pdf, or as `check_output`.
    """
    if Path(path).suffix.lower() not in PICTURES:
        raise InputError(str(path), "must end in .png, .svg or .pdf", "Change the name")
    check_output(path)


def save_figure(figure: Any, path: Path, dpi: int = 150) -> None:
    """Write a matplotlib figure; the ending of the path chooses the format.

    Raises:
        InputError: as `check_picture`.
    """
    import matplotlib as mpl

    check_picture(path)
    ending = path.suffix.lower()
    metadata = {_DATES[ending]: None} if ending in _DATES else None
    with mpl.rc_context({"svg.hashsalt": "bimhw"}), replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=ending[1:], metadata=metadata)


def plain_ticks(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis as people do: 0.1, 1, 10, not 10 to a power."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    subs = tuple(range(1, 10)) if high < 10 * low else (1, 2, 5) if high < 1000 * low else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())

"""Display of a result: one line in a shell, a table in a notebook, a data frame, a drawing."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape
from numbers import Real
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from msgspec import UNSET

from simulator.base.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Value = object  # a number, a text or None
FEW, WIDE = 4, 80  # entries of a collection that are written out; characters of a text
PLAIN_BELOW = 1e9  # larger numbers are written with an exponent


def significant(value: float, digits: int) -> str:
    """Format a number to significant digits, large ones with thousands separators: significant(1012.4, 3) == "1,010"."""
    text = f"{value:.{digits}g}"
    rounded = float(text)
    return f"{rounded:,.0f}" if "e+" in text and abs(rounded) < PLAIN_BELOW else text


def ends(low: float | None, high: float | None) -> str:
    """Return `` (low .. high)`` to three digits, to stand behind a figure; "" where an end is missing."""
    return "" if low is None or high is None else f" ({significant(low, 3)} .. {significant(high, 3)})"


def short(value: Value) -> str:
    """Format a value: four significant digits, thousands separators for integers, ``unknown`` for None."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return significant(value, 4) if isinstance(value, float) else str(value)


def si(value: float, unit: str) -> str:
    """Format a number with an SI prefix and three significant digits: si(1.2e-6, "J") == "1.2 µJ"."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    rounded = float(f"{value:.3g}")  # first: 999.9 nJ is 1 µJ
    exponent = min(4, max(-6, math.floor(math.log10(abs(rounded)) / 3)))
    prefix = ["a", "f", "p", "n", "µ", "m", "", "k", "M", "G", "T"][exponent + 6]
    return f"{rounded / 1000.0**exponent:.3g} {prefix}{unit}"


def _brief(value: object) -> Value:
    """Shorten a field: an array to its type and shape, a collection to its length, an object to its class."""
    if isinstance(value, Real):
        return value
    if isinstance(value, str | Path):
        return shorten(str(value), WIDE, placeholder=" ...")
    shape, kind = getattr(value, "shape", None), getattr(value, "dtype", None)
    if kind is not None and shape is not None:
        return f"{kind} {list(shape)}"
    if isinstance(value, Shown) or not isinstance(value, Collection):
        return type(value).__name__
    few = isinstance(value, Sequence) and len(value) <= FEW and all(isinstance(v, int | float | str) for v in value)
    return shorten(", ".join(map(short, value)), WIDE, placeholder=" ...") if few else f"{len(value)} entries"


def _is_given(value: object) -> bool:
    """Tell a field with a value from one that is unset, None or an empty collection."""
    return value is not None and value is not UNSET and not (isinstance(value, tuple | list | dict) and not value)


class Shown:
    """A result with `__repr__`, `_repr_html_`, `to_frame` and `plot`; a class may give its own facts, records and drawing."""

    def _facts(self) -> Mapping[str, Value]:
        """Name -> value of the few figures that matter; all fields in brief, where a class gives no others."""
        names = getattr(self, "__struct_fields__", ()) or getattr(self, "__dataclass_fields__", {})
        values = {str(name): getattr(self, name) for name in names if not name.startswith("_")}
        return {name: _brief(value) for name, value in values.items() if _is_given(value)}

    def _records(self) -> Sequence[Mapping[str, Value]]:
        """Return the rows of the data frame."""
        return [self._facts()]

    def _draw(self, axes: Axes) -> None:
        raise InputError(type(self).__name__, "has nothing to plot")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}: {short(v)}' for k, v in self._facts().items())})"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th style='text-align:left'>{escape(k)}</th><td>{escape(short(v))}</td></tr>"
                       for k, v in self._facts().items())  # fmt: skip
        return f"<table><caption>{escape(type(self).__name__)}</caption>{rows}</table>"

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a pandas data frame; units stand in the columns' names.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("pandas", "frame", ".to_frame()") from error
        return pd.DataFrame([dict(row) for row in self._records()])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the result on matplotlib axes, new ones by default, and return them.

        Raises:
            InputError: the result has nothing to plot.
        """
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.subplots(figsize=(6.0, 3.6), layout="constrained")[1]
        self._draw(ax)
        return ax

"""Judgement of predictions: measured and predicted side by side, errors as SANA-FE states them.

relative error = (predicted - measured) / measured;  the figure of a set is the mean of its absolute values
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

# SANA-FE's published errors on Loihi 1, the worst of three applications (Boyle et al. 2025, IEEE TCAD 44(8), Table IV).
MARK_ENERGY, MARK_TIME = 0.117, 0.243
Quantity = Literal["dynamic energy", "step time", "learning energy", "total energy"]
QUANTITIES: tuple[Quantity, ...] = ("dynamic energy", "step time", "learning energy", "total energy")
LINE = "#line"  # key of a table's row under which its place in the file stands


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        name: which row of the file.
        quantity: dynamic energy, step time, learning energy, or total energy (static power included).
        measured, predicted: in `unit`.
        sigma: of the measurement, where it is stated.
        excluded: why the row cannot judge the prediction; empty if it does.
        core: of a predicted step time, the part that the cores take (all of it, if not given).
    """

    name: str
    quantity: Quantity
    unit: str
    measured: float
    predicted: float
    sigma: float | None = None
    excluded: str = ""
    core: float | None = None

    @property
    def core_time(self) -> float:
        """The cores' part of a predicted step time."""
        return self.predicted if self.core is None else self.core

    @property
    def core_above(self) -> bool:
        """True if the cores alone would take longer than was measured, which no true model says."""
        return self.quantity == "step time" and self.core_time > self.measured

    @property
    def error(self) -> float:
        """Signed relative error."""
        return (self.predicted - self.measured) / self.measured

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "row": self.name,
            "quantity": self.quantity,
            "unit": self.unit,
            "measured": self.measured,
            "predicted": self.predicted,
            "relative_error": self.error,
            "sigma": self.sigma,
            "excluded": self.excluded,
            "predicted_core": self.core_time if self.quantity == "step time" else None,
        }


@dataclass(frozen=True)
class DataSet:
    """All rows of one set of measurements.

    Attributes:
        name: file or folder; kind: quartz, kws, pilotnet, pair, counts, learning or total; chip: whose constants were used.
        rows: measurements.
        fitted: constants that were fitted, on what, with their leave-one-out error.
        assumptions: what the prediction takes for granted.
    """

    name: str
    kind: str
    chip: str
    rows: tuple[Row, ...]
    fitted: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()

    def judged(self, quantity: str) -> list[Row]:
        """Return the rows that judge a quantity."""
        return [r for r in self.rows if r.quantity == quantity and not r.excluded]

    def figure(self, quantity: str) -> float | None:
        """Mean absolute relative error over the rows that judge; None where there is none."""
        rows = self.judged(quantity)
        return sum(abs(r.error) for r in rows) / len(rows) if rows else None

    def figure_of_cores(self) -> float | None:
        """Return the same for step times, with the cores' part of the prediction alone."""
        errors = [abs(r.core_time - r.measured) / r.measured for r in self.judged("step time")]
        return sum(errors) / len(errors) if errors else None

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        out: dict[str, Any] = {"name": self.name, "kind": self.kind, "chip": self.chip}
        for quantity in QUANTITIES:
            rows = self.judged(quantity)
            out[quantity.replace(" ", "_")] = {
                "mean_absolute_error": self.figure(quantity),
                "bias": sum(r.error for r in rows) / len(rows) if rows else None,
                "r": pearson([r.measured for r in rows], [r.predicted for r in rows]),
            }
        out["step_time"]["mean_absolute_error_of_cores_alone"] = self.figure_of_cores()
        late = [r.name for r in self.rows if r.core_above]
        return out | {
            "rows": [r.as_json() for r in self.rows],
            "fitted": list(self.fitted),
            "assumptions": list(self.assumptions),
            "core_time_above_measured": late,
        }


LEAST, MOST = 1e-30, 1e30  # of a number other than 0, in any unit of these files


MISSING = frozenset(("", "nan", "na", "n/a", "none", "null", "-"))  # what tables write where nothing was measured


def is_missing(cell: object) -> bool:
    """Return whether a cell says that nothing was measured: empty, absent, or not a number (NaN)."""
    return cell is None or str(cell).strip().lower() in MISSING


def number(row: Mapping[str, Any], column: str) -> float | None:
    """Return a cell as a number; None where it is missing.

    Raises:
        ValueError: it is not 0 or a number from 1e-30 to 1e30: no count, time or energy of these files lies beyond.
    """
    cell = row.get(column)
    if cell is None or is_missing(cell):
        return None
    where = f"{row[LINE]}, column {column!r}" if LINE in row else repr(column)
    try:
        value = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError):
        raise ValueError(f"{where} holds {cell!r}, which is no number") from None
    if value and not LEAST <= value <= MOST:
        raise ValueError(f"{where} holds {cell!r}; it must be a finite number of at least 0 (0, or {LEAST} to {MOST})")
    return value


def signed(row: Mapping[str, Any], column: str) -> float | None:
    """Return a measured energy or power as a number of either sign; None where it is missing.

    What is measured as a difference can be negative; such a row judges nothing, and is no reason to stop.

    Raises:
        ValueError: it is not a finite number.
    """
    cell = row.get(column)
    text = "" if is_missing(cell) else str(cell).strip()
    if text.startswith("-"):
        value = number({**row, column: text[1:]}, column)
        return None if value is None else -value
    return number(row, column)


def positive(row: Mapping[str, Any], column: str) -> float | None:
    """Return a measured energy or power that can judge: None where it is missing, 0 or negative."""
    value = signed(row, column)
    return value if value and value > 0 else None


def negative(row: Mapping[str, str], *columns: str) -> bool:
    """Return whether one of the measured columns is below 0."""
    return any((signed(row, c) or 0.0) < 0 for c in columns)


def pearson(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return the correlation coefficient; None below three points or without spread."""
    n = len(x)
    if n < 3:
        return None
    mx, my = sum(x) / n, sum(y) / n
    xx, yy = sum((a - mx) ** 2 for a in x), sum((b - my) ** 2 for b in y)
    if xx == 0 or yy == 0:
        return None
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / math.sqrt(xx * yy)

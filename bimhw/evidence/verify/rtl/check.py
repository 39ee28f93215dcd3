"""Replay all recordings in a folder: one row a case, and the total that `bimhw verify --rtl DIR` judges."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bimhw.evidence.verify.rtl.case import Case, Comparison, read_cases
from bimhw.evidence.verify.rtl.designs import design_of
from simulator.base.errors import BimhwError, InputError
from simulator.base.interrupts import check_interrupted
from simulator.base.near import missing_path


@dataclass(frozen=True, eq=False)
class Row:
    """A replayed case; `error` says why there is no comparison."""

    case: str
    design: str
    kind: str
    comparison: Comparison
    seconds: float
    error: str = ""

    @property
    def equal(self) -> bool:
        """True if the model ran and differs in nothing."""
        return not (self.error or self.comparison.bits_off or self.comparison.cycles_off)

    def as_json(self) -> dict[str, object]:
        """Return plain values for JSON."""
        c = self.comparison
        return {
            "case": self.case, "design": self.design, "kind": self.kind, "words": c.words, "bits_off": c.bits_off,
            "stamps": c.stamps, "cycles_off": c.cycles_off, "where": c.where(), "error": self.error,
            "seconds": self.seconds,
        }  # fmt: skip


def replay_rtl(folder: Path | str, done: Callable[[Row], None] = lambda row: None) -> list[Row]:
    """Replay every case of every ``cases.npz`` in a folder and below; returns one row a case.

    Args:
        folder: of recorded runs.
        done: called with each row as it comes.

    Raises:
        InputError: no such folder, or no recording in it.
    """
    where = Path(folder)
    if not where.is_dir():
        raise missing_path(where, problem="is not a folder")
    files = sorted(where.rglob("cases.npz"))
    if not files:
        raise InputError(str(where), "holds no cases.npz", "Give a folder of recorded runs")
    rows = []
    for path in files:
        for case in read_cases(path):
            rows.append(_replay(case))
            done(rows[-1])
    return rows


def _replay(case: Case) -> Row:
    start, design, comparison, error = time.perf_counter(), "", Comparison(), ""
    try:
        found = design_of(case)
        design = found.name
        comparison = found.replay(case)
    except BimhwError as problem:
        error = str(problem)
    except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError, AssertionError) as problem:
        check_interrupted(problem)
        error = f"case {case.name}: is no recording of {design or 'a known design'} ({problem})"
    return Row(case.name, design, case.kind, comparison, time.perf_counter() - start, error)

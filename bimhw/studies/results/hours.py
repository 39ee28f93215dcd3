"""Estimated time of a table, measured on a small part of its data before it is begun."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from typing import Any

from bimhw.studies.results.points import Data, run_point
from bimhw.studies.results.rows import Row, Table
from bimhw.tasks.base import Task
from bimhw.tasks.sources.text import Corpus
from bimhw.tasks.sources.transcripts import Transcribed
from simulator.base.errors import UnjudgedWarning

SEQUENCES, SYMBOLS = 32, 8_000  # of the small part
WORTH = 20  # passes over the small part: a row of fewer is soon done, and the trial would cost more than it tells


def small_part(data: Data) -> tuple[Data, float] | None:
    """Return a small part of data and how many times the whole holds it; None: there is no part of such data."""
    if isinstance(data, Task):
        share = len(data.train) / SEQUENCES
        part: Data = replace(
            data, train=data.train.take(slice(0, SEQUENCES)), test=data.test.take(slice(0, SEQUENCES)),
            validation=None, judged=None, makeshift="is a part of it",
        )  # fmt: skip
    elif isinstance(data, Corpus):
        share = len(data.train) / SYMBOLS
        part = replace(data, train=data.train[:SYMBOLS], validation=data.validation[:10], test=data.test[:2_000])
    elif isinstance(data, Transcribed):
        share = len(data.train) / SEQUENCES
        part = replace(
            data, train=data.train[:SEQUENCES], test=data.test[:2], validation=(), makeshift="is a part of it"
        )
    else:
        return None
    return part, max(1.0, share)


def hours(table: Table, row: Row, data: Data) -> float | None:
    """Estimate the hours of a row, its grid and seeds: one pass over a small part, timed, times what the whole holds.

    The first pass compiles and is not counted; scoring the test part is not in it. None: the row is short.
    """
    found = small_part(data)
    if found is None or row.kind in ("linear", "ngram"):
        return None
    part, share = found
    options: dict[str, Any] = row.options | (row.grid[0] if row.grid else {})
    passes = float(options.get("epochs", options.get("passes", 1)))
    runs = row.seeds + (len(row.grid) if len(row.grid) > 1 else 0)
    if share * passes * runs < WORTH:
        return None
    once = {"passes" if "passes" in options else "epochs": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnjudgedWarning)
        for _ in range(2):
            start = time.perf_counter()
            run_point(part, table.name, row, options | once, 0, False)
            seconds = time.perf_counter() - start
    return seconds * share * passes * runs / 3600

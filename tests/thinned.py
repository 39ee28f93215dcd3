"""Which cases of a parametrised test run each time, and which only in `make test-long`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first(n: int, cases: Iterable[Any]) -> list[Any]:
    """Mark all cases but the first n as long."""
    return [case if k < n else pytest.param(*_values(case), marks=pytest.mark.long) for k, case in enumerate(cases)]


def every(n: int, cases: Iterable[Any]) -> list[Any]:
    """Mark all cases but each n-th, from the first on, as long; with n coprime to the axes' sizes, each value stays."""
    return [
        case if k % n == 0 else pytest.param(*_values(case), marks=pytest.mark.long) for k, case in enumerate(cases)
    ]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)

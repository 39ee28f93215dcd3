"""Shared fixtures. Data beside the project (../shared) is used where it is there; tests that need it skip with a reason."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

# Compilers and frameworks keep millions of objects alive: to look through them less often saves 4 % of the time.
gc.set_threshold(50_000, 50, 100)

# Beside the repository, or beside the folder of its worktrees.
_ABOVE = Path(__file__).resolve().parents[2:4]
SHARED = next((p / "shared" for p in _ABOVE if (p / "shared" / "bench").is_dir()), _ABOVE[0] / "shared")


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared (reference data beside the project), which is not here")
    return SHARED


@pytest.fixture(autouse=True, scope="session")
def one_process() -> Iterator[None]:
    """Let a command work in this process unless a test asks for more: a worker imports torch anew, for 5 s of CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bimhw.cli.timing_options.available_bytes", lambda: 0)
        yield


@pytest.fixture
def few_digits() -> Iterator[None]:
    """Cut the task digits to 64 images to learn and 64 to judge by."""
    from bimhw.tasks.registry import TASKS, register_task

    info = TASKS["digits"]
    whole = info.load()
    part = replace(whole, train=whole.train.take(slice(0, 64)), test=whole.test.take(slice(0, 64)))
    register_task(replace(info, load=lambda: part))
    yield
    register_task(info)

"""Shared fixtures. Data beside the project (../shared) is used where it is there; tests that need it skip with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

# Beside the repository, or beside the folder of its worktrees.
_ABOVE = Path(__file__).resolve().parents[2:4]
SHARED = next((p / "shared" for p in _ABOVE if (p / "shared" / "bench").is_dir()), _ABOVE[0] / "shared")


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared (reference data beside the project), which is not here")
    return SHARED

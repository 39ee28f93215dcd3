"""Shared fixtures. Data beside the project (../shared) is used where it is there; tests that need it skip with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared (reference data beside the project), which is not here")
    return SHARED

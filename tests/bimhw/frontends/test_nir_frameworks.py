"""Random networks of snnTorch, SpikingJelly, Norse and sinabs give their framework's own output, whatever their making."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.nir_frameworks import VARIABLE, make, rows


@pytest.mark.long
def test_random_networks_of_the_frameworks(tmp_path: Path) -> None:
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} names no Python with snntorch, spikingjelly, norse and sinabs")
    make(python, tmp_path)
    found = list(rows(tmp_path))
    assert found and all(row.mean > 0.005 for row in found)
    assert [row for row in found if row.differ] == []
    assert all("no better reading" not in row.automatic for row in found if not row.profile.startswith("{"))

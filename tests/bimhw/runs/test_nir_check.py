"""`nir check` by pieces of samples: threads and a cluster whose worker dies give what one piece after another gives."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

import bimhw
from bimhw.frontends.nir.check import _PIECE, CheckResult, check
from tests.clusters import kill_when_busy


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Write a leaky network and 150 samples with outputs of which some are wrong."""
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input(np.array([6])),
        "w": nir.Linear(rng.normal(0, 1, (4, 6))),
        "cells": nir.LIF(np.full(4, 5.0), np.ones(4), np.zeros(4), np.ones(4), np.zeros(4)),
        "out": nir.Output(np.array([4])),
    }
    nir.write(tmp_path / "net.nir", nir.NIRGraph(nodes, [("in", "w"), ("w", "cells"), ("cells", "out")]))
    x = (rng.random((20, 2 * _PIECE + 22, 6)) < 0.4).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, out=(rng.random((20, x.shape[1], 4)) < 0.2).astype(np.float32))
    return tmp_path / "net.nir", tmp_path / "data.npz"


def _plain(result: CheckResult) -> str:
    return repr(result.to_json())


def test_threads_change_nothing(files: tuple[Path, Path]) -> None:
    one = check(*files, dt=1.0)
    assert 0 < one.differ < one.of == 20 * 150 * 4 and one.samples == 150 and one.hints
    assert {_plain(bimhw.check_nir(*files, dt=1.0, workers=n)) for n in (1, 2, 5)} == {_plain(one)}


@pytest.mark.long
def test_a_killed_worker_changes_nothing(files: tuple[Path, Path]) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        killed = kill_when_busy(cluster)
        found = bimhw.check_nir(*files, dt=1.0, dask=cluster.scheduler_address)
    assert killed and _plain(found) == _plain(check(*files, dt=1.0))

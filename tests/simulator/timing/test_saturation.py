"""The network under load: where uniform random traffic saturates, and what latency it has before."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.timing.compiled import run_compiled
from simulator.timing.contract import ARR, DONE, GEN, Mesh, StepWork

NODES = 64


def uniform_traffic(slots: int, rate: float, each: int) -> tuple[float, float]:
    """Return accepted packets per node and tick, and mean latency in ticks, while every source of an 8 x 8 mesh is active."""
    mesh = Mesh(8, 8, 1, (2, 2, 2, 2, 2), port_slots=slots, core_slots=16)
    rng = np.random.default_rng(0)
    n = NODES * each
    work = StepWork(
        off=np.arange(NODES + 1, dtype=np.int64) * each,
        gap=rng.geometric(rate, n).astype(np.int32),
        rel=np.zeros(n, np.int64),
        dst=rng.integers(0, NODES, n).astype(np.int32),
        srv=np.ones(n, np.int32),
        tail=np.zeros(NODES, np.int32),
        start=np.zeros(NODES, np.int64),
    )
    t = run_compiled(mesh, work).stamps
    first, last = 200, int(t[:, GEN].reshape(NODES, each).max(axis=1).min())
    accepted = ((t[:, DONE] >= first) & (t[:, DONE] < last)).sum() / (last - first) / NODES
    during = (t[:, GEN] >= first) & (t[:, GEN] < last)
    return float(accepted), float((t[during, ARR] - t[during, GEN]).mean())


@pytest.mark.parametrize(("slots", "published"), [(2, 0.21), (4, 0.36), (16, 0.41)])
def test_saturation(slots: int, published: float) -> None:
    """One flit, two ticks a hop: 0.21, 0.36 and 0.41 for 2, 4 and 16 slots; the bisection allows 0.5."""
    accepted, _ = uniform_traffic(slots, 1.0, 1000)
    assert accepted == pytest.approx(published, rel=0.05)
    assert accepted < 0.5


def test_latency_grows_with_load() -> None:
    """14 ticks when almost empty (1 + (5.25 + 1) * 2), 26 to 32 near saturation with 4 slots."""
    rates = [0.01, 0.1, 0.2, 0.3, 0.34]
    latency = [uniform_traffic(4, r, 500)[1] for r in rates]
    assert latency[0] == pytest.approx(13.5, abs=0.3)
    assert (np.diff(latency) > 0).all()
    assert 26 < uniform_traffic(4, 1.0, 500)[1] < 35


def test_what_is_offered_is_accepted_below_saturation() -> None:
    for rate in (0.05, 0.15, 0.25):
        assert uniform_traffic(4, rate, 800)[0] == pytest.approx(rate, rel=0.02)

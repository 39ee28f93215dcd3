"""Runs over a Dask cluster: a worker is killed in the middle, and every byte is that of one process."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

from bimhw.runs.execute import How, execute
from mapping.blocks import map_blocks
from mapping.network import Network
from simulator.base.errors import InputError
from simulator.chips.load import load_chip
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def program() -> Program:
    """16 inputs and 4 layers of 64 leaky neurons, one of them read."""
    rng, model = np.random.default_rng(0), get("lif")
    value = {"dv": 400, "theta": 40, "vth": 40}
    params = {w.name: np.asarray(value.get(w.name, model.defaults.get(w.name, 0))) for w in model.params}
    populations, projections = [Population("in", "input", 16, role="input")], []
    for i in range(4):
        role = "output" if i == 3 else "hidden"
        populations.append(Population(f"l{i}", "lif", 64, params, layer=i + 1, role=role))
        matrix = rng.integers(-20, 40, (64, populations[i].size)).astype(np.int8)
        projections.append(Projection(f"p{i}", populations[i].name, f"l{i}", "in", *dense_to_csr(matrix)))
    return map_blocks(Network("integer", tuple(populations), tuple(projections)), load_chip("loihi2"), 32)[0]


def run(threads: int, dask: str | None = None) -> dict[str, bytes]:
    """Run 24 samples of 400 steps; everything that comes out, as bytes."""
    chip, steps, rng = load_chip("loihi2"), 400, np.random.default_rng(1)
    trains = []
    for _ in range(24):
        dense = np.zeros((steps, 272), np.int8)
        dense[:, :16] = rng.random((steps, 16)) < 0.3
        trains.append(SpikeTrain.from_dense(dense))
    how = How(threads=threads, dask=dask)
    out = execute(program(), trains, chip, steps, probes=(("l3", "v"),), how=how)
    found = {f"spikes {k}": t.ptr.tobytes() + t.ids.tobytes() for k, t in enumerate(out.spikes)}
    found |= {f"count {k}": c.by_core.tobytes() + c.by_step.tobytes() for k, c in out.activity.counts.items()}
    found |= {k: v.tobytes() for k, v in (out.timing_arrays() or {}).items()}
    return found | {f"probe {k}": v.tobytes() for k, v in out.probes.items()}


@pytest.mark.long
def test_a_killed_worker_changes_no_byte() -> None:
    distributed = pytest.importorskip("distributed")
    one = run(1)
    killed = []

    def kill(cluster: Any) -> None:
        """Kill a worker as soon as it works on something."""
        while not killed:
            for name, state in list(cluster.scheduler.workers.items()):
                if state.processing and not killed:
                    worker = next(w for w in cluster.workers.values() if w.worker_address == name)
                    os.kill(worker.pid, signal.SIGKILL)
                    killed.append(name)
            time.sleep(0.005)

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        thread = threading.Thread(target=kill, args=(cluster,), daemon=True)
        thread.start()
        other = run(1, cluster.scheduler_address)
        thread.join(30)
    assert killed
    assert other == one


def test_threads_change_no_byte() -> None:
    one = run(1)
    assert "step_ticks" in one
    assert run(3) == one


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="cannot be reached"):
        run(1, "tcp://127.0.0.1:1")

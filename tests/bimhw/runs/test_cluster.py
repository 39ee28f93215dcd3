"""Runs over a Dask cluster: a worker is killed in the middle, and every byte is that of one process."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from bimhw.evidence.verify.api import verify
from bimhw.runs.execute import execute
from bimhw.runs.request import How, Request
from mapping.blocks import map_blocks
from mapping.network import Network
from simulator.base.errors import InputError
from simulator.chips.load import load_chip
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from tests.clusters import kill_when_busy


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
    out = execute(Request(program(), trains, chip, steps, (("l3", "v"),), how))
    found = {f"spikes {k}": t.ptr.tobytes() + t.ids.tobytes() for k, t in enumerate(out.spikes)}
    found |= {f"count {k}": c.by_core.tobytes() + c.by_step.tobytes() for k, c in out.activity.counts.items()}
    found |= {k: v.tobytes() for k, v in (out.timing_arrays() or {}).items()}
    return found | {f"probe {k}": v.tobytes() for k, v in out.probes.items()}


@pytest.mark.long
def test_a_killed_worker_changes_no_byte() -> None:
    distributed = pytest.importorskip("distributed")
    one = run(1)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        killed = kill_when_busy(cluster)
        other = run(1, cluster.scheduler_address)
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


@pytest.mark.long
def test_checks_on_a_cluster_are_those_made_here() -> None:
    distributed = pytest.importorskip("distributed")
    only = ("PSP recurrence", "STDP traces", "energy items")
    here = verify(seed=3, only=only)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        killed = kill_when_busy(cluster)
        there = verify(seed=3, only=only, dask=cluster.scheduler_address)
    assert killed
    both = verify(seed=3, only=only, workers=2)
    for other in (there, both):
        assert [(o.check.name, o.value) for o in other.outcomes] == [(o.check.name, o.value) for o in here.outcomes]


def test_free_runs_count_the_updates_that_were_made() -> None:
    """Energy of asynchronous operation: an update is counted where a neuron was updated, not at every step."""
    model = get("if")
    params = {w.name: np.asarray({"vth": 5}.get(w.name, model.defaults.get(w.name, 1))) for w in model.params}
    one = np.array([0, 1], np.int64), np.zeros(1, np.int32), np.full(1, 5, np.int8)
    populations = (Population("in", "input", 1, role="input"), Population("a", "if", 1, params, layer=1))
    chip = load_chip("loihi2")
    chip = replace(chip, capabilities=replace(chip.capabilities, sync=("barrier", "free")))
    net = Network("integer", populations, (Projection("p", "in", "a", "in", *one),))
    program = map_blocks(net, chip)[0]
    train = SpikeTrain(np.array([0, 1, 1, 1, 2, 2], np.int64), np.zeros(2, np.int32))
    how = How(engine="events", sync="free", period_ns=1e5)
    counts = execute(Request(program, [train, train], chip, 5, how=how)).activity.counts
    assert counts["neuron_updates"].total == 8  # two spikes a sample, each followed by one update without input
    assert counts["neuron_updates_active"].total == 4
    assert counts["neuron_updates"].by_step.tolist() == [2, 0, 0, 2, 0] * 2

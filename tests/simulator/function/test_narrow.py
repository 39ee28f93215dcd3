"""Targets of 16 bits give the bytes of targets of 32 bits, in both loops, in the counters, in timing and in files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bimhw
from mapping.network import Network
from mapping.spec import check_network
from simulator.base.errors import InputError
from simulator.function import Simulation
from simulator.function.run import recorded_spikes
from simulator.program.axons import axon_table
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

LIF = {"dv": np.array(512), "vth": np.array(100), "strict": np.array(1), "bias": np.array(20)}


def wiring(
    rng: np.random.Generator, rows: int, columns: int, fan_out: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    targets = np.sort(np.stack([rng.choice(columns, fan_out, replace=False) for _ in range(rows)]), axis=1).astype(
        np.int32
    )
    return np.arange(rows + 1) * fan_out, targets.ravel(), rng.integers(-40, 60, rows * fan_out).astype(np.int8)


def programs(n: int, reach: int, delay: int) -> tuple[Program, Program]:
    """One program with targets of 32 and of 16 bits; ten inputs, `n` neurons of which `reach` have synapses."""
    rng = np.random.default_rng(n)
    populations = (
        Population("in", "input", 10, role="input"),
        Population("cells", "lif", n, LIF, layer=1, role="output"),
    )
    ptr, *rest = wiring(rng, reach, reach, 6)
    ptr = np.concatenate([ptr, np.full(n - reach, ptr[-1])])
    q = Projection("in", "in", "cells", "in", *wiring(rng, 10, reach, 20), exponent=1)
    r = Projection("rec", "cells", "cells", "in", ptr, *rest, delay=delay, exponent=1)
    core = np.concatenate([np.full(10, -1), np.arange(n) * 8 // n]).astype(np.int32)
    wide = Program("", "", populations, (q, r), core)
    narrow = tuple(replace(p, indices=p.indices.astype(np.uint16)) for p in (q, r))
    return wide, replace(wide, projections=narrow)


@pytest.mark.parametrize(("n", "reach", "delay"), [(300, 300, 0), (300, 300, 2), (70_000, 500, 0)])
@pytest.mark.parametrize("fast", [True, False])
def test_both_widths_give_the_same_bytes(n: int, reach: int, delay: int, fast: bool) -> None:
    wide, narrow = programs(n, reach, delay)
    inputs = SpikeTrain.from_dense((np.random.default_rng(1).random((40, 10)) < 0.3).astype(np.int32))
    hashes = []
    for program in (wide, narrow):
        simulation = Simulation(program, graded_inputs=False, fast=fast)
        simulation.advance(inputs, 40)
        hashes.append((recorded_spikes(simulation.record).spike_hash(), simulation.state.words[1].tobytes()))
    assert hashes[0] == hashes[1]


def test_counters_axons_and_timing_agree() -> None:
    wide, narrow = programs(300, 300, 1)
    inputs = SpikeTrain.from_dense((np.random.default_rng(2).random((30, 10)) < 0.3).astype(np.int32))
    a, b = (bimhw.run(p, inputs, 30, topology=bimhw.load_chip("loihi2").topology) for p in (wide, narrow))
    assert {k: c.total for k, c in a.activity.counts.items()} == {k: c.total for k, c in b.activity.counts.items()}
    assert all(
        (x == y).all() for x, y in zip(vars(axon_table(wide)).values(), vars(axon_table(narrow)).values(), strict=True)
    )
    chip = bimhw.load_chip("loihi2")
    times = [bimhw.run_timing(p, chip, a.spikes).sim_time_ns for p in (wide, narrow)]
    assert times[0] == times[1] > 0


def test_a_file_keeps_the_width_and_the_layout_copies_nothing(tmp_path: Path) -> None:
    narrow = replace(programs(300, 300, 0)[1], chip="loihi2", chip_sha256="0")
    narrow.save(tmp_path / "x.bimhw")
    again = Program.load(tmp_path / "x.bimhw")
    assert [q.indices.dtype for q in again.projections] == [np.uint16, np.uint16] and again.sha256() == narrow.sha256()
    synapses = Simulation(narrow, fast=False).layout.synapses[1]
    assert np.shares_memory(synapses.indices, narrow.projections[1].indices)
    assert synapses.indices.itemsize + synapses.weights.itemsize == 3


def test_rows_that_do_not_ascend_are_refused_in_both_widths() -> None:
    for program in programs(300, 300, 0):
        q = program.projections[1]
        turned = replace(q, indices=np.concatenate([q.indices[:6][::-1], q.indices[6:]]))
        network = Network("integer", program.populations, (program.projections[0], turned))
        with pytest.raises(InputError, match="ascending"):
            check_network(network)
        with pytest.raises(InputError, match="ascending"):
            Simulation(replace(program, projections=network.projections))

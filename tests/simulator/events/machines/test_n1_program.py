"""A program for Catalyst N1: step engines and machine agree, and the compiler maps it; ReckOn's neurons in the step engines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bimhw.compiler.pipeline import compile as compile_model
from mapping.network import Network
from simulator.base.errors import FitError
from simulator.chips.load import load_chip
from simulator.events.machines.n1.program import run_program
from simulator.events.machines.reckon.run import run_sample
from simulator.events.machines.reckon.state import Registers, program_net
from simulator.function import run
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def _sparse(rng: np.random.Generator, name: str, source: Population, target: Population, delay: int) -> Projection:
    there = rng.random((source.size, target.size)) < (0.1 if delay else 0.3)
    weights = rng.integers(-128, 128, there.sum()).astype(np.int16)
    indptr = np.concatenate([[0], np.cumsum(there.sum(1))]).astype(np.int64)
    return Projection(
        name, source.name, target.name, "in", indptr, np.nonzero(there)[1].astype(np.int32), weights, delay, 2
    )


def _network(seed: int) -> tuple[Network, SpikeTrain]:
    rng = np.random.default_rng(seed)
    a, b = int(rng.integers(3, 30)), int(rng.integers(3, 30))

    def words(low: int, high: int, n: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        return rng.integers(low, high, n).astype(np.int32)

    common = {
        "rest": words(-20, 20, a),
        "refractory": words(0, 4, a),
        "v_min": words(-900, 0, a),
        "v_max": words(500, 9000, a),
    }
    lif = Population("lif", "n1_lif", a, common | {"threshold": words(50, 900, a), "leak": words(0, 40, a)}, layer=1)
    cuba_words = {
        "threshold": words(50, 900, b), "rest": words(-20, 20, b), "refractory": words(0, 4, b), "v_min": words(-900, 0, b),
        "v_max": words(500, 9000, b), "dv": words(1, 4096, b), "du": words(0, 4096, b), "bias_mant": words(-9, 9, b),
        "bias_exp": words(0, 4, b), "decays": words(0, 2, b), "scale_u": np.full(b, rng.integers(2), np.int32),
    }  # fmt: skip
    cuba = Population("cuba", "n1_cuba", b, cuba_words, layer=1)
    drive = Population("in", "input", 6, {}, layer=0)
    ends = {"in": drive, "lif": lif, "cuba": cuba}
    pairs = [("in", "lif"), ("in", "cuba"), ("lif", "cuba"), ("cuba", "lif"), ("lif", "lif")]
    projections = tuple(
        _sparse(rng, f"{p}-{q}", ends[p], ends[q], int(rng.integers(64)) if rng.random() < 0.4 else 0) for p, q in pairs
    )
    fired = rng.random((60, 6)) < 0.3
    ptr = np.concatenate([[0], np.cumsum(fired.sum(1))]).astype(np.int64)
    inputs = SpikeTrain(ptr, np.nonzero(fired)[1].astype(np.int32))
    return Network("integer", (drive, lif, cuba), projections), inputs


def _program(network: Network) -> Program:
    core = np.concatenate([np.full(p.size, -1 if p.model == "input" else 0, np.int32) for p in network.populations])
    return Program("catalyst-n1", load_chip("catalyst-n1").sha256, network.populations, network.projections, core)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_engines_and_machine_agree(seed: int) -> None:
    network, inputs = _network(seed)
    program = _program(network)
    probes = (("lif", "v"), ("cuba", "v"), ("cuba", "u"))
    ours = run(program, inputs, 80, probes=probes)
    machine = run_program(program, inputs, 80, 64)
    assume(machine.lost_spikes == machine.early_entries == 0)  # what the step engines do not lose
    first = 6
    step = np.repeat(np.arange(80), np.diff(ours.spikes.ptr))
    neurons = ours.spikes.ids >= first
    assert (
        np.column_stack([step[neurons], ours.spikes.ids[neurons] - first]).tolist()
        == machine.spikes[:, [0, 2]].tolist()
    )
    a = network.populations[1].size
    assert np.array_equal(ours.probes["lif", "v"], machine.v[:, :a])
    b = network.populations[2].size
    assert np.array_equal(ours.probes["cuba", "v"], machine.v[:, a : a + b])
    assert np.array_equal(ours.probes["cuba", "u"], machine.u[:, a : a + b])


def test_a_network_compiles_for_the_chip() -> None:
    network, inputs = _network(3)
    compiled = compile_model(
        Network("integer", network.populations, network.projections, inputs=inputs), "catalyst-n1"
    ).program
    assert compiled.chip == "catalyst-n1"
    ours, before = run(compiled, inputs, 60), run(_program(network), inputs, 60)
    assert np.array_equal(ours.spikes.ids, before.spikes.ids)
    assert run_program(compiled, inputs, 60).spikes.shape[0] == (before.spikes.ids >= 6).sum()


def test_what_the_core_cannot_do_is_refused() -> None:
    network, inputs = _network(3)
    with pytest.raises(FitError, match="neurons"):
        run_program(_program(network), inputs, 5, 4)
    other = Population("lif", "lif", 4, {"vth": np.full(4, 9, np.int32), "dv": np.full(4, 9, np.int32)}, layer=1)
    with pytest.raises(FitError, match="model"):
        run_program(_program(Network("integer", (network.populations[0], other), ())), inputs, 5)


def test_reckons_neurons_in_the_step_engines() -> None:
    """Without stochastic rounding, and where no sum saturates, the engine's spikes are the machine's."""
    rng = np.random.default_rng(5)
    config = {name.upper(): 0 for name in Registers._fields} | {"FP_LOC_WINP": 3, "FP_LOC_WREC": 1, "KAPPA": 120}
    config |= {"NUM_INP_NEUR": 9, "NUM_REC_NEUR": 15, "NUM_OUT_NEUR": 0}
    for name in ("INP", "REC", "OUT", "STRND_NEUR", "STRND_ONEUR", "STRND_TINP", "STRND_TREC", "STRND_TOUT"):
        config[f"SEED_{name}"] = 1
    w_in, w_rec = rng.integers(-60, 128, (10, 16)).astype(np.int8), rng.integers(-60, 60, (16, 16)).astype(np.int8)
    alpha, threshold = np.full(8, 30000), np.full(8, 700)
    registers, net = program_net(config, alpha, threshold, w_in, w_rec, np.zeros((16, 1), np.int8))
    fired = rng.random((40, 10)) < 0.2
    sample = run_sample(registers, net, 40, 0, 40, np.argwhere(fired))
    drive = Population("in", "input", 10, {}, layer=0)
    words = {"alpha": np.repeat(alpha, 2).astype(np.int32), "threshold": np.repeat(threshold, 2).astype(np.int32)}
    cells = Population("rec", "reckon_lif", 16, words | {"hard": np.zeros(16, np.int32)}, layer=1)

    def dense(
        name: str, source: Population, weights: np.ndarray[tuple[int, int], np.dtype[np.int8]], up: int
    ) -> Projection:
        n, m = weights.shape
        targets = np.tile(np.arange(m, dtype=np.int32), n)
        return Projection(
            name, source.name, "rec", "in", np.arange(n + 1, dtype=np.int64) * m, targets, weights.ravel(), 0, up
        )

    projections = (dense("a", drive, w_in, 3), dense("b", cells, w_rec, 1))
    core = np.array([-1] * 10 + [0] * 16, np.int32)
    program = Program("reckon", load_chip("reckon").sha256, (drive, cells), projections, core)
    ptr = np.concatenate([[0], np.cumsum(fired.sum(1))]).astype(np.int64)
    ours = run(program, SpikeTrain(ptr, np.nonzero(fired)[1].astype(np.int32)), 41).spikes
    step = np.repeat(np.arange(41), np.diff(ours.ptr))
    cell = ours.ids >= 10
    assert sample.spikes.shape[0] > 20
    assert np.column_stack([step[cell], ours.ids[cell] - 10]).tolist() == sample.spikes.tolist()

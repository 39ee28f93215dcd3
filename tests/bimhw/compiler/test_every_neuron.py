"""Every registered neuron, found in the registry: lowered, and the engine's integers are those of its equation in plain Python.

A model that a file adds is tested by itself; Brian2's twins run in `tests/bimhw/evidence/crosscheck`, found the same way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bimhw
from bimhw.evidence.crosscheck.cases import models
from mapping.network import Network
from simulator.base.arrays import I64
from simulator.base.names import INPUT_MODEL
from simulator.function.layout import lay_out
from simulator.neurons import base
from simulator.program.graph import Population, Projection, csr_to_dense, dense_to_csr
from simulator.program.program import Program

IN, N, T = 6, 5, 20
ROOT = Path(__file__).parents[3]
NOT_DRAWN = {  # machines' own neurons, and those with a table or a random draw: the test that has their equation
    "gelu_fuse": "bimhw/compiler/plain_s4.py",
    "p_s4_": "bimhw/compiler/plain_s4.py",
    "p_sampler": "bimhw/compiler/plain_s4.py",
    "readout_mean": "bimhw/compiler/plain_s4.py",
    "clamp_fuse": "simulator/neurons/test_p_spike_ssm.py",
    "lif_grid": "bimhw/frontends/test_sanafe_units.py",
    "lz76_w": "simulator/neurons/test_meta_neuron.py",
    "meta_neuron": "simulator/neurons/test_meta_neuron.py",
    "n1_": "simulator/events/machines/test_n1_program.py",
    "p_ssm_": "simulator/neurons/test_p_spike_ssm.py",
    "reckon_": "simulator/events/machines/test_n1_program.py",
    "spike_sampler": "simulator/neurons/test_neurons.py",
}


def plain(program: Program, x: I64, steps: int, seed: int) -> tuple[dict[str, I64], dict[tuple[str, str], I64]]:
    """Return what each population sends [steps, n] and its states, by dense matrices and the kernels as Python runs them."""
    cells = {c.name: c for c in lay_out(program).cells}
    state = {c.name: c.initial.copy() for c in cells.values()}
    sent = {p.name: np.zeros((steps, p.size), np.int64) for p in program.populations}
    kept = {(p.name, w.name): np.zeros((steps, p.size), np.int64) for p in program.populations
            for w in base.get(p.model).states}  # fmt: skip
    dense = {q.name: csr_to_dense(q, program.population(q.target).size).astype(np.int64) for q in program.projections}
    for t in range(steps):
        for p in program.populations:
            model, own = base.get(p.model), cells[p.name]
            if model.kernel is None:
                sent[p.name][t] = x[t] if t < len(x) else 0
                continue
            acc = np.zeros((max(1, len(model.ports)), p.size), np.int64)
            for q in program.projections:
                if q.target == p.name and t - 1 - q.delay >= 0:
                    acc[model.ports.index(q.port)] += dense[q.name] @ sent[q.source][t - 1 - q.delay] << q.exponent
            out = np.zeros(p.size, np.int32)
            kernel = getattr(model.kernel, "py_func", model.kernel)
            kernel(acc.astype(np.int32), state[p.name], own.params, own.table, out, 0, p.size, t, seed, own.first)
            sent[p.name][t] = out
            for k, word in enumerate(model.states):
                kept[p.name, word.name][t] = state[p.name][k]
    return sent, kept


def float_network(name: str, rng: np.random.Generator) -> Network:
    model = base.get(name)
    assert model.sample_params is not None
    drawn = {k: np.broadcast_to(v, (N,)).copy() for k, v in model.sample_params(rng, N).items()}
    populations = (
        Population("in", INPUT_MODEL, IN, role="input"),
        Population("cells", name, N, drawn, layer=1, role="output"),
    )
    weights = dense_to_csr(rng.normal(0.3, 1, (N, IN)) * model.sample_weight)  # alike, for ports that share one scale
    into = [Projection(f"w{k}", "in", "cells", port, *weights, delay=2 * k) for k, port in enumerate(model.ports)]
    return Network("float", populations, tuple(into))


@pytest.mark.parametrize("name", models())
def test_its_integers_are_those_of_its_equation(name: str) -> None:
    rng = np.random.default_rng(sum(map(ord, name)))
    x = (rng.random((1, T, IN)) < 0.4).astype(np.int32)
    program = bimhw.compile(float_network(name, rng), "generic", calibration=x, mapping="blocks").program
    steps = T + max(p.layer for p in program.populations)
    words = [(p.name, w.name) for p in program.populations for w in base.get(p.model).states]
    result = bimhw.run(program, bimhw.SpikeTrain.from_dense(x[0]), steps, seed=3, probes=words)
    sent, kept = plain(program, x[0].astype(np.int64), steps, 3)
    first = program.first_ids()
    for p in program.populations:
        got = result.spikes.to_dense(first[p.name], p.size)
        np.testing.assert_array_equal(got, sent[p.name], err_msg=p.name)
    for pair in words:
        np.testing.assert_array_equal(result.probes[pair], kept[pair], err_msg=str(pair))
    assert any(kept[pair].any() for pair in words) or sent["cells"].any()


def is_of_the_simulator(name: str) -> bool:
    """Return whether a neuron comes with the simulator; other tests register some of their own."""
    kernel = base.get(name).kernel
    return getattr(kernel, "py_func", kernel).__module__.startswith("simulator.")


def test_no_other_neuron_is_left_out() -> None:
    others = {name for name in set(base.names()) - set(models()) - {INPUT_MODEL} if is_of_the_simulator(name)}
    homes = {name: [file for start, file in NOT_DRAWN.items() if name.startswith(start)] for name in others}
    assert all(homes.values()), {n for n, files in homes.items() if not files}
    for name, (file, *_) in homes.items():
        assert name.split("_w")[0].split("_n2")[0] in (ROOT / "tests" / file).read_text(encoding="utf-8"), name


def test_every_drawn_neuron_has_a_brian2_twin() -> None:
    assert all(base.get(name).brian2 or base.get(name).brian2_integer for name in models())

"""A neuron model added by one file goes the whole way: float run, cross-check cases, compile, simulate, energy."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bimhw
from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.lower.words import lower_words
from bimhw.compiler.options import CompileOptions
from bimhw.evidence.crosscheck import cases
from mapping.network import Network
from simulator.base.errors import FitError
from simulator.neurons import base
from simulator.program.graph import Population, Projection, dense_to_csr

FILE = '''
"""Quadratic integrate-and-fire: v <- v + floor(v^2 / 2^k) + acc; fires at v >= vth, then v <- v_reset."""
import numba
import numpy as np

from simulator.neurons.base import NeuronModel, Traits, UpdateOps, Word, register
from simulator.neurons.sampling import dyadic


@numba.njit(nogil=True)
def kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):
    for i in range(lo, hi):
        v = int(state[0, i])
        v = v + ((v * v) >> int(params[2, i])) + int(acc[0, i])
        out[i] = 1 if v >= params[0, i] else 0
        state[0, i] = params[1, i] if out[i] else v
    return 0


def float_step(acc, state, params):
    v = state["v"] + state["v"] ** 2 / 2.0 ** params["k"] + acc["in"]
    fired = v >= params["vth"]
    state["v"][:] = np.where(fired, params["v_reset"], v)
    return fired.astype(float)


register(NeuronModel(
    name="quadratic",
    ports=("in",),
    states=(Word("v", 24),),
    params=(Word("vth", 24, {unit}), Word("v_reset", 24, {unit}), Word("k", 5, signed=False)),
    kernel=kernel,
    float_step=float_step,
    ops=UpdateOps(mul=1, add=2, state_read=1, state_write=1),
    float_states=("v",),
    defaults={{"v_reset": 0, "k": 12}},
    traits=Traits(membrane="v"),
    brian2="y = v + v**2 / 2**k + acc_in\\nout = int(y >= vth)\\nv = out * v_reset + (1 - out) * y",
    sample_params=lambda rng, n: {{"vth": dyadic(rng, n, 20, 60), "v_reset": 0.0, "k": 12.0}},
    sample_weight=16.0,
))
'''


@pytest.fixture(params=["", 'unit="in"'])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "quadratic.py"
    path.write_text(FILE.replace("{unit}", request.param or "").format(), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("quadratic", path)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield request.param
    base.unregister("quadratic")


def network(scale: float) -> Network:
    weights = np.random.default_rng(0).integers(-3, 12, (5, 6)) * scale
    populations = (
        Population("in", "input", 6, role="input"),
        Population("cells", "quadratic", 5, {"vth": np.asarray(60.0 * scale)}, layer=1, role="output"),
    )
    return Network("float", populations, (Projection("w", "in", "cells", "in", *dense_to_csr(weights)),))


def test_one_file_goes_to_the_energy(unit: str, tmp_path: Path) -> None:
    x = (np.random.default_rng(1).random((1, 40, 6)) < 0.4).astype(np.int32)
    made = bimhw.compile(network(1.0), "loihi2", calibration=x)
    steps = int(made.program.meta["chip_steps"])
    result = bimhw.run(made.program, bimhw.SpikeTrain.from_dense(x[0]), steps, probes=[("cells", "v")])
    (q,), (_, cells) = made.program.projections, made.program.populations
    dense = np.zeros((6, 5), int)
    dense[np.repeat(np.arange(6), np.diff(q.indptr)), q.indices] = q.weights.astype(int) << q.exponent
    vth = int(np.max(cells.params["vth"]))
    v, fired = np.zeros(5, int), []
    for t in range(steps):  # the kernel once more, in plain Python
        v = v + ((v * v) >> 12) + (x[0, t - 1] @ dense if t else 0)
        fired.append(v >= vth)
        v = np.where(fired[-1], 0, v)
    spikes = result.spikes.to_dense(made.program.first_ids()["cells"], 5)
    np.testing.assert_array_equal(spikes, np.array(fired))
    assert spikes.sum() > 5
    assert result.activity.total("op_mul") == 5 * steps
    assert "quadratic" in cases.models()


def test_a_word_with_the_unit_of_a_port_scales_with_the_weights(unit: str) -> None:
    """Weights of 0.01: with the port's unit the words keep their precision, without it they are whole numbers."""
    x = np.ones((1, 8, 6), np.int32)
    if not unit:
        with pytest.raises(FitError, match=r"parameter 'vth': is 0\.6, and its word holds whole numbers"):
            bimhw.compile(network(0.01), "loihi2", calibration=x)
        return
    (q,) = (made := bimhw.compile(network(0.01), "loihi2", calibration=x)).program.projections
    vth = int(np.max(made.program.populations[1].params["vth"]))
    assert vth / int(np.abs(q.weights.astype(int)).max()) == pytest.approx(60 / 11, rel=0.02)


def test_a_decay_that_its_word_cannot_hold_becomes_none_and_is_noted() -> None:
    """Norse's LSNN loses 1.25e-6 of its threshold a step by default, 0.00512 / 4096: over 1,000 steps an eighth of a percent."""
    params = {"dv": 400.0, "da": np.array([0.00512, 40.0]), "vth": 60.0, "jump": 5.0}
    population = Population("cells", "adaptive_lif", 2, params, {}, 1, "hidden", (2,))
    lowered = lower_words(population, {"in": np.ones(1)}, Calibration({}, {}, 1, "none"), CompileOptions())
    assert lowered.population.params["da"].tolist() == [0, 40]
    assert [n for n in lowered.notes if "'da' of 0.00512" in n and "no decay" in n]
    slow = replace(population, params=params | {"da": 0.2})  # neither none nor one: a long run would show it
    with pytest.raises(FitError, match=r"parameter 'da': is 0\.2"):
        lower_words(slow, {"in": np.ones(1)}, Calibration({}, {}, 1, "none"), CompileOptions())

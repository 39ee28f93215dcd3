"""States that do not decay, IFs that take their whole input, and matrices as w_in: closed forms and loops in plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bimhw.frontends.nir.execute import run_graph
from bimhw.frontends.nir.lower import lower
from bimhw.frontends.nir.read import build_graph
from bimhw.frontends.nir.sources import choose
from mapping.float_run import record
from simulator.base.errors import InputError

DT, T = 1e-4, 40
SNNTORCH = ("snntorch", "snntorch-subtract", "snntorch-subtract-now", "snntorch-zero-delay")


def graph(kind: str, fields: dict[str, Any], weight: Any, neurons: int = 0) -> Any:
    n = neurons or len(weight)
    nodes = {
        "in": ("Input", {"shape": np.array([len(weight[0])])}),
        "fc": ("Linear", {"weight": np.asarray(weight, float)}),
        "n": (kind, {k: np.broadcast_to(v, n) if np.ndim(v) < 2 else v for k, v in fields.items()}),
        "out": ("Output", {}),
    }
    return build_graph(nodes, [("in", "fc"), ("fc", "n"), ("n", "out")], "g")


def spikes(net: Any, profile: str, x: Any) -> tuple[Any, Any]:
    """Spikes [T, n] of NIR's float engine and of the lowered network."""
    chosen = choose(net, profile, None, "g")
    wanted = np.asarray(run_graph(net, chosen, {"in": x[:, None]}).outputs["out"])[:, 0]
    if profile == "snntorch-subtract-now":  # its late comparison has no form on a chip
        return wanted, wanted
    network = lower(net, chosen)
    shown = record(network, {"in": x[None]}, T + 1, [("n", "out")])["n", "out"][0]
    return wanted, shown[1:]


def test_beta_by_neuron_from_0_to_1_as_snntorch_writes_it() -> None:
    beta = np.array([0.0, 1.0, 0.5, 0.9])
    with np.errstate(divide="ignore"):
        tau = DT / (1 - beta)
    weight = np.random.default_rng(0).integers(-2, 12, (4, 6)) / 16
    x = (np.random.default_rng(1).random((T, 6)) < 0.5).astype(float)
    net = graph("LIF", {"tau": tau, "r": tau / DT, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}, weight)
    v, wanted = np.zeros(4), []
    for t in range(T):
        v = beta * v + weight @ x[t]
        wanted.append(v > 1)
        v = np.where(wanted[-1], 0, v)
    for got in spikes(net, "snntorch", x):
        np.testing.assert_array_equal(got, np.array(wanted))
    assert np.array(wanted)[:, 1:].sum(axis=0).min() > 0


def test_a_current_that_does_not_decay() -> None:
    fields = {"tau_syn": np.inf, "w_in": np.inf, "tau_mem": 2 * DT, "r": 2.0, "v_leak": 0.0, "v_threshold": 8.0}
    x = np.ones((T, 1))
    i = v = 0.0
    wanted = []
    for _ in range(T):
        i += 0.25
        v = v + 0.5 * (2 * i - v)
        wanted.append(v > 8)
        v = 0.0 if wanted[-1] else v
    net = graph("CubaLIF", fields | {"v_reset": 0.0}, [[0.25]])
    for got in spikes(net, "snntorch", x):
        np.testing.assert_array_equal(got[:, 0], wanted)


@pytest.mark.parametrize("profile", SNNTORCH)
def test_an_if_of_snntorch_adds_its_whole_input(profile: str) -> None:
    """1/16 a step: above a threshold of 1 at the 17th step, in every profile."""
    net = graph("IF", {"r": 1.0, "v_threshold": 1.0, "v_reset": 0.0}, [[1 / 16]])
    for got in spikes(net, profile, np.ones((T, 1))):
        assert np.flatnonzero(got[:, 0])[0] == 16


@pytest.mark.parametrize("profile", [*SNNTORCH, "spikingjelly", "norse", "lava-dl"])
def test_an_if_whose_r_is_no_rate_adds_r_times_its_input(profile: str) -> None:
    """r = 2, 1, 1/2: 1/8 a step passes 1 at the 5th, 9th and 17th step (at it where >= fires); they were scaled by dt."""
    net = graph("IF", {"r": np.array([2.0, 1.0, 0.5]), "v_threshold": 1.0, "v_reset": 0.0}, np.full((3, 1), 1 / 8))
    first = np.array([4, 8, 16]) - (profile == "spikingjelly")
    for got in spikes(net, profile, np.ones((T, 1))):
        np.testing.assert_array_equal(got.argmax(axis=0), first)
    assert any("gain of a whole step" in n for n in choose(net, profile, None, "g").notes)


@pytest.mark.parametrize("n_in", [3, 5, 2])
def test_a_matrix_as_w_in_is_a_linear_before_the_neuron(n_in: int) -> None:
    rng = np.random.default_rng(2)
    matrix, x = rng.uniform(0, 9, (3, n_in)), (rng.random((T, n_in)) < 0.5).astype(float)
    own = {"tau_syn": 5 * DT, "tau_mem": 10 * DT, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    net = graph("CubaLIF", own | {"w_in": matrix}, np.eye(n_in), 3)
    assert any("matrix as w_in" in note for note in net.notes)
    i, v, wanted = np.zeros(3), np.zeros(3), []
    for t in range(T):
        i = i + (matrix @ x[t] - i) / 5
        v = v + (10 * i - v) / 10
        wanted.append(v > 1)
        v = np.where(wanted[-1], 0, v)
    for got in spikes(net, "snntorch", x):
        np.testing.assert_array_equal(got, np.array(wanted))
    with pytest.raises(InputError, match=r"w_in: is a matrix of shape \[2, 3\].*Linear"):
        graph("CubaLIF", own | {"w_in": np.ones((2, 3))}, np.eye(3))
    for field in ("tau_mem", "r", "v_leak", "v_threshold", "v_reset"):
        with pytest.raises(InputError, match=rf"{field}: .*\[3, 3\]"):
            graph("CubaLIF", own | {field: np.ones((3, 3))}, np.eye(3))


def test_an_infinite_gain_needs_its_infinite_time_constant() -> None:
    fields = {"tau": 3 * DT, "r": np.inf, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    with pytest.raises(InputError, match="r: has 4 infinite values where tau is finite"):
        graph("LIF", fields, np.eye(4))
    with pytest.raises(InputError, match=r"r: has .* NaN"):
        graph("LIF", fields | {"r": np.nan}, np.eye(4))

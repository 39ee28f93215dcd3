"""Profiles: what a JSON file may say, where it is wrong, and what of it is only reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.frontends.nir import build_graph, choose, load_profile, run_graph
from bimhw.frontends.nir.lower import lower
from bimhw.frontends.nir.profile import CHOICES, parse_profile
from bimhw.frontends.nir.sources import NAMES
from mapping.float_run import record
from simulator.base.errors import InputError


def graph(**fields: float) -> Any:
    values = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0} | fields
    nodes: Any = {
        "in": ("Input", {"shape": np.array([1])}),
        "n": ("LIF", {k: np.array([v]) for k, v in values.items()}),
    }
    return build_graph({**nodes, "out": ("Output", {})}, [("in", "n"), ("n", "out")], "g.nir")


def written(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value))
    return str(path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"integrator": "rk4"}, r"\$\.integrator: is 'rk4'.*euler"),
        ({"cmp": "="}, r"\$\.cmp: is '='"),
        ({"dt": "fast"}, r"\$\.dt: is 'fast', not a finite number"),
        ({"dt": -1}, r"\$\.dt: is -1"),
        ({"dt": True}, r"\$\.dt: is True"),
        ({"nodes": {"n": {"reset": "never"}}}, r"\$\.nodes\.n\.reset: is 'never'"),
        ({"nodes": {"n": 3}}, r"\$\.nodes\.n: is int"),
        ({"delayed_edges": [["a"]]}, r"\$\.delayed_edges"),
        ({"type_check": "no"}, r"\$\.type_check"),
        ([1, 2], r"\$: is list"),
    ],
)
def test_wrong_values_are_refused_with_their_place(raw: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_profile(written(tmp_path / "p.json", raw))


def test_text_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("{dt: 1}")
    with pytest.raises(InputError, match=r"p\.json: is not JSON"):
        load_profile(tmp_path / "p.json")
    with pytest.raises(InputError, match="does not exist"):
        choose(graph(), str(tmp_path / "other.json"))


def test_unknown_keys_nodes_and_comments(tmp_path: Path) -> None:
    raw = {"dt": 1e-4, "note": "mine", "colour": 1, "nodes": {"n": {"reset": "subtract_now", "x": 1}, "m": {"dt": 1.0}}}
    profile = choose(graph(), written(tmp_path / "p.json", raw))
    assert profile.of("n").reset == "subtract_now" and profile.of("n").dt == 1e-4
    told = " ".join(profile.notes)
    assert "colour" in told and "nodes.n.x" in told and "'m', which the graph does not have" in told
    assert "note is not" not in told


def test_one_file_may_hold_profiles_by_model_name(tmp_path: Path) -> None:
    both = written(tmp_path / "p.json", {"a": {"dt": 1e-4}, "b": {"dt": 2e-4, "cmp": "multi"}})
    assert load_profile(both, "b").default.dt == 2e-4
    assert load_profile(both, "b").output == "counts" and load_profile(both, "a").output == "spikes"
    with pytest.raises(InputError, match=r"no profile 'c'.*a, b"):
        load_profile(both, "c")


def test_dt_given_wins_and_delayed_edges_must_exist(tmp_path: Path) -> None:
    path = written(tmp_path / "p.json", {"dt": 1e-4, "delayed_edges": [["n", "out"]]})
    assert choose(graph(), path, 5e-4).default.dt == 5e-4
    path = written(tmp_path / "p.json", {"dt": 1e-4, "delayed_edges": [["out", "n"]]})
    with pytest.raises(InputError, match=r"delayed edge \['out', 'n'\].*not in the graph"):
        choose(graph(), path)


@pytest.mark.parametrize("name", NAMES)
def test_every_named_source_runs_a_plain_neuron(name: str) -> None:
    profile = choose(graph(tau=10.0 if name == "sinabs" else 1e-3), name)
    assert profile.default.dt is not None and profile.default.integrator in CHOICES["integrator"]
    with pytest.raises(InputError, match="profile 'snntroch': is not known"):
        choose(graph(), "snntroch")


@settings(deadline=None, max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=4),
        lambda c: (
            st.lists(c, max_size=3)
            | st.dictionaries(st.sampled_from(["dt", "cmp", "nodes", "reset", "output", "n"]), c, max_size=4)
        ),
        max_leaves=8,
    )
)
def test_any_json_is_a_profile_or_refused(raw: Any) -> None:
    try:
        profile = parse_profile(raw, "p: $")
    except InputError as error:
        assert str(error).startswith("p: $")
    else:
        assert profile.default.dt is None or profile.default.dt > 0


def test_snntorch_with_a_delayed_reset_to_zero_differs_only_beyond_the_plain_leaky() -> None:
    one = {k: np.ones(1) for k in ("v_threshold", "w_in")} | {"v_leak": np.zeros(1)}
    cuba = {"tau_syn": np.array([2e-4]), "tau_mem": np.array([5e-4]), "r": np.array([5.0]), **one}
    lif = {"tau": np.array([5e-4]), "r": np.array([5.0]), "v_leak": np.zeros(1), "v_threshold": np.ones(1)}
    nodes: Any = {
        "in": ("Input", {"shape": np.array([1])}),
        "cuba": ("CubaLIF", cuba),
        "ring": ("LIF", lif),
        "w": ("Linear", {"weight": np.ones((1, 1))}),
        "last": ("LIF", lif),
        "out": ("Output", {}),
    }
    edges = [("in", "cuba"), ("cuba", "ring"), ("ring", "w"), ("w", "ring"), ("ring", "last"), ("last", "out")]
    profile = choose(build_graph(nodes, edges), "snntorch-zero-delay")
    resets = {n: profile.of(n).reset for n in ("cuba", "ring", "last")}
    late = "zero_next_step_input_lost"
    assert resets == {"cuba": late, "ring": late, "last": "to_v_reset_now"}


def _cuba(tau_mem: float, tau_syn: float, r: float, theta: float, w_in: float = 1.0) -> Any:
    one = {"tau_mem": tau_mem, "tau_syn": tau_syn, "r": r, "v_leak": 0.0, "v_threshold": theta, "w_in": w_in}
    nodes: Any = {
        "in": ("Input", {"shape": np.array([1])}),
        "n": ("CubaLIF", {k: np.array([v]) for k, v in one.items()}),
    }
    return build_graph({**nodes, "out": ("Output", {})}, [("in", "n"), ("n", "out")], "g.nir")


@pytest.mark.parametrize("name", ["rockpool", "lava-dl"])
def test_a_source_steps_its_cuba_neuron_by_its_own_equations(name: str) -> None:
    """Rockpool: i = b (i + x), v = a v + i, floor(v / theta) spikes, each subtracts; lava-dl: decays in 1/4096, reset to 0."""
    x = np.random.default_rng(0).integers(0, 3, 40).astype(float)
    if name == "rockpool":
        dt, mem, syn, theta = 2e-3, 0.011, 0.017, 1.5
        file = _cuba(mem, syn, mem * np.exp(-dt / mem) / dt, theta)
        keep_u, keep_v = np.exp(-dt / syn), np.exp(-dt / mem)
    else:
        decay_u, decay_v, theta = 1024, 128, 5.0
        file = _cuba(1 / decay_v, 1 / decay_u, 1.0, theta, 1 / decay_u)
        keep_u, keep_v = 1 - decay_u / 4096, 1 - decay_v / 4096
    i = v = 0.0
    wanted = []
    for value in x:
        i = keep_u * (i + value) if name == "rockpool" else keep_u * i + value
        v = keep_v * v + i
        z = float(max(0.0, v // theta)) if name == "rockpool" else float(v > theta)
        v = v - theta * z if name == "rockpool" else v * (1 - z)
        wanted.append(z)
    profile = choose(file, name)
    if name == "rockpool":
        assert profile.default.dt == 2e-3
    (out,) = run_graph(file, profile, {"in": x[:, None, None]}).outputs.values()
    np.testing.assert_array_equal(np.ravel(out), wanted)
    lowered = lower(file, profile)
    neuron = next(p for p in lowered.populations if p.model.startswith("leaky"))
    found = record(lowered, {lowered.populations[0].name: x[None, :, None]}, len(x) + 1, [(neuron.name, "out")])
    np.testing.assert_array_equal(np.ravel(found[neuron.name, "out"])[1:], wanted)

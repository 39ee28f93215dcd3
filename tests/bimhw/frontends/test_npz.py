"""The reader of plain network files, and the format's own rule as an oracle in plain Python."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bimhw.frontends.npz import read_plain
from simulator.base.errors import InputError
from simulator.function import Simulation
from simulator.function.run import recorded_spikes
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def make_net(seed: int, n_in: int = 6, n: int = 30, steps: int = 25, fan_out: int = 12) -> dict[str, Any]:
    """Arrays of a random plain network with a variable fan-out."""
    rng = np.random.default_rng(seed)
    rows = [np.sort(rng.choice(np.arange(n_in, n), rng.integers(0, fan_out), replace=False)) for _ in range(n)]
    spikes = [np.sort(rng.choice(n_in, rng.integers(0, n_in + 1), replace=False)) for _ in range(steps)] if n_in else []
    spikes = spikes or [np.empty(0)] * steps
    indices = np.concatenate(rows)
    return {
        "indptr": np.cumsum([0] + [r.size for r in rows]).astype(np.int64),
        "indices": indices.astype(np.uint16),
        "weights": rng.integers(-128, 128, indices.size).astype(np.int8),
        "bias": rng.integers(-20, 60, n).astype(np.int32),
        "v0": rng.integers(-300, 300, n).astype(np.int32),
        "thr": np.array(int(rng.integers(0, 250))),
        "n_in": np.array(n_in),
        "in_ptr": np.cumsum([0] + [s.size for s in spikes]).astype(np.int64),
        "in_idx": np.concatenate(spikes).astype(np.int32),
        "core": rng.integers(0, 128, n).astype(np.int32),
    }


def _oracle(net: dict[str, Any], steps: int) -> list[list[int]]:
    """Follow the rule of the file format, neuron by neuron."""
    n, n_in = len(net["indptr"]) - 1, int(net["n_in"])
    v = [0] * n
    last: list[int] = []
    out = []
    for t in range(steps):
        u = [0] * n
        for s in last:
            for j in range(net["indptr"][s], net["indptr"][s + 1]):
                u[net["indices"][j]] += int(net["weights"][j])
        fired = []
        if t + 1 < len(net["in_ptr"]):
            fired = [int(i) for i in net["in_idx"][net["in_ptr"][t] : net["in_ptr"][t + 1]]]
        for i in range(n_in, n):
            kept = 64 * int(net["v0"][i]) if t == 0 else abs(v[i]) * 7 // 8 * (1 if v[i] >= 0 else -1)
            v[i] = kept + 64 * (int(net["bias"][i]) + u[i])
            if v[i] > 64 * int(net["thr"]):
                fired.append(i)
                v[i] = 0
        out.append(fired)
        last = fired
    return out


def _spikes(path: Path, steps: int, fast: bool = True) -> SpikeTrain:
    net = read_plain(path)
    q = net.network
    program = Program("", "", q.populations, q.projections, np.zeros(sum(p.size for p in q.populations), np.int32))
    simulation = Simulation(program, graded_inputs=False, fast=fast)
    assert (simulation.fast_form is not None) == fast
    simulation.advance(net.inputs, steps)
    return recorded_spikes(simulation.record)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1), st.integers(0, 7), st.booleans())
def test_a_net_follows_its_rule(tmp_path: Path, seed: int, n_in: int, fast: bool) -> None:
    net = make_net(seed, n_in)
    np.savez(tmp_path / "net.npz", **net)
    got = _spikes(tmp_path / "net.npz", 30, fast)
    expected = _oracle(net, 30)
    assert [got.ids[a:b].tolist() for a, b in pairwise(got.ptr)] == expected


@pytest.mark.parametrize("name", ["s_5", "m_1", "m_5", "m_5_local"])
def test_the_reference_nets_give_their_spikes(shared: Path, name: str) -> None:
    path = shared / "bench" / "nets" / f"{name}.npz"
    net = read_plain(path)
    assert len(net.ref_hash) == 16
    assert _spikes(path, net.inputs.steps).spike_hash() == net.ref_hash


def test_the_general_loop_gives_the_reference_spikes_too(shared: Path) -> None:
    path = shared / "bench" / "nets" / "s_5.npz"
    net = read_plain(path)
    assert _spikes(path, net.inputs.steps, fast=False).spike_hash() == net.ref_hash


def test_wide_indices_and_unsorted_inputs(tmp_path: Path) -> None:
    net = make_net(3)
    np.savez(tmp_path / "a.npz", **net)
    ptr = net["in_ptr"]
    backwards = np.concatenate([net["in_idx"][a:b][::-1] for a, b in pairwise(ptr)])
    np.savez(tmp_path / "b.npz", **{**net, "indices": net["indices"].astype(np.uint32), "in_idx": backwards})
    a, b = read_plain(tmp_path / "a.npz"), read_plain(tmp_path / "b.npz")
    for p, q in zip(a.network.projections, b.network.projections, strict=True):
        assert (p.indices == q.indices).all()
    assert (a.inputs.ids == b.inputs.ids).all()
    assert a.network.core is not None
    assert (a.network.core == net["core"]).all()


BAD = [
    ("indptr", lambda n: n["indptr"][:-1], "runs from 0 to"),
    ("indptr", lambda n: np.where(np.arange(31) == 5, 10**6, n["indptr"]), "goes backwards at row 5"),
    ("indptr", lambda n: n["indptr"][:1] * 0, "has 1 entries"),
    ("indptr", lambda n: n["indptr"].reshape(1, -1), "has 2 dimensions"),
    ("indices", lambda n: n["indices"].astype(float), "has type float64"),
    ("indices", lambda n: n["indices"] * 0 + 2, "has the target 2; targets must be LIF neurons 6..29"),
    ("indices", lambda n: n["indices"] * 0 + 30, "has the target 30"),
    ("indices", lambda n: n["indices"] * 0 + 7, "ascending and unique in a row"),
    ("weights", lambda n: n["weights"][1:], "it must be"),
    ("bias", lambda n: n["bias"][1:], r"has shape \(29,\); it must be \(30,\)"),
    ("v0", lambda n: n["v0"] + 2**26, "V holds at most"),
    ("thr", lambda n: np.array(2**30), "V holds at most"),
    ("thr", lambda n: np.array([1, 2]), "must be one integer"),
    ("n_in", lambda n: np.array(30), "is 30; it must be 0..29"),
    ("in_ptr", lambda n: n["in_ptr"] + 1, "must rise from 0"),
    ("in_idx", lambda n: n["in_idx"] + 6, "external inputs are 0..5"),
    ("core", lambda n: n["core"][:-1], "must be 30 integers"),
    ("core", lambda n: n["core"] - 500, "the first core is 0"),
]


@pytest.mark.parametrize(("name", "change", "message"), BAD)
def test_bad_arrays_are_named(tmp_path: Path, name: str, change: Any, message: str) -> None:
    net = make_net(1)
    np.savez(tmp_path / "net.npz", **{**net, name: change(net)})
    with pytest.raises(InputError, match=message) as caught:
        read_plain(tmp_path / "net.npz")
    assert "net.npz" in str(caught.value)


def test_bad_files_are_named(tmp_path: Path) -> None:
    net = make_net(1)
    del net["thr"]
    np.savez(tmp_path / "net.npz", **net)
    with pytest.raises(InputError, match=r"lacks the array .*thr"):
        read_plain(tmp_path / "net.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match=r"is not an \.npz file"):
        read_plain(tmp_path / "text.npz")
    whole = (tmp_path / "net.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"is not an \.npz file"):
        read_plain(tmp_path / "cut.npz")
    with pytest.raises(InputError, match="does not exist"):
        read_plain(tmp_path / "none.npz")
    np.savez(tmp_path / "pickled.npz", **{**make_net(1), "bias": np.array([{}], object)})
    with pytest.raises(InputError):
        read_plain(tmp_path / "pickled.npz")


def test_a_file_that_would_not_fit_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: Any) -> None:
    np.savez(tmp_path / "net.npz", **make_net(1))
    monkeypatch.setattr("simulator.base.host_memory.available_bytes", lambda: 5000)
    monkeypatch.setattr("bimhw.frontends.npz.read_npz", lambda *_: pytest.fail("it was read"))
    said = r"needs 0.00 GB for 30 neurons and \d+ synapses .* 0.00 GB are available. A machine with .* free holds it; this one"
    with pytest.raises(InputError, match=said):
        read_plain(tmp_path / "net.npz")


def test_a_plain_net_is_a_network(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **make_net(1))
    network = read_plain(tmp_path / "net.npz").network
    assert [p.name for p in network.populations] == ["in", "lif"]
    assert dataclasses.asdict(network)["stage"] == "integer"
    assert network.n_neurons == 24

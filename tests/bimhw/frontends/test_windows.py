"""Convolutions that are never unrolled: the same synapses, spikes, counts and axons as unrolled ones, to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bimhw
from bimhw.frontends.nir import build_graph, choose
from bimhw.frontends.nir import lower as lowering
from bimhw.frontends.nir.fold import MATRICES, fold
from bimhw.frontends.nir.lower import lower
from bimhw.frontends.nir.windows import WINDOWS
from mapping.float_run import record
from mapping.network import Network
from mapping.usage import usage
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip
from simulator.events.run import run_events
from simulator.function import run
from simulator.program.axons import axon_table
from simulator.program.graph import Projection
from simulator.program.program import Program
from simulator.program.shared import SharedProjection, unrolled
from simulator.program.spikes import SpikeTrain

CHIP = "loihi2"


@st.composite
def chains(draw: Any) -> Any:
    """Return a graph Input -> windows -> IF -> Flatten -> Linear -> IF, its windows drawn."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    dims = draw(st.sampled_from([1, 2]))
    shape = (draw(st.integers(1, 3)), *(draw(st.integers(3, 7)) for _ in range(dims)))
    nodes: Any = {"input": ("Input", {"shape": np.array(shape)})}
    edges, last = [], "input"
    for k in range(draw(st.integers(1, 3))):
        spatial = shape[1:]
        pool = dims == 2 and draw(st.booleans())
        size = tuple(draw(st.integers(1, min(3, n))) for n in spatial)
        stride = tuple(draw(st.integers(1, 2)) for _ in spatial)
        padding = tuple(draw(st.integers(0, s // 2)) for s in size)
        if pool:
            kind = draw(st.sampled_from(["SumPool2d", "AvgPool2d"]))
            fields: Any = {"kernel_size": np.array(size), "stride": np.array(stride), "padding": np.array(padding)}
            spec, out = (kind, fields), shape[0]
        else:
            groups = draw(st.sampled_from([1, shape[0]]))
            out = groups * draw(st.integers(1, 2))
            weight = rng.integers(-4, 5, (out, shape[0] // groups, *size)) / 8
            fields = {"weight": weight, "bias": rng.integers(0, 2, out) / 4, "groups": groups}
            if dims == 2:
                fields |= {"stride": stride, "padding": padding, "dilation": (1, 1), "input_shape": spatial}
                spec = ("Conv2d", fields)
            else:
                fields |= {"stride": stride[0], "padding": padding[0], "dilation": 1, "input_shape": spatial[0]}
                spec = ("Conv1d", fields)
        name = f"w{k}"
        nodes[name] = spec
        edges.append((last, name))
        spatial = tuple((n + 2 * p - s) // t + 1 for n, p, s, t in zip(spatial, padding, size, stride, strict=True))
        shape, last = (out, *spatial), name
    nodes["a"] = ("IF", {"r": np.ones(shape), "v_threshold": np.ones(shape)})
    n = int(np.prod(shape))
    nodes["flat"] = ("Flatten", {"start_dim": 0, "end_dim": -1, "input_type": np.array(shape)})
    nodes["fc"] = ("Linear", {"weight": rng.integers(-4, 5, (3, n)) / 8})
    nodes["b"] = ("IF", {"r": np.ones(3), "v_threshold": np.ones(3)})
    nodes["output"] = ("Output", {"shape": np.array([3])})
    edges += [(last, "a"), ("a", "flat"), ("flat", "fc"), ("fc", "b"), ("b", "output")]
    return build_graph(nodes, edges, "drawn")


def both(graph: Any) -> tuple[Network, Network]:
    """Return the float network unrolled, and with shared rows wherever windows are."""
    profile = choose(graph, "euler", 1.0)
    plain = lower(graph, profile, algebra=MATRICES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lowering, "OUTLINE_FROM", 1)
        return plain, lower(graph, profile, algebra=WINDOWS)


def flat(network: Network) -> list[Projection]:
    return [unrolled(q) for q in network.projections]


@settings(max_examples=60, deadline=None)
@given(chains())
def test_windows_are_the_unrolled_synapses(graph: Any) -> None:
    plain, shared = both(graph)
    assert isinstance(shared.projections[0], SharedProjection)
    for a, b in zip(plain.projections, flat(shared), strict=True):
        assert (a.name, a.delay, a.layout, a.shared_words) == (b.name, b.delay, b.layout, b.shared_words)
        np.testing.assert_array_equal(a.indptr, b.indptr)
        np.testing.assert_array_equal(a.indices, b.indices)
        np.testing.assert_allclose(a.weights, b.weights, rtol=1e-12)


def pooled(weight: tuple[int, ...], side: int = 7) -> Any:
    """Return a graph Input -> mean of three -> convolution -> IF, in which weights of sum 0 meet means of one value."""
    shape, spatial = (1, 1, side), (1, side)
    pool = {"kernel_size": np.array((1, 3)), "stride": np.array((1, 1)), "padding": np.array((0, 1))}
    fields = {"weight": np.reshape(weight, (1, 1, 1, -1)) / 8, "bias": np.zeros(1), "groups": 1, "stride": (1, 1)}
    nodes: Any = {
        "input": ("Input", {"shape": np.array(shape)}),
        "pool": ("AvgPool2d", pool),
        "conv": ("Conv2d", fields | {"padding": (0, 1), "dilation": (1, 1), "input_shape": spatial}),
        "a": ("IF", {"r": np.ones(shape), "v_threshold": np.ones(shape)}),
        "output": ("Output", {"shape": np.array(shape)}),
    }
    return build_graph(nodes, [("input", "pool"), ("pool", "conv"), ("conv", "a"), ("a", "output")], "pooled")


def test_a_pool_of_many_channels_before_a_linear_layer_counts_its_own_synapses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool joins no channels: 6 x 4 x 4 of them to 6 sums are 96 paths, not the 576 of all pairs of channels."""
    rng = np.random.default_rng(3)
    spec: Any = {"kernel_size": np.array([4, 4]), "stride": np.array([4, 4]), "padding": np.array([0, 0])}
    nodes: Any = {
        "input": ("Input", {"shape": np.array([6, 4, 4])}), "pool": ("AvgPool2d", spec),
        "flat": ("Flatten", {"start_dim": 0, "end_dim": -1, "input_type": np.array([6, 1, 1])}),
        "fc": ("Linear", {"weight": rng.normal(size=(3, 6))}), "n": ("IF", {"r": np.ones(3), "v_threshold": np.ones(3)}),
        "output": ("Output", {"shape": np.array([3])}),
    }  # fmt: skip
    edges = list(zip(list(nodes), list(nodes)[1:], strict=False))
    graph = build_graph(nodes, edges, "pooled")
    wanted = fold(graph, choose(graph, None, None), WINDOWS)["n"].parts["input", 0]
    monkeypatch.setattr("bimhw.frontends.nir.windows.MAX_ENTRIES", 100)
    found = fold(graph, choose(graph, None, None), WINDOWS)["n"].parts["input", 0]
    np.testing.assert_array_equal(found.matrix.toarray(), wanted.matrix.toarray())
    np.testing.assert_allclose(found.matrix.toarray(), np.repeat(nodes["fc"][1]["weight"], 16, axis=1) / 16)
    monkeypatch.setattr("bimhw.frontends.nir.windows.MAX_ENTRIES", 95)
    with pytest.raises(FitError, match="unrolls to 96 synapses"):
        fold(graph, choose(graph, None, None), WINDOWS)


@pytest.mark.parametrize("weight", [(-5, 2, 3), (-4, 3, 1), (2, 3, -5), (3, -5, 2)])
def test_a_sum_whose_terms_cancel_is_no_synapse(weight: tuple[int, ...]) -> None:
    plain, shared = both(pooled(weight))
    for q in (plain.projections[0], unrolled(shared.projections[0])):
        assert q.weights.size == 24 and np.abs(q.weights).min() > 1e-3


def test_a_small_weight_beside_large_ones_stays() -> None:
    weight = np.array([[1e-30, 1.0], [1.0, 0.0]])
    nodes: Any = {
        "input": ("Input", {"shape": np.array([2])}),
        "one": ("Linear", {"weight": weight}),
        "two": ("Scale", {"scale": np.array([1.0, 1e-25])}),
        "a": ("IF", {"r": np.ones(2), "v_threshold": np.ones(2)}),
        "output": ("Output", {"shape": np.array([2])}),
    }
    graph = build_graph(nodes, [("input", "one"), ("one", "two"), ("two", "a"), ("a", "output")], "small")
    for network in both(graph):
        np.testing.assert_array_equal(np.sort(network.projections[0].weights), [1e-30, 1e-25, 1.0])


@settings(max_examples=25, deadline=None)
@given(chains(), st.integers(0, 2**31))
def test_the_engines_give_the_same_spikes_counts_and_axons(graph: Any, seed: int) -> None:
    _, network = both(graph)
    rng = np.random.default_rng(seed)
    width = network.populations[0].size
    x = (rng.random((12, width)) < 0.4).astype(np.int32) * rng.integers(1, 4)
    program = bimhw.compile(network, CHIP, calibration=x[None]).program
    assert any(isinstance(q, SharedProjection) for q in program.projections)
    core = program.core.copy()
    core[core >= 0] = rng.integers(0, 5, int((core >= 0).sum()))
    program = replace(program, core=core)
    plain = replace(program, projections=tuple(unrolled(q) for q in program.projections))
    inputs = SpikeTrain.from_dense(x)
    ours, theirs = run(program, inputs, 15), run(plain, inputs, 15)
    assert ours.spikes.spike_hash() == theirs.spikes.spike_hash()
    for name, count in theirs.activity.counts.items():
        np.testing.assert_array_equal(ours.activity.counts[name].by_core, count.by_core, err_msg=name)
        np.testing.assert_array_equal(ours.activity.counts[name].by_step, count.by_step, err_msg=name)
    a, b = axon_table(program), axon_table(plain)
    for field in ("ptr", "dst", "n_syn"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    events, _ = run_events(program, load_chip(CHIP), inputs, 15)
    assert events.spikes.spike_hash() == theirs.spikes.spike_hash()
    for q, p in zip(program.projections, plain.projections, strict=True):
        size = program.population(q.target).size
        np.testing.assert_array_equal(q.fan_in(size), p.fan_in(size))


def channels_of_unequal_size(side: int = 5) -> tuple[Any, Any]:
    """Return a graph Input -> 3 x 3 convolution -> IF whose channels are words of 8 bits in units of their own."""
    rng = np.random.default_rng(5)
    words, unit = rng.integers(-127, 128, (4, 2, 3, 3)), 2.0 ** np.array([-6, -13, -9, -3])
    words[:, 0, 0, 0] = 127
    fields = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1, "input_shape": (side, side)}
    nodes: Any = {
        "input": ("Input", {"shape": np.array([2, side, side])}),
        "conv": ("Conv2d", fields | {"weight": words * unit[:, None, None, None], "bias": np.zeros(4)}),
        "a": (
            "IF",
            {"r": np.ones((4, side, side)), "v_threshold": np.ones((4, side, side)) * unit[:, None, None] * 150},
        ),
        "output": ("Output", {"shape": np.array([4, side, side])}),
    }
    return build_graph(nodes, list(zip(list(nodes), list(nodes)[1:], strict=False)), "unequal"), words


@pytest.mark.parametrize("free", [False, True])
def test_a_scale_for_each_row_keeps_kernels_shared(free: bool) -> None:
    """Neurons of a channel have one kernel, so one unit: words that were drawn in units of their channels come back."""
    graph, words = channels_of_unequal_size()
    plain, shared = both(graph)
    x = (np.random.default_rng(1).random((3, 12, 50)) < 0.3).astype(np.int32)
    made = bimhw.compile(shared, CHIP, calibration=x, per_row=True, free_scales=free)
    (q,) = made.program.projections
    assert isinstance(q, SharedProjection) and q.shared_words == 72
    np.testing.assert_array_equal(np.unique(q.weights), np.setdiff1d(words, [0]))
    assert made.report["projections"][0]["relative_rms_weight_error"] == 0
    coarse = bimhw.compile(shared, CHIP, calibration=x)
    assert coarse.report["projections"][0]["relative_rms_weight_error"] > 0
    unrolled_one = bimhw.compile(plain, CHIP, calibration=x, per_row=True, free_scales=free).program
    for inputs in x:
        a, b = (run(p, SpikeTrain.from_dense(inputs), 15) for p in (made.program, unrolled_one))
        assert a.spikes.spike_hash() == b.spikes.spike_hash() and a.spikes.ids.size > 50


def test_a_scale_for_each_row_leaves_each_kernel_weight_one_word() -> None:
    """Words of a kernel are stored once, also where its synapses are listed: neurons at borders have no unit of their own."""
    graph, _ = channels_of_unequal_size()
    weight = graph.nodes["conv"].fields["weight"]
    weight += np.random.default_rng(2).normal(size=weight.shape) * 2.0 ** np.array([1, -6, -2, 4])[:, None, None, None]
    plain, _ = both(graph)
    x = (np.random.default_rng(1).random((3, 12, 50)) < 0.3).astype(np.int32)
    made = bimhw.compile(plain, CHIP, calibration=x, per_row=True, bits=4, free_scales=True).program
    (float_one,), (q,) = plain.projections, made.projections
    assert q.layout == "conv" and q.shared_words == 72
    pairs = [
        dict(zip(zip(np.repeat(np.arange(50), np.diff(p.indptr)), p.targets, strict=True), p.weights, strict=True))
        for p in (float_one, q)
    ]
    words: dict[float, set[int]] = {}
    for at, value in pairs[0].items():
        words.setdefault(float(value), set()).add(int(pairs[1].get(at, 0)))
    assert len(words) == 72 and all(len(found) == 1 for found in words.values())


@settings(max_examples=15, deadline=None)
@given(chains())
def test_the_float_engine_gives_the_same_values(graph: Any) -> None:
    plain, shared = both(graph)
    x = np.random.default_rng(0).random((2, 6, plain.populations[0].size))
    name = plain.populations[0].name
    pairs = [(p.name, "out") for p in plain.populations[1:]]
    a, b = (record(n, {name: x}, 9, pairs) for n in (plain, shared))
    for pair in pairs:
        np.testing.assert_allclose(a[pair], b[pair], atol=1e-9)


def conv(channels: int, out: int, side: int) -> Any:
    rng = np.random.default_rng(0)
    shape, spatial = (channels, side, side), (side, side)
    weight = rng.normal(0, 0.3, (out, channels, 3, 3))
    fields = {"weight": weight, "bias": np.zeros(out), "groups": 1, "stride": (1, 1), "padding": (1, 1)}
    fields |= {"dilation": (1, 1), "input_shape": spatial}
    nodes: Any = {
        "input": ("Input", {"shape": np.array(shape)}),
        "conv": ("Conv2d", fields),
        "a": ("IF", {"r": np.ones((out, *spatial)), "v_threshold": np.full((out, *spatial), 2.0)}),
        "output": ("Output", {"shape": np.array((out, *spatial))}),
    }
    return build_graph(nodes, [("input", "conv"), ("conv", "a"), ("a", "output")], "conv")


def test_a_large_convolution_keeps_its_words(tmp_path: Path) -> None:
    graph = conv(16, 64, 16)
    network = lower(graph, choose(graph, "euler", 1.0))
    q = network.projections[0]
    assert isinstance(q, SharedProjection) and q.n_synapses == 16 * 64 * 46**2  # 16 * 3 taps, less 2 at the borders
    assert q.weights.size == 49 * 16 * 64 and q.shared_words == 9 * 16 * 64
    x = (np.random.default_rng(1).random((2, 4, 16 * 256)) < 0.05).astype(np.int32)
    done = bimhw.compile(network, "loihi2", calibration=x)
    done.program.save(tmp_path / "p.bimhw")
    again = Program.load(tmp_path / "p.bimhw")
    assert again.sha256() == done.program.sha256()
    assert isinstance(again.projections[0], SharedProjection)
    resources = {r.name: r for r in usage(again, load_chip("loihi2"))}
    parts = again.projections[0].channels_on(again.core[16 * 256 :], int(again.core.max()) + 1)
    np.testing.assert_array_equal(resources["synapse_bytes"].used, parts * 9 * 16)


def test_damaged_rows_are_refused() -> None:
    graph = conv(2, 2, 4)
    _, network = both(graph)
    q = network.projections[0]
    assert isinstance(q, SharedProjection)
    for changed in ({"row": q.row + 1000}, {"offset": q.offset + 1000}, {"template": q.template[:-1]}, {"channels": 3}):
        bad = replace(network, projections=(replace(q, **changed),))
        with pytest.raises(InputError, match="projection"):
            bimhw.compile(bad, CHIP, calibration=np.ones((1, 2, 32), np.int32))

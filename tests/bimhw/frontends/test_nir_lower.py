"""NIR to chip: the lowered float network equals the graph's engine, and the integer program equals a plain model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.compiler.decode import encode
from bimhw.compiler.pipeline import compile
from bimhw.frontends.nir import Profile, Settings, build_graph, choose, read_graph, run_graph
from bimhw.frontends.nir.execute import shape_input
from bimhw.frontends.nir.graph import NirGraph
from bimhw.frontends.nir.linear import apply
from bimhw.frontends.nir.lower import _RESETS, lower
from bimhw.frontends.nir.matrices import as_matrix
from bimhw.frontends.nir.profile import CHOICES
from bimhw.frontends.nir.sources import settle
from mapping.float_run import record
from mapping.network import Network
from simulator.base.errors import FitError
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.function import run_samples
from tests.bimhw.compiler.plain_integer import run_plain


@pytest.fixture(scope="module")
def chip() -> Chip:
    return load_chip("loihi2")


def neurons_of(graph: NirGraph, network: Network) -> list[str]:
    return [p.name for p in network.populations if p.model != "input" and p.name in graph.nodes]


def both(graph: NirGraph, profile: Profile, x: Any) -> list[tuple[str, Any, Any]]:
    """(neuron, values of the graph's engine, of the lowered network shifted by its layer), each [T, B, n]."""
    network = lower(graph, profile)
    name = graph.of_kind("Input")[0].name
    x = shape_input(graph, name, x)
    steps, batch = x.shape[:2]
    probes = neurons_of(graph, network)
    run = run_graph(graph, profile, {name: x}, probes)
    deepest = max(p.layer for p in network.populations)
    values = x.transpose(1, 0, *range(2, x.ndim)).reshape(batch, steps, -1)
    shown = record(network, {name: values}, steps + deepest, [(n, "out") for n in probes])
    out = []
    for n in probes:
        layer = network.population(n).layer
        out.append(
            (n, run.probes[n].reshape(steps, batch, -1), shown[n, "out"][:, layer : layer + steps].transpose(1, 0, 2))
        )
    return out


FILES = ("snn_ff", "snn_conv", "snn_rec", "sj_conv", "sj_cuba", "norse_lif", "norse_cuba", "sinabs_lif", "sinabs_conv")


@pytest.mark.parametrize("name", FILES)
def test_framework_files_are_the_same_network_on_chip_time(shared: Path, name: str) -> None:
    folder = shared / "nir" / "generated"
    graph = read_graph(folder / f"{name}.nir")
    x = np.load(folder / f"{name}.npz")["x"]
    for neuron, wanted, got in both(graph, choose(graph, str(folder / "profiles.json"), None, name), x):
        assert wanted.any(), neuron
        np.testing.assert_array_equal(got, wanted)


def dyadic(rng: np.random.Generator, *shape: int) -> Any:
    """Multiples of 1/16 that stay exact through the sums of these nets."""
    return rng.integers(-16, 17, shape) / 16


@st.composite
def nets(draw: st.DrawFn) -> tuple[NirGraph, Profile, Any]:
    """Random graphs: linear and convolutional stacks, recurrent ones, skips with delays; every neuron, every reset."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    settings_ = Settings(
        1.0, "euler", draw(st.sampled_from([">", ">=", "multi"])), draw(st.sampled_from(sorted(_RESETS))),
        draw(st.sampled_from(CHOICES["v_init"])), draw(st.sampled_from([None, -1.0])),
    )  # fmt: skip
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    conv = draw(st.booleans())
    shape: tuple[int, ...] = (2, 6, 5) if conv else (6,)
    nodes["in"] = ("Input", {"shape": np.array(shape)})
    last = "in"

    def add(name: str, kind: str, fields: dict[str, Any], source: str) -> str:
        nodes[name] = (kind, fields)
        edges.append((source, name))
        return name

    if conv:
        weight = dyadic(rng, 4, 1 if draw(st.booleans()) else 2, 3, 3)
        fields = {
            "weight": weight,
            "groups": 2 // weight.shape[1],
            "padding": draw(st.sampled_from(["same", 1])),
            "bias": dyadic(rng, 4),
        }
        last = add("conv", "Conv2d", fields, last)
        last = add("n0", *neuron(draw, rng, (4, 6, 5)), last)
        last = add("pool", draw(st.sampled_from(["SumPool2d", "AvgPool2d"])), {"kernel_size": 2, "stride": 2}, last)
        last = add("flat", "Flatten", {"start_dim": 0, "end_dim": -1}, last)
        width = 4 * 3 * 2
    else:
        width = 6
    last = add("fc1", "Affine", {"weight": dyadic(rng, 8, width), "bias": dyadic(rng, 8)}, last)
    last = first = add("n1", *neuron(draw, rng, (8,)), last)
    if nodes["n1"][0] != "Threshold" and draw(st.booleans()):  # a Threshold keeps nothing, so it cannot close a loop
        add("rec", "Linear", {"weight": dyadic(rng, 8, 8) / 4}, "n1")
        edges.append(("rec", "n1"))
    last = add("fc2", "Linear", {"weight": dyadic(rng, 5, 8)}, last)
    last = add("n2", *neuron(draw, rng, (5,)), last)
    if draw(st.booleans()):
        source = add("late", "Delay", {"delay": rng.integers(0, 3, 8).astype(float)}, first)
        source = add("fc3", "Linear", {"weight": dyadic(rng, 5, 8)}, source)
        edges.append((source, "n2"))
    if draw(st.booleans()):
        last = add("scale", "Scale", {"scale": dyadic(rng, 5)}, last)
    add("out", "Output", {}, last)
    graph = build_graph(nodes, edges, "random")
    x = (rng.random((12, 2, *shape)) < 0.4).astype(np.float64)
    return graph, settle(graph, Profile("random", settings_)), x


def neuron(draw: st.DrawFn, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[str, dict[str, Any]]:
    kind = draw(st.sampled_from(["IF", "LIF", "CubaLIF", "LI", "CubaLI", "Threshold"]))
    if kind == "Threshold":
        return kind, {"threshold": np.full(shape, 0.5)}
    fields: dict[str, Any] = {"r": np.full(shape, draw(st.sampled_from([1.0, 2.0])))}
    if kind in ("LIF", "LI"):
        fields |= {"tau": np.full(shape, draw(st.sampled_from([1.0, 2.0, 4.0]))), "v_leak": dyadic(rng, *shape) / 16}
    if kind.startswith("Cuba"):
        fields |= {"tau_mem": np.full(shape, 4.0), "tau_syn": np.full(shape, 2.0), "v_leak": dyadic(rng, *shape) / 16}
        fields |= {"w_in": np.full(shape, 2.0)}
    if kind.endswith("IF"):
        fields |= {"v_threshold": np.full(shape, 1.0), "v_reset": dyadic(rng, *shape) / 8}
    return kind, fields


@settings(deadline=None, max_examples=60)
@given(nets())
def test_random_graphs_are_the_same_network_on_chip_time(net: tuple[NirGraph, Profile, Any]) -> None:
    for name, wanted, got in both(*net):
        np.testing.assert_allclose(got, wanted, atol=1e-9, err_msg=name)


@settings(deadline=None, max_examples=25)
@given(nets())
def test_the_program_computes_exactly_the_plain_integer_model(net: tuple[NirGraph, Profile, Any]) -> None:
    graph, profile, x = net
    chip = load_chip("loihi2")
    payloads = x.transpose(1, 0, *range(2, x.ndim)).reshape(x.shape[1], x.shape[0], -1).astype(np.int32)
    program = compile(lower(graph, profile), chip, calibration=payloads, mapping="blocks").program
    steps = program.meta["chip_steps"]
    runs = run_samples(program, [encode(program, s) for s in payloads], steps, topology=chip.topology)
    out, _, saturated = run_plain(program, payloads, steps)
    first = program.first_ids()
    for p in program.populations:
        for sample, train in enumerate(runs.spikes):
            np.testing.assert_array_equal(train.to_dense(first[p.name], p.size), out[p.name][sample], err_msg=p.name)
    assert runs.activity.total("saturations") == saturated


@settings(deadline=None, max_examples=30)
@given(nets(), st.integers(0, 99))
def test_matrices_do_what_the_nodes_do(net: tuple[NirGraph, Profile, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for node in net[0].of_kind("Affine", "Linear", "Scale", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten"):
        x = rng.normal(size=(2, *node.in_shape))
        matrix, bias, kernel = as_matrix(node)
        np.testing.assert_allclose((matrix @ x.reshape(2, -1).T).T + bias, apply(node, x).reshape(2, -1), atol=1e-12)
        if kernel is not None and node.kind == "Conv2d":
            assert kernel.words == node.fields["weight"].size


def test_loops_that_a_chip_cannot_keep_are_refused_by_name() -> None:
    lif = ("LIF", {"tau": np.full(2, 2.0), "r": np.ones(2), "v_leak": np.zeros(2), "v_threshold": np.ones(2)})
    nodes: Any = {"in": ("Input", {"shape": np.array([2])}), "a": lif, "b": lif, "out": ("Output", {})}
    nodes |= {k: ("Linear", {"weight": np.eye(2)}) for k in ("ab", "ba")}
    edges = [("in", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "a"), ("b", "out")]
    graph = build_graph(nodes, edges)
    with pytest.raises(FitError, match=r"nodes a, b.*fewer steps than it has layers"):
        lower(graph, choose(graph, dt=1.0))
    nodes["d"] = ("Delay", {"delay": np.full(2, 2.0)})  # two layers, two steps around
    held = build_graph(nodes, [*edges[:-2], ("ba", "d"), ("d", "a"), ("b", "out")])
    network = lower(held, choose(held, dt=1.0))
    assert {p.name: p.layer for p in network.populations} == {"in": 0, "a": 1, "b": 2}
    delays = {(q.source, q.target): q.delay for q in network.projections}
    assert delays == {("in", "a"): 0, ("a", "b"): 0, ("b", "a"): 0}
    x = (np.random.default_rng(3).random((20, 2, 2)) < 0.6) * 2.0
    for _, wanted, got in both(held, choose(held, dt=1.0), x):
        np.testing.assert_array_equal(got, wanted)


def test_what_has_no_chip_form_is_refused_by_node_name() -> None:
    cuba = {k: np.ones(1) for k in ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "w_in")}
    nodes: Any = {"in": ("Input", {"shape": np.array([1])}), "n": ("CubaLIF", cuba), "out": ("Output", {})}
    graph = build_graph(nodes, [("in", "n"), ("n", "out")])
    with pytest.raises(FitError, match=r"node 'n'.*two exponentials"):
        lower(graph, choose(graph, "exact", 0.5))
    nodes["n"] = ("I", {"r": np.ones(1)})
    nodes |= {"b": ("Affine", {"weight": np.eye(1), "bias": np.ones(1)}), "d": ("Delay", {"delay": np.ones(1)})}
    graph = build_graph(nodes, [("in", "b"), ("b", "d"), ("d", "n"), ("n", "out")])
    with pytest.raises(FitError, match=r"node 'd'.*carries a constant through a Delay"):
        lower(graph, choose(graph, dt=1.0))


@pytest.mark.parametrize("name", ["braille_noDelay_bias_zero", "braille_noDelay_noBias_subtract", "cnn_sinabs"])
def test_upstream_files_compile_and_run_in_integers(shared: Path, chip: Chip, name: str) -> None:
    path = shared / "nir" / "upstream" / f"{name}.nir"
    graph = read_graph(path)
    profile = "sinabs" if "sinabs" in name else "snntorch"
    rng = np.random.default_rng(0)
    width = int(np.prod(graph.of_kind("Input")[0].out_shape))
    shape, rate = ((1, 12, width), 0.1) if "sinabs" in name else ((4, 60, width), 0.6)
    payloads = (rng.random(shape) < rate).astype(np.int32)
    result = compile(path, chip, calibration=payloads, profile=profile)
    program = result.program
    steps = program.meta["chip_steps"]
    runs = run_samples(program, [encode(program, s) for s in payloads], steps, topology=chip.topology)
    hidden = [p for p in program.populations if p.model != "input"]
    probes = [(p.name, "out") for p in hidden]
    shown = record(result.float_network, {hidden_input(program): payloads.astype(float)}, steps, probes)
    wrong, total, fired = 0, 0, 0
    for p in hidden:
        for s, train in enumerate(runs.spikes):
            got = train.to_dense(program.first_ids()[p.name], p.size)
            wanted = shown[p.name, "out"][s]
            wrong, total, fired = wrong + int((got != wanted).sum()), total + got.size, fired + int((wanted != 0).sum())
    assert fired > 100
    assert wrong <= 0.06 * total


def hidden_input(program: Any) -> str:
    return next(p.name for p in program.populations if p.model == "input")


def test_paths_of_dotted_names_have_names_of_their_own() -> None:
    one = ("IF", {"r": np.ones(2), "v_threshold": np.ones(2)})
    ends = {"input": ("Input", {"shape": np.array([2])}), "output": ("Output", {"shape": np.array([2])})}
    nodes: Any = ends | dict.fromkeys(("c", "a.b", "b.c", "a"), one)
    edges = [("input", "c"), ("c", "a.b"), ("a.b", "b.c"), ("b.c", "a"), ("a", "output")]
    graph = build_graph(nodes, edges, "dotted")
    network = lower(graph, choose(graph, "euler", 1.0))
    assert len({q.name for q in network.projections}) == 4
    assert {q.name for q in network.projections} > {"a.b.c", "a.b.c.again2"}


def test_a_threshold_that_rounds_to_0_divides_nothing(chip: Chip) -> None:
    """Several spikes a step are floor(v / threshold); beside membranes of 10^5 it ended in a ZeroDivisionError."""
    nodes: Any = {
        "in": ("Input", {"shape": np.array([1])}),
        "w": ("Linear", {"weight": np.array([[1e5], [1.0]])}),
        "n": ("IF", {"r": np.ones(2), "v_threshold": np.array([1e5, 0.5]), "v_reset": np.zeros(2)}),
        "out": ("Output", {}),
    }
    graph = build_graph(nodes, [("in", "w"), ("w", "n"), ("n", "out")])
    network = lower(graph, choose(graph, "sinabs"))
    with pytest.raises(FitError, match=r"population 'n': reaches membranes of 1e\+05.*--state-bits 24"):
        compile(network, chip, calibration=np.ones((1, 5, 1), np.int32))
    made = compile(network, chip, calibration=np.ones((1, 5, 1), np.int32), state_bits=24)
    (spikes,) = run_samples(made.program, [encode(made.program, np.ones((5, 1), np.int32))], 6).spikes
    assert spikes.ids.size > 0

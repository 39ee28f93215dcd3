"""Partitions, places and mappings against brute force, and the promises of the mapper as properties."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping import partitioners as extras
from mapping.files import save_mapping
from mapping.hypergraph import Hypergraph, axon_hypergraph, make_hypergraph, remote_messages, traffic
from mapping.mapper import map_network
from mapping.nets import nets_of
from mapping.network import Network
from mapping.partition import partition, random_messages, repair
from mapping.placement import hop_cost, place, snake_order, usable_cores
from mapping.refine import move, refine, score, tables, units
from simulator.base.errors import FitError, InputError
from simulator.chips.chip import Topology
from simulator.chips.load import parse_chip
from simulator.function import run
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.spikes import SpikeTrain

I32 = Any


def random_graph(rng: np.random.Generator, n: int, hosts: int, density: float) -> Hypergraph:
    pins = [np.nonzero(rng.random(n) < density)[0] for _ in range(n + hosts)]
    ptr = np.concatenate([[0], np.cumsum([p.size for p in pins])]).astype(np.int64)
    source = np.concatenate([np.full(hosts, -1), rng.permutation(n)]).astype(np.int32)
    return make_hypergraph(ptr, np.concatenate(pins).astype(np.int32), source, rng.gamma(2, 1, n + hosts), n)


def plain_messages(graph: Hypergraph, part: Any) -> float:
    total = 0.0
    for e in range(graph.n_nets):
        reached = {int(part[v]) for v in graph.pins[graph.ptr[e] : graph.ptr[e + 1]]}
        if graph.source[e] >= 0:
            reached -= {int(part[graph.source[e]])}
        total += float(graph.rate[e]) * len(reached)
    return total


graphs = st.tuples(st.integers(0, 2**31), st.integers(2, 30), st.integers(0, 4), st.sampled_from([0.05, 0.2, 0.6]))


@settings(max_examples=40, deadline=None)
@given(drawn=graphs, k=st.integers(1, 5))
def test_messages_equal_brute_force(drawn: Any, k: int) -> None:
    rng = np.random.default_rng(drawn[0])
    graph = random_graph(rng, *drawn[1:])
    part = rng.integers(0, k, graph.n).astype(np.int32)
    assert remote_messages(graph, part, k) == pytest.approx(plain_messages(graph, part), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(drawn=graphs, k=st.integers(2, 5), dense=st.booleans())
def test_what_a_move_saves_is_the_messages_saved(drawn: Any, k: int, dense: bool) -> None:
    rng = np.random.default_rng(drawn[0])
    graph = random_graph(rng, *drawn[1:])
    part = rng.integers(0, k, graph.n).astype(np.int32)
    nets = nets_of(graph, np.arange(graph.n))
    unit, scale = units(nets)
    held = tables(nets.ptr, nets.pins, part, k)
    saves = np.zeros(32, np.int32)
    for v in range(min(graph.n, 6)):  # each is moved in turn: the corrected tables must stay those of the partition
        a = int(part[v])
        score(v, a, nets.back_ptr, nets.back, unit, *held[1:], dense, saves)
        before = plain_messages(graph, part)
        for b in range(k):
            moved = part.copy()
            moved[v] = b
            saved = before - plain_messages(graph, moved)
            assert float(saves[b] - saves[a]) / scale == pytest.approx(saved, rel=1e-4, abs=1e-4)
        move(v, a, (a + 1) % k, nets.back_ptr, nets.back, *held, part)
        for kept, fresh in zip(held, tables(nets.ptr, nets.pins, part, k), strict=True):
            assert (kept == fresh).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), k=st.integers(1, 130), dense=st.booleans())
def test_scores_of_many_parts_are_counted_pins(seed: int, k: int, dense: bool) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 60, 2, 0.3)
    part = rng.integers(0, k, graph.n).astype(np.int32)
    nets = nets_of(graph, np.arange(graph.n))
    unit, _ = units(nets)
    counts, there, single = tables(nets.ptr, nets.pins, part, k)
    saves = np.full(32 * there.shape[1], 7, np.int32)
    for v in range(graph.n):
        of_v = nets.back[nets.back_ptr[v] : nets.back_ptr[v + 1]]
        others = counts[of_v].astype(int) - (np.arange(k) == part[v])
        score(v, int(part[v]), nets.back_ptr, nets.back, unit, there, single, dense, saves)
        assert (saves[:k] == unit[of_v] @ (others > 0)).all()
        assert not saves[k:].any()


@settings(max_examples=30, deadline=None)
@given(drawn=graphs, k=st.integers(1, 5), hot=st.booleans())
def test_refining_keeps_the_room_and_never_costs_messages(drawn: Any, k: int, hot: bool) -> None:
    rng = np.random.default_rng(drawn[0])
    graph = random_graph(rng, *drawn[1:])
    part = (np.arange(graph.n) * k // graph.n).astype(np.int32)
    need = np.stack([np.ones(graph.n), rng.integers(1, 9, graph.n)], axis=1)
    used = np.zeros((k, 2))
    np.add.at(used, part, need)
    room = used + np.array([1.0, 4.0])
    better = refine(nets_of(graph, np.arange(graph.n)), part, need, room, 0, (5.0, 1.0) if hot else ())
    used[:] = 0
    np.add.at(used, better, need)
    assert (used <= room).all()
    if not hot:
        assert plain_messages(graph, better) <= plain_messages(graph, part) * (1 + 1e-6)
    found = partition(graph, part, need, room, seed=1, use="builtin")
    assert found.messages <= plain_messages(graph, part) * (1 + 1e-6)
    assert (found.part == partition(graph, part, need, room, seed=1, use="builtin").part).all()


def test_partition_is_near_the_optimum_of_tiny_graphs() -> None:
    hits = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, 8, 2, 0.25)
        start = np.repeat([0, 1], 4).astype(np.int32)
        best = min(
            plain_messages(graph, np.array(p))
            for p in itertools.product([0, 1], repeat=8)
            if 3 <= sum(p) <= 5
        )  # fmt: skip
        found = partition(graph, start, np.ones((8, 1)), np.full((2, 1), 5.0), seed, "builtin")
        assert best * (1 - 1e-6) <= found.messages <= 1.3 * best
        hits += found.messages <= best * (1 + 1e-6)
    assert hits >= 6  # a local search: often the optimum, never far from it


def test_expected_messages_of_random_parts() -> None:
    rng = np.random.default_rng(2)
    graph = random_graph(rng, 30, 3, 0.2)
    graph = make_hypergraph(graph.ptr, graph.pins, np.full(graph.n_nets, -1, np.int32), graph.rate, 30)
    mean = np.mean([plain_messages(graph, rng.integers(0, 4, 30)) for _ in range(3000)])
    assert random_messages(graph, 4) == pytest.approx(mean, rel=0.01)


def test_repair_moves_out_of_overfull_parts() -> None:
    need, room = np.ones((9, 1)), np.full((3, 1), 3.0)
    fixed = repair(np.zeros(9, np.int32), need, room)
    assert fixed is not None
    assert np.bincount(fixed).tolist() == [3, 3, 3]
    assert repair(np.zeros(10, np.int32), np.ones((10, 1)), room) is None


@pytest.mark.parametrize("package", ["pymetis", "mtkahypar"])
def test_other_partitioners_find_planted_parts(package: str) -> None:
    pytest.importorskip(package)
    rng = np.random.default_rng(0)
    planted = rng.permutation(np.repeat(np.arange(4), 25)).astype(np.int32)
    pins = [np.nonzero((planted == planted[v]) & (rng.random(100) < 0.4))[0] for v in range(100)]
    ptr = np.concatenate([[0], np.cumsum([p.size for p in pins])]).astype(np.int64)
    source = np.arange(100, dtype=np.int32)
    graph = make_hypergraph(ptr, np.concatenate(pins).astype(np.int32), source, np.ones(100), 100)
    find = extras.metis if package == "pymetis" else extras.mtkahypar
    assert remote_messages(graph, find(graph, 4, 0.03, 0), 4) == 0
    need, room = np.ones((100, 1)), np.full((4, 1), 26.0)
    use = "metis" if package == "pymetis" else package
    assert partition(graph, (np.arange(100) // 25).astype(np.int32), need, room, 0, use).messages == 0


def test_hop_cost_and_places_against_all_permutations() -> None:
    topology = Topology(3, 2, 1, 6, host_port=(0, 0), broken_cores=(2,))
    cores = usable_cores(topology)
    assert sorted(snake_order(topology, cores).tolist()) == [0, 1, 3, 4, 5]
    for seed in range(5):
        flow = np.random.default_rng(seed).gamma(0.5, 1, (5, 4))
        costs = []
        for chosen in itertools.permutations(cores, 4):
            at = [(c // 2, c % 2) for c in chosen]
            cost = sum(flow[4, p] * (at[p][0] + at[p][1]) for p in range(4))
            cost += sum(
                flow[p, q] * (abs(at[p][0] - at[q][0]) + abs(at[p][1] - at[q][1])) for p in range(4) for q in range(4)
            )
            assert hop_cost(flow, topology, np.array(chosen, np.int32)) == pytest.approx(cost)
            costs.append(cost)
        found = place(flow, topology, seed, exchanges=3000)
        assert 2 not in found
        assert hop_cost(flow, topology, found) == pytest.approx(min(costs))
        assert (found == place(flow, topology, seed, exchanges=3000)).all()


CHIP = {
    "name": "tiny",
    "title": "t",
    "process_nm": None,
    "capabilities": {"neuron_models": ["*"], "spikes": "graded", "graded_bits": 8, "weight_bits": [8], "max_delay": 3},
    "topology": {"width": 4, "height": 2, "cores_per_router": 1, "usable_cores": 8, "broken_cores": [3]},
    "limits": {
        k: {"value": v, "unit": "B" if "bytes" in k else "1", "source": "t", "quality": "assumed"}
        for k, v in {
            "neurons_per_core": 10,
            "synapse_bytes_per_core": None,
            "state_bytes_per_core": None,
            "in_axons_per_core": None,
            "out_axons_per_core": None,
            "state_bytes_per_neuron": None,
        }.items()
    },
    "timing": None,
    "energy": {"synaptic_event": {"value": None, "unit": "pJ", "source": "none", "quality": "unverified"}},
}


def clustered(seed: int, n: int = 40) -> Network:
    """Recurrent groups whose members are scattered over the ids, driven by the host."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.arange(n) % 5)
    matrix = rng.integers(-40, 60, (n, n)) * ((group[:, None] == group) & (rng.random((n, n)) < 0.5))
    drive = rng.integers(20, 90, (n, 6)) * (rng.random((n, 6)) < 0.5)
    params = {"dv": np.asarray(400), "bias": np.asarray(5), "theta": np.asarray(300)}
    projections = [
        Projection(name, a, "net", "in", *dense_to_csr(m.astype(np.int8)))
        for name, a, m in (("in", "in", drive), ("rec", "net", matrix))
    ]
    return Network(
        "integer",
        (Population("in", "input", 6), Population("net", "lif", n, _lif(params), layer=1, role="output")),
        tuple(projections),
    )


def _lif(params: dict[str, Any]) -> dict[str, Any]:
    from simulator.neurons.base import get

    model = get("lif")
    return {w.name: params.get(w.name, np.asarray(model.defaults.get(w.name, 0))) for w in model.params}


def test_mapping_is_better_than_blocks_deterministic_and_does_not_change_spikes() -> None:
    network, chip = clustered(0), parse_chip(json.dumps(CHIP), "t")
    blocks = map_network(network, chip, "blocks")
    mapped = map_network(network, chip, "builtin", seed=4)
    assert mapped.figures["messages_per_step"] < 0.5 * blocks.figures["messages_per_step"]  # type: ignore[operator]
    assert (mapped.program.core == map_network(network, chip, "builtin", seed=4).program.core).all()
    assert 3 not in mapped.program.core
    assert np.bincount(mapped.program.core[6:]).max() <= 10
    spikes = SpikeTrain.from_dense((np.random.default_rng(1).random((40, 6)) < 0.4).astype(np.int32))
    hashes = {run(m.program, spikes, 40, topology=chip.topology).spikes.spike_hash() for m in (blocks, mapped)}
    assert len(hashes) == 1
    assert run(mapped.program, spikes, 40, topology=chip.topology).spikes.ids.size > spikes.ids.size  # it does fire


def test_mapped_figures_are_those_of_the_program() -> None:
    network, chip = clustered(1), parse_chip(json.dumps(CHIP), "t")
    mapped = map_network(network, chip, "builtin")
    graph = axon_hypergraph(network)
    core = mapped.program.core[6:]
    assert mapped.figures["messages_per_step"] == pytest.approx(plain_messages(graph, core))
    flow = traffic(graph, core, 8)
    assert mapped.figures["hops_per_step"] == pytest.approx(hop_cost(flow, chip.topology, np.arange(8, dtype=np.int32)))


def test_saved_mapping_is_used_again_and_checked(tmp_path: Path) -> None:
    network, chip = clustered(2), parse_chip(json.dumps(CHIP), "t")
    mapped = map_network(network, chip, "builtin")
    path = tmp_path / "m.json"
    save_mapping(mapped.program, path)
    again = map_network(network, chip, str(path))
    assert (again.program.core == mapped.program.core).all()
    content = json.loads(path.read_text())
    for change, error, message in (
        ({"cores": {"net": 0}}, FitError, "core 0 .*needs 40 neurons"),
        ({"cores": {"net": [i % 7 if i % 7 != 3 else 3 for i in range(40)]}}, FitError, "core 3: is broken"),
        ({"cores": {"net": [0, 1]}}, InputError, "2 cores for 40 neurons"),
        ({"cores": {"net": -1}}, InputError, r"`int` >= 0"),
        ({"cores": {"other": 0}}, InputError, r"\['other'\], the network has \['net'\]"),
        ({"format": "x"}, InputError, "must be 'bimhw-mapping-1'"),
        ({"cores": "x"}, InputError, "is not a mapping file"),
    ):
        path.write_text(json.dumps(content | change))
        with pytest.raises(error, match=message):
            map_network(network, chip, str(path))
    with pytest.raises(InputError, match="does not exist"):
        map_network(network, chip, str(tmp_path / "none.json"))


def test_axons_of_several_projections_are_joined() -> None:
    """Two ports with overlapping targets and a second population: one net a source, distinct pins."""
    a, b = np.array([[1, 0], [1, 1], [0, 0]]), np.array([[0, 0], [1, 0], [0, 1]])
    populations = (Population("in", "input", 2), Population("x", "li", 3), Population("y", "li", 3))
    projections = tuple(
        Projection(name, source, target, "in", *dense_to_csr(m.astype(np.int8)))
        for name, source, target, m in (("p", "in", "x", a), ("q", "in", "x", b), ("r", "in", "y", a), ("s", "x", "y", np.eye(3)))
    )  # fmt: skip
    graph = axon_hypergraph(Network("integer", populations, projections))
    nets = [graph.pins[graph.ptr[e] : graph.ptr[e + 1]].tolist() for e in range(graph.n_nets)]
    assert nets == [[0, 1, 3, 4], [1, 2, 4], [3], [4], [5], [], [], []]
    assert graph.source.tolist() == [-1, -1, 0, 1, 2, 3, 4, 5]
    assert graph.owned.tolist() == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_grid_is_found_again(seed: int) -> None:
    """Parts that talk to their four neighbours in a 6 x 4 grid, in random order, on a 6 x 4 mesh: the planted cost."""
    rng = np.random.default_rng(seed)
    topology = Topology(6, 4, 1, 24)
    x, y = np.divmod(np.arange(24), 4)
    near = (np.abs(x[:, None] - x) + np.abs(y[:, None] - y) == 1).astype(float)
    order = rng.permutation(24)
    flow = np.concatenate([near[np.ix_(order, order)], np.zeros((1, 24))])
    found = place(flow, topology, seed)
    assert hop_cost(flow, topology, found) == pytest.approx(near.sum())

"""Mapping of large networks: sparse flows, lists of parts, clusters and places, against the dense forms and plain counting."""

from __future__ import annotations

import numpy as np
import pytest

import mapping.partition as partition_module
from benchmarks.mapping import layered
from mapping import refine as refine_module
from mapping.flow import as_flow, flow_of
from mapping.hypergraph import Hypergraph, make_hypergraph, remote_messages, traffic
from mapping.large_placement import halves, place_large
from mapping.multilevel import lists_of, refine_lists
from mapping.nets import nets_of
from mapping.partition import partition
from mapping.placement import Crossing, hop_cost, host_hops, place, places, snake_order, usable_cores
from mapping.propagation import order_by_clusters, refine_synapses
from mapping.refine import Kinds
from simulator.chips.chip import Topology


def random_graph(seed: int, n: int = 60, nets: int = 80) -> Hypergraph:
    """Nets of random sizes, some of the host, some with their own source among the pins."""
    rng = np.random.default_rng(seed)
    rows = [np.sort(rng.choice(n, rng.integers(0, 12), replace=False)) for _ in range(nets)]
    ptr = np.concatenate([[0], np.cumsum([r.size for r in rows])]).astype(np.int64)
    source = np.full(nets, -1, np.int32)
    source[: n // 2] = rng.permutation(n)[: n // 2]
    return make_hypergraph(ptr, np.concatenate(rows).astype(np.int32), source, rng.gamma(2, 0.1, nets), n)


def planted(groups: int, size: int, seed: int = 0) -> tuple[Hypergraph, np.ndarray]:
    """Return groups whose members talk to one another and, once in ten, to the next group; ids shuffled."""
    rng = np.random.default_rng(seed)
    n = groups * size
    order = rng.permutation(n)
    rows = np.repeat(np.arange(n), 12)
    group = rows // size + (rng.random(rows.size) < 0.1)
    target = group % groups * size + rng.integers(0, size, rows.size)
    key = np.unique(order[rows] * n + order[target])
    ptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(key // n, minlength=n), out=ptr[1:])
    graph = make_hypergraph(ptr, (key % n).astype(np.int32), np.arange(n, dtype=np.int32), np.ones(n), n)
    true = np.empty(n, np.int32)
    true[order] = np.arange(n) // size
    return graph, true


@pytest.mark.parametrize("seed", range(20))
def test_flows_are_the_dense_table(seed: int) -> None:
    graph, k = random_graph(seed), 7
    part = np.random.default_rng(seed).integers(0, k, graph.n).astype(np.int32)
    table = traffic(graph, part, k)
    flow = flow_of(graph, part, k)
    np.testing.assert_allclose(flow.dense(), table)
    np.testing.assert_allclose(as_flow(table).dense(), table)
    assert flow.leaving == pytest.approx(table.sum() - np.trace(table[:k]))
    assert flow.leaving == pytest.approx(remote_messages(graph, part, k))


@pytest.mark.parametrize("seed", range(12))
def test_lists_refine_within_the_limits_and_count_right(seed: int) -> None:
    """Messages by plain counting fall, every resource fits with its shared words, vertices keep their number."""
    rng = np.random.default_rng(seed)
    graph, k = random_graph(seed), 6
    start = rng.permutation(np.arange(graph.n) % k).astype(np.int32)
    need = np.stack([np.ones(graph.n), rng.integers(1, 5, graph.n)], axis=1).astype(float)
    kinds = Kinds(rng.integers(0, 3, graph.n).astype(np.int32), np.array([[0.0, 3.0], [0.0, 0.0], [0.0, 7.0]]))

    def used(part: np.ndarray) -> np.ndarray:
        total = np.zeros((k, 2))
        for p in range(k):
            total[p] = need[part == p].sum(axis=0) + kinds.shared[np.unique(kinds.kind[part == p])].sum(axis=0)
        return total

    room = used(start).max(axis=0)[None] * np.ones((k, 1)) + [2.0, 3.0]
    part = refine_lists(nets_of(graph, np.arange(graph.n)), start, need, room, seed, kinds)
    assert (used(part) <= room).all()
    assert remote_messages(graph, part, k) < remote_messages(graph, start, k)
    again = refine_lists(nets_of(graph, np.arange(graph.n)), start, need, room, seed, kinds)
    np.testing.assert_array_equal(part, again)


def test_large_graphs_keep_blocks_that_cut_many_synapses_but_send_few_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, k = layered(2000, 40), 40
    blocks = (np.arange(graph.n) * k // graph.n).astype(np.int32)
    monkeypatch.setattr(partition_module, "_DENSE", 0)
    found = partition(graph, blocks, np.ones((graph.n, 1)), np.full((k, 1), 52.0), 0, "builtin")
    assert found.messages < remote_messages(graph, blocks, k)
    assert found.messages == pytest.approx(remote_messages(graph, found.part, k))


def test_a_planted_partition_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, _ = planted(24, 25)
    k, n = 24, graph.n
    blocks, need = (np.arange(n) * k // n).astype(np.int32), np.ones((n, 1))
    room = np.full((k, 1), 27.0)
    dense = partition(graph, blocks, need, room, 0, "builtin")
    monkeypatch.setattr(partition_module, "_DENSE", 0)
    large = partition(graph, blocks, need, room, 0, "builtin")
    assert large.start == "clusters"
    assert large.messages == pytest.approx(remote_messages(graph, large.part, k))
    assert large.messages < 1.15 * dense.messages
    assert np.bincount(large.part, minlength=k).max() <= 27
    np.testing.assert_array_equal(large.part, partition(graph, blocks, need, room, 0, "builtin").part)


def test_clusters_bring_groups_together() -> None:
    graph, true = planted(16, 40, 1)
    order = order_by_clusters(graph, 8, 0)
    np.testing.assert_array_equal(np.sort(order), np.arange(graph.n))
    changes = np.count_nonzero(np.diff(true[order]))
    assert changes < 0.15 * graph.n  # 0.94 of it in random order


@pytest.mark.parametrize(("k", "columns", "rows"), [(1, 3, 2), (7, 4, 2), (24, 6, 4), (23, 6, 4)])
def test_halves_give_each_part_a_slot_of_its_own(k: int, columns: int, rows: int) -> None:
    x, y = (a.ravel().astype(np.float32) for a in np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij"))
    slots = halves(x, y, k)
    assert np.unique(slots).size == k
    assert slots.min() >= 0
    assert slots.max() < x.size


def test_places_of_many_parts_are_as_good_as_the_dense_search() -> None:
    """A grid of parts that talk to their neighbours, in the order of a space-filling cut: near the dense annealing."""
    topology, k = Topology(6, 4, 2, 48, broken_cores=(5, 17), chips=2), 80
    rng = np.random.default_rng(0)
    x, y = np.divmod(np.arange(k), 8)
    near = (np.abs(x[:, None] - x) + np.abs(y[:, None] - y)) == 1
    table = np.vstack([near * rng.random((k, k)), rng.random((1, k)) * 0.1])
    crossing = Crossing(4.0)
    cores = snake_order(topology, usable_cores(topology))
    found = place_large(
        as_flow(table), topology, cores, places(topology, cores, crossing), host_hops(topology, cores, crossing), 0
    )
    assert np.unique(found).size == k
    assert all(topology.works(int(c)) for c in found)
    dense = place(table, topology, 0, crossing=crossing)
    assert hop_cost(table, topology, found, crossing) < 1.15 * hop_cost(table, topology, dense, crossing)


def test_links_between_boards_are_longer() -> None:
    topology = Topology(2, 1, 1, 2, chips=4, board_chips=2)
    cores = np.arange(8, dtype=np.int32)
    x, _ = places(topology, cores, Crossing(3.0, 10.0, 2))
    np.testing.assert_array_equal(x, [0, 1, 4, 5, 15, 16, 19, 20])


def test_lists_of_many_vertices_a_part_take_wider_entries() -> None:
    """Counts that do not fit beside a part's number in 32 bits go into 64; sweeps are the same."""
    graph, _ = planted(4, 30)
    nets, part = nets_of(graph, np.arange(graph.n)), (np.arange(graph.n) % 4).astype(np.int32)
    heads, entries, bits = lists_of(nets, part, 4)
    assert entries.dtype == np.uint32
    for e in range(heads.size):
        own = entries[heads[e]["first"] :][: heads[e]["length"]]
        parts, counts = np.unique(part[nets.pins[nets.ptr[e] : nets.ptr[e + 1]]], return_counts=True)
        assert dict(zip((own & 3).tolist(), (own >> bits).tolist(), strict=True)) == dict(
            zip(parts.tolist(), counts.tolist(), strict=True)
        )
    assert lists_of(nets, part, 1 << 28)[1].dtype == np.uint64


@pytest.mark.parametrize("seed", range(4))
def test_sweeps_over_synapses_keep_every_limit(seed: int) -> None:
    graph, k = random_graph(seed), 6
    rng = np.random.default_rng(seed)
    start = rng.permutation(np.arange(graph.n) % k).astype(np.int32)
    need = np.stack([np.ones(graph.n), rng.integers(1, 5, graph.n)], axis=1).astype(float)
    used = np.stack([np.bincount(start, need[:, r], minlength=k) for r in range(2)], axis=1)
    room = np.broadcast_to(used.max(axis=0) + np.array([1.0, 2.0]), (k, 2)).copy()
    part = refine_synapses(nets_of(graph, np.arange(graph.n)), start, need, room, seed)
    after = np.stack([np.bincount(part, need[:, r], minlength=k) for r in range(2)], axis=1)
    assert (after <= room).all()


@pytest.mark.parametrize("silent", ["all", "half"])
def test_neurons_that_never_fire_write_nothing_out_of_bounds(monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    """Run the kernels as Python, where an index out of bounds is an error."""
    import mapping.multilevel as multilevel
    import mapping.propagation as propagation

    for name in ("_near", "_join", "_join_clusters", "_edges", "_sweep"):
        monkeypatch.setattr(propagation, name, getattr(propagation, name).py_func)
    gains = multilevel._gains.py_func
    monkeypatch.setattr(multilevel, "_sweep_lists", multilevel._sweep_lists.py_func)
    monkeypatch.setattr(
        multilevel, "_gains", lambda v, a, p, b, heads, *rest: gains(v, a, p, b, heads.view(np.recarray), *rest)
    )
    graph = random_graph(3, n=16, nets=60)
    rate = np.where(np.arange(graph.n_nets) % 2, graph.rate, 0.0) if silent == "half" else np.zeros(graph.n_nets)
    graph = make_hypergraph(graph.ptr, graph.pins, graph.source, rate, graph.n)
    assert sorted(order_by_clusters(graph, 4, 0)) == list(range(graph.n))
    need, room = np.ones((graph.n, 1)), np.full((4, 1), 5.0)
    part = (np.arange(graph.n) % 4).astype(np.int32)
    nets = nets_of(graph, np.arange(graph.n))
    for refine in (refine_synapses, refine_lists):
        assert np.bincount(refine(nets, part, need, room, 0, None), minlength=4).max() <= 5


def test_parts_that_send_nothing_are_not_annealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One-to-one synapses: pairs side by side leave no message, and a hot pass could only send some."""
    pairs, k = 60, 6
    ptr, pins = np.arange(pairs + 1, dtype=np.int64), np.arange(pairs, 2 * pairs, dtype=np.int32)
    graph = make_hypergraph(ptr, pins, np.arange(pairs, dtype=np.int32), np.ones(pairs), 2 * pairs)
    passes: list[float] = []
    plain = refine_module._sweep
    monkeypatch.setattr(
        refine_module, "_sweep", lambda order, heat, *rest: passes.append(heat) or plain(order, heat, *rest)
    )
    blocks = (np.arange(2 * pairs) // 20).astype(np.int32)  # targets far from their sources
    found = partition(graph, blocks, np.ones((2 * pairs, 1)), np.full((k, 1), 22.0))
    assert found.messages == 0 and not any(passes)
    passes.clear()
    assert partition(graph, found.part, np.ones((2 * pairs, 1)), np.full((k, 1), 22.0)).messages == 0 and not passes

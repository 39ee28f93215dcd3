"""Mapping: messages and hops against Mt-KaHyPar, blocks and long annealings, on three kinds of nets; CPU seconds.

`main(large=True)` adds 100k neurons / 10 M synapses; `python -m benchmarks.mapping_memory` measures memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapping import partitioners as extras
from mapping.hypergraph import Hypergraph, make_hypergraph, remote_messages, traffic
from mapping.partition import partition, random_messages
from mapping.placement import hop_cost, place
from simulator.chips.chip import Topology

CORES = 128
MESH = Topology(8, 4, 4, CORES)
SLACK = 1.05


def _graph(n: int, rows: Any, columns: Any, rng: np.random.Generator) -> Hypergraph:
    key = np.unique(rows.astype(np.int64) * n + columns)
    ptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(key // n, minlength=n), out=ptr[1:])
    return make_hypergraph(ptr, (key % n).astype(np.int32), np.arange(n, dtype=np.int32), rng.gamma(2, 0.01, n), n)


def local_2d(n: int = 10_000, fan_out: int = 115, seed: int = 0) -> Hypergraph:
    """Neurons on a square, normal fan-out around each, ids shuffled."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n)))
    rows = np.repeat(np.arange(n), fan_out)
    shift = np.rint(rng.normal(0, 4.0, (2, rows.size))).astype(np.int64)
    x, y = rows % side + shift[0], rows // side + shift[1]
    target = y * side + x
    ok = (x >= 0) & (x < side) & (y >= 0) & (target < n) & (target != rows)
    order = rng.permutation(n)
    return _graph(n, order[rows[ok]], order[target[ok]], rng)


def layered(n: int = 10_000, fan_out: int = 180, seed: int = 0, layers: int = 10) -> Hypergraph:
    """Layers in natural order, each neuron to a window of the next layer."""
    rng = np.random.default_rng(seed)
    width = n // layers
    rows = np.repeat(np.arange(n - width), fan_out)
    place_in = rows % width + np.rint(rng.normal(0, 0.03 * width, rows.size)).astype(np.int64)
    ok = (place_in >= 0) & (place_in < width)
    return _graph(n, rows[ok], ((rows // width + 1) * width + place_in)[ok], rng)


def uniform(n: int = 10_000, fan_out: int = 100, seed: int = 0) -> Hypergraph:
    """Random wiring: no mapping is good."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(n), fan_out)
    return _graph(n, rows, rng.integers(0, n, rows.size), rng)


KINDS: dict[str, Callable[..., Hypergraph]] = {"2-D local, shuffled": local_2d, "layered": layered, "uniform": uniform}


def _room(graph: Hypergraph) -> tuple[Any, Any, Any]:
    blocks = (np.arange(graph.n) * CORES // graph.n).astype(np.int32)
    return blocks, np.ones((graph.n, 1)), np.full((CORES, 1), float(int(SLACK * graph.n / CORES)))


def _row(kind: str, graph: Hypergraph, what: str, part: Any, seconds: float, hops: float | None = None) -> None:
    unit = float(graph.rate.mean())
    text = f"{kind:22s} {what:28s} messages {remote_messages(graph, part, CORES) / unit:12,.0f}  {seconds:7.2f} s"
    print(text + ("" if hops is None else f"  hops {hops / unit:12,.0f}"), flush=True)


@dataclass(frozen=True, eq=False)
class Measured:
    """One mapping: messages and hops in mean rates, CPU seconds of the process, and the flow between its parts."""

    messages: float
    hops: float
    seconds: float
    flow: Any


def measure(kind: str, graph: Hypergraph, use: str) -> Measured:
    """Partition and placement, timed in CPU seconds of this process (all threads)."""
    blocks, need, room = _room(graph)
    start = time.process_time()
    found = partition(graph, blocks, need, room, 0, use)
    flow = traffic(graph, found.part, CORES)
    cores = place(flow, MESH, 0)
    seconds, hops = time.process_time() - start, hop_cost(flow, MESH, cores)
    _row(kind, graph, f"ours ({use}: {found.start})", found.part, seconds, hops)
    unit = float(graph.rate.mean())
    return Measured(found.messages / unit, hops / unit, seconds, flow)


def long_annealings(flow: Any, times: int = 20) -> float:
    """Hops of the best of several annealings ten times as long."""
    return min(hop_cost(flow, MESH, place(flow, MESH, 100 + i, 50_000, 1)) for i in range(times))


def main(large: bool = False) -> None:
    """Print one line a kind and method."""
    small = local_2d(1000)
    for use in ("auto", "builtin"):  # compile the kernels
        partition(small, np.arange(1000) * CORES // 1000, np.ones((1000, 1)), np.full((CORES, 1), 9.0), 0, use)
    place(np.ones((3, 2)), MESH, 0)
    for kind, make in KINDS.items():
        graph = make()
        blocks, _, room = _room(graph)
        unit = float(graph.rate.mean())
        print(f"{kind}: {graph.n:,} neurons, {graph.pins.size:,} synapses, cap {int(room[0, 0])} a core")
        print(f"{kind:22s} {'random parts (expected)':28s} messages {random_messages(graph, CORES) / unit:12,.0f}")
        _row(kind, graph, "contiguous blocks", blocks, 0.0)
        ours = {"without extras": measure(kind, graph, "builtin")}
        if extras.installed("pymetis"):
            ours["with extras"] = measure(kind, graph, "auto")
        if kind == "uniform":
            continue
        for name, m in ours.items():
            least = long_annealings(m.flow) / unit
            text = f"hops {least:12,.0f}: {name} {m.hops / least - 1:+.1%}"
            print(f"{kind:22s} {'best of 20 long annealings':28s} {text}", flush=True)
        if extras.installed("mtkahypar"):
            start = time.process_time()
            part = extras.mtkahypar(graph, CORES, SLACK - 1 - 1e-3, 0)
            seconds, best = time.process_time() - start, remote_messages(graph, part, CORES) / unit
            _row(kind, graph, "mtkahypar DEFAULT", part, seconds)
            for name, m in ours.items():
                print(
                    f"{kind:22s} {name}: messages {m.messages / best - 1:+.1%}, 1/{seconds / m.seconds:.0f} of its time"
                )
    if large:
        for kind, make in KINDS.items():
            measure(kind + " x10", make(100_000), "auto")


if __name__ == "__main__":
    import sys

    main("--large" in sys.argv)

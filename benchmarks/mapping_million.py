"""Mapping of a million neurons and 45 million synapses to 64 chips of Loihi 2: seconds, memory, messages beside a tiling.

    python -m benchmarks mapping_million

Neurons on a square with shuffled ids; nine in ten synapses go to a normal neighbourhood (sigma 4), one in ten to the same place
of one of four partner communities (16 x 16 of them). The network is made in one process and mapped in another, which prints its
CPU and wall seconds, its largest memory, and the messages of square tiles of the true layout for comparison.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mapping_memory import largest, network
from mapping.hypergraph import axon_hypergraph, remote_messages
from mapping.mapper import map_network
from simulator.chips.load import load_chip

COMMUNITIES = 16  # along each side


def make(side: int, fan_out: int, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """Row pointers, targets, rates, and the place of every neuron in the square."""
    rng = np.random.default_rng(seed)
    n = side * side
    order = rng.permutation(n).astype(np.int64)
    width = side // COMMUNITIES
    partners = rng.integers(0, COMMUNITIES**2, (COMMUNITIES**2, 4))
    keys = []
    for part in np.array_split(np.arange(n), 20):
        rows = np.repeat(part, fan_out)
        shift = np.rint(rng.normal(0, 4.0, (2, rows.size))).astype(np.int64)
        x, y = rows % side + shift[0], rows // side + shift[1]
        far = rng.random(rows.size) < 0.1
        home = (rows // side // width).clip(0, COMMUNITIES - 1) * COMMUNITIES + (rows % side // width).clip(
            0, COMMUNITIES - 1
        )
        to = partners[home, rng.integers(0, 4, rows.size)]
        x = np.where(far, x - (home % COMMUNITIES - to % COMMUNITIES) * width, x)
        y = np.where(far, y - (home // COMMUNITIES - to // COMMUNITIES) * width, y)
        ok = (x >= 0) & (x < side) & (y >= 0) & (y < side)
        keys.append(np.unique(order[rows[ok]] * n + order[(y * side + x)[ok]]))
    key = np.concatenate(keys)
    key.sort()
    ptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(key // n, minlength=n), out=ptr[1:])
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    return ptr, (key % n).astype(np.int32), rng.gamma(2, 0.005, n), place


def tiles(place: Any, side: int, k: int) -> Any:
    """Parts of about equal rectangles of the true layout."""
    across = int(np.sqrt(k))
    down = k // across
    return ((place // side) * down // side * across + (place % side) * across // side).astype(np.int32)


def child(folder: Path, chip: str) -> None:
    """Map the network of a folder and print a JSON line."""
    tiny = network(np.arange(0, 5001, 5), (np.arange(5000) % 1000).astype(np.int32))
    map_network(tiny, load_chip("loihi2"))  # loads the kernels
    ptr, indices, rates, place = (np.load(folder / f"{name}.npy") for name in ("ptr", "indices", "rates", "place"))
    net, side = network(ptr, indices), round(np.sqrt(ptr.size - 1))
    cpu, wall = time.process_time(), time.perf_counter()
    mapped = map_network(net, load_chip(chip), rates={"net": rates})
    figures: dict[str, Any] = dict(mapped.figures)
    done = {
        "chip": chip, "neurons": ptr.size - 1, "synapses": int(indices.size), "cores": figures["cores"],
        "cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "peak_gb": largest() / 1e9,
        "layout": figures["layout"], "load": os.getloadavg()[0],
    }  # fmt: skip
    k = int(figures["cores"])
    tiled = remote_messages(axon_hypergraph(net, {"net": rates}), tiles(place, side, k), k)
    print(json.dumps(done | {"messages_over_tiles": figures["messages_per_step"] / tiled}))


def main(side: int = 1000, fan_out: int = 50, chip: str = "loihi2-x64") -> None:
    """Print one JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        for name, array in zip(("ptr", "indices", "rates", "place"), make(side, fan_out), strict=True):
            np.save(Path(folder) / f"{name}.npy", array)
        command = [sys.executable, "-m", "benchmarks.mapping_million", "--child", folder, chip]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3])
    else:
        main(*map(int, sys.argv[1:3]), *sys.argv[3:])

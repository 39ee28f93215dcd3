"""Peak memory of mapping, bytes a synapse: the network's own arrays, the graph, the partition and the program, all together.

`python -m benchmarks.mapping_memory [neurons] [kind]` makes the network, then maps it in a process of its own, whose largest
resident size beyond that of the loaded modules counts.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.mapping import KINDS, SLACK
from mapping.mapper import map_network
from mapping.network import Network
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection

MIB = 2**20


def roomy(neurons_per_core: int) -> Chip:
    """Loihi 2's mesh with cores that hold any number of synapses."""
    chip = load_chip("loihi2")
    unknown = {k: msgspec.structs.replace(getattr(chip.limits, k), value=None) for k in chip.limits.__struct_fields__}
    unknown["memory_bytes_per_core"] = None
    many = msgspec.structs.replace(chip.limits.neurons_per_core, value=float(neurons_per_core))
    limits = msgspec.structs.replace(chip.limits, **(unknown | {"neurons_per_core": many}))
    return msgspec.structs.replace(chip, limits=limits)


def network(ptr: Any, indices: Any) -> Network:
    """One recurrent population with these synapses."""
    n = ptr.size - 1
    params = {w.name: np.asarray(get("lif").defaults.get(w.name, 1)) for w in get("lif").params}
    weights = np.ones(indices.size, np.int8)
    return Network(
        "integer",
        (Population("net", "lif", n, params, layer=1),),
        (Projection("net", "net", "net", "in", ptr, indices, weights),),
    )


def largest() -> int:
    """Largest resident size of this process so far, bytes (that of `resource` may be the parent's)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def child(folder: Path) -> None:
    """Map the network of a folder; prints CPU seconds, peak bytes and synapses."""
    ptr = np.arange(0, 5001, 5)
    tiny = network(ptr, (np.repeat(np.arange(1000), 5) + np.tile(np.arange(5), 1000)).astype(np.int32) % 995)
    map_network(tiny, roomy(9), "auto")  # loads the kernels and the other packages
    before = largest()
    arrays = [np.load(folder / f"{name}.npy") for name in ("ptr", "indices", "rates")]
    net = network(arrays[0], arrays[1])
    start = time.process_time()
    mapped = map_network(net, roomy(int(SLACK * (arrays[0].size - 1) / 128)), "auto", {"net": arrays[2]})
    seconds = time.process_time() - start
    peak = largest() - before
    print(seconds, peak, net.n_synapses, mapped.figures["start"])


def main(neurons: int = 100_000, kinds: tuple[str, ...] = tuple(KINDS)) -> None:
    """Print one line a kind."""
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            graph = KINDS[kind](neurons)
            for name, array in (("ptr", graph.ptr), ("indices", graph.pins), ("rates", graph.rate.astype(np.float64))):
                np.save(Path(folder) / f"{name}.npy", array)
            del graph
            command = [sys.executable, "-m", "benchmarks.mapping_memory", "--child", folder]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        seconds, peak, synapses = float(said[0]), float(said[1]), int(said[2])
        print(
            f"{kind:22s} {neurons:,} neurons, {synapses:,} synapses: map_network {seconds:.1f} s CPU, peak "
            f"{peak / MIB:,.0f} MiB = {peak / synapses:.1f} bytes a synapse ({said[3]})",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, tuple(sys.argv[2:]) or tuple(KINDS))

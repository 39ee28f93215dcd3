"""A large network of plain LIF neurons in one population: memory, and steps a second of one thread and of two.

    python -m benchmarks.bignet [--synapses 1e9] [--neurons 1e6] [--activity 0.01] [--steps 20] [--threads 1,2]

Synapses are made block by block in 16-bit indices and 8-bit weights, at random targets of all neurons, so that a thousand of one
neuron lie all over memory. A network that does not fit is refused before it is made. Threads take turns in one run, and give the
same bytes. With ``--check`` the same network in 32-bit indices and the loop without blocks must give the same spikes (it takes
9 bytes a synapse more, so at 20 M synapses or so).
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace

import numba
import numpy as np
import numpy.typing as npt

from simulator.base.host_memory import check_memory
from simulator.function import Simulation
from simulator.function.run import recorded_spikes
from simulator.program.blocks import BLOCK, Pointers, n_blocks, of_blocks, place_blocks, pointer_type, rows_of
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

PERIOD = 24  # steps between the spikes of a neuron that its bias drives, about
INPUTS = 64


def network(neurons: int, synapses: int, activity: float, seed: int = 0) -> Program:
    """Make the network.

    Raises:
        InputError: it would not fit the memory.
    """
    blocks, fan_out = n_blocks(neurons), synapses // neurons
    pointer = np.dtype(pointer_type(synapses))
    need = 3 * synapses + pointer.itemsize * blocks * neurons + 40 * neurons
    way_out = f"A machine with {need / 1e9:.1f} GB free holds it; take fewer --synapses"
    check_memory(need, "bignet", f"{neurons:,} neurons and {synapses:,} synapses", way_out)
    ptr: Pointers = np.zeros((blocks, neurons + 1), pointer)
    shares = np.diff(np.minimum(np.arange(blocks + 1) * BLOCK, neurons)) / neurons
    _lengths(ptr, np.cumsum(fan_out * shares), seed)
    place_blocks(ptr)
    indices, weights = np.empty(int(ptr[-1, -1]), np.uint16), np.empty(int(ptr[-1, -1]), np.int8)
    for b in range(blocks):
        _fill(ptr[b], min(BLOCK, neurons - b * BLOCK), seed + b, indices, weights)
    rng = np.random.default_rng(seed)
    driven = rng.random(neurons) < PERIOD * activity
    words = {"bias": np.where(driven, rng.integers(120, 160, neurons), 0) << 6,
             "v_init": np.where(driven, rng.integers(0, 1000, neurons), 0) << 6}  # fmt: skip
    params = {"dv": np.array(512), "vth": np.array(1000 << 6), "strict": np.array(1)} | words
    cells = Population("lif", "lif", neurons, {k: v.astype(np.int32) for k, v in params.items()}, layer=1)
    like = Projection("lif", "lif", "lif", "in", np.zeros(1, np.int64), indices[:0], weights[:0], exponent=6)
    return Program("", "", (cells,), of_blocks(like, ptr, indices, weights), np.zeros(neurons, np.int32))


@numba.njit
def _lengths(ptr: Pointers, share: npt.NDArray[np.float64], seed: int) -> None:
    """Synapses of each row in each block, of the same sum for every row."""
    np.random.seed(seed)  # noqa: NPY002 - numba's own generator inside a kernel
    for row in range(ptr.shape[1] - 1):
        shift, before = np.random.random(), 0  # noqa: NPY002
        for b in range(ptr.shape[0]):
            here = int(share[b] + shift) if b < ptr.shape[0] - 1 else int(share[b] + 0.5)
            ptr[b, row + 1] = here - before
            before = here


@numba.njit
def _fill(
    row_ptr: Pointers, size: int, seed: int, indices: npt.NDArray[np.uint16], weights: npt.NDArray[np.int8]
) -> None:
    """Fill each row with ascending targets, one from each of equal slices, and weights of -20 to 20."""
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
    for row in range(row_ptr.size - 1):
        start, length = row_ptr[row], row_ptr[row + 1] - row_ptr[row]
        for k in range(length):
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            low, high = size * k // length, size * (k + 1) // length
            indices[start + k] = low + np.int64((state & np.uint64(0xFFFFFFFF)) % np.uint64(high - low))
            weights[start + k] = np.int64((state >> np.uint64(40)) % np.uint64(41)) - 20


def synapse_bytes(program: Program) -> tuple[float, float]:
    """Return the memory of a synapse: without and with its share of the row pointers."""
    synapses = sum(q.n_synapses for q in program.projections)
    held = sum(q.indices.nbytes + q.weights.nbytes for q in program.projections)
    pointers = sum(q.indptr.nbytes for q in program.projections)
    return held / synapses, (held + pointers) / synapses


def timed(program: Program, steps: int, threads: int) -> tuple[float, float, int, str]:
    """Wall and CPU seconds, spikes and their hash of a run."""
    inputs = SpikeTrain(np.zeros(steps + 1, np.int64), np.zeros(0, np.int32))
    simulation = Simulation(program, graded_inputs=False, count_active=False, threads=threads)
    simulation.advance(inputs, 1)  # loads the kernels
    simulation.restart()
    wall, cpu = time.perf_counter(), time.process_time()
    simulation.advance(inputs, steps)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    spikes = recorded_spikes(simulation.record)
    return wall, cpu, int(spikes.ids.size), spikes.spike_hash()


def main() -> None:
    """Print memory and speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synapses", type=float, default=2e7)
    parser.add_argument("--neurons", type=float, default=2e5)
    parser.add_argument("--activity", type=float, default=0.01)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    program = network(int(options.neurons), int(options.synapses), options.activity)
    made, synapses = time.perf_counter() - began, sum(q.n_synapses for q in program.projections)
    print(f"{program.n_neurons:,} neurons in one population, {synapses:,} synapses, made in {made:.1f} s")
    print("{:.2f} bytes a synapse, {:.2f} with row pointers".format(*synapse_bytes(program)))
    numbers = [int(n) for n in options.threads.split(",")]
    best = {n: min((timed(program, options.steps, n) for _ in range(3)), key=lambda r: r[0]) for n in numbers}
    for n, (wall, cpu, spikes, digest) in best.items():
        rate, events = options.steps / wall, spikes * synapses / program.n_neurons
        print(
            f"threads {n}: {rate:.1f} steps/s, {cpu / options.steps * 1e3:.1f} ms of CPU a step, "
            f"{spikes / options.steps / program.n_neurons:.2%} active, {wall / events * 1e9:.2f} ns an event, "
            f"{best[numbers[0]][0] / wall:.2f} x, spikes {digest}"
        )
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.2f} GB")
    if options.check:
        ptr, targets = rows_of(program.projections)
        rows = [np.repeat(np.arange(program.n_neurons), np.diff(q.indptr)) for q in program.projections]
        order = np.argsort(np.concatenate(rows), kind="stable")
        weights = np.concatenate([q.weights for q in program.projections])[order]
        whole = replace(program.projections[0], name="whole", indptr=ptr, indices=targets, weights=weights)
        assert timed(replace(program, projections=(whole,)), options.steps, 1)[3] == best[numbers[0]][3]
        print("the same spikes with 32-bit indices")


if __name__ == "__main__":
    main()

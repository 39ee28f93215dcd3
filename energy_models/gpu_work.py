"""Work of a GPU for a network: exact counts of floating-point operations, bytes and kernel launches.

One layer with M inputs, H neurons, P ports, B samples at once, T steps:
forward products 2 P M H B T; backward the same for the weights, and again for the inputs where a layer is below; readout
2 H C B T, backward twice that. Element-wise work: the neuron's operations, forward once, backward twice.
BPTT stores every state word of every step; RTRL stores none of them but its eligibility words.

Kernels of a plain program: the products of all steps are one kernel, unless a layer feeds itself or one below; neurons that
reset take one fused element-wise kernel a step, neurons without a reset a scan over time in ceil(log2 T) rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from energy_models.learning import eligibility_words
from simulator.base.errors import InputError
from simulator.neurons import base
from simulator.program.graph import Projection
from simulator.program.program import Program

Mode = Literal["inference", "bptt", "rtrl"]
Schedule = Literal["sequential", "scan"]
FLOAT_BYTES = 4
BOUND_BYTES = 2  # of a word in the fused bound: 16 bits, as the tensor units' peak is for


@dataclass(frozen=True)
class LayerShape:
    """One layer as a GPU sees it.

    Attributes:
        n_in, n_out: M, H.
        ports: dense matrices of M x H (BIM-D diag: 3, plain LIF: 1).
        neuron_flops: element-wise operations of one neuron update; 0: no kernel.
        state_words: words that a step's backward pass needs (states and ports).
        trains_inputs: a trained layer is below, so the error goes on to its outputs.
        eligibility_words: RTRL words a synapse triple.
        recurrent: the inputs come from this layer or one above, so that each step needs its own product.
        parallel: no state depends on the layer's own spikes, so that a scan computes all steps.
        external: the inputs come from outside the network.
    """

    n_in: int
    n_out: int
    ports: int = 1
    neuron_flops: int = 10
    state_words: int = 5
    trains_inputs: bool = False
    eligibility_words: int = 0
    recurrent: bool = False
    parallel: bool = False
    external: bool = False

    @property
    def weights(self) -> int:
        """Weights of the layer."""
        return self.ports * self.n_in * self.n_out


@dataclass(frozen=True)
class Workload:
    """A network on sequences: layers in order (the readout last), T steps a sample.

    `schedule` is what the neurons allow: ``scan`` where no state depends on a spike of its own layer or of one above.
    """

    layers: tuple[LayerShape, ...]
    steps: int
    schedule: Schedule = "sequential"

    @property
    def parameters(self) -> int:
        """Weights (biases are counted with the neurons' words)."""
        return sum(la.weights for la in self.layers)

    @property
    def inputs(self) -> int:
        """Input channels: those of the layers that are driven from outside, of the first layer if none says so."""
        return sum(la.n_in for la in self.layers if la.external) or self.layers[0].n_in


@dataclass(frozen=True)
class GpuWork:
    """Exact counts of one batch.

    Attributes:
        matmul_flops: floating point operations in matrix products (what torch's flop counter counts).
        pointwise_flops: element-wise operations.
        bytes_moved: traffic of a program whose states go through memory at every step.
        least_bytes: traffic that no program can avoid: weights, inputs, outputs (training: weights written too), 16 bits each.
        stored_bytes: activations (BPTT) or eligibility words (RTRL) held.
        launches: kernels of a plain program.
    """

    matmul_flops: int
    pointwise_flops: int
    bytes_moved: int
    least_bytes: int
    stored_bytes: int
    launches: int


def gpu_work(workload: Workload, mode: Mode, batch: int = 1, schedule: Schedule | None = None) -> GpuWork:
    """Count the work of one batch (equations above).

    Args:
        workload: the network.
        mode: inference, bptt or rtrl.
        batch: B.
        schedule: ``sequential`` (T steps one after another, as reset and threshold demand), or ``scan`` (every layer as a
            parallel scan over time: the bound of what a scan could save); None: that of the workload.

    Raises:
        InputError: no layers, no steps, or a batch below 1.
    """
    schedule = schedule or workload.schedule
    if batch < 1 or workload.steps < 1 or not workload.layers:
        raise InputError(
            "GPU estimate", f"got batch {batch}, {workload.steps} steps, {len(workload.layers)} layers", "Use >= 1"
        )
    samples = batch * workload.steps
    forward = sum(2 * la.weights for la in workload.layers) * samples
    pointwise = sum(la.neuron_flops * la.n_out for la in workload.layers) * samples
    words = sum((la.state_words + la.ports) * la.n_out + la.n_in for la in workload.layers)
    weights, io = FLOAT_BYTES * workload.parameters, FLOAT_BYTES * words * samples
    ends = BOUND_BYTES * (workload.inputs + workload.layers[-1].n_out) * samples
    least = BOUND_BYTES * workload.parameters * (1 if mode == "inference" else 2) + ends
    launches = _launches(workload, mode, schedule)
    if mode == "inference":
        return GpuWork(forward, pointwise, weights + io, least, 0, launches)
    inputs = sum(2 * la.weights for la in workload.layers if la.trains_inputs) * samples
    if mode == "bptt":
        return GpuWork(2 * forward + inputs, 3 * pointwise, 4 * weights + 3 * io, least, io, launches)
    traces = sum(la.eligibility_words * la.n_in * la.n_out for la in workload.layers) * batch
    held = FLOAT_BYTES * traces
    moved = 4 * weights + io + 2 * held * workload.steps
    return GpuWork(2 * forward + inputs, pointwise + 4 * traces * workload.steps, moved, least, held, launches)


def _launches(workload: Workload, mode: Mode, schedule: Schedule) -> int:
    """Count kernels of one batch: products, element-wise work, the backward pass, one update."""
    steps, rounds = workload.steps, max(1, math.ceil(math.log2(workload.steps)))
    total = 0
    for la in workload.layers:
        product = steps if schedule == "sequential" and (la.recurrent or mode == "rtrl") else 1
        update = rounds if schedule == "scan" or la.parallel else steps
        update = update if la.neuron_flops else 0
        total += product + update
        if mode == "bptt":
            total += product * (1 + la.trains_inputs) + update
        elif mode == "rtrl":
            total += product * (1 + la.trains_inputs) + (steps if la.eligibility_words else 0)
    return total + (mode != "inference")


def workload_of(program: Program, steps: int) -> Workload:
    """Build what a GPU would compute for a program: one `LayerShape` for each pair of populations that are connected.

    Pruned synapses count as zeros of a dense matrix, as GPUs compute them; what goes from neuron to neuron, one to one, is one
    product a neuron. The first pair of a population carries its neurons' operations. How a chip stores a matrix is not charged:
    one that is split by the delays of its sources is one product of delayed inputs, and one that several sources share (a
    residual stack) is one product of their sum.
    """
    layers, depth = [], {p.name: p.layer for p in program.populations}
    for target in program.populations:
        incoming = [q for q in program.projections if q.target == target.name]
        model = base.get(target.model)
        sources = list(dict.fromkeys(q.source for q in incoming))
        seen: set[tuple[object, ...]] = set()
        for k, source in enumerate(sources):
            below, into = program.population(source), [q for q in incoming if q.source == source]
            single, own = all(map(_one_to_one, into)), _identity(into) if len(sources) > 1 else ()
            shared = own in seen
            seen.add(own)
            layers.append(
                LayerShape(
                    n_in=1 if single else below.size,
                    n_out=target.size,
                    ports=0 if shared else len(into) if single else _matrices(into, below.size),
                    neuron_flops=0 if k else model.ops.mul + model.ops.add + model.ops.lut,
                    state_words=0 if k else max(1, model.ops.state_write),
                    trains_inputs=below.role != "input",
                    eligibility_words=0 if shared else eligibility_words(target.model),
                    recurrent=depth[source] >= depth[target.name],
                    parallel=model.parallel,
                    external=below.role == "input",
                )
            )
    return Workload(tuple(layers), steps, "scan" if _parallel(program) else "sequential")


def _identity(projections: list[Projection]) -> tuple[object, ...]:
    """Return what tells matrices from others: ports and weights, in the order of the delays."""
    ordered = sorted(projections, key=lambda q: (q.port, q.delay))
    return tuple((q.port, q.indptr.tobytes(), q.indices.tobytes(), q.weights.tobytes()) for q in ordered)


def _matrices(projections: list[Projection], n_in: int) -> int:
    """Return the dense matrices of one source: one a port, more where a port reads the same sources at several delays."""
    by_port: dict[str, list[Projection]] = {}
    for q in projections:
        by_port.setdefault(q.port, []).append(q)
    return sum(max(1, math.ceil(sum(map(_rows_in_use, qs)) / n_in)) if len(qs) > 1 else 1 for qs in by_port.values())


def _rows_in_use(q: Projection) -> int:
    """Return how many sources have a synapse that is not 0."""
    if q.layout == "conv":
        return q.indptr.size - 1
    return int(np.unique(np.repeat(np.arange(q.indptr.size - 1), np.diff(q.indptr))[q.weights != 0]).size)


def _one_to_one(q: Projection) -> bool:
    return q.n_synapses > 1 and bool((np.diff(q.indptr) <= 1).all()) and np.unique(q.indices).size == q.n_synapses


def _parallel(program: Program) -> bool:
    neurons = [p for p in program.populations if p.role != "input"]
    layer = {p.name: p.layer for p in program.populations}
    forward = all(layer[q.source] < layer[q.target] for q in program.projections)
    return forward and all(base.get(p.model).parallel for p in neurons)

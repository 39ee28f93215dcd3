"""What the same network costs on a GPU: BPTT training, RTRL training and inference, from exact counts.

Optimistic bound:   t = max(FLOP / peak, bytes / bandwidth),          E = t x board power at full load
Realistic case:     t = max(t_optimistic / efficiency, launches x launch time), E = t x board power under that load

Counts of one layer (M inputs, H neurons, P ports, B samples at once, T steps):
forward products 2 P M H B T; backward the same for the weights, and again for the inputs where a layer is below; readout
2 H C B T, backward twice that. Element-wise work: the neuron's operations, forward once, backward twice.
BPTT stores every state word of every step; RTRL stores none of them but its eligibility words.
Nothing here was measured: the figures of the cards and the assumptions are printed with the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from energy_models.gpu_card import GpuCard
from energy_models.learning import eligibility_words
from simulator.base.errors import InputError
from simulator.neurons import base
from simulator.program.graph import Projection
from simulator.program.program import Program

Mode = Literal["inference", "bptt", "rtrl"]
Schedule = Literal["sequential", "scan"]
FLOAT_BYTES = 4
FUSED_KERNELS = 2  # one product and one fused element-wise kernel a layer and step


@dataclass(frozen=True)
class LayerShape:
    """One layer as a GPU sees it.

    Attributes:
        n_in, n_out: M, H.
        ports: dense matrices of M x H (BIM-D diag: 3, plain LIF: 1).
        neuron_flops: element-wise operations of one neuron update.
        state_words: words that a step's backward pass needs (states and ports).
        trains_inputs: a trained layer is below, so the error goes on to its outputs.
        eligibility_words: RTRL words a synapse triple.
    """

    n_in: int
    n_out: int
    ports: int = 1
    neuron_flops: int = 10
    state_words: int = 5
    trains_inputs: bool = False
    eligibility_words: int = 0


@dataclass(frozen=True)
class Workload:
    """A network on sequences: layers in order (the readout last, with neuron_flops 0), T steps a sample.

    `schedule` is what the neurons allow: ``scan`` where no state depends on a spike of its own layer or of one above.
    """

    layers: tuple[LayerShape, ...]
    steps: int
    schedule: Schedule = "sequential"

    @property
    def parameters(self) -> int:
        """Weights (biases are counted with the neurons' words)."""
        return sum(la.ports * la.n_in * la.n_out for la in self.layers)


@dataclass(frozen=True)
class GpuWork:
    """Exact counts of one batch.

    Attributes:
        matmul_flops: floating point operations in matrix products (what torch's flop counter counts).
        pointwise_flops: element-wise operations.
        bytes_moved: least traffic to and from memory.
        stored_bytes: activations (BPTT) or eligibility words (RTRL) held.
        launches: kernels.
    """

    matmul_flops: int
    pointwise_flops: int
    bytes_moved: int
    stored_bytes: int
    launches: int


@dataclass(frozen=True)
class GpuCost:
    """Energy of one sample on a card; optimistic bound and realistic case apart."""

    gpu: str
    mode: Mode
    schedule: Schedule
    batch: int
    work: GpuWork
    optimistic_us: float
    optimistic_uj: float
    realistic_us: float
    realistic_uj: float
    idle_uj: float
    assumptions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON; times and energies are per sample."""
        from dataclasses import asdict

        return asdict(self)


def gpu_work(workload: Workload, mode: Mode, batch: int = 1, schedule: Schedule | None = None) -> GpuWork:
    """Exact counts of one batch (equations above).

    Args:
        workload: the network.
        mode: inference, bptt or rtrl.
        batch: B.
        schedule: ``sequential`` (T steps one after another, as reset and threshold demand), or ``scan`` (a parallel
            scan over time in ceil(log2 T) rounds: only for layers without a reset; the bound of what a scan could save);
            None: that of the workload.
    """
    schedule = schedule or workload.schedule
    if batch < 1 or workload.steps < 1 or not workload.layers:
        raise InputError(
            "GPU estimate", f"got batch {batch}, {workload.steps} steps, {len(workload.layers)} layers", "Use >= 1"
        )
    samples = batch * workload.steps
    forward = sum(2 * la.ports * la.n_in * la.n_out for la in workload.layers) * samples
    pointwise = sum(la.neuron_flops * la.n_out for la in workload.layers) * samples
    words = sum((la.state_words + la.ports) * la.n_out + la.n_in for la in workload.layers)
    weights = FLOAT_BYTES * workload.parameters
    io = FLOAT_BYTES * words * samples
    rounds = workload.steps if schedule == "sequential" else max(1, math.ceil(math.log2(workload.steps)))
    launches = FUSED_KERNELS * len(workload.layers) * rounds
    if mode == "inference":
        return GpuWork(forward, pointwise, weights + io, 0, launches)
    inputs = sum(2 * la.ports * la.n_in * la.n_out for la in workload.layers if la.trains_inputs) * samples
    if mode == "bptt":
        return GpuWork(2 * forward + inputs, 3 * pointwise, 4 * weights + 3 * io, io, 3 * launches)
    traces = sum(la.eligibility_words * la.n_in * la.n_out for la in workload.layers) * batch
    held = FLOAT_BYTES * traces
    return GpuWork(
        forward + inputs + sum(2 * la.ports * la.n_in * la.n_out for la in workload.layers) * samples,
        pointwise + 4 * traces * workload.steps,
        4 * weights + io + 2 * held * workload.steps,
        held,
        2 * launches,
    )


def fits_memory(work: GpuWork, workload: Workload, gpu: GpuCard) -> bool:
    """Whether what a batch holds, and the weights, fit the card's memory."""
    return work.stored_bytes + FLOAT_BYTES * workload.parameters <= gpu.number("memory_gb") * 1e9


def gpu_cost(workload: Workload, gpu: GpuCard, mode: Mode, batch: int = 1, schedule: Schedule | None = None) -> GpuCost:
    """Time and energy of one sample on a card (equations at the top of this module).

    Raises:
        InputError: a figure of the card is unknown, or the batch does not fit its memory.
    """
    schedule = schedule or workload.schedule
    work = gpu_work(workload, mode, batch, schedule)
    if not fits_memory(work, workload, gpu):
        raise InputError(
            f"GPU {gpu.name!r}",
            f"needs {work.stored_bytes / 1e9:.1f} GB for a batch of {batch}, and has {gpu.number('memory_gb'):g} GB",
            "Use a smaller batch, or shorter samples",
        )
    compute_s = work.matmul_flops / (gpu.number("tensor_tflops") * 1e12)
    compute_s += work.pointwise_flops / (gpu.number("fp32_tflops") * 1e12)
    best_s = max(compute_s, work.bytes_moved / (gpu.number("bandwidth_gb_s") * 1e9))
    busy_s = best_s / gpu.number("efficiency")
    real_s = max(busy_s, work.launches * gpu.number("launch_us") * 1e-6)
    full, low, load = gpu.number("board_power_w"), gpu.number("low_load_w"), busy_s / real_s
    power = low + (full - low) * load
    return GpuCost(
        gpu=gpu.name,
        mode=mode,
        schedule=schedule,
        batch=batch,
        work=work,
        optimistic_us=best_s * 1e6 / batch,
        optimistic_uj=best_s * full * 1e6 / batch,
        realistic_us=real_s * 1e6 / batch,
        realistic_uj=real_s * power * 1e6 / batch,
        idle_uj=real_s * gpu.number("idle_w") * 1e6 / batch,
        assumptions=_assumptions(gpu, mode, batch, schedule, workload.schedule),
    )


def _assumptions(gpu: GpuCard, mode: Mode, batch: int, schedule: Schedule, allowed: Schedule) -> tuple[str, ...]:
    weak = sorted(n for n in gpu.__struct_fields__[2:] if getattr(gpu, n).quality in ("assumed", "unverified"))
    lines = [
        f"{gpu.title}, {mode}, batch {batch}, {schedule}: an estimate from exact counts, nothing was measured",
        "optimistic: peak rates of both units and the memory, board power at full load, no launch overhead",
        f"realistic: {gpu.efficiency.value:g} of the peak, {FUSED_KERNELS} kernels a layer and step of "
        f"{gpu.launch_us.value:g} us each, board power between low and full load by how busy it is",
        f"unverified or assumed figures of the card: {', '.join(weak)}",
    ]
    if schedule == "scan" and allowed == "scan":
        lines.append(
            "scan: no state depends on the spikes of its own layer, so all steps are computed in log2 T rounds"
        )
    elif schedule == "scan":
        lines.append(
            "scan: kernels of a parallel scan over time, which a reset or a threshold does not allow: a bound only"
        )
    if mode == "bptt":
        lines.append(
            "BPTT: one forward and one backward pass over all steps; recomputation and the optimiser's state left out"
        )
    if mode == "rtrl":
        lines.append("RTRL: eligibility words read and written in every step, 4 operations a word")
    return tuple(lines)


def workload_of(program: Program, steps: int) -> Workload:
    """What a GPU would compute for a program: one `LayerShape` for each pair of populations that are connected.

    Pruned synapses count as zeros of a dense matrix, as GPUs compute them; what goes from neuron to neuron, one to one, is one
    product a neuron. The first pair of a population carries its neurons' operations.
    """
    layers = []
    for target in program.populations:
        incoming = [q for q in program.projections if q.target == target.name]
        ops = base.get(target.model).ops
        for k, source in enumerate(dict.fromkeys(q.source for q in incoming)):
            below = program.population(source)
            layers.append(
                LayerShape(
                    n_in=1 if all(_one_to_one(q) for q in incoming if q.source == source) else below.size,
                    n_out=target.size,
                    ports=sum(q.source == source for q in incoming),
                    neuron_flops=0 if k else ops.mul + ops.add + ops.lut,
                    state_words=0 if k else max(1, ops.state_write),
                    trains_inputs=below.role != "input",
                    eligibility_words=eligibility_words(target.model),
                )
            )
    return Workload(tuple(layers), steps, "scan" if _parallel(program) else "sequential")


def _one_to_one(q: Projection) -> bool:
    return q.n_synapses > 1 and bool((np.diff(q.indptr) <= 1).all()) and np.unique(q.indices).size == q.n_synapses


def _parallel(program: Program) -> bool:
    neurons = [p for p in program.populations if p.role != "input"]
    layer = {p.name: p.layer for p in program.populations}
    forward = all(layer[q.source] < layer[q.target] for q in program.projections)
    return forward and all(base.get(p.model).parallel for p in neurons)

"""Cost of the same network on a GPU: inference, BPTT and RTRL in three cases, named by what runs.

    fused   t = max(products / tensor peak + element-wise / (2 x fp32 peak), least bytes / bandwidth)
            one persistent kernel, states on chip, no launch, peak rates of 16-bit words: no program is faster
    graph   t = max(launch + T x step, fused at fp32 with all state traffic / efficiency)
            a CUDA graph or a fused scan: launched once, its T steps wait for one another (low: a scan keeps states on chip)
    eager   t = max(launches x launch, the same)
            a framework's kernels one after another

    E = t x power;   fused: power at full load (nominal and high), idle power (low: a bound whatever the card draws)
                     others: low load + (full - low load) x share of t in which the units are busy

Low and high take every figure of the card at the end of its stated range that makes the energy least and most. No figure of a
card was measured here. docs/gpu.md shows the arithmetic.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from energy_models.gpu_card import GpuCard
from energy_models.gpu_work import FLOAT_BYTES, GpuWork, LayerShape, Mode, Schedule, Workload, gpu_work, workload_of
from simulator.base.errors import InputError
from simulator.base.shown import Shown

__all__ = [
    "BATCHES", "CASES", "MODES", "Case", "End", "GpuCost", "GpuWork", "LayerShape", "Mode", "Schedule", "Workload", "best_batch",
    "cost_of_work", "fits_memory", "gpu_cost", "gpu_work", "workload_of",
]  # fmt: skip

Case = Literal["fused", "graph", "eager"]
CASES: tuple[Case, ...] = ("fused", "graph", "eager")
MODES: tuple[Mode, ...] = ("inference", "bptt", "rtrl")
BATCHES = (1, 32, 256, 4096)
MOST_BATCH = 1 << 20  # of the search for the best one
PACKED = 2.0  # element-wise rate of packed 16-bit words over that of fp32
End = Literal["low", "value", "high"]


WORD = "assumed"  # of every figure: an estimate from exact counts, by a card's peak rates and assumed times of launch


@dataclass(frozen=True, repr=False)
class GpuCost(Shown):
    """Time and energy of one sample on a card.

    Attributes:
        gpu: card; mode: what is computed; case: what runs; schedule: how it goes over time; batch: samples at once.
        work: exact counts of the batch.
        low_us, us, high_us: time of the batch over its samples.
        low_uj, uj, high_uj: energy of a sample, whole board.
        idle_uj: what an idle card draws in that time.
        host_uj: share of the computer around the card, None where the card's file does not know it.
        assumptions: what the figures take for granted.
    """

    gpu: str
    mode: Mode
    case: Case
    schedule: Schedule
    batch: int
    work: GpuWork
    low_us: float
    us: float
    high_us: float
    low_uj: float
    uj: float
    high_uj: float
    idle_uj: float
    host_uj: float | None
    assumptions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON; times and energies are per sample."""
        return asdict(self) | {"word": WORD}


def fits_memory(work: GpuWork, workload: Workload, gpu: GpuCard) -> bool:
    """Return whether what a batch holds, and the weights, fit the card's memory."""
    return work.stored_bytes + FLOAT_BYTES * workload.parameters <= gpu.number("memory_gb") * 1e9


def gpu_cost(
    workload: Workload, gpu: GpuCard, mode: Mode, batch: int = 1, schedule: Schedule | None = None, case: Case = "eager"
) -> GpuCost:
    """Compute time and energy of one sample on a card (equations at the top of this module).

    Args:
        workload: the network and its steps.
        gpu: the card.
        mode: inference, bptt or rtrl.
        batch: samples at once.
        schedule: see `gpu_work`.
        case: what runs.

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
    rounds = workload.steps if schedule == "sequential" else (workload.steps - 1).bit_length() or 1
    return cost_of_work(work, gpu, mode, batch, schedule, case, rounds, workload.schedule)


def cost_of_work(
    work: GpuWork, gpu: GpuCard, mode: Mode, batch: int, schedule: Schedule, case: Case, rounds: int, allowed: Schedule
) -> GpuCost:
    """Compute time and energy of one sample from the counts of its batch.

    Args:
        work: counts of the batch.
        gpu, mode, batch, schedule, case: as in `gpu_cost`.
        rounds: kernels of a graph that wait for one another.
        allowed: schedule that the network allows.
    """
    low, nominal, high = (_point(work, gpu, case, rounds, end) for end in ("low", "value", "high"))
    micro = 1e6 / batch
    host = gpu.host_w.value if gpu.host_w is not None else None
    return GpuCost(
        gpu=gpu.name, mode=mode, case=case, schedule=schedule, batch=batch, work=work,
        low_us=low[0] * micro, us=nominal[0] * micro, high_us=high[0] * micro,
        low_uj=low[1] * micro, uj=nominal[1] * micro, high_uj=high[1] * micro,
        idle_uj=nominal[0] * gpu.number("idle_w") * micro,
        host_uj=None if host is None else nominal[0] * host * micro,
        assumptions=_assumptions(gpu, mode, case, schedule, allowed),
    )  # fmt: skip


def _point(work: GpuWork, gpu: GpuCard, case: Case, rounds: int, end: End) -> tuple[float, float]:
    """Return (seconds, joules) of a batch with the card's figures at one end of their ranges."""
    other: End = {"low": "high", "value": "value", "high": "low"}[end]  # type: ignore[assignment]
    tensor, plain = gpu.number("tensor_tflops") * 1e12, gpu.number("fp32_tflops") * 1e12
    wire, full = gpu.number("bandwidth_gb_s") * 1e9, gpu.number("board_power_w")
    if case == "fused":
        seconds = max(work.matmul_flops / tensor + work.pointwise_flops / (PACKED * plain), work.least_bytes / wire)
        return seconds, seconds * (gpu.at("idle_w", "low") if end == "low" else full)
    scan = case == "graph" and end == "low"  # a fused scan keeps states on chip
    moved = 2 * work.least_bytes if scan else work.bytes_moved
    busy = max(work.matmul_flops / tensor + work.pointwise_flops / plain, moved / wire)
    busy /= gpu.at("efficiency", other)
    launch = gpu.at("launch_us", end) * 1e-6
    waits = launch + rounds * gpu.at("step_us", end) * 1e-6 if case == "graph" else work.launches * launch
    seconds = max(busy, waits)
    idle = gpu.at("low_load_w", end)
    return seconds, seconds * (idle + (full - idle) * busy / seconds)


def best_batch(workload: Workload, gpu: GpuCard, mode: Mode, case: Case, schedule: Schedule | None = None) -> int:
    """Return the power of two, up to `MOST_BATCH` and the card's memory, at which a sample costs least energy."""
    best, least, batch = 1, float("inf"), 1
    while batch <= MOST_BATCH and fits_memory(gpu_work(workload, mode, batch, schedule), workload, gpu):
        energy = gpu_cost(workload, gpu, mode, batch, schedule, case).uj
        if energy < least * 0.999:  # what is gained beyond is rounding
            best, least = batch, energy
        batch *= 2
    return best


_CASES = {
    "fused": "fused bound: one kernel, states on chip, weights, inputs and outputs once through memory, peak rates of 16 bits; "
    "full power (low: idle power)",
    "graph": "graph: one launch, every step waits for the one before ({step:g} us), states through memory, {eff:g} of the peak",
    "eager": "eager: {launch:g} us from kernel to kernel, products of all steps in one kernel where nothing feeds back, one "
    "fused element-wise kernel a step and layer that resets (eager frameworks launch more), {eff:g} of the peak",
}


def _assumptions(gpu: GpuCard, mode: Mode, case: Case, schedule: Schedule, allowed: Schedule) -> tuple[str, ...]:
    weak = sorted(n for n, q in gpu.figures() if q.quality in ("assumed", "unverified"))
    values = {"step": gpu.step_us.value, "eff": gpu.efficiency.value, "launch": gpu.launch_us.value}
    lines = [
        f"{gpu.title}: an estimate from exact counts, nothing was measured",
        _CASES[case].format(**values),
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
        lines.append("RTRL: eligibility words read and written in every step, 4 operations a word; fused: held on chip")
    return tuple(lines)

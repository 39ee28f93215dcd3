"""Quartz on Loihi 1: an MNIST CNN in time-to-first-spike code, rebuilt from its description and run through the counters.

conv6k5 - pool2 - conv12k5 - pool2 - conv120k4 - fc10 on 28 x 28 pixels: 5,410 neurons and 230,064 synapses on 11 cores.
Layer l works in the window of steps [l t_max, (l + 1) t_max); a neuron spikes once in its window, by its value, and once
more when the code's counter-spike ends the integration of the layer above. Values are not published: first spikes are
spread evenly over the window (their number, and so the energy, does not depend on it).

    step time = time of the cores + (time that the x86 core works on a sample) / steps

The x86 core feeds a sample's input in the management phase between two steps, while the neuro-cores wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from bimhw.evidence.silicon.judge import LINE, DataSet, Row, number, positive
from bimhw.runs.execute import time_run
from bimhw.runs.request import How
from energy_models.chip_energy import chip_energy
from simulator.base.arrays import I32, I64
from simulator.chips.chip import Chip
from simulator.function.counting import Counter, Tally
from simulator.neurons import base
from simulator.program.graph import Population, Projection
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain

COLUMNS = ("core_dyn_uJ_per_sample", "core_dyn_uJ_per_step", "core_dynamic_mW", "us_per_timestep")
CORES = 11
SPIKES = 2  # a neuron and sample: the first spike and the code's own second one
STORED_X86_US = 3699.2  # a sample: 82.183 % of 51 x 96.041 us and 68.469 % of 171 x 28.81 us, their mean
MOST_LOG2 = 12
CORE_BOUND_LOG2 = 7  # shorter codes wait for the host: 4.9 ms a sample whatever their length
_MODEL = "if"
# (C, H, W) of the output, kernel, stride, layout
_LAYERS = (
    ((6, 24, 24), 5, 1, "conv"),
    ((6, 12, 12), 2, 2, "conv"),
    ((12, 8, 8), 5, 1, "conv"),
    ((12, 4, 4), 2, 2, "conv"),
    ((120, 1, 1), 4, 1, "conv"),
    ((10, 1, 1), 1, 1, "dense"),
)


def recognises(columns: set[str]) -> bool:
    """Return whether a table of these columns is one of code lengths, with something measured in it."""
    return "t_max_log2" in columns and not columns.isdisjoint(COLUMNS)


def predict(name: str, rows: Sequence[Mapping[str, str]], chip: Chip) -> DataSet:
    """Predict core energy per sample and step time of each row; rows without code length or steps are named."""
    out: list[Row] = []
    gaps: list[str] = []
    x86_us, how = x86_time_us(rows)
    for row in rows:
        exponent, steps = number(row, "t_max_log2"), steps_of(row)
        joules, time = energy_uj_of(row), number(row, "us_per_timestep")
        if exponent is not None and exponent > MOST_LOG2:
            place = row.get(LINE, "a row")
            gaps.append(
                f"{place} is left out: t_max_log2 is {exponent:g}; codes of up to 2^{MOST_LOG2} steps are known"
            )
            continue
        coded = exponent is not None and exponent >= 1 and exponent == round(exponent)
        if exponent is None or not coded or steps is None or steps < SPIKES or not (joules or time):
            gaps.append(
                f"{row.get(LINE, 'a row')} is left out: no code length (a power of 2), no steps of a sample, or nothing measured"
            )
            continue
        energy_uj, core_us = sample(chip, 2 ** round(exponent), steps)
        label = f"t_max 2^{exponent:g}"
        if joules:
            out.append(Row(label, "dynamic energy", "uJ/sample", joules, energy_uj))
        if time and core_us is not None:
            judges = exponent >= CORE_BOUND_LOG2
            whole = core_us + (x86_us / steps if judges else 0.0)
            out.append(Row(label, "step time", "us/step", time, whole, excluded="" if judges else _HOST, core=core_us))
    return DataSet(name, "quartz", chip.name, tuple(out), (how,), (*_ASSUMPTIONS, *gaps))


def steps_of(row: Mapping[str, str]) -> int | None:
    """Return the steps of a sample, as the row states them or as its latency over the time of a step."""
    steps = number(row, "steps_per_sample")
    latency_ms, us = number(row, "latency_ms_per_sample"), number(row, "us_per_timestep")
    if not steps and latency_ms and us:
        steps = latency_ms * 1e3 / us
    return round(steps) if steps else None


def energy_uj_of(row: Mapping[str, str]) -> float | None:
    """Return the cores' dynamic energy per sample [uJ]: as the row states, or from that of a step, or from power and time."""
    joules, steps = positive(row, "core_dyn_uJ_per_sample"), steps_of(row)
    step_uj, mw = (positive(row, c) for c in ("core_dyn_uJ_per_step", "core_dynamic_mW"))
    us = number(row, "us_per_timestep")
    if not joules and steps:
        joules = steps * step_uj if step_uj else steps * mw * us / 1e3 if mw and us else None
    return joules or None


def x86_time_us(rows: Sequence[Mapping[str, str]]) -> tuple[float, str]:
    """Time [us] of a sample in which the x86 core works, and how it is known.

    It is the mean of lmt_active_ratio x us_per_timestep x steps_per_sample over the host-bound rows, which judge no time; the
    stored one where a file has none of these.
    """
    found = []
    for row in rows:
        exponent, ratio, us = (number(row, c) for c in ("t_max_log2", "lmt_active_ratio", "us_per_timestep"))
        steps = steps_of(row)
        if exponent is not None and ratio and us and steps and exponent < CORE_BOUND_LOG2:
            found.append(ratio * us * steps)
    if not found:
        return STORED_X86_US, f"x86 time per sample: {STORED_X86_US:.0f} us (stored: {_STORED})"
    mean = sum(found) / len(found)
    others = [(sum(found) - x) / (len(found) - 1) for x in found] if len(found) > 1 else []
    error = sum(abs(o - x) / x for o, x in zip(others, found, strict=True)) / len(found) if others else None
    left = "one row only" if error is None else f"leave-one-out error {100 * error:.1f} %"
    return (
        mean,
        f"x86 time per sample: {mean:.0f} us (measured on the {len(found)} host-bound rows of this file; {left})",
    )


_STORED = "mean of the published rows of 2^3 and 2^5 steps, leave-one-out error 17.8 %"
_HOST = "host-bound: the x86 core sets the pace of short codes; only the cores' time is shown"
_ASSUMPTIONS = (
    "one degree of freedom: spikes per neuron and sample, from the code's description; 1 or 3 would give other energies",
    f"{SPIKES} spikes per neuron and sample (the first, and the code's second); no energy was fitted on this set",
    "convolution and pooling layers use the chip's convolution format, and the last layer uses its dense format",
    f"5,410 neurons fill {CORES} cores of equal size in logical order; the 784 pixels come from the host",
    "the x86 core sends the input between the cores' steps, so its time per sample is added",
    "only codes of 2^7 steps or more are core-bound, so only they judge the step time",
)


def sample(chip: Chip, t_max: int, steps: int) -> tuple[float, float | None]:
    """Predict the cores' dynamic energy [uJ] of a sample, and the mean step time [us] (None on a chip without times)."""
    program = network(chip)
    spikes = spike_train(program, t_max, steps)
    n = program.n_neurons
    zero = np.zeros(steps, np.int64)
    still = Tally(np.zeros(n, np.int64), zero, np.zeros(n, np.int64), zero)
    activity = Counter(program, chip.topology).activity(spikes, still)
    report = chip_energy(activity, chip, program)
    time, _ = time_run(program, chip, spikes, How())
    step_us = None if time is None else time.sim_time_ns / 1e3 / steps
    return report.energy_pj("dynamic") / 1e6, step_us


def network(chip: Chip) -> Program:
    """Return the network, mapped, without weights of meaning (only who meets whom counts)."""
    populations = [Population("pixels", "input", 784, role="input", shape=(1, 28, 28))]
    projections = []
    port = base.get(_MODEL).ports[0]
    shape: tuple[int, int, int] = (1, 28, 28)
    for k, (out, kernel, stride, layout) in enumerate(_LAYERS):
        name = f"layer{k + 1}"
        # all hidden: the readout by the host is not part of the cores' energy
        size, threshold = int(np.prod(out)), {"vth": np.asarray(1, np.int32)}
        populations.append(Population(name, _MODEL, size, threshold, layer=k + 1, role="hidden", shape=out))
        indptr, indices = connections(shape, out, kernel, stride)
        weights = np.ones(indices.size, np.int8)
        projections.append(
            Projection(f"to_{name}", populations[-2].name, name, port, indptr, indices, weights, layout=layout)  # type: ignore[arg-type]
        )
        shape = out
    neurons = sum(p.size for p in populations[1:])
    core = np.concatenate([np.full(784, HOST), np.arange(neurons) * CORES // neurons]).astype(np.int32)
    return Program(chip.name, chip.sha256(), tuple(populations), tuple(projections), core)


def connections(
    source: tuple[int, int, int], target: tuple[int, int, int], kernel: int, stride: int
) -> tuple[I64, I32]:
    """Connect a convolution (all channels to all) or, with stride = kernel, a pooling (channel to channel): CSR by source."""
    pairs = _pairs(source, target, kernel, stride)
    indptr = np.zeros(int(np.prod(source)) + 1, np.int64)
    np.cumsum(np.bincount(pairs[:, 0], minlength=indptr.size - 1), out=indptr[1:])
    return indptr, pairs[:, 1].astype(np.int32)


@cache
def _pairs(source: tuple[int, int, int], target: tuple[int, int, int], kernel: int, stride: int) -> I64:
    (c0, h0, w0), (c1, h1, w1) = source, target
    pooling = stride == kernel and c0 == c1 and kernel > 1
    co, y, x, ci, dy, dx = np.meshgrid(
        np.arange(c1), np.arange(h1), np.arange(w1), np.arange(1 if pooling else c0), np.arange(kernel), np.arange(kernel),
        indexing="ij",
    )  # fmt: skip
    channel = co if pooling else ci
    sources = (channel * h0 + y * stride + dy) * w0 + x * stride + dx
    targets = (co * h1 + y) * w1 + x
    flat = np.stack([sources.ravel(), targets.ravel()], axis=1).astype(np.int64)
    ordered: I64 = flat[np.lexsort((flat[:, 1], flat[:, 0]))]
    return ordered


def spike_train(program: Program, t_max: int, steps: int) -> SpikeTrain:
    """Make `SPIKES` spikes of every neuron and pixel: the first spread over its layer's window, the next a window later."""
    step, ids, first = [], [], 0
    for layer, p in enumerate(program.populations):
        spread = np.arange(p.size) * t_max // p.size
        for k in range(SPIKES):
            step.append(np.minimum((layer + k) * t_max + spread, steps - 1))
            ids.append(np.arange(first, first + p.size))
        first += p.size
    when, who = np.concatenate(step), np.concatenate(ids)
    pairs = np.unique(np.stack([when, who], axis=1), axis=0)
    if pairs.shape[0] < when.size:  # the last steps hold both spikes of a neuron: give the first one an earlier step
        pairs = _apart(when, who, steps)
    ptr = np.zeros(steps + 1, np.int64)
    np.cumsum(np.bincount(pairs[:, 0], minlength=steps), out=ptr[1:])
    return SpikeTrain(ptr, pairs[:, 1].astype(np.int32), None)


def _apart(when: I64, who: I64, steps: int) -> I64:
    """Move pairs (step, neuron) apart: a neuron's k-th last spike is at least k steps before the end."""
    order = np.lexsort((when, who))
    when, who = when[order].copy(), who[order]
    for i in range(when.size - 1, 0, -1):
        if who[i - 1] == who[i] and when[i - 1] >= when[i]:
            when[i - 1] = when[i] - 1
    pairs = np.stack([when, who], axis=1)
    ordered: I64 = pairs[np.lexsort((who, when))]
    return ordered

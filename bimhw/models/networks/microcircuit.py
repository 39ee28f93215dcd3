"""The Potjans-Diesmann microcircuit in a chip's integers: 77,169 CUBA-LIF neurons under a square millimetre of cortex.

Each population gets a unit of its own for current and voltage, chosen so that Loihi's noise generator has exactly the variance
of its Poisson background. Threshold, weights and bias are held in that unit. One step is 0.1 ms.

Down-scaled networks keep mean and variance of every input (van Albada et al. 2015, PLoS Comput. Biol. 11(9):e1004490). With
in-degrees times s, weights grow by 1 / sqrt(s); a constant current makes up for (1 - sqrt(s)) of the mean recurrent input.
Correlations grow, so the rates of L2/3 fall.

Departures from the publication:

- integers: 8-bit weights, 24-bit states, decays to 1/4096;
- the background is noise of the mean and variance of the Poisson input, drawn in each step, or its mean alone;
- delays take `delay_levels` values of the published distribution;
- several synapses between two neurons are one with the summed weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numba
import numpy as np

from bimhw.models.networks import microcircuit_tables as published
from mapping.network import Network
from simulator.base.arrays import I8, I32, I64, AnyInts, Bools
from simulator.base.errors import InputError
from simulator.base.host_memory import check_memory
from simulator.base.names import INPUT_MODEL
from simulator.program.blocks import with_short_pointers
from simulator.program.graph import Population, Projection
from simulator.program.spikes import SpikeTrain

Background = Literal["poisson", "dc"]

STEP_MS = 0.1
MAX_DELAY = 62
_NOISE_EXPONENT = 11  # weights of 12 to 16, so that 8 bits hold their spread and seven synapses between two neurons
_NOISE_STD = float(np.sqrt((255**2 - 1) / 12)) * 2.0 ** (
    _NOISE_EXPONENT - 7
)  # of the chip's generator, in units of its current
_WEIGHT_MAX = 127
_SYNAPSE_BYTES = 4  # of the network, and of what making it holds for a while
_FRACTION = 4096
_KEEP_CURRENT = round(_FRACTION * np.exp(-STEP_MS / published.TAU_SYNAPSE_MS)) / _FRACTION
_LEAK = round(_FRACTION * -np.expm1(-STEP_MS / published.TAU_MEMBRANE_MS)) / _FRACTION
_STEPS_A_SECOND = 1000 / STEP_MS


@dataclass(frozen=True)
class Unit:
    """Unit of a population's current and voltage.

    Attributes:
        jump: of the current at one spike of the unscaled excitatory weight.
        mv: of one unit of voltage, mV.
    """

    jump: float
    mv: float


def potjans_diesmann(
    scale: float = 1.0,
    *,
    seed: int = 0,
    background: Background = "poisson",
    delay_levels: int = 8,
    thalamic_pulse_ms: tuple[float, float] | None = None,
    steps: int = 10_000,
) -> Network:
    """Generate the Potjans-Diesmann microcircuit as an integer network of `loihi_cuba` neurons, step 0.1 ms.

    Args:
        scale: of neurons and in-degrees; 1 has 77,169 neurons and 0.3 G synapses (1.5 GB).
        seed: of wiring, weights and initial potentials.
        background: ``poisson`` (noise with the mean and variance of the Poisson input) or ``dc`` (its mean alone; a scaled-down
            network then falls silent).
        delay_levels: values of the published spread of delays (normal, 50 %), each of as many synapses. 1 is the mean delay
            alone, which is faster, but locks the network at full scale into synchrony.
        thalamic_pulse_ms: begin and end of a thalamic stimulus (902 inputs at 120 spikes/s); None: no thalamus.
        steps: that the network's inputs last.

    Returns:
        Network with the populations L23E, L23I, L4E, L4I, L5E, L5I, L6E, L6I (and input ``TC``).

    Raises:
        InputError: a scale, background, number of levels or pulse out of range.
    """
    _check(scale, background, delay_levels, steps)
    _foresee(scale)
    sizes = np.maximum(1, np.rint(published.SIZES * scale)).astype(np.int64)
    populations = [_population(k, int(n), _unit(k), scale, seed, background) for k, n in enumerate(sizes)]
    projections = list(_recurrent(sizes, scale, seed, delay_levels))
    inputs = SpikeTrain(np.zeros(steps + 1, np.int64), np.zeros(0, np.int32))
    if thalamic_pulse_ms is not None:
        n = max(1, round(published.THALAMUS * scale))
        populations.insert(0, Population("TC", INPUT_MODEL, n, role="input"))
        projections += _thalamic(n, sizes, scale, seed)
        inputs = _pulse(n, thalamic_pulse_ms, steps, seed)
    meta = {"source": f"Potjans-Diesmann microcircuit, scale {scale:g}", "steps": steps, "step_ms": STEP_MS}
    return Network("integer", tuple(populations), tuple(projections), meta, inputs=inputs)


def rates_hz(network: Network, spikes: SpikeTrain, skip_ms: float = 0.0) -> dict[str, float]:
    """Return the mean rate of each population, spikes a second and neuron.

    Args:
        network: that fired.
        spikes: events of a run, logical ids.
        skip_ms: start-up that is not counted.
    """
    skip = round(skip_ms / STEP_MS)
    counts = np.bincount(spikes.ids[spikes.ptr[skip] :], minlength=sum(p.size for p in network.populations))
    seconds, out, first = (spikes.steps - skip) / _STEPS_A_SECOND, {}, 0
    for p in network.populations:
        out[p.name] = float(counts[first : first + p.size].mean() / seconds)
        first += p.size
    return out


def _check(scale: float, background: str, delay_levels: int, steps: int) -> None:
    if not 0.001 <= scale <= 1:
        raise InputError("scale", f"is {scale:g}", "Give 0.001 to 1")
    if background not in ("poisson", "dc"):
        raise InputError(f"background {background!r}", "is not known", "Backgrounds: poisson, dc")
    if not 1 <= delay_levels <= MAX_DELAY:
        raise InputError("delay_levels", f"is {delay_levels}", f"Give 1 to {MAX_DELAY}")
    if steps < 1:
        raise InputError("steps", f"is {steps}", "Give 1 or more")


def _foresee(scale: float) -> None:
    """Refuse a network that would not fit the memory, before it is made."""
    synapses = round(float(published.synapse_numbers().sum()) * scale**2)
    need = _SYNAPSE_BYTES * synapses
    way_out = f"A machine with {need / 1e9:.1f} GB free holds it; or lower the scale"
    check_memory(need, f"the microcircuit at scale {scale:g}", f"{synapses:,} synapses", way_out)


def _unit(k: int) -> Unit:
    """Return the unit in which the noise generator has the variance of the Poisson input; mV by the area of a potential."""
    jump = _NOISE_STD / np.sqrt(_external_spikes(k))
    tau_m, tau_s = published.TAU_MEMBRANE_MS, published.TAU_SYNAPSE_MS
    peak = tau_m / tau_s
    shape = peak ** (tau_s / (tau_s - tau_m)) - peak ** (
        tau_m / (tau_s - tau_m)
    )  # peak of exp(-t/tau_m) - exp(-t/tau_s)
    area = published.EXCITATORY_PSP_MV / shape * (tau_m - tau_s) / STEP_MS  # of one potential, mV x steps
    return Unit(float(jump), float(area * _LEAK * (1 - _KEEP_CURRENT) / jump))


def _external_spikes(k: int) -> float:
    """Mean number of background spikes of a neuron in a step, at full scale."""
    return float(published.EXTERNAL_SYNAPSES[k] * published.EXTERNAL_RATE_HZ / _STEPS_A_SECOND)


def _population(k: int, n: int, unit: Unit, scale: float, seed: int, background: Background) -> Population:
    """Make the neurons of one population: constant current for what scaling took, background, initial potentials."""
    rng = np.random.default_rng([seed, 1, k])
    start = rng.normal(published.INITIAL_MV[k], published.INITIAL_SPREAD_MV[k], n) - published.REST_MV
    lost = 1 - np.sqrt(scale)
    in_degree = published.synapse_numbers()[k] / published.SIZES[k]
    weights = np.array([_relative_weight(k, s) for s in range(len(published.POPULATIONS))])
    recurrent = float(lost * in_degree * weights @ published.RATES / _STEPS_A_SECOND)  # spikes of unit weight in a step
    mantissa, exponent = _bias((_external_spikes(k) + recurrent) * unit.jump / (1 - _KEEP_CURRENT))
    params = {
        "du": round(_FRACTION * (1 - _KEEP_CURRENT)) - 1,  # the chip adds 1
        "dv": round(_FRACTION * _LEAK),
        "vth": round(published.THRESHOLD_MV / unit.mv / 64),
        "bias_mant": mantissa,
        "bias_exp": exponent,
        "refractory": round(published.REFRACTORY_MS / STEP_MS),
        "noise_target": 2 if background == "poisson" else 0,
        "noise_exp": _NOISE_EXPONENT,
    }
    values = {name: np.array(value, np.int32) for name, value in params.items()}
    values["v_init"] = np.rint(start / unit.mv).astype(np.int32)
    return Population(published.POPULATIONS[k], "loihi_cuba", n, values, layer=1, role="output")


def _bias(value: float) -> tuple[int, int]:
    """Return mantissa of 13 bits and exponent of a constant."""
    exponent = max(0, int(np.ceil(np.log2(max(abs(value), 1) / 4095))))
    return round(value / 2**exponent), exponent


def _relative_weight(target: int, source: int) -> float:
    """Mean weight of a pair of populations over the excitatory weight."""
    if published.POPULATIONS[source].endswith("I"):
        return published.INHIBITION
    named = published.POPULATIONS[target], published.POPULATIONS[source]
    return published.L4E_TO_L23E if named == ("L23E", "L4E") else 1.0


def _recurrent(sizes: I64, scale: float, seed: int, levels: int) -> Iterator[Projection]:
    numbers = published.synapse_numbers()
    for (t, s), k in np.ndenumerate(numbers):
        source, target = published.POPULATIONS[s], published.POPULATIONS[t]
        in_degree = k / published.SIZES[t] * scale
        total = round(float(in_degree * sizes[t]))
        for level, delay in enumerate(_delays(source[-1], levels)):
            count = total * (level + 1) // levels - total * level // levels
            if count:
                name = f"{source}_{target}" + (f"_{level}" if levels > 1 else "")
                ends = (source, int(sizes[s])), (target, int(sizes[t]))
                weight = _relative_weight(t, s) / np.sqrt(scale) * _unit(t).jump / 64
                yield _projection(name, *ends, count, weight, delay, np.random.default_rng([seed, 2, t, s, level]))


def _thalamic(n: int, sizes: I64, scale: float, seed: int) -> Iterator[Projection]:
    for t, p in enumerate(published.THALAMIC_PROBABILITIES):
        pairs = published.THALAMUS * float(published.SIZES[t])
        total = round(np.log1p(-p) / np.log1p(-1 / pairs) * scale / published.SIZES[t] * sizes[t])
        if total:
            target, weight = published.POPULATIONS[t], _unit(t).jump / 64 / np.sqrt(scale)
            rng, delay = np.random.default_rng([seed, 3, t]), _delays("E", 1)[0]
            yield _projection(f"TC_{target}", ("TC", n), (target, int(sizes[t])), total, weight, delay, rng)


def _pulse(n: int, pulse_ms: tuple[float, float], steps: int, seed: int) -> SpikeTrain:
    begin, end = (round(ms / STEP_MS) for ms in pulse_ms)
    if not 0 <= begin < end <= steps:
        raise InputError("thalamic_pulse_ms", f"is {pulse_ms}", f"Give begin and end within 0..{steps * STEP_MS:g} ms")
    probability = published.THALAMIC_RATE_HZ / _STEPS_A_SECOND
    fired = np.random.default_rng([seed, 4]).random((end - begin, n)) < probability
    ptr = np.zeros(steps + 1, np.int64)
    ptr[begin + 1 : end + 1] = fired.sum(axis=1)
    return SpikeTrain(np.cumsum(ptr), np.nonzero(fired)[1].astype(np.int32))


def _delays(kind: str, levels: int) -> list[int]:
    """Return delays in steps at the middle of equal shares of the normal distribution, cut at one step."""
    mean = published.DELAY_MS[kind] / STEP_MS
    if levels == 1:
        return [round(mean)]
    drawn = NormalDist(mean, published.DELAY_SPREAD * mean)
    least = drawn.cdf(1)
    shares = (least + (1 - least) * (level + 0.5) / levels for level in range(levels))
    return [min(max(round(drawn.inv_cdf(share)), 1), MAX_DELAY) for share in shares]


def _projection(
    name: str, source: tuple[str, int], target: tuple[str, int], count: int, weight: float, delay: int,
    rng: np.random.Generator,
) -> Projection:  # fmt: skip
    """Draw that many synapses between random pairs; `weight` is their mean, in the chip's unit of arriving sums."""
    exponent = max(0, int(np.floor(np.log2(abs(weight) / 12))))
    ptr = np.zeros(source[1] + 1, np.int64)
    np.cumsum(rng.multinomial(count, np.full(source[1], 1 / source[1])), out=ptr[1:])
    targets: I32 = rng.integers(0, target[1], count, np.int32)
    targets = targets.astype("u2" if target[1] <= 1 << 16 else "i4")  # 3 bytes a synapse instead of 5
    weights = _weights(count, weight / 2**exponent, rng)
    ptr = _merge(ptr, targets, weights, np.zeros(target[1], np.int32), np.zeros(target[1], np.bool_))
    kept = int(ptr[-1])
    made = Projection(
        name, source[0], target[0], "in", ptr, targets[:kept], weights[:kept], delay=delay, exponent=exponent
    )
    return with_short_pointers(made)


def _weights(count: int, mean: float, rng: np.random.Generator, at_once: int = 1 << 20) -> I8:
    out = np.empty(count, np.int8)
    for lo in range(0, count, at_once):
        part = rng.standard_normal(min(at_once, count - lo), np.float32)
        drawn = np.rint(abs(mean) * (1 + np.float32(published.WEIGHT_SPREAD) * part)).clip(0, _WEIGHT_MAX)
        out[lo : lo + drawn.size] = np.sign(mean) * drawn
    return out


@numba.njit(cache=True, nogil=True)
def _merge(ptr: I64, targets: AnyInts, weights: I8, total: I32, met: Bools) -> I64:
    """Sort each row by target and add up the weights of equal ones, in place; returns the new row pointers."""
    out, at = np.zeros(ptr.size, np.int64), 0
    for row in range(ptr.size - 1):
        for j in range(ptr[row], ptr[row + 1]):
            met[targets[j]] = True
            total[targets[j]] += weights[j]
        for target in range(met.size):
            if met[target]:
                targets[at], weights[at] = target, min(max(total[target], -_WEIGHT_MAX), _WEIGHT_MAX)
                met[target], total[target] = False, 0
                at += 1
        out[row + 1] = at
    return out

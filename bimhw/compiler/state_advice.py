"""Advice on states: populations whose membrane is stored in steps that are coarse beside their threshold, and what made them so.

All neurons of a population share one binary point, which the largest bias, threshold or membrane sets. The figure is the step
2^-f
over the median threshold; more state bits make it smaller by powers of two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.options import CompileOptions
from mapping.network import Network
from simulator.program.graph import Population

LIMIT = 1 / 32  # step over threshold from which advice is given
OUTLIER = 32.0  # times the layer's median
MARK = " of its threshold"  # in every sentence of advice
WIDE_BITS = 24
_THRESHOLDS, _MEMBRANES, _VALUES = ("theta", "vth"), ("v", "V"), ("bias", "bias_u", "v_reset", "v_init")


def state_advice(
    network: Network, fracs: Mapping[str, Mapping[str, int]], calibrated: Calibration, options: CompileOptions
) -> Iterator[str]:
    """Yield one sentence for each population whose states are coarse.

    Args:
        network: float stage.
        fracs: population -> word -> fractional bits.
        calibrated: what membranes reached.
        options: of the compiler.
    """
    for p in network.populations:
        step, threshold = _step(fracs.get(p.name, {})), _threshold(p)
        if step is None or threshold <= 0 or step <= LIMIT * threshold:
            continue
        told = f"population {p.name!r}: its states are stored in steps of {step:.3g}, {step / threshold:.1%}{MARK}"
        yield f"{told}; {cause(p, calibrated)}{_helps(step / threshold, options)}"


def _step(fracs: Mapping[str, int]) -> float | None:
    return next((2.0 ** -fracs[word] for word in _MEMBRANES if word in fracs), None)


def _threshold(population: Population) -> float:
    given = next((np.asarray(population.params[k], np.float64) for k in _THRESHOLDS if k in population.params), None)
    finite = np.zeros(0) if given is None else given[np.isfinite(given) & (given > 0)]
    return float(np.median(finite)) if finite.size else 0.0


def cause(population: Population, calibrated: Calibration) -> str:
    """Return what sets the range of a population's states: a parameter of one neuron, or what the membranes reached."""
    reached = calibrated.of(population.name, "v_pre", "v", "V", "u")
    named = ""
    for name in (*_THRESHOLDS, *_VALUES):
        value = np.atleast_1d(np.asarray(population.params.get(name, 0.0), np.float64)).ravel()
        size = np.where(np.isfinite(value), np.abs(value), 0.0)
        at, median = int(size.argmax()), float(np.median(size))
        beside = max(median, _threshold(population))
        if size[at] >= OUTLIER * beside > 0 and size[at] * OUTLIER >= reached:
            what = "layer's median" if median >= _threshold(population) else "threshold"
            word = {"theta": "threshold", "vth": "threshold"}.get(name, name)
            named = f"the {word} {value[at]:.3g} of neuron {at} is {size[at] / beside:.0f} times the {what} and sets their range"
    return named or f"membranes of up to {reached:.3g} set their range"


def _helps(share: float, options: CompileOptions) -> str:
    more = WIDE_BITS - options.state_bits
    if more <= 0:
        return ". Scale it down, or leave that neuron out"
    least = min(more, max(1, math.ceil(math.log2(share / LIMIT))))
    wide = f". --state-bits {options.state_bits + least}: {share / 2.0**least:.1%}"
    return wide + (f"; --state-bits {WIDE_BITS}: {share / 2.0**more:.2%}" if least < more else "")

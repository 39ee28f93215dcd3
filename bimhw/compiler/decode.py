"""The host's two jobs, from a program's meta: real inputs -> payloads, recorded states -> scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.base.errors import InputError
from simulator.program.entries import input_ids
from simulator.program.meta import required
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Floats = npt.NDArray[np.float64]


def encode(program: Program, payloads: npt.NDArray[np.integer[Any]]) -> SpikeTrain:
    """Encode integer payloads [T, n_in] (0: no spike) as the input spikes of one sample.

    Raises:
        InputError: wrong width, or a payload that the compiled input does not carry.
    """
    entry = program.facts.entry
    ids = input_ids(program.populations)
    if payloads.ndim != 2 or payloads.shape[1] != ids.size:
        raise InputError("input", f"has shape {payloads.shape}, the program needs [steps, {ids.size}]")
    bits = entry.payload_bits
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if bits else (0, 1)
    if payloads.size and not low <= int(payloads.min()) <= int(payloads.max()) <= high:
        raise InputError(
            "input",
            f"has payloads {int(payloads.min())}..{int(payloads.max())}, the program was compiled for {low}..{high}",
            "Compile it again with calibration data that shows the range",
        )
    train = SpikeTrain.from_dense(payloads)
    return SpikeTrain(train.ptr, ids[train.ids], train.payload)


def output_probe(program: Program) -> tuple[str, str]:
    """Return the (population, state) that the host reads.

    Raises:
        InputError: a program without a readout.
    """
    output = program.facts.output
    if output is None or output.state is None:
        raise InputError("program", "has no readout to decode", "Read its spikes instead")
    return required(output.population, "output population"), output.state


def scores_by_step(program: Program, probes: Mapping[tuple[str, str], npt.NDArray[Any]]) -> Floats:
    """Return real outputs [T, C] of the sample's own steps (the chip's latency removed) from recorded states [chip steps, C]."""
    output, steps = required(program.facts.output, "output"), required(program.facts.sample_steps, "sample_steps")
    first = required(output.latency, "output latency")
    recorded = np.asarray(probes[output_probe(program)], np.float64)
    return recorded[first : first + steps] * required(output.scale, "output scale")


def decode(program: Program, probes: Mapping[tuple[str, str], npt.NDArray[Any]]) -> Floats:
    """Decode scores [C] of one sample: the mean output over the decision window, or the maximum; the class is the largest."""
    output = required(program.facts.output, "output")
    recorded = np.asarray(probes[output_probe(program)], np.float64)
    window = np.asarray(required(output.window, "output window"))
    if window.max() >= len(recorded):
        raise InputError("run", f"recorded {len(recorded)} steps, the decision needs {window.max() + 1}", "Run longer")
    scale = required(output.scale, "output scale")
    if output.reduce == "max":
        return np.asarray(scores_by_step(program, probes).max(axis=0))
    result: Floats = recorded[window].mean(axis=0) * scale
    return result

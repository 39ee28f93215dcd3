"""The host's two jobs, from a program's meta: real inputs -> payloads, recorded states -> scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimhw.tasks.dataset import Dataset
from bimhw.tasks.samples import Samples
from simulator.base.arrays import I32, AnyInts, Array, Floats
from simulator.base.errors import InputError
from simulator.program.entries import column_scales, input_ids, input_populations
from simulator.program.meta import required
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Payloads = I32


def program_samples(program: Program, data: Dataset, count: int | None = None) -> tuple[Samples, Payloads]:
    """Return the samples of a user's data and their payloads [B, T, n_in]; see `program_values`."""
    samples = program_values(program, data, count)
    entry = program.facts.entry
    return samples, samples.payloads(column_scales(entry, program.populations), entry.payload_bits)


def program_values(program: Program, data: Dataset, count: int | None = None) -> Samples:
    """Return the samples of a user's data by the code of the program, held against its input.

    Args:
        program: whose input they are for.
        data: without a code of its own, it takes the program's, unless it holds spikes already.
        count: the first samples only.

    Raises:
        InputError: another width than the program's, an input that the data lacks, or values that binary spikes cannot carry.
    """
    entry = program.facts.entry
    names = {p.name: p.size for p in input_populations(program.populations)}
    code = entry.encoding if data.encoding is None else None
    if code is not None and all(map(_is_binary, (data.x, *data.inputs.values()))):
        code = None
    coded = data if code is None else replace(data, encoding=code)
    samples = coded.samples(sum(names.values()), count, names, program.facts.sample_steps, entry.once)
    scale = column_scales(entry, program.populations)
    notes = () if code is None else (f"{code} code, as the program was compiled with",)
    if np.issubdtype(samples.x.dtype, np.integer) or samples.x.dtype == np.bool_:
        if entry.measured:
            samples = samples.as_values()
        elif np.any(scale != 1):
            notes = (*notes, f"x holds whole numbers: payloads worth {np.max(scale):g} each; floats are values")
    notes = (*notes, *_beyond(samples.x, scale, entry.payload_bits, data.name))
    return replace(samples, notes=(*samples.notes, *notes))


def _is_binary(x: Array) -> bool:
    return bool(((x == 0) | (x == 1)).all())


def _beyond(x: Array, scale: float | Floats, bits: int, name: str) -> tuple[str, ...]:
    """Return a note where real values leave the word of a payload; raise where the program takes binary spikes."""
    if x.dtype.kind != "f":
        return ()
    step = (x[:, :1] if x.strides[1] == 0 else x) / scale
    if not bits:
        if not _is_binary(np.rint(step * 2**16) / 2**16):
            low, high = float(step.min()), float(step.max())
            raise InputError(
                f"{name}: x",
                f"has values from {low:.4g} to {high:.4g}, and the program was compiled for binary spikes",
                "Compile it with this data (--data), or encode it: --encode rate",
            )
        return ()
    whole, top = np.rint(step), 2 ** (bits - 1)
    share = float(((whole < -top) | (whole > top - 1)).mean())
    unit = f"{np.max(scale):g}"
    return (
        (f"{share:.2%} of the values of x lie beyond {-top}..{top - 1} units of {unit} and are held there",)
        if share
        else ()
    )


def encode(program: Program, payloads: AnyInts) -> SpikeTrain:
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


def scores_by_step(program: Program, probes: Mapping[tuple[str, str], Array]) -> Floats:
    """Return real outputs [T, C] of the sample's own steps (the chip's latency removed) from recorded states [chip steps, C]."""
    output, steps = required(program.facts.output, "output"), required(program.facts.sample_steps, "sample_steps")
    first = required(output.latency, "output latency")
    recorded = np.asarray(probes[output_probe(program)], np.float64)
    return recorded[first : first + steps] * required(output.scale, "output scale")


def decode(program: Program, probes: Mapping[tuple[str, str], Array]) -> Floats:
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

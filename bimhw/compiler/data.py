"""Calibration data: from the user, from a task, or made up (and then said so)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bimhw.tasks.base import Task
from bimhw.tasks.dataset import Dataset, power_of_two_scale
from mapping.network import Network
from simulator.base.arrays import I64, AnyInts, Array
from simulator.base.errors import InputError
from simulator.base.files import read_npy
from simulator.program.entries import by_input, column_scales, input_populations, input_width, scale_facts
from simulator.program.meta import ProgramInput, input_entry

if TYPE_CHECKING:
    from bimhw.tasks.sources.text import Corpus

Payloads = AnyInts
SAMPLES = 256
PAYLOAD_BITS = 8  # of real values that are quantised at the input, sign included
_SYNTHETIC = (64, 64)  # samples, steps
_MOST_VALUES = 2**25  # made up at most, and of all neurons over all steps: fewer samples, then steps, of wide networks
_SYNTHETIC_RATE = 0.3


@dataclass(frozen=True, eq=False)
class CalibrationData:
    """Integer payloads [samples, steps, n] of the network's input, and what is known of the task.

    Attributes:
        payloads: a payload of 0 is no spike.
        source: for people.
        task: name of the task, or "".
        decision_steps: steps of a sample over which the output is averaged.
        assumed: what the user should be told because it was made up.
        scales: input -> value of payload 1, where the data is real-valued and the network does not say it; else empty.
        loss_steps: steps of a sample that have a label in learning; empty where that is not known.
        encoding: code by which the samples became spikes, or None.
    """

    payloads: Payloads
    source: str
    task: str = ""
    decision_steps: tuple[int, ...] = ()
    assumed: str = ""
    scales: Mapping[str, float] = field(default_factory=dict)
    loss_steps: tuple[int, ...] = ()
    encoding: str | None = None

    @property
    def entry(self) -> dict[str, object]:
        """Facts of the input that a program keeps, so that other samples come in as these did."""
        kept: dict[str, object] = scale_facts(self.scales) | {"measured": True} if self.scales else {}
        return kept | ({"encoding": self.encoding} if self.encoding else {})


def calibration_data(
    network: Network, calibration: Any, task: str | Task | Corpus | Dataset | None, seed: int
) -> CalibrationData:
    """Return data to calibrate a network on.

    Args:
        network: float stage; its inputs, side by side, give the width.
        calibration: payloads [samples, steps, n], or None.
        task: task or text (or its name) whose training samples are used and whose decision steps are kept; guessed for
            digits. Or data of the user's own.
        seed: of the choice of samples and of made-up data.

    Raises:
        InputError: wrong width or type.
    """
    if isinstance(task, Dataset):
        if calibration is not None:
            raise InputError("calibration", "is ignored beside samples of your own, which calibrate too", "Give one")
        return _from_dataset(task, network, seed)
    width, scale = _input(network)
    if task is not None and not isinstance(task, str):
        return _from_task(task.name, task, width, scale, calibration, seed)
    name = task if task is not None else guessed_task(network)
    if name:
        from bimhw.tasks import load_named

        return _from_task(name, load_named(name), width, scale, calibration, seed)
    if calibration is not None:
        return CalibrationData(_checked(calibration, width), "the given samples", decision_steps=())
    if network.samples is not None:
        return CalibrationData(_checked(network.samples, width), "the given sample that the module was read with")
    samples, steps = _made_up(width, sum(p.size for p in network.populations))
    rng = np.random.default_rng(seed)
    made = (rng.random((samples, steps, width)) < _SYNTHETIC_RATE).astype(np.int32) * max(1, round(1 / scale))
    text = f"calibrated on {samples} made-up random samples (rate {_SYNTHETIC_RATE}): give real ones for real formats"
    return CalibrationData(made, "made-up random spikes", assumed=text)


def _made_up(width: int, neurons: int) -> tuple[int, int]:
    """Return the number of samples and of steps to make up."""
    steps = min(_SYNTHETIC[1], max(1, _MOST_VALUES // width))
    return max(1, min(_SYNTHETIC[0], _MOST_VALUES // (steps * max(width, neurons)))), steps


def _input(network: Network) -> tuple[int, float]:
    width = input_width(network.populations)
    if not width:
        raise InputError("network", "has no input population, and calibration drives one", "Give it an input")
    return width, float(network.meta.get("input", {}).get("scale", 1.0))


def guessed_task(network: Network) -> str:
    """Guess digits for a BIM model of 8 channels, 10 classes and payloads of 1/16; return "" for any other."""
    outputs = [p.size for p in network.populations if p.role == "output"]
    return "digits" if network.meta.get("kind") == "bim" and (*_input(network), outputs) == (8, 1 / 16, [10]) else ""


def training_payloads(task: Task, seed: int) -> Payloads:
    """Return some training samples of a task to calibrate on."""
    order = np.random.default_rng(seed).permutation(len(task.train))[:SAMPLES]
    return task.train.x[np.sort(order)].astype(np.int32)


def _from_task(
    name: str, task: Task | Corpus, width: int, scale: float, calibration: Any, seed: int
) -> CalibrationData:
    if not isinstance(task, Task):
        return _from_text(name, task, width, scale, calibration)
    if task.n_in != width or task.input_scale != scale:
        raise InputError(
            f"task {name!r}",
            f"has {task.n_in} channels in units of {task.input_scale:g}, the model has {width} in units of {scale:g}",
            "Name the task the model was trained on",
        )
    decision, loss = (tuple(np.flatnonzero(steps).tolist()) for steps in (task.decision_steps, task.loss_steps))
    if calibration is not None:
        return CalibrationData(_checked(calibration, width), "the given samples", name, decision, loss_steps=loss)
    payloads = training_payloads(task, seed)
    source = f"{len(payloads)} training samples of {name}"
    return CalibrationData(payloads, source, name, decision, loss_steps=loss)


def _from_dataset(data: Dataset, network: Network, seed: int) -> CalibrationData:
    """Return payloads of a user's samples; real values in units of the network's scales, or of powers of two found here."""
    inputs = input_populations(network.populations)
    names = {p.name: p.size for p in inputs}
    samples = data.samples(_input(network)[0], names=names)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(samples.x))[:SAMPLES])
    part = replace(samples, x=_taken(samples.x, chosen))
    entry = input_entry(network.meta)
    found, unit = {}, ""
    if not _is_whole(part.x) and not entry.scales and entry.scale == 1.0:
        found = {n: _scale_found(x) for n, x in by_input(samples.x, inputs).items()}
        several = len(set(found.values())) > 1
        units = [f"{f'{n}: ' if several else ''}{s:g} = 2^{round(np.log2(s))}" for n, s in found.items()]
        unit = f", values in units of {', '.join(dict.fromkeys(units))}"
        entry = ProgramInput(scales=found)
    part = part.as_values() if entry.measured else part
    payloads = part.payloads(column_scales(entry, inputs))
    notes = "".join(f"; {note}" for note in samples.notes)
    source = f"{len(chosen)} samples of {data.name}{unit}{notes}"
    code = data.encoding if data.encoding != "graded" else None
    return CalibrationData(payloads, source, scales=found, encoding=code)


def _scale_found(x: Array) -> float:
    """Return the value of payload 1 of one input: whole numbers stay as they are."""
    return 1.0 if _is_whole(x) else power_of_two_scale(x, PAYLOAD_BITS)


def _taken(x: Array, chosen: I64) -> Array:
    """Return some samples; a static input stays a view of one step."""
    if x.strides[1] == 0:
        return np.broadcast_to(x[chosen, :1], (chosen.size, *x.shape[1:]))
    return x[chosen]


def _is_whole(x: Array) -> bool:
    """Return whether values are payloads as they are."""
    step = x[:, :1] if x.strides[1] == 0 else x
    return bool((step == np.rint(step)).all()) and float(np.abs(step).max(initial=0.0)) < 2**15


def _from_text(name: str, corpus: Corpus, width: int, scale: float, calibration: Any) -> CalibrationData:
    """Return the stretches of a text, as long as those that its test part is scored in."""
    from bimhw.tasks.features.stretches import training_stretches

    if len(corpus.symbols) != width or scale != 1:
        raise InputError(
            f"text {name!r}",
            f"has {len(corpus.symbols)} symbols, each worth 1; the model has {width} channels in units of {scale:g}",
            "Name the text and alphabet the model was trained on",
        )
    if calibration is not None:
        return CalibrationData(_checked(calibration, width), "the given samples", name)
    x = training_stretches(corpus).x
    return CalibrationData(x, f"{x.shape[0]} stretches of {x.shape[1]} symbols of {name}", name)


def _checked(calibration: Any, width: int) -> Payloads:
    data = np.asarray(calibration)
    if data.ndim != 3 or data.shape[2] != width or data.shape[0] == 0 or data.shape[1] == 0:
        raise InputError("calibration data", f"has shape {data.shape}, needs [samples, steps, {width}], none of them 0")
    if not np.issubdtype(data.dtype, np.integer):
        raise InputError(
            "calibration data", f"has type {data.dtype}, needs integer payloads", "Divide by the input scale"
        )
    return data


def read_payloads(path: Path) -> Payloads:
    """Read payloads from an .npy file; nothing is unpickled.

    Raises:
        InputError: no such file, or not a plain array.
    """
    data: Payloads = read_npy(path)
    return data

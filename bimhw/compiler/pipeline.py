"""`compile`: float network -> calibrate -> quantise and lower -> map -> program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.compiler.advice import Stored, advice
from bimhw.compiler.calibrate import Calibration, calibrate, chip_steps
from bimhw.compiler.choices import check_choices, its_own, samples_of
from bimhw.compiler.data import CalibrationData, calibration_data
from bimhw.compiler.fidelity import fidelity
from bimhw.compiler.integer import compile_integer
from bimhw.compiler.lower.for_chip import for_chip
from bimhw.compiler.lower.network import LoweredNetwork, lower
from bimhw.compiler.marks import neuron_marks
from bimhw.compiler.options import CompileOptions, width
from bimhw.compiler.replicas import Copies, with_copies
from bimhw.compiler.report import compile_report
from bimhw.compiler.result import CompileResult
from bimhw.compiler.sample import sample_spikes
from bimhw.compiler.state_advice import state_advice
from bimhw.frontends import load_network, reading_for
from bimhw.tasks.base import Task
from bimhw.tasks.dataset import Dataset
from bimhw.tasks.sources.text import Corpus
from mapping.blocks import with_meta
from mapping.limits import check_capabilities
from mapping.mapper import map_network, with_relay_rates
from mapping.network import Network
from mapping.spec import check_network, with_defaults
from simulator.base.arrays import AnyInts, Floats
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.chips.system import with_chips
from simulator.program.entries import bits_of_payloads, by_input, input_name, input_populations
from simulator.program.meta import input_entry


def compile(
    model: Any,
    chip: str | Chip = "loihi2",
    *,
    calibration: AnyInts | None = None,
    task: str | Task | Corpus | Dataset | None = None,
    data: Dataset | str | Path | object = None,
    bits: int | None = None,
    per_row: bool = False,
    free_scales: bool = False,
    state_bits: int = 16,
    neurons_per_core: int | None = None,
    chips: int = 1,
    mapping: str = "auto",
    objective: str = "edp",
    copies: Copies = 1,
    seed: int = 0,
    profile: str | None = None,
    dt: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    sample: object = None,
    reading: Mapping[str, object] | None = None,
) -> CompileResult:
    """Compile a model for a chip.

    Args:
        model: what a front end reads (`bimhw.frontends.registry`): a model file, a module, a `Network`; an integer network
            (.npz, or made in Python) is only mapped.
        chip, chips: a chip, its name, or the path of its YAML file; how many of it, side by side (as ``loihi2-x4`` does).
        calibration: integer payloads [samples, steps, n_in]; else the task's training samples, else made-up ones.
        task: the task or text that the model was trained on, or its name (digits models are recognised).
        data: samples of your own that calibrate, instead of a task: a `bimhw.Dataset`, or what `Dataset.open` reads.
        bits, per_row, free_scales, state_bits: as in `bimhw.compiler.options.CompileOptions`.
        neurons_per_core: at most that many neurons on a core, to spread the network.
        mapping: ``auto``, ``blocks``, ``file`` (a plain network's own), or a saved mapping (`mapping.mapper.map_network`).
        objective: what the mapping minimises: ``time``, ``energy``, ``edp`` (energy x delay), ``cores`` or ``messages``.
        copies: of the network on the cores left (objective ``cores`` leaves the most), or ``max``; samples run side by side.
        seed: of the choice of calibration samples and of the mapping.
        profile, dt, input_shape, sample: how a .nir file (docs/frontends.md), a torch stack (shape of one sample and step)
            or a module of another framework (an input, as its forward takes it) is read.
        reading: other options of the model's front end, by name.

    Raises:
        InputError: a file, an argument or data that is not what it must be.
        FitError: the chip cannot run the model, or it does not fit.
    """
    options = CompileOptions(bits=width(bits), per_row=per_row, free_scales=free_scales, state_bits=state_bits)
    target = with_chips(chip if isinstance(chip, Chip) else load_chip(chip), chips)
    given = {"profile": profile, "dt": dt, "input_shape": input_shape, "sample": sample, **(reading or {})}
    task = samples_of(task, data, calibration)
    recorded = task if isinstance(task, Dataset) else None
    network = check_network(load_network(model, recorded, **reading_for(model, target, **given)))
    mapping = its_own(network, target, mapping)
    check_choices(network, target, options, bits, mapping, neurons_per_core, objective)
    if network.stage == "integer":
        alone = compile_integer(network, target, calibration, task, mapping, neurons_per_core, seed, objective)
    else:
        made = to_integers(network, target, calibration, task, options, seed)
        alone = _mapped(network, target, made, mapping, neurons_per_core, seed, objective)
    return with_copies(alone, target, copies)


def _mapped(
    given: Network, target: Chip, made: Integers, mapping: str, neurons_per_core: int | None, seed: int, objective: str
) -> CompileResult:
    """Map a lowered network; report it, and how faithful it is to the network that was given."""
    mapped = map_network(
        made.integer, target, mapping, made.calibrated.rates, neurons_per_core, seed,
        objective=objective, spikes=sample_spikes(made.integer, made.data.payloads, seed),
    )  # fmt: skip
    mapped.program.check()
    kept = fidelity(given, made.network, made.lowered, made.data.assumed).as_json()
    report = compile_report(mapped, target, made.lowered, made.calibrated, made.data) | {"fidelity": kept}
    return CompileResult(
        with_meta(
            mapped.program,
            notes=report["notes"],
            mapping=dict(mapped.figures),
            fidelity=kept,
            neurons=neuron_marks(given),
        ),
        made.integer,
        made.network,
        report,
        with_relay_rates(mapped.program, made.calibrated.rates),
    )


@dataclass(frozen=True, eq=False)
class Integers:
    """A network on the way to a chip, before mapping: float, integer, and what led from one to the other."""

    network: Network
    integer: Network
    lowered: LoweredNetwork
    calibrated: Calibration
    data: CalibrationData


def to_integers(
    network: Network,
    chip: Chip,
    calibration: Any,
    task: str | Task | Corpus | Dataset | None,
    options: CompileOptions,
    seed: int,
) -> Integers:
    """Check capabilities, calibrate, quantise and lower a float network; arguments and errors as in `compile`."""
    network = check_network(for_chip(with_defaults(network), chip))
    data = calibration_data(network, calibration, task, seed)
    network = _with_payloads(network, data)
    check_capabilities(network, chip, options.bits)
    calibrated = calibrate(network, _values(network, data), data.source, not data.assumed)
    lowered = lower(network, calibrated, options, _input_scales(network))
    widths = chip.capabilities.weight_bits
    errors = lowered.weight_errors, lowered.row_errors
    helps = advice(Stored(network, *errors, lowered.out_scales, calibrated, options, widths))
    helps += tuple(state_advice(network, lowered.fracs, calibrated, options))
    lowered = replace(lowered, notes=(*lowered.notes, *helps))
    integer = check_network(replace(lowered.network, meta=_meta(network, data, lowered, options)))
    return Integers(network, integer, lowered, calibrated, data)


def _with_payloads(network: Network, data: CalibrationData) -> Network:
    """Return the network with the bits of its input's payloads in the meta: its own, or more where the data has more."""
    own = network.meta.get("input", {})
    bits = max(bits_of_payloads(data.payloads), int(own.get("payload_bits", 0)))
    entry = {"population": input_name(network.populations), "scale": 1.0} | own | {"payload_bits": bits}
    entry |= data.entry
    return replace(network, meta=dict(network.meta) | {"input": entry})


def _input_scales(network: Network) -> dict[str, float]:
    entry = input_entry(network.meta)
    return {p.name: entry.scale_of(p.name) for p in input_populations(network.populations)}


def _values(network: Network, data: CalibrationData) -> dict[str, Floats]:
    scales = _input_scales(network)
    given = by_input(data.payloads, network.populations)
    return {name: given[name].astype(np.float64) * scale for name, scale in scales.items()}


def _meta(network: Network, data: CalibrationData, lowered: LoweredNetwork, options: CompileOptions) -> dict[str, Any]:
    """Return what `simulate` and users need to feed the program and to read its output; see docs/compiler.md."""
    steps = int(data.payloads.shape[1])
    output = dict(network.meta.get("output", {}))
    if output:
        population = network.population(output["population"])
        output["latency"] = population.layer
        output["scale"] = 2.0 ** -lowered.fracs[output["population"]][output["state"]]
        decision = data.decision_steps or (steps - 1,)
        output["window"] = [t + population.layer for t in decision]
        output |= {"loss": list(data.loss_steps)} if data.loss_steps else {}
        output.setdefault("reduce", "mean")
    notes = [*network.meta.get("notes", []), *lowered.notes]
    return (
        dict(network.meta)
        | ({"notes": notes} if notes else {})
        | {
            "task": data.task,
            "sample_steps": steps,
            "chip_steps": chip_steps(network, steps),
            "output": output,
            "formats": {name: dict(words) for name, words in lowered.fracs.items()},
            "options": {k: getattr(options, k) for k in options.__struct_fields__},
            "calibration": data.source,
        }
    )


__all__ = ["Calibration", "CompileResult", "compile"]

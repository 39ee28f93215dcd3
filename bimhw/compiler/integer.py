"""Compile an integer network: nothing is quantised, it is only mapped, by the rates it really has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bimhw.compiler.calibrate import chip_steps
from bimhw.compiler.data import CalibrationData, calibration_data
from bimhw.compiler.report import mapped_figures
from bimhw.compiler.result import CompileResult
from mapping.files import program_as_given
from mapping.limits import check_capabilities, check_core_count, check_limits
from mapping.mapper import MappedNetwork, map_network, with_relay_rates
from mapping.network import Network
from mapping.usage import usage
from simulator.base.arrays import AnyInts, Floats
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.function import Simulation
from simulator.function.run import recorded_spikes
from simulator.program.axons import axon_table
from simulator.program.entries import bits_of_payloads, input_name
from simulator.program.meta import ProgramFidelity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.program.traffic import reach

if TYPE_CHECKING:
    from bimhw.tasks.base import Task
    from bimhw.tasks.dataset import Dataset
    from bimhw.tasks.sources.text import Corpus

RATE_STEPS = 200  # steps that are run to know who fires how often
RATE_SAMPLES = 16  # of calibration data
Rates = dict[str, Floats]


def compile_integer(
    network: Network,
    chip: Chip,
    calibration: AnyInts | None = None,
    task: str | Task | Corpus | Dataset | None = None,
    mapping: str = "auto",
    neurons_per_core: int | None = None,
    seed: int = 0,
    objective: str = "edp",
) -> CompileResult:
    """Map an integer network to a chip.

    Args:
        network: integer stage, checked.
        chip: the chip.
        calibration, task: inputs as in `bimhw.compile`; by default the network's own (`Network.inputs`).
        mapping: ``file`` (the network's own cores) or a method of `mapping.mapper.map_network`.
        neurons_per_core: at most so many neurons on a core.
        seed: of the mapping and of made-up inputs.
        objective: what the mapping minimises, as in `bimhw.compile`.

    Raises:
        InputError: a bad mapping or bad inputs.
        FitError: the chip cannot run it, or it does not fit.
    """
    check_capabilities(network, chip)
    network, spikes, source = _driven(network, calibration, task, seed)
    rates = _rates_of(network, spikes)
    if mapping == "file":
        mapped = _as_given(network, chip, rates)
    else:
        mapped = map_network(network, chip, mapping, rates, neurons_per_core, seed, objective=objective, spikes=spikes)
    program = replace(mapped.program, inputs=_inputs_of(network, mapped.program))
    program.check()
    report = mapped_figures(replace(mapped, program=program), chip) | {
        "sample_steps": program.facts.sample_steps,
        "chip_steps": program.facts.chip_steps,
        "calibration": source,
        "fidelity": ProgramFidelity("faithful").as_json(),
        "populations": [
            {"name": p.name, "model": p.model, "neurons": p.size, "rate": float(rates[p.name].mean())}
            for p in network.populations
        ],
    }
    if chip.units:  # an architecture that was read with the network: what it could not say is said here, too
        report["notes"] = [*report["notes"], *(f"chip {chip.name!r}: {note}" for note in chip.notes)]
    meta = dict(program.meta) | {k: report[k] for k in ("notes", "fidelity")} | {"mapping": dict(mapped.figures)}
    program = replace(program, meta=meta)
    return CompileResult(program, network, network, report, with_relay_rates(program, rates))


def _driven(
    network: Network, calibration: AnyInts | None, task: str | Task | Corpus | Dataset | None, seed: int
) -> tuple[Network, SpikeTrain, str]:
    """Return the network with its steps and input format in the meta, what it does, and by which inputs."""
    own = network.inputs
    if own is not None and calibration is None and task is None:
        steps = min(RATE_STEPS, own.steps)
        meta = _input_meta(network, own.payload) | {"sample_steps": own.steps, "chip_steps": own.steps}
        network = replace(network, meta=dict(network.meta) | meta)
        return network, _run(network, [own], steps), f"rates of {steps} steps with the file's own inputs"
    data = calibration_data(network, calibration, task, seed)
    if data.scales:
        problem = "holds real values, and a network of integers takes whole ones, in units of its own"
        raise InputError(
            f"data {getattr(task, 'name', '')}".rstrip(), problem, "Give whole numbers, or encode them: --encode rate"
        )
    first = _first_ids(network)[input_name(network.populations)]
    trains = [SpikeTrain.from_dense(x, first) for x in data.payloads[:RATE_SAMPLES]]
    steps = int(data.payloads.shape[1])
    meta = _data_meta(network, data) | {"sample_steps": steps, "chip_steps": chip_steps(network, steps)}
    network = replace(network, meta=dict(network.meta) | meta, inputs=None)
    spikes = _run(network, trains, int(network.meta["chip_steps"]))
    return network, spikes, data.assumed or data.source


def _data_meta(network: Network, data: CalibrationData) -> dict[str, object]:
    meta = _input_meta(network, data.payloads, data.encoding)
    return meta | {"task": data.task} if data.task else meta


def _input_meta(network: Network, payloads: AnyInts | None, encoding: str | None = None) -> dict[str, object]:
    """Return ``input`` of the meta: which population, the bits of its payloads (0: binary spikes), and the code of samples."""
    names = [p.name for p in network.populations if p.model == INPUT_MODEL]
    if len(names) != 1:
        return {}
    bits = 0 if payloads is None else bits_of_payloads(payloads)
    entry = {"population": names[0], "scale": 1.0} | network.meta.get("input", {}) | {"payload_bits": bits}
    return {"input": entry | ({"encoding": encoding} if encoding else {})}


def spike_rates(network: Network, trains: list[SpikeTrain], steps: int) -> Rates:
    """Return the messages a step of each neuron by population, over the first steps of each train.

    Args:
        network: integer stage.
        trains: input spikes, one train a sample.
        steps: of each sample.
    """
    return _rates_of(network, _run(network, trains, steps))


def _run(network: Network, trains: list[SpikeTrain], steps: int) -> SpikeTrain:
    """Run a network on some trains, one after another, each from rest; return its events."""
    size, steps = sum(p.size for p in network.populations), max(1, steps)
    program = Program("", "", network.populations, network.projections, np.zeros(size, np.int32))
    graded = any(train.payload is not None for train in trains)
    simulation = Simulation(program, graded_inputs=graded, count_active=False)
    for k, train in enumerate(trains):
        if k:
            simulation.reset()
        simulation.advance(train, steps)
    return recorded_spikes(simulation.record)


def _rates_of(network: Network, spikes: SpikeTrain) -> Rates:
    size = sum(p.size for p in network.populations)
    counts = np.bincount(spikes.ids, minlength=size) / max(1, spikes.steps)
    first = _first_ids(network)
    return {p.name: counts[first[p.name] : first[p.name] + p.size] for p in network.populations}


def _first_ids(network: Network) -> dict[str, int]:
    ends = np.cumsum([0, *(p.size for p in network.populations)])
    return {p.name: int(first) for p, first in zip(network.populations, ends[:-1], strict=True)}


def _inputs_of(network: Network, program: Program) -> SpikeTrain | None:
    """Return the network's own inputs in the program's ids: relay populations may have moved them."""
    own = network.inputs
    if own is None:
        return None
    before, after = _first_ids(network), program.first_ids()
    ids = own.ids.copy()
    for p in network.populations:
        if p.model == INPUT_MODEL and before[p.name] != after[p.name]:
            inside = (own.ids >= before[p.name]) & (own.ids < before[p.name] + p.size)
            ids[inside] += after[p.name] - before[p.name]
    return SpikeTrain(own.ptr, ids, own.payload)


def _as_given(network: Network, chip: Chip, rates: Mapping[str, Floats]) -> MappedNetwork:
    """Return the network on its own cores."""
    program = program_as_given(network, chip)
    resources = usage(program, chip)
    check_limits(program, chip, resources)
    check_core_count(program, chip)
    return MappedNetwork(program, resources, _given_figures(network, chip, rates, program))


def _given_figures(network: Network, chip: Chip, rates: Mapping[str, Floats], program: Program) -> dict[str, object]:
    rate = np.concatenate([rates[p.name] for p in network.populations])
    axons, per_spike = axon_table(program), reach(program, chip.topology)
    source = np.repeat(np.arange(rate.size), axons.fan_cores)
    return {
        "method": "file",
        "messages_per_step": float(rate[source] @ (axons.dst != program.core[source])),
        "hops_per_step": float(
            rate @ (per_spike.hops_ew + per_spike.hops_ns + per_spike.hops_chip + per_spike.hops_board)
        ),
    }

"""The work of one point, in three parts that are kept on disk: model, function, hardware.

One functional run serves every hardware point: spikes do not depend on chip or mapping. Another mapping or mesh needs its
counters and its times anew; other energy constants need neither.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bimhw.sweep.spec import Point, SweepSpec
from simulator.activity import Activity
from simulator.chip import Chip, load_chip
from simulator.errors import BimhwError
from simulator.files import read_npz, replacing, write_json, write_npz
from simulator.function.counting import Counter, Tally
from simulator.function.run import recorded_spikes, tally_of
from simulator.program import Program
from simulator.quantity import Quantity
from simulator.spikes import SpikeTrain

_TALLY = ("active_by_neuron", "active_by_step", "saturated_by_population", "saturated_by_step")


def attempt(stage: str, work: str, spec: SweepSpec, axes: dict[str, Any]) -> dict[str, Any]:
    """Run one stage of a point in a worker; a failure is an outcome with its reason, not an exception.

    Args:
        stage: ``function`` (leave the functional run in the work folder) or ``point`` (the whole point).
        work: folder of what is kept.
        spec: the sweep.
        axes: the point's values.
    """
    import torch

    torch.set_num_threads(1)  # the same sums in the same order, however many workers there are
    point, folder = Point(spec, axes), Path(work)
    try:
        if stage == "function":
            function_run(point, folder)
            return {"status": "done", "result": {}}
        return {"status": "done", "result": evaluate(point, folder)}
    except BimhwError as error:
        return {"status": "failed", "reason": str(error)}
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        return {"status": "failed", "reason": f"{type(error).__name__}: {error}"}


def evaluate(point: Point, folder: Path) -> dict[str, Any]:
    """All figures of a point."""
    from bimhw.costs import energy

    program, facts = function_run(point, folder)
    mapped, activity = hardware_run(point, program, folder)
    costs = energy(activity, point.chip(), program=mapped)
    figures = costs.report.figures()
    learning = costs.learning_uj_per_sample()
    synapses = sum(q.n_synapses for q in program.projections)
    dense = sum(program.population(q.source).size * program.population(q.target).size for q in program.projections)
    per = max(1, activity.samples)
    return {
        "accuracy": facts["accuracy"],
        "spike_rate": activity.total("spikes") / max(1, activity.total("neuron_updates")),
        "density": synapses / max(1, dense),
        "synaptic_events_per_sample": activity.total("synaptic_events") / per,
        "total_uj": figures["total_uj_per_inference"],
        "total_low_uj": costs.report.low_pj() / 1e6 / per,
        "total_high_uj": costs.report.high_pj() / 1e6 / per,
        "dynamic_uj": figures["dynamic_uj_per_inference"],
        "synapse_uj": costs.report.by("hardware").get("synapse", 0.0) / 1e6 / per,
        "soma_uj": costs.report.by("hardware").get("soma", 0.0) / 1e6 / per,
        "learning_uj": None if learning is None else learning[1],
        "latency_us": figures["sim_time_us_per_inference"],
        "edp_js": figures["energy_delay_product_js"],
        "cores": activity.cores_used,
        "neurons": program.n_neurons,
        "weight_bytes": sum(q.n_synapses * q.weight_bits for q in program.projections) / 8,
        "unknown": list(costs.report.unknown),
        "synapse_uj_fixed_activity": None,
    }


def model_file(point: Point, folder: Path) -> Path:
    """The trained model of a point; trained where it is not there yet."""
    if point.spec.is_model:
        return Path(point.spec.source)
    from bimhw.learning.api import train

    path = folder / f"model-{point.model_key()}.pt"
    if not path.is_file():
        with replacing(path) as temporary:
            train(point.spec.source, temporary, point.spec.preset, point.seed, **point.training())
    return path


def function_run(point: Point, folder: Path) -> tuple[Program, dict[str, Any]]:
    """The program of a point (on any mapping) and its functional run, from the work folder or done now."""
    stem = folder / f"function-{point.function_key()}"
    facts_file = stem.with_suffix(".json")
    if not facts_file.is_file():
        facts = _run_function(point, folder, stem)
        write_json(facts_file, facts)  # last: its presence says that the others are whole
        with (folder / "functional-runs.log").open("a", encoding="utf-8") as log:
            log.write(f"{point.function_key()}\n")
    return Program.load(stem.with_suffix(".bimhw")), json.loads(facts_file.read_text(encoding="utf-8"))


def _run_function(point: Point, folder: Path, stem: Path) -> dict[str, Any]:
    from bimhw.compiler.decode import decode, encode, output_probe
    from bimhw.compiler.pipeline import compile as compile_model
    from bimhw.tasks import load_task
    from simulator.function.simulation import Simulation

    model = model_file(point, folder)
    name = point.spec.task or (None if point.spec.is_model else point.spec.source)
    compiled = compile_model(model, _roomy_chip(), task=name, seed=point.seed, **point.compilation())
    program = compiled.program
    task = load_task(name or str(program.meta["task"]))
    split = task.test if point.spec.samples is None else task.test.take(slice(0, point.spec.samples))
    probe, steps = output_probe(program), int(program.meta["chip_steps"])
    trains = [encode(program, x) for x in split.x]
    graded = any(t.payload is not None for t in trains)
    simulation = Simulation(program, seed=point.seed, probes=(probe,), strict=False, graded_inputs=graded)
    for k, sample in enumerate(trains):
        if k:
            simulation.reset()
        simulation.advance(sample, steps)
    width = program.population(probe[0]).size
    states = np.array(simulation.record.probes[probe], np.int32).reshape(len(trains), steps, width)
    scores = np.array([decode(program, {probe: s}) for s in states])
    spikes, tally = recorded_spikes(simulation.record), tally_of(simulation)
    payload = np.zeros(0, np.int32) if spikes.payload is None else spikes.payload
    arrays = {name: getattr(tally, name) for name in _TALLY}
    arrays |= {"resets": np.array(tally.resets, np.int64), "ptr": spikes.ptr, "ids": spikes.ids, "payload": payload}
    write_npz(stem.with_suffix(".npz"), arrays)
    program.save(stem.with_suffix(".bimhw"))
    return {"accuracy": float((scores.argmax(axis=1) == split.y).mean()), "samples": len(trains)}


def _roomy_chip() -> Chip:
    """A chip that runs anything: function must not depend on which chip a point names; the real chip refuses later."""
    generic = load_chip("generic")
    unknown = Quantity(None, "1", "a chip without limits", "assumed")
    limits = msgspec.structs.replace(generic.limits, **dict.fromkeys(generic.limits.__struct_fields__, unknown))
    mesh = msgspec.structs.replace(generic.topology, width=64, height=64, cores_per_router=4, usable_cores=16384)
    return msgspec.structs.replace(generic, limits=limits, topology=mesh)


def hardware_run(point: Point, program: Program, folder: Path) -> tuple[Program, Activity]:
    """The program mapped for this point's chip, and its counters and time; no function is run."""
    stem = folder / f"hardware-{point.hardware_key()}"
    if not stem.with_suffix(".npz").is_file():
        mapped = _mapped(point, program)
        spikes, tally, samples = _recorded(point, folder)
        chip = point.chip()
        activity = Counter(mapped, chip.topology).activity(spikes, tally, samples)
        if chip.timing is not None and point.spec.engine != "none":
            from simulator.timing.run import run_timing

            time = run_timing(mapped, chip, spikes, point.spec.engine)  # type: ignore[arg-type]  # checked by the spec
            activity = replace(activity, sim_time_ns=time.sim_time_ns)
        mapped.save(stem.with_suffix(".bimhw"))
        activity.save(stem.with_suffix(".npz"))
    return Program.load(stem.with_suffix(".bimhw")), Activity.load(stem.with_suffix(".npz"))


def _mapped(point: Point, program: Program) -> Program:
    from mapping.blocks import map_blocks
    from mapping.fit import check_capabilities
    from mapping.network import Network

    network = Network("integer", program.populations, program.projections, dict(program.meta))
    chip = point.chip()
    check_capabilities(network, chip)
    return map_blocks(network, chip, point.axes.get("cores"))[0]


def _recorded(point: Point, folder: Path) -> tuple[SpikeTrain, Tally, int]:
    stem = folder / f"function-{point.function_key()}"
    a = read_npz(stem.with_suffix(".npz"), (*_TALLY, "resets", "ptr", "ids", "payload"))
    samples = int(json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))["samples"])
    spikes = SpikeTrain(a["ptr"], a["ids"], a["payload"] if a["payload"].size else None)
    by_neuron, by_step, lost_by_population, lost_by_step = (a[name] for name in _TALLY)
    tally = Tally(by_neuron, by_step, lost_by_population, lost_by_step, tuple(a["resets"].tolist()))
    return spikes, tally, samples


def fixed_activity_pj(point: Point, reference: Point, folder: Path) -> float | None:
    """Synapse energy per sample [pJ] that the point's synapses would cost under the reference's spikes."""
    price = point.chip().energy.get("synaptic_event")
    if price is None or price.value is None:
        return None
    program, facts = function_run(point, folder)
    spikes, _, _ = _recorded(reference, folder)
    events = np.bincount(spikes.ids, minlength=program.n_neurons).astype(np.int64)
    fan_out, first = np.zeros(program.n_neurons, np.int64), program.first_ids()
    for q in program.projections:
        rows = np.diff(q.indptr)
        fan_out[first[q.source] : first[q.source] + rows.size] += rows
    return float(events @ fan_out) * price.value / float(facts["samples"])

"""The work of one point, in three parts that are kept on disk: model, function, hardware.

One functional run serves every hardware point: spikes depend neither on the mapping nor on the chip, but for the neurons that
stand for others on chips with a set of their own. Another mapping or mesh needs its
counters and its times anew, other times only these; other energy constants need neither.
"""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from bimhw.costs.sweep_figures import SweepFigures
from bimhw.runs.condition import fault_figures
from bimhw.runs.execute import execute, time_run
from bimhw.runs.figures import spike_rate
from bimhw.runs.judge import judge
from bimhw.runs.request import How
from bimhw.runs.trials import request_of, trial_of
from bimhw.studies.sweep.faulty import AGAIN, faulty_run
from bimhw.studies.sweep.spec import Point, SweepSpec
from energy_models.gpu import WORD
from energy_models.spread import UNKNOWN, trust
from simulator.base.arrays import Floats
from simulator.base.errors import BimhwError
from simulator.base.files import read_npz, replacing, write_json, write_npz
from simulator.base.interrupts import check_interrupted, noted
from simulator.base.reading import boundary, read_object
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.chips.quantity import Quantity
from simulator.function.counting import Counter, Tally
from simulator.program.activity import Activity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

if TYPE_CHECKING:
    from bimhw.costs.result import Energy
    from bimhw.tasks.base import Task
    from bimhw.tasks.dataset import Dataset

LEAST_FREE_BYTES = 64 * 1024
_TALLY = ("active_by_neuron", "active_by_step", "saturated_by_neuron", "saturated_by_step")


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
    with noted(signal.SIGINT):
        try:
            if stage == "function":
                function_run(point, folder)
                return {"status": "done", "result": {}}
            return {"status": "done", "result": msgspec.to_builtins(evaluate(point, folder))}
        except Exception as error:  # whatever went wrong is this point's outcome and must not stop the others
            check_interrupted(error)
            reason = str(error) if isinstance(error, BimhwError) else f"{type(error).__name__}: {error}"
            return {"status": "stopped" if _disk_fails(error, folder) else "failed", "reason": reason}


def _disk_fails(error: BaseException, folder: Path) -> bool:
    """Return whether an error is the disk's and not the point's: a point that failed on a full disk must be done again."""
    causes = [e for e in (error, error.__cause__, error.__context__) if isinstance(e, OSError)]
    if any(e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO) for e in causes):
        return True
    try:
        return shutil.disk_usage(folder).free < LEAST_FREE_BYTES  # torch's writer says it in other words
    except OSError:
        return True


def evaluate(point: Point, folder: Path) -> SweepFigures:
    """Return all figures of a point."""
    program, facts = function_run(point, folder)
    faults = point.faults()
    if faults is None:
        mapped, activity = hardware_run(point, program, folder)
    else:
        mapped = _mapping_run(point, program, folder)[0]
        activity, facts = faulty_run(point, mapped, faults, folder)
    costs = _costs(point, mapped, activity, None if faults is not None else _recorded(point, folder)[0])
    together = "copies" in point.axes and costs.full is not None  # the point is of all copies, not of one alone
    report, ran = (costs.full, costs.copies) if together and costs.full is not None else (costs.report, 1)
    figures, word = report.figures(), report.spreads().get("total_uj_per_inference")
    priced = word is None or word.word != UNKNOWN
    latency, product = figures["sim_time_us_per_inference"], figures["energy_delay_product_js"]
    synapses = sum(q.n_synapses for q in program.projections)
    dense = sum(program.population(q.source).size * program.population(q.target).size for q in program.projections)
    per, done = max(1, activity.samples), max(1, report.samples)
    low, high = costs.time_ratios or (None, None)
    return SweepFigures(
        accuracy=facts["accuracy"],
        spike_rate=spike_rate(mapped, activity),
        density=synapses / max(1, dense),
        synaptic_events_per_sample=activity.total("synaptic_events") / per,
        total_uj=figures["total_uj_per_inference"] if priced else None,
        total_low_uj=report.low_pj() / 1e6 / done if priced else None,
        total_high_uj=report.high_pj() / 1e6 / done if priced else None,
        dynamic_uj=figures["dynamic_uj_per_inference"],
        synapse_uj=report.by("hardware").get("synapse", 0.0) / 1e6 / done,
        soma_uj=report.by("hardware").get("soma", 0.0) / 1e6 / done,
        copies=costs.copies,
        latency_us=None if latency is None else latency * ran,
        latency_low_us=None if latency is None or low is None else latency * ran * low,
        latency_high_us=None if latency is None or high is None else latency * ran * high,
        edp_js=None if product is None else product * ran,
        cores=activity.cores_used,
        neurons=program.n_neurons,
        weight_bytes=sum(q.n_synapses * q.weight_bits for q in program.projections) / 8,
        unknown=tuple(costs.report.unknown),
        saturations=activity.total("saturations"),
        faults=fault_figures(activity),
        samples_per_s=1e6 / latency if latency else None,
        trust=None if word is None else word.word,
        time_trust=costs.time_words[0],
        fidelity=None if costs.fidelity is None else costs.fidelity.text,
        **_full_figures(costs),
        **_learning_figures(costs),
        **_card_figures(costs),
    )


def _costs(point: Point, mapped: Program, activity: Activity, spikes: SpikeTrain | None) -> Energy:
    from bimhw.costs.compare import energy

    held = point.axes.get("copies", "max")
    return energy(
        activity, point.chip(), program=mapped, spikes=spikes, copies=None if held == "max" else held,
        gpu=() if point.spec.gpu is None else point.spec.gpu,
    )  # fmt: skip


def _full_figures(costs: Energy) -> dict[str, Any]:
    """Return the energy of a sample with all copies that fit."""
    found = None if costs.full is None else costs.full.spreads().get("total_uj_per_inference")
    if found is None:
        return {"full_uj": None}
    return {
        "full_uj": found.nominal, "full_low_uj": found.low, "full_high_uj": found.high, "full_trust": found.word,
    }  # fmt: skip


def _learning_figures(costs: Energy) -> dict[str, Any]:
    best, learners = costs.best_learning, costs.learners
    if best is None:
        return {"learning_uj": None, "learning_form": None}
    low, nominal, high = best.uj_per_sample()
    many = (None, None, None) if learners is None else learners.uj_per_sample()
    return {
        "learning_uj": nominal, "learning_low_uj": low, "learning_high_uj": high, "learning_form": best.plan.form,
        "learning_trust": trust(best.nominal.items), "learners_low_uj": many[0], "learners_uj": many[1],
        "learners_high_uj": many[2],
    }  # fmt: skip


def _card_figures(costs: Energy) -> dict[str, Any]:
    """Return the bound of the card that the sweep names: one sample at a time, and at its best batch."""
    bounds = [g for g in costs.gpu if g.mode == "inference" and g.case == "fused"]
    if not bounds:
        return {}
    alone, best = next((g for g in bounds if g.batch == 1), None), min(bounds, key=lambda g: g.uj)
    return {
        "card": bounds[0].gpu, "card_uj": None if alone is None else alone.uj,
        "card_low_uj": None if alone is None else alone.low_uj, "card_high_uj": None if alone is None else alone.high_uj,
        "card_full_uj": best.uj, "card_full_low_uj": best.low_uj, "card_full_high_uj": best.high_uj, "card_trust": WORD,
    }  # fmt: skip


def model_file(point: Point, folder: Path) -> Path:
    """Return the trained model of a point; train it where it is not there yet."""
    if point.spec.is_model:
        return Path(point.spec.source)
    from bimhw.learning.recipe import recipe
    from bimhw.learning.train import train
    from bimhw.models.io import save_model

    path = folder / f"model-{point.model_key()}.pt"
    if not path.is_file():
        with replacing(path) as temporary:
            task = point.spec.load_task(point.spec.source)
            plan = recipe(task, point.spec.preset, point.seed, **point.training())
            save_model(train(task, plan.config, plan.settings, plan.init).model, temporary)
    return path


def function_run(point: Point, folder: Path) -> tuple[Program, dict[str, Any]]:
    """Return the program of a point (on any mapping) and its functional run, from the work folder or done now."""
    stem = folder / f"function-{point.function_key()}"
    facts_file = stem.with_suffix(".json")
    if not facts_file.is_file():
        facts = _run_function(point, folder, stem)
        write_json(facts_file, facts)  # last: its presence says that the others are whole
        with (folder / "functional-runs.log").open("a", encoding="utf-8") as log:
            log.write(f"{point.function_key()}\n")
    return Program.load(stem.with_suffix(".bimhw")), read_object(facts_file, AGAIN)


def _run_function(point: Point, folder: Path, stem: Path) -> dict[str, Any]:
    program, rates, data = _compiled(point, model_file(point, folder))
    trial, how = trial_of(program, data, point.spec.samples), How(engine="none", seed=point.seed)
    run = execute(request_of(trial, program, _roomy_chip(), how))
    assert run.tally is not None
    _save_function(program, run.joined, run.tally, rates, stem)
    return {"accuracy": judge(program, trial, run, how).to_json().get("accuracy"), "samples": trial.count}


def _save_function(program: Program, spikes: SpikeTrain, tally: Tally, rates: Mapping[str, Floats], stem: Path) -> None:
    payload = np.zeros(0, np.int32) if spikes.payload is None else spikes.payload
    arrays = {name: getattr(tally, name) for name in _TALLY}
    arrays |= {"resets": np.array(tally.resets, np.int64), "ptr": spikes.ptr, "ids": spikes.ids, "payload": payload}
    arrays["rates"] = np.concatenate([rates.get(p.name, np.ones(p.size)) for p in program.populations])
    write_npz(stem.with_suffix(".npz"), arrays)
    program.save(stem.with_suffix(".bimhw"))


def _compiled(point: Point, model: Path) -> tuple[Program, Mapping[str, Floats], Task | Dataset | None]:
    """Return the program on a mapping that does not matter, the rates that calibration measured, and what it is run on."""
    from bimhw.compiler.fidelity import fidelity
    from bimhw.compiler.integer import compile_integer
    from bimhw.compiler.lower.for_chip import for_chip
    from bimhw.compiler.options import CompileOptions
    from bimhw.compiler.pipeline import to_integers
    from mapping.blocks import map_blocks, with_meta
    from mapping.spec import check_network, with_defaults

    spec, chip = point.spec, _roomy_chip()
    network = check_network(spec.network(model))
    data = spec.data_of(network)
    if network.stage == "integer":
        given = compile_integer(network, chip, task=data, mapping="blocks", seed=point.seed)
        return given.program, given.rates, data
    options = CompileOptions(**point.compilation())
    made = to_integers(for_chip(with_defaults(network), point.chip()), chip, None, data, options, point.seed)
    kept = fidelity(network, made.network, made.lowered, made.data.assumed)
    program = with_meta(map_blocks(made.integer, chip)[0], fidelity=kept.as_json())
    return program, made.calibrated.rates, data


def _roomy_chip() -> Chip:
    """Return a chip that runs anything: function must not depend on limits of the chip that a point names; it refuses later."""
    generic = load_chip("generic")
    unknown = Quantity(None, "1", "a chip without limits", "assumed")
    limits = msgspec.structs.replace(generic.limits, **dict.fromkeys(generic.limits.__struct_fields__, unknown))
    mesh = msgspec.structs.replace(generic.topology, width=64, height=64, cores_per_router=4, usable_cores=16384)
    return msgspec.structs.replace(generic, limits=limits, topology=mesh)


def hardware_run(point: Point, program: Program, folder: Path) -> tuple[Program, Activity]:
    """Return the program mapped for this point's chip, and its counters and time; no function is run."""
    mapped, activity = _mapping_run(point, program, folder)
    chip = point.chip()
    if chip.timing is None or point.spec.engine == "none":
        return mapped, activity
    path = folder / f"hardware-{point.hardware_key()}.json"
    if not path.is_file():
        timing, _ = time_run(mapped, chip, _recorded(point, folder)[0], How(engine=point.spec.engine))
        assert timing is not None
        write_json(path, {"sim_time_ns": timing.sim_time_ns})
    return mapped, replace(activity, sim_time_ns=_kept(path, "sim_time_ns"))


def _kept(path: Path, name: str) -> float:
    with boundary(path, f"figures of a sweep with {name}", AGAIN):
        return float(read_object(path, AGAIN)[name])


def _mapping_run(point: Point, program: Program, folder: Path) -> tuple[Program, Activity]:
    """Return the mapped program and its counters, shared by all points that differ in times and energies alone."""
    stem = folder / f"mapping-{point.mapping_key()}"
    if not stem.with_suffix(".npz").is_file():
        mapped = _mapped(point, program, folder)
        activity = Counter(mapped, point.chip().topology).activity(*_recorded(point, folder))
        mapped.save(stem.with_suffix(".bimhw"))
        activity.save(stem.with_suffix(".npz"))  # last: its presence says that both are whole
    return Program.load(stem.with_suffix(".bimhw")), Activity.load(stem.with_suffix(".npz"))


def _mapped(point: Point, program: Program, folder: Path) -> Program:
    from mapping.limits import check_capabilities
    from mapping.mapper import map_network
    from mapping.network import Network
    from mapping.objective import DEFAULT

    network = Network("integer", program.populations, program.projections, dict(program.meta))
    chip = point.mapping_chip()
    check_capabilities(network, chip)
    flat = read_npz(folder / f"function-{point.function_key()}.npz", ("rates",))["rates"]
    ends = np.cumsum([p.size for p in program.populations])[:-1]
    rates = dict(zip((p.name for p in program.populations), np.split(flat, ends), strict=True))
    method = str(point.axes.get("mapping", "auto"))
    objective = str(point.axes.get("objective", DEFAULT))
    return map_network(network, chip, method, rates, point.axes.get("cores"), point.seed, objective=objective).program


def _recorded(point: Point, folder: Path) -> tuple[SpikeTrain, Tally, int]:
    stem = folder / f"function-{point.function_key()}"
    a = read_npz(stem.with_suffix(".npz"), (*_TALLY, "resets", "ptr", "ids", "payload"))
    samples = int(_kept(stem.with_suffix(".json"), "samples"))
    spikes = SpikeTrain(a["ptr"], a["ids"], a["payload"] if a["payload"].size else None)
    active, by_step, saturated, saturated_by_step = (a[name] for name in _TALLY)
    return spikes, Tally(active, by_step, saturated, saturated_by_step, tuple(a["resets"].tolist())), samples


def fixed_activity_pj(point: Point, reference: Point, folder: Path) -> tuple[float, float] | None:
    """Return the synapse energy per sample [pJ] that the point's synapses would cost under the reference's spikes.

    Returns:
        (of all projections, of those that the sparsity target prunes); None where the chip's constant is unknown.
    """
    table = point.chip().energy
    prices = [table[key].value for key in ("synaptic_event", "synaptic_memory_read") if key in table]
    if not prices or None in prices:
        return None
    program, facts = function_run(point, folder)
    spikes, _, _ = _recorded(reference, folder)
    events = np.bincount(spikes.ids, minlength=program.n_neurons).astype(np.int64)
    first, readout_too = program.first_ids(), bool(point.training().get("prune_readout"))
    whole = pruned = 0
    for q in program.projections:
        rows = np.diff(q.indptr)
        met = int(events[first[q.source] : first[q.source] + rows.size] @ rows)
        whole += met
        if readout_too or program.population(q.target).role != "output":
            pruned += met
    per_event = sum(p for p in prices if p is not None) / float(facts["samples"])
    return whole * per_event, pruned * per_event

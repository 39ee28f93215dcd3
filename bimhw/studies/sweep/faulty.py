"""Points on a broken chip: the mapped program runs again with its faults, for who loses what depends on the mapping."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bimhw.runs.condition import fault_figures, saturation_figures
from simulator.base.files import write_json
from simulator.program.activity import Activity
from simulator.program.faults import Faults, check_faults
from simulator.program.program import Program

if TYPE_CHECKING:
    from bimhw.studies.sweep.spec import Point
    from bimhw.tasks.base import Task


def faulty_run(
    point: Point, program: Program, faults: Faults, task: Task, folder: Path
) -> tuple[Activity, dict[str, Any]]:
    """Counters, time and figures of a point's faulty run; kept in the work folder by its hardware key.

    Args:
        point: its task, samples, seed, chip and engine.
        program: mapped for the point's chip.
        faults: what is broken.
        task: whose test split is run.
        folder: of what is kept.
    """
    stem = folder / f"faulty-{point.hardware_key()}"
    if not stem.with_suffix(".json").is_file():
        activity, figures = _run(point, program, faults, task)
        activity.save(stem.with_suffix(".npz"))
        write_json(stem.with_suffix(".json"), figures)  # last: its presence says that both are whole
    return Activity.load(stem.with_suffix(".npz")), json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))


def _run(point: Point, program: Program, faults: Faults, task: Task) -> tuple[Activity, dict[str, Any]]:
    from bimhw.compiler.decode import decode, encode, output_probe
    from bimhw.runs.simulate import joined
    from simulator.function import run_samples
    from simulator.timing.run import run_timing

    spec, chip, probe = point.spec, point.chip(), output_probe(program)
    check_faults(faults, chip.topology)
    split = task.test if spec.samples is None else task.test.take(slice(0, spec.samples))
    runs = run_samples(
        program,
        [encode(program, x) for x in split.x],
        int(program.meta["chip_steps"]),
        seed=point.seed,
        probes=(probe,),
        topology=chip.topology,
        faults=faults,
    )
    scores = np.array([decode(program, {probe: states}) for states in runs.probes[probe]])
    activity = runs.activity
    if chip.timing is not None and spec.engine != "none":
        engine: Any = spec.engine  # checked by the spec
        timed = run_timing(program, chip, joined(runs.spikes), engine, faults=faults)
        activity = replace(activity, sim_time_ns=timed.sim_time_ns)
    figures = {
        "accuracy": float((scores.argmax(axis=1) == split.y).mean()),
        "saturations": saturation_figures(activity)["total"],
        "faults": fault_figures(activity),
    }
    return activity, figures

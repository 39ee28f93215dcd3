"""Points on a broken chip: the mapped program runs again with its faults, for who loses what depends on the mapping."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bimhw.runs.condition import fault_figures
from bimhw.runs.execute import execute
from bimhw.runs.judge import judge
from bimhw.runs.request import How
from bimhw.runs.trials import request_of, trial_of
from simulator.base.files import write_json
from simulator.base.reading import read_object
from simulator.program.activity import Activity
from simulator.program.faults import Faults
from simulator.program.program import Program

if TYPE_CHECKING:
    from bimhw.studies.sweep.spec import Point

AGAIN = "Remove it: the point is computed again"


def faulty_run(point: Point, program: Program, faults: Faults, folder: Path) -> tuple[Activity, dict[str, Any]]:
    """Return counters, time and figures of a point's faulty run; they stay in the work folder under its hardware key.

    Args:
        point: its task, samples, seed, chip and engine.
        program: mapped for the point's chip.
        faults: what is broken.
        folder: of what is kept.
    """
    stem = folder / f"faulty-{point.hardware_key()}"
    if not stem.with_suffix(".json").is_file():
        activity, figures = _run(point, program, faults)
        activity.save(stem.with_suffix(".npz"))
        write_json(stem.with_suffix(".json"), figures)  # last: its presence says that both are whole
    return Activity.load(stem.with_suffix(".npz")), read_object(stem.with_suffix(".json"), AGAIN)


def _run(point: Point, program: Program, faults: Faults) -> tuple[Activity, dict[str, Any]]:
    spec, chip = point.spec, point.chip()
    trial = trial_of(program, spec.data_of(program), spec.samples)
    how = How(engine=spec.engine, seed=point.seed, faults=faults)
    run = execute(request_of(trial, program, chip, how))
    figures = judge(program, trial, run, how)
    return run.activity, {
        "accuracy": figures.to_json().get("accuracy"),
        "saturations": figures.saturations.total,
        "faults": fault_figures(run.activity),
    }

"""Search instead of a full grid: several objectives (energy, latency, accuracy) with Optuna, kept in its own storage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bimhw.studies.sweep.pareto import rank
from bimhw.studies.sweep.run import Session, SweepResult, with_front
from bimhw.studies.sweep.spec import Point, SweepSpec, digest
from simulator.base.errors import InputError, MissingExtraError

TOLD = "told"  # attribute of a trial whose point was computed; a trial that a killed search left behind lacks it
BATCH = 8  # points asked for at once: a search must not depend on how many workers there are


def search(
    spec: SweepSpec,
    trials: int,
    db: Path | str = "sweep.sqlite",
    seed: int = 0,
    n_workers: int = 1,
    dask: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> SweepResult:
    """Try up to `trials` points of the product of the axes, chosen by NSGA-II; trials go on where an earlier call ended.

    Minimises energy and latency and maximises accuracy. Points are stored as in `run_sweep`; a point that comes again costs
    nothing. Studies are kept in ``<db>.optuna``, one for each space and its fixed options.

    Raises:
        InputError: as `run_sweep`, fewer than one trial, or a damaged study file.
        MissingExtraError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("optuna", "search", "--optuna") from error
    if trials < 1:
        raise InputError("--optuna", f"is {trials}, must be at least 1")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows: list[dict[str, Any]] = []
    computed = runs = 0
    with Session(spec, db, n_workers, dask) as session:
        study = _study(optuna, spec, db, seed)
        told = [t for t in study.trials if TOLD in t.user_attrs][:trials]
        if told:
            known = session.run([Point(spec, dict(t.params)) for t in told], progress=progress)
            rows, runs = list(known.rows), known.functional_runs
        while len(rows) < trials:
            batch = [study.ask() for _ in range(min(BATCH, trials - len(rows)))]
            points = [
                Point(spec, {axis: t.suggest_categorical(axis, list(values)) for axis, values in spec.axes.items()})
                for t in batch
            ]
            result = session.run(points, progress=progress)
            for trial, row in zip(batch, result.rows, strict=True):
                trial.set_user_attr(TOLD, True)
                if row["status"] == "done":
                    accuracy, energy, latency = rank(row["accuracy"], row["total_uj"], row["latency_us"])
                    study.tell(trial, [energy, latency, -accuracy])
                else:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
            rows += result.rows
            computed, runs = computed + result.computed, result.functional_runs
    unique = {repr(sorted(r["axes"].items(), key=str)): r for r in rows}
    return SweepResult(with_front(tuple(unique.values())), computed, runs)


def _study(optuna: Any, spec: SweepSpec, db: Path | str, seed: int) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    path = f"{Path(db).resolve()}.optuna"
    try:
        return optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name=f"bimhw-{digest(msgspec.to_builtins(spec))}",
            load_if_exists=True,
            directions=["minimize", "minimize", "maximize"],
            sampler=optuna.samplers.NSGAIISampler(seed=seed),
        )
    except SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        raise InputError(
            path,
            f"is not a study of Optuna, or it is damaged ({reason})",
            "Move it away: the points are in the database",
        ) from error

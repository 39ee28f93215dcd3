"""Search instead of a full grid: several objectives (energy, latency, accuracy) with Optuna, kept in its own storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bimhw.sweep.run import SweepResult, run_sweep
from bimhw.sweep.spec import SweepSpec
from simulator.errors import InputError, MissingExtraError


def search(
    spec: SweepSpec,
    trials: int,
    db: Path | str = "sweep.sqlite",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> SweepResult:
    """Try up to `trials` points of the product of the axes, chosen by NSGA-II; trials go on where an earlier call ended.

    Minimises energy and latency and maximises accuracy. Points are stored as in `run_sweep`; a point that comes again costs
    nothing. The study is in ``<db>.optuna``.

    Raises:
        InputError: as `run_sweep`, or fewer than one trial.
        MissingExtraError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("optuna", "search", "--optuna") from error
    if trials < 1:
        raise InputError("--optuna", f"is {trials}, must be at least 1")
    spec.check()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{Path(db).resolve()}.optuna",
        study_name="bimhw",
        load_if_exists=True,
        directions=["minimize", "minimize", "maximize"],
        sampler=optuna.samplers.NSGAIISampler(seed=seed),
    )
    rows: list[dict[str, Any]] = []
    computed = runs = 0
    for _ in range(max(0, trials - len(study.trials))):
        trial = study.ask()
        point = {axis: (trial.suggest_categorical(axis, list(values)),) for axis, values in spec.axes.items()}
        result = run_sweep(replace(spec, axes=point), db)
        row = result.rows[0]
        rows.append(row)
        computed, runs = computed + result.computed, result.functional_runs
        if row["status"] == "done":
            study.tell(trial, [row["total_uj"], row["latency_us"] or 0.0, row["accuracy"]])
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        if progress is not None:
            progress(1)
    if not rows:  # all trials were done before: the table from the store
        for old in study.trials:
            point = {axis: (old.params[axis],) for axis in spec.axes}
            rows.append(run_sweep(replace(spec, axes=point), db).rows[0])
    from bimhw.sweep.run import _with_front

    unique = {repr(sorted(r["axes"].items(), key=str)): r for r in rows}
    return SweepResult(_with_front(tuple(unique.values())), computed, runs)

"""`bimhw.sweep`: a sweep in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bimhw.runs.request import Engine
from bimhw.studies.sweep.run import SweepResult, run_sweep
from bimhw.studies.sweep.spec import SweepSpec
from simulator.base.errors import InputError


def sweep(
    source: str | Path,
    axes: Mapping[str, Sequence[object]],
    *,
    options: Mapping[str, object] | None = None,
    preset: str | None = None,
    samples: int | None = None,
    task: str | None = None,
    engine: Engine = "compiled",
    data: str | Path | None = None,
    task_options: Sequence[str] = (),
    reading: Mapping[str, object] | None = None,
    data_options: Mapping[str, object] | None = None,
    gpu: str | None = None,
    db: Path | str = "sweep.sqlite",
    workers: int = 1,
    dask: str | None = None,
    trials: int | None = None,
    retry: bool = False,
    progress: Callable[[int], None] | None = None,
) -> SweepResult:
    """Measure accuracy, energy and latency over the product of some axes; stored points are not computed again.

    Args:
        source: task name, or path of a model file.
        axes: axis -> values, e.g. ``{"sparsity": (0, 0.5), "chip": ("loihi2", "generic"), "seed": (0, 1, 2)}``.
        options: training options that all points share.
        preset: training preset.
        samples: test samples a point; None: all.
        task: task of a model file that does not name it.
        engine: timing engine, or ``none``.
        data: path of the task's data, or of samples for a model file.
        task_options: options of the task's loader.
        reading: ``profile`` and ``dt`` of a .nir file.
        data_options: ``encoding``, ``layout``, ``steps`` ... of samples.
        gpu: card whose bound stands beside the chip, one sample at a time and at its best batch.
        db: SQLite file of finished points.
        workers: local processes.
        dask: address of a Dask scheduler instead.
        trials: search with this many trials (Optuna) instead of the whole product.
        retry: compute failed points again.
        progress: called with 1 for each finished point.

    Returns:
        The table, with ``rows``, ``to_frame()`` and ``plot()``.

    Raises:
        InputError: an unknown axis, a value that cannot be, or a store that cannot be used; before the first point.
        MissingExtraError: Optuna or Dask is not installed.
    """
    spec = SweepSpec(
        str(source), {axis: tuple(values) for axis, values in axes.items()}, options or {}, preset, samples, task,
        engine, _path(data), tuple(task_options), reading or {}, data_options or {},
        gpu,
    )  # fmt: skip
    if trials is None:
        return run_sweep(spec, db, workers, dask, retry, progress)
    from bimhw.studies.sweep.search import search

    return search(spec, trials, db, n_workers=workers, dask=dask, progress=progress)


def _path(data: object) -> str | None:
    if data is None or isinstance(data, str | Path):
        return None if data is None else str(data)
    what, way = f"data of type {type(data).__name__!r}", "Save them: np.savez('data.npz', x=x, y=y)"
    raise InputError(what, "are no file, by which a sweep's store knows its samples again", way)

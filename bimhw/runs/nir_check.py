"""`bimhw nir check`: pieces of samples, by threads or on a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bimhw.frontends.nir.check import check
from bimhw.runs.workers import spreading

if TYPE_CHECKING:
    from bimhw.frontends.nir.check import CheckResult
    from bimhw.tasks.dataset import Dataset


def check_nir(
    model: Path | str,
    data: Dataset | Path | str | object,
    profile: str | None = None,
    dt: float | None = None,
    workers: int | None = None,
    dask: str | None = None,
) -> CheckResult:
    """Run the graph of `model` on `x` of `data` in the float engine and compare with `out`.

    Args:
        model: .nir file.
        data: .npz with x and out [T, B, ...], or ``x.NAME`` and ``out.NAME`` for each of several Input and Output nodes; or
            what `bimhw.Dataset.open` reads.
        profile: name or JSON file (`bimhw.frontends.nir.sources.choose`).
        dt: time step.
        workers: threads that share pieces of 64 samples; all cores by default. The result is the same for any number.
        dask: address of a Dask scheduler that pieces are sent to instead; its workers may die.

    Raises:
        InputError: files or shapes that do not fit; the message names node, array, value and rule.
        MissingExtraError: `dask` without distributed.
    """

    def threads(function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
        with ThreadPoolExecutor(min(len(tasks), workers or os.cpu_count() or 1)) as pool:
            return list(pool.map(function, *zip(*tasks, strict=True)))

    with spreading(dask) as spread:
        return check(model, data, profile, dt, spread or threads)

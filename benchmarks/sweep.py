"""The sparsity sweep of digits (6 targets x loihi2 and generic x 3 seeds): wall time on one and on two worker processes.

    python -m benchmarks sweep              # or: python -m benchmarks.sweep --seeds 0 --epochs 1   (a short one)

Prints wall and CPU seconds of each, whether the tables are equal, how often function ran, what a point costs that changes energy
constants or times alone, and how the SynOps fall. The gain of a second worker means something on an idle machine only, so the
load of the machine is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from bimhw.studies.sweep.run import SweepResult, run_sweep
from bimhw.studies.sweep.spec import SweepSpec

TARGETS = (0, 0.5, 0.8, 0.9, 0.95, 0.99)


def timed(spec: SweepSpec, db: Path, n_workers: int) -> tuple[SweepResult, float, float]:
    """(table, wall seconds, CPU seconds of this process and its workers)."""
    start, before = time.perf_counter(), cpu_seconds()
    result = run_sweep(spec, db, n_workers)
    return result, time.perf_counter() - start, cpu_seconds() - before


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def warm_up(folder: Path) -> None:
    """Compile kernels and read what is read once, so that the first sweep does not pay for it."""
    run_sweep(
        SweepSpec("digits", {"sparsity": (0, 0.5)}, {"epochs": 1, "hidden": "8"}, samples=10), folder / "w.sqlite"
    )


def hardware_points(spec: SweepSpec, db: Path, run_s: float) -> None:
    """CPU seconds of a point whose function is stored: all hardware anew, times alone, energy constants alone."""
    first = {axis: values[:1] for axis, values in spec.axes.items()}
    cases = {
        "mapping and times anew": {"cores": (7, 9, 11)},
        "times alone": {"timing.synapse": (0.6, 0.8, 0.9)},
        "energy constants alone": {"energy.synaptic_event": (11.0, 12.0, 13.0)},
    }
    for name, axes in cases.items():
        more = SweepSpec(spec.source, first | axes, spec.options)
        before = cpu_seconds()
        result = run_sweep(more, db)
        point_s = (cpu_seconds() - before) / result.computed
        print(f"  a point, {name}: {point_s:.3f} s CPU, 1/{run_s / point_s:.0f} of a run")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args(arguments or [])
    seeds = tuple(int(s) for s in given.seeds.split(","))
    options: dict[str, Any] = {} if given.epochs is None else {"epochs": given.epochs}
    spec = SweepSpec("digits", {"sparsity": TARGETS, "chip": ("loihi2", "generic"), "seed": seeds}, options)
    with tempfile.TemporaryDirectory() as folder:
        warm_up(Path(folder))
        tables, walls, cpus = [], [], []
        for n in (1, 2):
            db = Path(folder) / f"{n}.sqlite"
            result, wall, cpu = timed(spec, db, n)
            tables.append(json.dumps(list(result.rows), sort_keys=True))
            walls.append(wall)
            cpus.append(cpu)
            print(
                f"  {n} worker(s): {wall:.1f} s wall, {cpu:.1f} s CPU, {len(result.rows)} points, "
                f"{result.functional_runs} functional runs, {result.failed} failed, load {os.getloadavg()[0]:.1f}"
            )
        print(f"  tables equal: {tables[0] == tables[1]}; two workers are {walls[0] / walls[1]:.2f} x as fast")
        run_s = cpus[0] / result.functional_runs
        print(f"  a functional run with its training: {run_s:.2f} s CPU")
        hardware_points(spec, db, run_s)
        for r in result.rows:
            if r["axes"]["chip"] == "loihi2" and r["axes"]["seed"] == seeds[0]:
                print(
                    f"  sparsity {r['axes']['sparsity']}: accuracy {r['accuracy']:.3f}, spike rate {r['spike_rate']:.3f}, SynOps "
                    f"{r['synaptic_events_per_sample']:.0f} a sample; pruned SynOps at fixed activity "
                    f"{r['pruned_synops_fixed_activity']:.3f}, energy {r['total_uj']:.3g} uJ"
                )


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])

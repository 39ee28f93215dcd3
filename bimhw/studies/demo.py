"""The whole way on one small task: train online, compile, run on the simulated chip, cost it compared with a GPU, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.base.shown import Shown

Say = Callable[[str], None]


@dataclass(frozen=True, repr=False)
class DemoResult(Shown):
    """Files and figures of a demonstration."""

    model: Path
    program: Path
    run: Path
    report: Path
    figures: Mapping[str, Any]
    seconds: Mapping[str, float]


def demo(
    output: str | Path = "runs/demo",
    *,
    chip: str = "loihi2",
    gpu: str = "h100",
    seed: int = 0,
    epochs: int | None = None,
    samples: int | None = None,
    say: Say = lambda line: None,
    progress: Callable[[int], None] | None = None,
) -> DemoResult:
    """Train the demonstration's net on digits row by row, and take it through every stage.

    Args:
        output: folder for model, program, run and report.
        chip: chip to compile for.
        gpu: GPU to compare with.
        seed: of the training and of the chip.
        epochs: fewer than the preset's, to try things out.
        samples: test samples on the chip; all by default.
        say: called with one line before each stage.
        progress: called with the number of training sequences done.

    Raises:
        InputError: no such chip or GPU, or the network does not fit the chip: said before the training.
    """
    from bimhw.compiler.pipeline import compile as compile_model
    from bimhw.costs.compare import energy
    from bimhw.learning.api import train
    from bimhw.runs.simulate import simulate
    from bimhw.views.build import write_report

    _check(chip, gpu, seed)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    model, program = folder / "model.pt", folder / "program.bimhw"
    clock = _Clock(say)
    clock.stage("train", "training a BIM network online (exact RTRL, an update at every labelled step)")
    options: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    trained = train("digits", model, preset="demo", seed=seed, progress=progress, **options)
    clock.stage("compile", f"compiling for {chip}: int8 weights, integer states, look-up table, cores")
    compiled = compile_model(model, chip=chip, seed=seed)
    compiled.program.save(program)
    clock.stage("simulate", "running the test samples on the simulated chip, cycle by cycle")
    done = simulate(program, samples=samples, seed=seed, model=model, output=folder / "run")
    clock.stage("energy", f"costing every operation, compared with {gpu}")
    costs = energy(done.folder, gpu=gpu)
    clock.stage("report", "drawing the report")
    report = write_report(done.folder, folder / "report.html", gpu)
    clock.stop()
    figures = _figures(trained, compiled, dict(done.result), costs)
    return DemoResult(model, program, done.folder, report, figures, clock.seconds)


def _check(chip: str, gpu: str, seed: int) -> None:
    """Compile the untrained network: what the chip lacks is known before the training."""
    from bimhw.compiler.pipeline import compile as compile_model
    from bimhw.learning.recipe import recipe
    from bimhw.models.nets import build
    from bimhw.tasks import load_task
    from energy_models.gpu_card import load_gpu

    load_gpu(gpu)
    plan = recipe(load_task("digits"), "demo", seed)
    compile_model(build(plan.config, seed, plan.init), chip=chip, seed=seed, mapping="blocks")


class _Clock:
    def __init__(self, say: Say) -> None:
        self.say, self.seconds, self.name, self.since = say, dict[str, float](), "", time.perf_counter()

    def stage(self, name: str, line: str) -> None:
        self.stop()
        self.name = name
        self.say(line)

    def stop(self) -> None:
        now = time.perf_counter()
        if self.name:
            self.seconds[self.name] = now - self.since
        self.since = now


def _figures(trained: Any, compiled: Any, result: dict[str, Any], costs: Any) -> dict[str, Any]:
    rows = {f"{r.who} {r.what}": r.as_json() for r in _shown(costs)}
    figures, learning = costs.report.figures(), costs.learning_spread()
    return {
        "training": trained.summary(),
        "compile": compiled.report,
        "simulation": result,
        "energy": figures,
        "energy_spreads": {name: s.as_json() for name, s in (costs.report.spreads() | costs.time_spreads()).items()},
        "energy_unknown": list(costs.report.unknown),
        "learning_uj_per_sample": None if learning is None else learning.as_json(),
        "per_sample": rows,
        "verdict": costs.verdict(),
    }


def _shown(costs: Any) -> list[Any]:
    """Return the chip's rows with the best exact learning and dense; of the card each case alone and at its best batch."""
    from bimhw.costs.rows import shown

    rows, best = costs.rows(), costs.best_learning
    forms = {"simulated", "dense", None if best is None else best.plan.form}
    own = [r for r in rows if r.side == "chip" and r.how in forms]
    return [*own, *shown(r for r in rows if r.side == "gpu" and r.work != "rtrl")]

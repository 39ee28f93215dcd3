"""`bimhw nir run`: a .nir file compiled for a chip, run there in integers, and compared with its float network."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bimhw.frontends.nir.graph import NirGraph
from bimhw.frontends.nir.read import read_graph
from bimhw.frontends.nir.shapes import MOST_VALUES
from bimhw.runs.answers import DataTrial
from bimhw.runs.execute import execute
from bimhw.runs.folder import check_run_folder, reserved, write_run
from bimhw.runs.judge import judge
from bimhw.runs.manifest import run_manifest
from bimhw.runs.request import Engine, How
from bimhw.runs.trials import request_of
from bimhw.tasks.dataset import Dataset, as_dataset
from simulator.base.errors import InputError
from simulator.base.needs import refuses_ignored
from simulator.base.shown import Shown
from simulator.chips.chip import Chip

if TYPE_CHECKING:
    from bimhw.compiler.result import CompileResult


@dataclass(frozen=True, eq=False, repr=False)
class OnChip(Shown):
    """Result of `run_nir`.

    Attributes:
        chip: name.
        report: of the compiler.
        comparison: by population (`bimhw.compiler.compare.Comparison.to_json`).
        differ, of: values of the data's ``out`` that the chip does not give; None without ``out``.
        result: figures against labels and recorded outputs (`bimhw.runs.manifest.RunResult`).
        inputs: where the inputs come from.
        notes: what was repaired, assumed or chosen.
    """

    chip: str
    report: Mapping[str, Any]
    comparison: Mapping[str, Any]
    differ: int | None
    of: int | None
    result: Mapping[str, Any]
    inputs: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        plain = {k: getattr(self, k) for k in ("chip", "differ", "of", "inputs")}
        figures = {k: self.report[k] for k in ("neurons", "synapses", "cores", "cores_of_chip", "resources")}
        judged = {"result": dict(self.result), "float": dict(self.comparison)}
        return {**plain, **figures, **judged, "notes": list(self.notes)}


@refuses_ignored("nir run")
def run_nir(
    model: Path | str,
    chip: str = "loihi2",
    data: Dataset | Path | str | object = None,
    *,
    profile: str | None = None,
    dt: float | None = None,
    samples: int = 4,
    steps: int = 50,
    rate: float = 0.3,
    seed: int = 0,
    output: Path | str | None = None,
    engine: Engine = "compiled",
    decode: str | None = None,
    workers: int | None = None,
    force: bool = False,
    **options: Any,
) -> OnChip:
    """Compile a .nir file, run it in integers on the simulated chip, and compare with float.

    Args:
        model: .nir file.
        chip: name or YAML file.
        data: a `bimhw.Dataset` or what `Dataset.open` reads (x, perhaps y and out); without it, random spikes.
        profile, dt: how the file is run.
        samples, steps, rate, seed: of the random spikes.
        output: run folder to write, for `bimhw energy`, `report` and the others; none by default.
        engine: timing engine of the run folder (compiled, simpy, clocked, bound, events) or ``none``.
        decode: how outputs become answers (count, first, membrane, max); by default as the network tells.
        workers: threads for samples and steps, the same result for any number; all cores of the machine by default.
        force: replace another run in `output`.
        options: of `bimhw.compile` (bits, state_bits ...).

    Raises:
        InputError: bad files or data; `output` holds another run.
        FitError: a node without a form on a chip, or a chip that the network does not fit.
    """
    from bimhw.compiler.pipeline import compile
    from simulator.chips.load import load_chip

    if output is not None:
        check_run_folder(output)
    if data is None:
        made, source = _random(read_graph(model), samples, steps, rate, seed)
    else:
        made = as_dataset(data)
        source = f"x of {made.name}"
    silicon = load_chip(chip)
    compiled = compile(model, silicon, data=made, profile=profile, dt=dt, seed=seed, **options)
    trial = DataTrial.of(compiled.program, made, None, decode)
    how = How(engine=engine, seed=seed, threads=workers or os.cpu_count() or 1)
    name = made.name if data is not None else ""
    comparison, figures = _judged(compiled, silicon, trial, how, name, output, force)
    notes = (*compiled.float_network.meta["notes"], *figures.get("notes", []))
    return OnChip(
        silicon.name, compiled.report, comparison, figures.get("recorded_differ"), figures.get("recorded_of"),
        figures, source, notes,
    )  # fmt: skip


def _judged(
    compiled: CompileResult, chip: Chip, trial: DataTrial, how: How, name: str, output: Path | str | None, force: bool
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Run a compiled network beside its float network; return the comparison and the figures, written where asked for."""
    from bimhw.compiler.compare import Comparison, differences

    program = compiled.program
    manifest = run_manifest(program, chip, name, trial.count, how)
    with nullcontext() if output is None else reserved(output, manifest.to_json(), force):
        run = execute(request_of(trial, program, chip, how if output is not None else replace(how, engine="none")))
        rows, sent = differences(program, compiled.float_network, trial.payloads, run.spikes, how.seed)
        comparison = Comparison(rows, sent, run.activity).to_json()
        figures = judge(program, trial, run, how).to_json()
        if output is not None:
            found = figures | {"spikes": run.activity.total("spikes"), **comparison}
            arrays, outputs = run.timing_arrays(), trial.outputs(program, run)
            write_run(Path(output), program, chip, manifest.to_json(), found, run.joined, run.activity, arrays, outputs)
    return comparison, figures


def _random(graph: NirGraph, samples: int, steps: int, rate: float, seed: int) -> tuple[Dataset, str]:
    """Draw random spikes for the Input of a graph."""
    nodes = graph.of_kind("Input")
    node, width = nodes[0], sum(math.prod(n.out_shape) for n in nodes)
    if samples * steps * width > MOST_VALUES:
        raise InputError(
            f"{graph.source}: {node.where}",
            f"takes {width:,} values: {samples * steps * width:,} random ones, {MOST_VALUES:,} at most",
            "Ask for fewer samples or steps",
        )
    x = (np.random.default_rng(seed).random((samples, steps, width)) < rate).astype(np.int32)
    source = f"{samples} random samples of {steps} steps, rate {rate:g}, seed {seed}"
    return Dataset(x, layout="bt", name="random spikes"), source

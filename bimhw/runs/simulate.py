"""Run a program on a simulated chip: what it computes there, when, and how far that is from the float model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bimhw.runs.answers import DataTrial
from bimhw.runs.copies import rounds_of
from bimhw.runs.execute import Run, execute
from bimhw.runs.folder import check_run_folder, reserved, write_parts, write_run
from bimhw.runs.judge import judge
from bimhw.runs.long_samples import StoredOutputs, run_samples_long
from bimhw.runs.manifest import RunManifest, RunResult, run_manifest
from bimhw.runs.own_model import check_own_model
from bimhw.runs.pieces import in_pieces
from bimhw.runs.request import Engine, How, Sync
from bimhw.runs.trace import DEFAULT_STEPS, check_trace, write_window
from bimhw.runs.trials import Trial, request_of, trial_of
from bimhw.tasks.base import Task
from bimhw.tasks.dataset import Dataset, as_dataset
from bimhw.tasks.sources.text import Corpus
from mapping.copies import first_copy
from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.base.needs import refuses_ignored
from simulator.base.shown import Shown, Value
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.program.chip import check_cores, chip_of_program
from simulator.program.faults import Faults
from simulator.program.program import Program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Progress = Callable[[int], None]


@dataclass(frozen=True, repr=False)
class SimulationResult(Shown):
    """A finished run.

    Attributes:
        folder: the run folder.
        manifest, result: what ``manifest.json`` and ``result.json`` hold.
        figures: the result, typed.
        outputs: of data: ``values`` [B, T, C], what the outputs sent or held, and ``scores`` [B, C]; else empty.
    """

    folder: Path
    manifest: Mapping[str, Any]
    result: Mapping[str, Any]
    figures: RunResult
    outputs: Mapping[str, Array]

    def _facts(self) -> Mapping[str, Value]:
        names = ("task", "samples", "accuracy", "float_accuracy", "spikes_per_sample", "mean_latency_us")
        return {k: self.result[k] for k in names if k in self.result} | {"folder": str(self.folder)}

    def _records(self) -> Sequence[Mapping[str, Value]]:
        return [{k: v for k, v in self.result.items() if not isinstance(v, dict | list)}]

    def _draw(self, axes: Axes) -> None:
        layers, confusion = self.result.get("layers"), self.result.get("confusion")
        if confusion:
            axes.imshow(confusion, cmap="Blues")
            axes.set(
                xlabel="answer", ylabel="label", title=f"{self.result['task']}: {self.result['accuracy']:.1%} right"
            )
        elif layers:
            names = [layer["population"] for layer in layers]
            axes.bar(
                names, [layer["rate"] for layer in layers], color="#1f6f78", label="chip", width=-0.4, align="edge"
            )
            axes.bar(
                names,
                [layer["float_rate"] for layer in layers],
                color="#e8a87c",
                label="float",
                width=0.4,
                align="edge",
            )
            axes.set(ylabel="spikes per neuron and step", title=str(self.result["task"]))
            axes.legend()
        else:
            super()._draw(axes)


@refuses_ignored("simulate")
def simulate(
    program: Program | str | Path,
    task: str | Task | Corpus | Dataset | None = None,
    samples: int | None = None,
    *,
    data: Dataset | str | Path | object = None,
    decode: str | None = None,
    engine: Engine = "compiled",
    sync: Sync = "barrier",
    period_ns: float | None = None,
    seed: int = 0,
    chip: str | Chip | None = None,
    model: str | Path | None = None,
    output: str | Path | None = None,
    trace: str | Path | None = None,
    trace_window: range = range(DEFAULT_STEPS),
    trace_cores: Sequence[int] | None = None,
    faults: Faults | None = None,
    strict: bool = False,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 1000,
    timing_sample: float | None = None,
    workers: int | None = None,
    dask: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> SimulationResult:
    """Run samples on the chip and write a run folder.

    Args:
        program: a `.bimhw` file or a `Program`.
        task, data: what is run: the test part of a task or text, by name or as it is, or samples of your own (a `bimhw.Dataset`,
            or what `Dataset.open` reads); by default what the program was compiled for, or the input spikes that it brings.
        samples: how many samples (of a text: of its 16 stretches), from the first; all by default.
        decode: how outputs become answers (count, first, membrane, max); by default as the network tells.
        engine, sync, period_ns, seed, faults, strict, checkpoint, checkpoint_every, timing_sample, dask: how it is run, see
            `bimhw.runs.request.How`; the result with a checkpoint is that of an unbroken run.
        chip: by default the chip that the program was compiled for, by name; another chip is refused.
        model: the float model's file: its accuracy and spikes on the same samples are compared.
        output, force: run folder (``runs/<model>-<chip>-<hash>``), and whether another run in it is replaced.
        trace, trace_window, trace_cores: file of messages, spikes and cores (.npz, .json for Perfetto, .vcd), its steps, counted
            through all samples, and its cores, all by default.
        workers: threads for samples and steps, the same result for any number; all cores of the machine by default.
        progress: called with the number of samples just finished.

    Raises:
        InputError: `output` holds another run or is in use; no such file, task or engine; a chip or task of another shape.
    """
    how = How(
        engine, seed, faults or Faults(), strict, sync, period_ns, range(0) if trace is None else trace_window,
        checkpoint, checkpoint_every, timing_sample, workers or os.cpu_count() or 1, dask,
    )  # fmt: skip
    ends = _Ends(output, force, None if trace is None else Path(trace), trace_cores, model)
    return _simulate(program, chip, task if data is None else as_dataset(data), samples, decode, how, ends, progress)


@dataclass(frozen=True)
class _Ends:
    """Files that a run writes, and the float model that it is judged by."""

    output: str | Path | None
    force: bool
    trace: Path | None
    trace_cores: Sequence[int] | None
    model: str | Path | None


def _simulate(
    program: Program | str | Path,
    chip: str | Chip | None,
    what: str | Task | Corpus | Dataset | None,
    samples: int | None,
    decode: str | None,
    how: How,
    ends: _Ends,
    progress: Progress | None,
) -> SimulationResult:
    """Find the trial and the folder, then run, judge and write."""
    if ends.output is not None:
        check_run_folder(ends.output)
    if not isinstance(program, Program | str | Path):
        raise InputError(
            "program", f"is a {type(program).__name__}", "Give a .bimhw file, or result.program of a compilation"
        )
    name = "program" if isinstance(program, Program) else Path(program).stem
    loaded = program if isinstance(program, Program) else Program.load(program)
    silicon = chip_of(loaded, chip)
    if ends.model is not None:
        check_own_model(loaded, ends.model)
    trial = trial_of(first_copy(loaded), what, samples, decode)
    if ends.trace is not None:
        _check_trace(ends.trace, how, silicon, rounds_of(loaded, trial.count) * trial.chip_steps(loaded))
    manifest = run_manifest(loaded, silicon, trial.name, trial.count, how)
    folder = Path(ends.output) if ends.output is not None else _default_folder(name, manifest)
    with reserved(folder, manifest.to_json(), ends.force):
        if ends.model is None and in_pieces(loaded, trial, trial.chip_steps(loaded), how, silicon):
            return _write_long(loaded, silicon, trial, how, folder, manifest, progress)
        run = execute(request_of(trial, loaded, silicon, how))
        if progress is not None:
            progress(trial.count)
        result = _write(loaded, silicon, trial, run, judge(loaded, trial, run, how, ends.model), folder, manifest)
    if ends.trace is not None:
        assert run.timing is not None
        write_window(ends.trace, run.timing, run.joined, ends.trace_cores)
    return result


def _write_long(
    program: Program,
    chip: Chip,
    trial: Trial,
    how: How,
    folder: Path,
    manifest: RunManifest,
    progress: Progress | None,
) -> SimulationResult:
    """Execute, judge and write in pieces: the same, in memory that does not grow with the steps."""
    long = run_samples_long(program, trial, chip, how, folder, progress)
    as_run = _with_steps(program, trial) if isinstance(trial, DataTrial) else program
    figures = long.figures.to_json()
    write_parts(folder, as_run, chip, manifest.to_json(), figures, long.parts)
    return SimulationResult(folder, manifest.to_json(), figures, long.figures, StoredOutputs(folder))


def _write(
    program: Program, chip: Chip, trial: Trial, run: Run, figures: RunResult, folder: Path, manifest: RunManifest
) -> SimulationResult:
    """Write the run folder."""
    outputs = trial.outputs(first_copy(program), run)
    as_run = _with_steps(program, trial) if isinstance(trial, DataTrial) else program
    facts, found = manifest.to_json(), figures.to_json()
    write_run(folder, as_run, chip, facts, found, run.joined, run.activity, run.timing_arrays(), outputs)
    return SimulationResult(folder, facts, found, figures, outputs)


def _with_steps(program: Program, trial: DataTrial) -> Program:
    """Return the program with the steps of these samples, where they are others than it was compiled on."""
    meta = dict(program.meta)
    if meta.get("sample_steps") == trial.steps:
        return program
    meta |= {"sample_steps": trial.steps, "chip_steps": trial.chip_steps(program)}
    if (meta.get("output") or {}).get("window"):
        window = [int(meta["output"]["latency"]) + t for t in trial.window]
        meta["output"] = {k: v for k, v in meta["output"].items() if k != "loss"} | {"window": window}
    return replace(program, meta=meta)


def _check_trace(path: Path, how: How, chip: Chip, steps: int) -> None:
    check_trace(path, how.keep, steps)
    if how.engine in ("none", "bound") or how.sync == "free" or chip.timing is None:
        raise InputError("trace", "needs a cycle-level engine and a chip with times", "Use --engine compiled")


def chip_of(program: Program, chip: str | Chip | None = None) -> Chip:
    """Return the chip of a program, or a given one that has the same content.

    Raises:
        InputError: the program was compiled for another chip, or the chip file changed since.
    """
    if chip is None:
        silicon = chip_of_program(program)
    else:
        silicon = chip if isinstance(chip, Chip) else load_chip(chip)
    if silicon.sha256() != program.chip_sha256:
        what = f"was compiled for {program.chip!r}"
        if silicon.name == program.chip:
            raise InputError("program", f"{what}, and that chip's file has changed since", "Compile it again")
        raise InputError("program", f"{what}, not for {silicon.name!r}", f"Compile it again with --chip {silicon.name}")
    check_cores(program, silicon)
    return silicon


def _default_folder(name: str, manifest: RunManifest) -> Path:
    """Name a folder by what was run: the same run goes to the same place."""
    m = manifest
    key = f"{m.program_sha256}|{m.task}|{m.samples}|{m.seed}|{m.engine}"
    if m.sync != "barrier":
        key += f"|{m.sync}|{m.period_ns}"
    if m.faults is not None:
        key += f"|{json.dumps(m.faults)}"
    short = hashlib.sha256(key.encode()).hexdigest()[:8]
    return Path("runs") / f"{name}-{m.chip}-{short}"

"""Run a program on a simulated chip: what it computes there, when, and how far that is from the float model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from bimhw.runs.answers import DataTrial
from bimhw.runs.copies import rounds_of
from bimhw.runs.execute import Run, execute
from bimhw.runs.folder import check_run_folder, reserved, write_parts, write_run
from bimhw.runs.judge import judge
from bimhw.runs.long_samples import StoredOutputs, run_samples_long
from bimhw.runs.manifest import RunManifest, RunResult, run_manifest
from bimhw.runs.pieces import in_pieces
from bimhw.runs.request import Engine, How, Sync
from bimhw.runs.trace import DEFAULT_STEPS, check_trace, write_window
from bimhw.runs.trials import Trial, request_of, trial_of
from bimhw.tasks.base import Task
from bimhw.tasks.dataset import Dataset, as_dataset
from bimhw.tasks.sources.text import Corpus
from mapping.copies import first_copy
from simulator.base.errors import InputError
from simulator.base.shown import Shown, Value
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.program.chip import chip_of_program
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
    outputs: Mapping[str, npt.NDArray[Any]]

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
        task: task, text or a name, whose test part is run; by default the one that the program was compiled for, or
            the input spikes that it brings.
        samples: how many samples (of a text: of its 16 stretches), from the first; all by default.
        data: samples of your own instead of a task: a `bimhw.Dataset`, or what `Dataset.open` reads.
        decode: how outputs become answers (count, first, membrane, max); by default as the network tells.
        engine: compiled, simpy, clocked, bound (timing of known spikes), events (computes and times in one) or none.
        sync: barrier, tick (needs `period_ns`; late packets are counted), neighbour (cores wait for those they exchange spikes
            with) or free (no steps).
        period_ns: length of a tick.
        seed: of everything random on the chip.
        chip: by default the chip that the program was compiled for, by name; another chip is refused.
        model: the float model's file: its accuracy and spikes on the same samples are compared.
        output: run folder; by default ``runs/<model>-<chip>-<hash>``.
        trace: file for a trace of messages, spikes and cores: .npz, .json (Perfetto) or .vcd.
        trace_window: steps of the trace, counted through all samples.
        trace_cores: cores of the trace; all by default.
        faults: what is broken on the chip.
        strict: a value that leaves its word is an error instead of a count.
        checkpoint: file to save to and, if it exists, to go on from; the result is that of an unbroken run.
        checkpoint_every: steps between two checkpoints.
        timing_sample: share of the steps to time (0.01 for 1 %); the result states the confidence interval.
        workers: threads for samples and steps, the same result for any number; all cores of the machine by default.
        dask: address of a Dask scheduler; samples and chunks of steps are its tasks, and its workers may die.
        force: replace another run in `output`; the same run may be done again without it.
        progress: called with the number of samples just finished.

    Raises:
        InputError: `output` holds another run or is in use; no such file, task or engine; a program for another chip; no
            samples; a task of another shape.
    """
    how = How(
        engine, seed, faults or Faults(), strict, sync, period_ns, range(0) if trace is None else trace_window,
        checkpoint, checkpoint_every, timing_sample, workers or os.cpu_count() or 1, dask,
    )  # fmt: skip
    if output is not None:
        check_run_folder(output)
    name = "program" if isinstance(program, Program) else Path(program).stem
    loaded = program if isinstance(program, Program) else Program.load(program)
    silicon = chip_of(loaded, chip)
    trial = trial_of(first_copy(loaded), task if data is None else as_dataset(data), samples, decode)
    if trace is not None:
        _check_trace(Path(trace), how, silicon, rounds_of(loaded, trial.count) * trial.chip_steps(loaded))
    manifest = run_manifest(loaded, silicon, trial.name, trial.count, how)
    folder = Path(output) if output is not None else _default_folder(name, manifest)
    with reserved(folder, manifest.to_json(), force):
        if model is None and in_pieces(loaded, trial, trial.chip_steps(loaded), how, silicon):
            return _write_long(loaded, silicon, trial, how, folder, manifest, progress)
        done = _write(loaded, silicon, trial, how, model, folder, manifest, progress)
    if trace is not None:
        assert done.run.timing is not None
        write_window(Path(trace), done.run.timing, done.run.joined, trace_cores)
    return done.result


@dataclass(frozen=True, eq=False)
class _Done:
    run: Run
    result: SimulationResult


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
    program: Program,
    chip: Chip,
    trial: Trial,
    how: How,
    model: str | Path | None,
    folder: Path,
    manifest: RunManifest,
    progress: Progress | None,
) -> _Done:
    """Execute, judge, write."""
    one = first_copy(program)
    run = execute(request_of(trial, program, chip, how))
    if progress is not None:
        progress(trial.count)
    figures = judge(program, trial, run, how, model)
    outputs = trial.outputs(one, run)
    as_run = _with_steps(program, trial) if isinstance(trial, DataTrial) else program
    write_run(
        folder,
        as_run,
        chip,
        manifest.to_json(),
        figures.to_json(),
        run.joined,
        run.activity,
        run.timing_arrays(),
        outputs,
    )
    return _Done(run, SimulationResult(folder, manifest.to_json(), figures.to_json(), figures, outputs))


def _with_steps(program: Program, trial: DataTrial) -> Program:
    """Return the program with the steps of these samples, where they are others than it was compiled on."""
    meta = dict(program.meta)
    if meta.get("sample_steps") == trial.steps:
        return program
    meta |= {"sample_steps": trial.steps, "chip_steps": trial.chip_steps(program)}
    if (meta.get("output") or {}).get("window"):
        meta["output"] = dict(meta["output"]) | {"window": [int(meta["output"]["latency"]) + t for t in trial.window]}
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

"""Run a program on a simulated chip: what it computes there, when, and how far that is from the float model."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from bimhw.runs.condition import fault_figures, saturation_figures
from bimhw.runs.folder import check_run_folder, write_run
from bimhw.runs.trace import DEFAULT_STEPS, check_trace, write_window
from bimhw.runs.trials import Trial, beside_float, trial_of
from bimhw.tasks.base import Task
from bimhw.tasks.sources.text import Corpus
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.neurons.p_spike_ssm import CLAMP_FUSE
from simulator.neurons.s6 import PROJECT
from simulator.program.activity import Activity
from simulator.program.chip import chip_of_program
from simulator.program.faults import Faults, check_faults
from simulator.program.graph import Population
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

if TYPE_CHECKING:
    from bimhw.compiler.compare import Difference
    from simulator.timing.sample import TimingSample

ENGINES = ("compiled", "simpy", "clocked", "bound", "none")
Progress = Callable[[int], None]


@dataclass(frozen=True)
class SimulationResult:
    """A finished run: its folder, and what ``manifest.json`` and ``result.json`` hold."""

    folder: Path
    manifest: Mapping[str, Any]
    result: Mapping[str, Any]


def simulate(
    program: Program | str | Path,
    task: str | Task | Corpus | None = None,
    samples: int | None = None,
    *,
    engine: str = "compiled",
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
    progress: Progress | None = None,
) -> SimulationResult:
    """Run samples of a task's test split on the chip and write a run folder.

    Args:
        program: a `.bimhw` file or a `Program`.
        task: task, text or a name; by default the one that the program was compiled for.
        samples: how many test samples (of a text: of its 16 stretches), from the first; all by default.
        engine: timing engine (compiled, simpy, clocked, bound) or ``none`` for function only.
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
        workers: threads of the timing engine, the same result for any number; all cores of the machine by default.
        progress: called with the number of samples just finished.

    Raises:
        InputError: no such file, task or engine; a program for another chip; no samples; a task of another shape.
    """
    if engine not in ENGINES:
        raise InputError(f"engine {engine!r}", "is not known", f"Engines: {', '.join(ENGINES)}")
    if output is not None:
        check_run_folder(output)
    name = "program" if isinstance(program, Program) else Path(program).stem
    loaded = program if isinstance(program, Program) else Program.load(program)
    silicon = chip_of(loaded, chip)
    trial = trial_of(loaded, task, samples)
    count = len(trial.payloads)
    window = range(0)
    if trace is not None:
        window = trace_window
        check_trace(Path(trace), window, count * int(loaded.meta["chip_steps"]))
        if engine in ("none", "bound") or silicon.timing is None:
            raise InputError("trace", "needs a cycle-level engine and a chip with times", "Use --engine compiled")
    faults = Faults() if faults is None else faults
    check_faults(faults, silicon.topology)
    saving = {} if checkpoint is None else {"checkpoint": checkpoint, "checkpoint_every": checkpoint_every}
    runs, scores = _function(loaded, trial, progress, seed=seed, faults=faults, strict=strict, **saving)
    spikes = joined(runs.spikes)
    timing, sampled = _timing(loaded, silicon, spikes, engine, window, faults, timing_sample, seed, workers)
    if trace is not None:
        write_window(Path(trace), timing, spikes, trace_cores)
    activity = runs.activity
    arrays = None
    if timing is not None:
        activity = replace(activity, sim_time_ns=timing.sim_time_ns)
        arrays = {
            "step_ticks": timing.step_ticks,
            "core_busy": timing.soma_busy_ticks + timing.synapse_busy_ticks,
            "link_busy": timing.link_busy_ticks,
        }
    result = _result(loaded, trial, scores, activity)
    result |= _compare(loaded, trial, scores, runs.spikes, model, seed)
    if timing is not None:
        result |= timing_figures(timing.step_ticks, timing.tick_ns, count)
    if sampled is not None:
        result["timing_sample"] = sampled.as_json(timing.tick_ns)
    manifest = run_manifest(loaded, silicon, trial.name, count, seed, engine)
    if faults != Faults():
        manifest["faults"] = json.loads(msgspec.json.encode(faults))
        result["faults"] = fault_figures(activity)
    folder = Path(output) if output is not None else _default_folder(name, manifest)
    write_run(folder, loaded, silicon, manifest, result, spikes, activity, arrays)
    return SimulationResult(folder, manifest, result)


def chip_of(program: Program, chip: str | Chip | None = None) -> Chip:
    """The chip of a program, or a given one that has the same content.

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


def joined(trains: tuple[SpikeTrain, ...]) -> SpikeTrain:
    """Samples one after another as one train."""
    counts = np.concatenate([t.counts() for t in trains])
    ptr = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=ptr[1:])
    ids = np.concatenate([t.ids for t in trains])
    if all(t.payload is None for t in trains):
        return SpikeTrain(ptr, ids)
    ones = [np.ones(t.ids.size, np.int32) if t.payload is None else t.payload for t in trains]
    return SpikeTrain(ptr, ids, np.concatenate(ones))


def timing_figures(step_ticks: npt.NDArray[np.int64], tick_ns: float, samples: int) -> dict[str, float]:
    """Times of a run for people: ticks and ns of a step, latency and throughput of a sample."""
    total_ns = float(step_ticks.sum()) * tick_ns
    by_sample = step_ticks.reshape(samples, -1).sum(axis=1) * tick_ns
    return {
        "tick_ns": tick_ns,
        "mean_step_ticks": float(step_ticks.mean()),
        "max_step_ticks": float(step_ticks.max()),
        "mean_step_ns": total_ns / step_ticks.size,
        "mean_latency_us": float(by_sample.mean()) / 1e3,
        "p99_latency_us": float(np.quantile(by_sample, 0.99)) / 1e3,
        "samples_per_s": samples / (total_ns * 1e-9),
    }


def _function(program: Program, trial: Trial, progress: Progress | None, **how: Any) -> Any:
    from bimhw.compiler.decode import encode, output_probe
    from simulator.function import run_samples

    probe = output_probe(program)
    trains = [encode(program, x) for x in trial.payloads]
    runs = run_samples(program, trains, program.meta["chip_steps"], probes=(probe,), **how)
    if progress is not None:
        progress(len(trains))
    return runs, trial.chip_scores(program, runs.probes[probe])


def _timing(
    program: Program,
    chip: Chip,
    spikes: SpikeTrain,
    engine: str,
    keep: range,
    faults: Faults,
    share: float | None,
    seed: int,
    workers: int | None,
) -> tuple[Any, TimingSample | None]:
    """The times of a run, and what they rest on where only some steps were timed."""
    from simulator.timing.run import run_timing
    from simulator.timing.sample import sample_timing

    if engine == "none" or chip.timing is None:
        return None, None
    checked: Any = engine  # against ENGINES
    threads = workers or os.cpu_count() or 1
    if share is None:
        return run_timing(program, chip, spikes, checked, keep=keep, faults=faults, threads=threads), None
    if keep:
        raise InputError("timing sample", "does not go with a trace, whose steps are all timed", "Leave one out")
    return sample_timing(program, chip, spikes, share, checked, seed=seed, faults=faults, threads=threads)


def _result(program: Program, trial: Trial, scores: npt.NDArray[Any], activity: Activity) -> dict[str, Any]:
    hidden, samples = _hidden(program), len(trial.payloads)
    updates = samples * int(program.meta["chip_steps"]) * sum(p.size for p in hidden)
    sent = activity.counts.get("spikes")
    spikes = 0 if sent is None else sum(int(sent.by_population[activity.populations.index(p.name)]) for p in hidden)
    return {
        "task": trial.name,
        "samples": samples,
        **trial.judge(scores),
        "spikes_per_sample": spikes / samples,
        "spike_rate": spikes / updates,
        "saturations": saturation_figures(activity),
    }


def _hidden(program: Program) -> list[Population]:
    """The layers of the model (projections of B and C in an ``s6`` layer, ClampFuse and relay neurons are none)."""
    relays, between = program.meta.get("relays", {}).get("populations", ()), (PROJECT, CLAMP_FUSE)
    return [p for p in program.populations if p.role == "hidden" and p.model not in between and p.name not in relays]


def _compare(
    program: Program,
    trial: Trial,
    scores: npt.NDArray[Any],
    trains: tuple[SpikeTrain, ...],
    model: str | Path | None,
    seed: int,
) -> dict[str, Any]:
    """The float model on the same samples: its figures, decisions that agree, what differs (chip latency removed)."""
    if model is None:
        return {}
    from bimhw.compiler.compare import differences
    from bimhw.frontends import load_network

    float_scores, n_layers = trial.float_scores(model, seed)
    hidden = _hidden(program)
    if len(hidden) != n_layers:
        raise InputError(str(model), f"has {n_layers} layers, the program {len(hidden)}", "Give its own model")
    rows, _ = differences(program, load_network(model), trial.payloads, trains, seed)
    layers = [row for row in rows if row.population in {p.name for p in hidden}]
    return {
        **beside_float(trial, scores, float_scores),
        **_spike_figures([row for row in layers if not row.graded], len(trial.payloads)),
        "layers": [row.to_json() for row in layers],
    }


def _spike_figures(layers: Sequence[Difference], samples: int) -> dict[str, Any]:
    """Of the layers that send binary spikes; nothing where there is none."""
    if not layers:
        return {}
    return {
        "spikes_per_sample_same_steps": sum(row.rate * row.of for row in layers) / samples,
        "float_spikes_per_sample": sum(row.float_rate * row.of for row in layers) / samples,
        "spikes_that_differ": sum(row.differ for row in layers),
        "spike_slots": sum(row.of for row in layers),
    }


def run_manifest(program: Program, chip: Chip, task: str, samples: int, seed: int, engine: str) -> dict[str, Any]:
    """What `manifest.json` of a run folder says: versions, hashes, and how it was run."""
    from importlib.metadata import version

    packages = ("numpy", "numba", "simpy")
    return {
        "bimhw": version("bimhw"),
        "python": platform.python_version(),
        "packages": {p: version(p) for p in packages},
        "program_sha256": program.sha256(),
        "model_sha256": program.meta.get("model_sha256", ""),
        "chip": chip.name,
        "chip_sha256": chip.sha256(),
        "task": task,
        "samples": samples,
        "seed": seed,
        "engine": engine,
    }


def _default_folder(name: str, manifest: Mapping[str, Any]) -> Path:
    key = (
        f"{manifest['program_sha256']}|{manifest['task']}|{manifest['samples']}|{manifest['seed']}|{manifest['engine']}"
    )
    if "faults" in manifest:
        key += f"|{json.dumps(manifest['faults'])}"
    short = hashlib.sha256(key.encode()).hexdigest()[:8]
    return Path("runs") / f"{name}-{manifest['chip']}-{short}"

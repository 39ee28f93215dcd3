"""Checks that the parts of a run folder belong together: to its program, its chip and its counters.

Hashes tell that a part is what was written; these checks tell that it was written of this run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bimhw.runs.figures import AGAIN, check_figures, check_more
from bimhw.runs.manifest import MoreFigures, RunManifest, RunResult
from bimhw.runs.request import ENGINES, SYNCS
from mapping.copies import copies_of
from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.base.reading import boundary
from simulator.chips.chip import Chip, Topology
from simulator.neurons.base import get
from simulator.program.activity import MOST_COUNTED, Activity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

_LINKS = 4  # ports of a router to its neighbours, of each network
_TIME_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Frame:
    """Sizes that a program on its chip gives the parts of every run.

    Attributes:
        sizes: population -> neurons.
        updated: population -> whether its neurons have an update, so that their spikes are counted.
        copies: of the network in the program.
        used: cores that hold a neuron.
        topology: of the chip.
        tick_ns: of the chip; None where it has no times.
    """

    sizes: Mapping[str, int]
    updated: Mapping[str, bool]
    copies: int
    used: int
    topology: Topology
    tick_ns: float | None

    @staticmethod
    def of(program: Program, chip: Chip) -> Frame:
        """Return the frame of a program on a chip."""
        return Frame(
            {p.name: p.size for p in program.populations},
            {p.name: get(p.model).kernel is not None for p in program.populations},
            copies_of(program),
            program.cores_used,
            chip.topology,
            None if chip.timing is None else chip.timing.tick.value,
        )

    @property
    def neurons(self) -> int:
        """Neurons of the program."""
        return sum(self.sizes.values())


def check_manifest(value: Mapping[str, Any], path: Path) -> None:
    """Raise `InputError` unless a manifest has the fields of one."""
    with boundary(path, "the manifest of a run", AGAIN):
        manifest = msgspec.convert(value, RunManifest)
    if manifest.samples < 1:
        raise InputError(f"{path}: samples", f"is {manifest.samples}", AGAIN)
    for name, there, known in (("engine", manifest.engine, ENGINES), ("sync", manifest.sync, SYNCS)):
        if there not in known:
            raise InputError(f"{path}: {name}", f"is {there[:60]!r}; it is one of {', '.join(known)}", AGAIN)
    if manifest.engine == "none" and "timing.npz" in value["files"]:
        raise InputError(f"{path}: engine", "is 'none', and the run has times", AGAIN)


def check_result(value: Mapping[str, Any], manifest: Mapping[str, Any], path: Path) -> None:
    """Raise `InputError` unless a result has the fields of one, possible figures, and the task and samples of its manifest."""
    total = value.get("saturations")
    if isinstance(total, int) and total >= 0:  # runs beside a NIR network state the total alone
        value = {k: v for k, v in value.items() if k != "saturations"}
    with boundary(path, "the result of a run", AGAIN):
        result = msgspec.convert(value, RunResult)
        more = msgspec.convert(value, MoreFigures)
    if result.samples != manifest["samples"]:
        raise _other(path, "samples", result.samples, "the manifest", manifest["samples"])
    if manifest["task"] and result.task != manifest["task"]:  # "": of random spikes
        raise _other(path, "task", f"{result.task!r}", "the manifest", f"{manifest['task']!r}")
    check_figures(value, path)
    check_more(more, value, path)


def check_program_of(program: Program, manifest: Mapping[str, object], path: Path) -> None:
    """Raise `InputError` unless this is the program that the manifest names, of the model that it names."""
    model = program.facts.model_sha256 or ""
    if (program.sha256(), model) != (manifest["program_sha256"], manifest["model_sha256"]):
        raise InputError(str(path), "is not the program of this run", AGAIN)


def check_chip_of(chip: Chip, manifest: Mapping[str, Any], path: Path) -> None:
    """Raise `InputError` unless this is the chip that the manifest names and whose hash it holds."""
    if (chip.name, chip.sha256()) != (manifest["chip"], manifest["chip_sha256"]):
        raise InputError(str(path), "is not the chip of this run", AGAIN)


def check_activity(activity: Activity, frame: Frame, samples: int, path: Path) -> None:
    """Raise `InputError` unless counters are of this program, chip and number of samples."""
    if activity.populations != tuple(frame.sizes):
        raise InputError(f"{path}: populations", "are not those of the run's program", AGAIN)
    ran = -(-samples // frame.copies) * frame.copies  # the last round is filled up
    chips = frame.topology.chips
    for name, is_there, is_due in (
        ("samples", activity.samples, ran),
        ("cores_used", activity.cores_used, frame.used),
        ("chips", activity.chips, chips),
    ):
        if is_there != is_due:
            raise _other(path, name, is_there, "the run", is_due)
    for name, count in activity.counts.items():
        if count.by_core.size != frame.topology.mesh_cores + 1:
            cores = f"{frame.topology.mesh_cores:,} and the host"
            raise _other(f"{path}: {name}", "entries by core", count.by_core.size, "the chip's cores are", cores)


def check_spikes(train: SpikeTrain, frame: Frame, activity: Activity, path: Path) -> None:
    """Raise `InputError` unless spikes are of this program's neurons, as many as were counted."""
    train.check(str(path), frame.neurons)
    check_steps(train.steps, activity, path)
    by_neuron = np.bincount(train.ids, minlength=frame.neurons)
    counted, first = activity.counts.get("spikes"), 0
    for k, (name, size) in enumerate(frame.sizes.items()):
        sent, first = int(by_neuron[first : first + size].sum()), first + size
        due = 0 if counted is None else int(counted.by_population[k])
        if frame.updated[name] and sent != due:
            raise _other(f"{path}: {name}", "spikes", sent, "the run's counters", due)


def check_times(arrays: Mapping[str, Array], path: Path) -> None:
    """Raise `InputError` unless times are whole numbers whose sums stay within 64 bits."""
    for name, values in arrays.items():
        whole = values.dtype == np.int64 and not (values.size and int(values.min()) < 0)
        if not whole or values.sum(dtype=np.float64) > MOST_COUNTED:
            raise InputError(f"{path}: {name}", "holds times that are no whole numbers of at least 0", AGAIN)


def check_length(step_ticks: Array, tick_ns: float | None, activity: Activity, path: Path) -> None:
    """Raise `InputError` unless the steps of a run, checked by `check_times`, took the time that its counters state."""
    took = float(step_ticks.sum()) * (math.nan if tick_ns is None else tick_ns)
    if activity.sim_time_ns is None or not math.isclose(took, activity.sim_time_ns, rel_tol=_TIME_TOLERANCE):
        raise _other(path, "ns", activity.sim_time_ns, "the run's steps", f"{took:g}")


def check_timing(arrays: Mapping[str, Array], frame: Frame, activity: Activity, path: Path) -> None:
    """Raise `InputError` unless times are for the steps, cores and routers of this run."""
    check_steps(arrays["step_ticks"].size, activity, path)
    t = frame.topology
    ports = _LINKS * t.networks + t.cores_per_router
    routers = t.mesh_cores // t.cores_per_router
    shapes: dict[str, list[tuple[int, ...]]] = {
        "step_ticks": [(activity.steps,)],
        "core_busy": [(t.mesh_cores + host,) for host in (0, 1)],
        "link_busy": [(routers, ports + host) for host in (0, 1)],
    }
    for name, known in shapes.items():
        if arrays[name].shape not in known:
            raise InputError(f"{path}: {name}", f"has shape {arrays[name].shape}, not {known[0]} of this run", AGAIN)


def check_steps(steps: int, activity: Activity, path: Path) -> None:
    """Raise `InputError` unless so many steps were counted."""
    if steps != activity.steps:
        raise _other(path, "steps", steps, "the run's counters", activity.steps)


def check_outputs(arrays: Mapping[str, Array], samples: int, path: Path) -> None:
    """Raise `InputError` unless outputs are numbers, one row a sample."""
    for name, values in arrays.items():
        if values.dtype.kind not in "iuf" or values.shape[:1] != (samples,):
            raise InputError(f"{path}: {name}", f"has type {values.dtype} and shape {values.shape}", AGAIN)


def _other(where: Path | str, what: str, there: object, of: str, due: object) -> InputError:
    shown = [f"{v:,}" if isinstance(v, int) else str(v)[:60] for v in (there, due)]
    return InputError(str(where), f"has {shown[0]} {what}, {of} {shown[1]}", AGAIN)

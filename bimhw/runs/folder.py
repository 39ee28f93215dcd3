"""A run folder: what was run, with what, and what came out; everything in it can be read without bimhw.

==================  =====================================================================================
``manifest.json``   versions, seed, task, hashes of program, chip and model, and of the files below (and its own)
``program.bimhw``   the program that ran
``chip.json``       the chip file's content, so that a user's own chip travels with the run
``result.json``     accuracy, agreement with the float model, spikes, cycles
``spikes.npz``      all spikes of all samples (ptr, ids, payload; step runs through the samples)
``activity.npz``    every counter by core, step and population
``timing.npz``      cycles of each step, busy ticks of cores and links
``outputs.npz``     of data: what the outputs sent or held (values [B, T, C]), scores [B, C]
==================  =====================================================================================

No file holds a time of day or a path: the same seed gives the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bimhw.runs.belonging import (
    Frame,
    check_activity,
    check_chip_of,
    check_length,
    check_manifest,
    check_outputs,
    check_program_of,
    check_result,
    check_spikes,
    check_times,
    check_timing,
)  # fmt: skip
from bimhw.runs.figures import AGAIN, check_computed
from simulator.base.arrays import Array, Floats
from simulator.base.errors import InputError
from simulator.base.files import may_be_whole, read_npz, write_npz
from simulator.base.locks import held
from simulator.base.misplaced import no_run_folder
from simulator.base.reading import boundary, check_is_file, read_object
from simulator.base.spool import Spool
from simulator.base.writing import check_output_folder, os_errors, replacing_files, write_json
from simulator.chips.chip import Chip
from simulator.chips.rules import check_chip
from simulator.program.activity import Activity
from simulator.program.chip import check_cores
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Arrays = Mapping[str, Array | Spool]
Stamp = tuple[int, int, int]
PARTS = ("program.bimhw", "chip.json", "result.json", "spikes.npz", "activity.npz", "timing.npz", "outputs.npz")
"""Files whose hashes the manifest holds; a run is refused where one of them is not what was written."""

_OF_THE_WRITER = {"files", "sha256", "bimhw", "python", "packages", "model_sha256"}  # they do not tell runs apart


@dataclass(frozen=True)
class RunFolder:
    """Reads the parts of a run folder; a part that does not belong to its program, chip and counters is refused."""

    path: Path
    _whole: dict[str, Stamp] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def open(path: Path | str) -> RunFolder:
        """Open the run in a folder.

        Raises:
            InputError: no such folder, or not one of a run.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise no_run_folder(folder)
        if not (folder / "manifest.json").is_file():
            raise InputError(str(folder), "has no manifest.json", "Give a folder that `bimhw simulate` wrote")
        run = RunFolder(folder)
        for name in run.manifest["files"]:
            run._checked(name)
        return run

    def _checked(self, name: str) -> Path:
        """Return a part's path, once its bytes agree with the manifest's hash; they are read again where the file changed."""
        path = self.path / name
        check_is_file(path)
        found = path.stat()
        stamp = found.st_ino, found.st_size, found.st_mtime_ns
        if self._whole.get(name) != stamp:
            stated = self.manifest["files"].get(name)
            if not may_be_whole(path) or stated != file_sha256(path):
                raise InputError(str(path), "is not the file that this run wrote (its hash does not fit)", AGAIN)
            self._whole[name] = stamp
        return path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Manifest of the run."""
        path = self.path / "manifest.json"
        value = read_object(path, AGAIN)
        files = value.get("files")
        if not isinstance(files, dict) or value.get("sha256") != _own_sha256(value):
            raise InputError(str(path), "was altered, or written before runs had hashes", AGAIN)
        check_manifest(value, path)
        return value

    @cached_property
    def result(self) -> dict[str, Any]:
        """Result of the run."""
        path = self._checked("result.json")
        value = read_object(path, AGAIN)
        check_result(value, self.manifest, path)
        check_computed(value, self._program, self._activity, self._times, self._frame.tick_ns, path)
        return value

    def chip(self) -> Chip:
        """Return the chip it ran on."""
        return self._chip

    @cached_property
    def _chip(self) -> Chip:
        path = self._checked("chip.json")
        with boundary(path, "a chip", AGAIN):
            chip = msgspec.convert(read_object(path, AGAIN), Chip)
        check_chip(chip, str(path))
        check_chip_of(chip, self.manifest, path)
        return chip

    def program(self) -> Program:
        """Return the program that ran."""
        return self._program

    @cached_property
    def _program(self) -> Program:
        path = self._checked("program.bimhw")
        program = Program.load(path)
        check_program_of(program, self.manifest, path)
        return program

    @cached_property
    def _frame(self) -> Frame:
        check_cores(self._program, self._chip)
        return Frame.of(self._program, self._chip)

    def activity(self) -> Activity:
        """Return the counters."""
        return self._activity

    @cached_property
    def _activity(self) -> Activity:  # spikes and times are held against it
        path = self._checked("activity.npz")
        activity = Activity.load(path)
        check_activity(activity, self._frame, self.manifest["samples"], path)
        times = self._times
        if times is not None:
            check_length(times["step_ticks"], self._frame.tick_ns, activity, path)
        return activity

    def spikes(self) -> SpikeTrain:
        """Return all spikes, samples one after another."""
        path = self._checked("spikes.npz")
        arrays = read_npz(path, ("ptr", "ids", "payload"))
        payload = arrays["payload"] if arrays["payload"].size else None
        train = SpikeTrain(arrays["ptr"], arrays["ids"], payload)
        check_spikes(train, self._frame, self.activity(), path)
        return train

    def timing(self) -> dict[str, Array] | None:
        """Return cycles and loads, or None where no timing engine ran."""
        arrays = self._times
        if arrays is not None:
            check_timing(arrays, self._frame, self.activity(), self.path / "timing.npz")
        return arrays

    @cached_property
    def _times(self) -> dict[str, Array] | None:  # late packets too, where there can be any
        if "timing.npz" not in self.manifest["files"]:
            return None
        path = self._checked("timing.npz")
        arrays = read_npz(path)
        check_times(arrays, path)
        return arrays

    def outputs(self) -> dict[str, Array]:
        """Return what the outputs sent or held, and their scores; nothing where the run was none of data."""
        if "outputs.npz" not in self.manifest["files"]:
            return {}
        path = self._checked("outputs.npz")
        arrays = read_npz(path)
        check_outputs(arrays, self.manifest["samples"], path)
        return arrays


def rates_of_run(run: RunFolder) -> dict[str, Floats]:
    """Return the messages a step of each neuron in a run, by population, as the mapper takes them."""
    program, spikes = run.program(), run.spikes()
    counts = np.bincount(spikes.ids, minlength=program.n_neurons) / max(1, spikes.steps)
    first = program.first_ids()
    return {p.name: counts[first[p.name] : first[p.name] + p.size] for p in program.populations}


def chip_json(chip: Chip) -> dict[str, Any]:
    """Return a chip as plain JSON values."""
    value: dict[str, Any] = json.loads(msgspec.json.encode(chip))
    return value


def write_run(
    folder: Path,
    program: Program,
    chip: Chip,
    manifest: dict[str, Any],
    result: dict[str, Any],
    spikes: SpikeTrain,
    activity: Activity,
    timing: Arrays | None,
    outputs: Arrays | None = None,
) -> None:
    """Write a run folder, whole or not at all; the run that it held is there until then."""
    write_parts(folder, program, chip, manifest, result, run_parts(spikes, activity, timing, outputs))


def run_parts(
    spikes: SpikeTrain, activity: Activity, timing: Arrays | None = None, outputs: Arrays | None = None
) -> dict[str, Arrays]:
    """Return file name -> its arrays, of a run that is in memory."""
    payload = np.zeros(0, np.int32) if spikes.payload is None else spikes.payload
    return {
        "spikes.npz": {"ptr": spikes.ptr, "ids": spikes.ids, "payload": payload},
        "activity.npz": activity.arrays(),
        "timing.npz": timing or {},
        "outputs.npz": outputs or {},
    }


def write_parts(
    folder: Path,
    program: Program,
    chip: Chip,
    manifest: Mapping[str, object],
    result: Mapping[str, object],
    parts: Mapping[str, Arrays],
) -> None:
    """Write a run folder, whole or not at all; `parts`: file name -> its arrays, in memory or on the disk.

    The manifest comes last, so that an interrupted run is not taken for a whole one.
    """
    check_run_folder(folder)
    with os_errors(str(folder)):
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    # the report that a folder holds is one of the run it held
    with held(folder), replacing_files(folder, (*PARTS, "report.html", "manifest.json")) as new:
        program.save(new / "program.bimhw")
        write_json(new / "chip.json", chip_json(chip))
        write_json(new / "result.json", result)
        for name, arrays in parts.items():
            if arrays:
                write_npz(new / name, arrays)
        seal(new, dict(manifest) | {"program_sha256": program.sha256()})


def seal(folder: Path, manifest: Mapping[str, object]) -> None:
    """Write the manifest of a run folder: the given facts, the hash of every part that is there, and its own."""
    files = {name: file_sha256(folder / name) for name in PARTS if (folder / name).is_file()}
    whole = {k: v for k, v in manifest.items() if k != "sha256"} | {"files": files}
    write_json(folder / "manifest.json", whole | {"sha256": _own_sha256(whole)})


@contextlib.contextmanager
def reserved(path: Path | str, manifest: Mapping[str, object], force: bool = False) -> Iterator[None]:
    """Hold a run folder while the run that `manifest` describes is computed and written.

    The same run may be done again in its folder: it gives the same bytes.

    Args:
        path: run folder; the folders above it are made.
        manifest: of `run_manifest`; facts that are not known yet may be missing.
        force: replace another run.

    Raises:
        InputError: as `check_run_folder`; another process holds the folder, or it holds another run.
    """
    folder = check_run_folder(path)
    with os_errors(str(path)):
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with held(folder):
        if not force and (folder / "manifest.json").is_file():
            _check_same(folder, manifest)
        yield


def _check_same(folder: Path, manifest: Mapping[str, object]) -> None:
    there = read_object(folder / "manifest.json", "Give another folder, or --force")
    for name in sorted({*there, *manifest} - _OF_THE_WRITER):
        if there.get(name) != manifest.get(name) and not (name == "program_sha256" and name not in manifest):
            raise InputError(
                str(folder),
                f"holds another run: {name} {there.get(name)!r}, of this run {manifest.get(name)!r}",
                "Give another folder, or --force (force=True) to replace it",
            )


def check_run_folder(path: Path | str) -> Path:
    """Return `path` if a run can be written there: a new or empty folder, or one of an earlier run.

    Raises:
        InputError: a file, a folder of something else, or one that cannot be written.
    """
    folder = check_output_folder(path)
    if folder.is_dir() and not (folder / "manifest.json").is_file():
        strange = sorted(p.name for p in folder.iterdir() if p.name not in PARTS and not p.name.startswith("."))
        if strange:
            raise InputError(str(path), f"holds {strange[0]!r} and is no folder of a run", "Give a new folder")
    return folder


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_sha256(manifest: Mapping[str, object]) -> str:
    plain = {k: v for k, v in manifest.items() if k != "sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

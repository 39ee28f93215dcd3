"""A run folder: what was run, with what, and what came out; everything in it can be read without bimhw.

==================  =====================================================================================
``manifest.json``   versions, seed, task, hashes of program, chip and model
``program.bimhw``   the program that ran
``chip.json``       the chip file's content, so that a user's own chip travels with the run
``result.json``     accuracy, agreement with the float model, spikes, cycles
``spikes.npz``      all spikes of all samples (ptr, ids, payload; step runs through the samples)
``activity.npz``    every counter by core, step and population
``timing.npz``      cycles of each step, busy ticks of cores and links
==================  =====================================================================================

No file holds a time of day or a path: the same seed gives the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from simulator.base.errors import InputError
from simulator.base.files import check_is_file, read_npz, write_json, write_npz
from simulator.chips.chip import Chip
from simulator.program.activity import Activity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


@dataclass(frozen=True)
class RunFolder:
    """Reads the parts of a run folder."""

    path: Path

    @staticmethod
    def open(path: Path | str) -> RunFolder:
        """The run in a folder.

        Raises:
            InputError: no such folder, or not one of a run.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise InputError(str(folder), "is not a folder of a run", "Make one with: bimhw simulate x.bimhw")
        if not (folder / "manifest.json").is_file():
            raise InputError(str(folder), "has no manifest.json", "Give a folder that `bimhw simulate` wrote")
        return RunFolder(folder)

    def _json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        check_is_file(path)
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(str(path), f"is not JSON ({error})", "Run the simulation again") from error
        if not isinstance(value, dict):
            raise InputError(str(path), "is not a JSON object", "Run the simulation again")
        return value

    @property
    def manifest(self) -> dict[str, Any]:
        """What was run."""
        return self._json("manifest.json")

    @property
    def result(self) -> dict[str, Any]:
        """What came out."""
        return self._json("result.json")

    def chip(self) -> Chip:
        """The chip it ran on."""
        try:
            return msgspec.convert(self._json("chip.json"), Chip)
        except msgspec.ValidationError as error:
            raise InputError(str(self.path / "chip.json"), str(error), "Run the simulation again") from error

    def program(self) -> Program:
        """The program that ran."""
        return Program.load(self.path / "program.bimhw")

    def activity(self) -> Activity:
        """The counters."""
        return Activity.load(self.path / "activity.npz")

    def spikes(self) -> SpikeTrain:
        """All spikes, samples one after another."""
        arrays = read_npz(self.path / "spikes.npz", ("ptr", "ids", "payload"))
        payload = arrays["payload"] if arrays["payload"].size else None
        return SpikeTrain(arrays["ptr"], arrays["ids"], payload)

    def timing(self) -> dict[str, npt.NDArray[Any]] | None:
        """Cycles and loads, or None where no timing engine ran."""
        path = self.path / "timing.npz"
        return read_npz(path, ("step_ticks", "core_busy", "link_busy")) if path.is_file() else None


def rates_of_run(run: RunFolder) -> dict[str, npt.NDArray[np.float64]]:
    """Messages a step of each neuron in a run, by population, as the mapper takes them."""
    program, spikes = run.program(), run.spikes()
    counts = np.bincount(spikes.ids, minlength=program.n_neurons) / max(1, spikes.steps)
    first = program.first_ids()
    return {p.name: counts[first[p.name] : first[p.name] + p.size] for p in program.populations}


def chip_json(chip: Chip) -> dict[str, Any]:
    """A chip as plain JSON values."""
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
    timing: dict[str, npt.NDArray[Any]] | None,
) -> None:
    """Write a run folder; the manifest comes last, so that an interrupted run is not taken for a whole one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    program.save(folder / "program.bimhw")
    write_json(folder / "chip.json", chip_json(chip))
    write_json(folder / "result.json", result)
    payload = np.zeros(0, np.int32) if spikes.payload is None else spikes.payload
    write_npz(folder / "spikes.npz", {"ptr": spikes.ptr, "ids": spikes.ids, "payload": payload})
    activity.save(folder / "activity.npz")
    if timing is not None:
        write_npz(folder / "timing.npz", timing)
    else:
        (folder / "timing.npz").unlink(missing_ok=True)
    write_json(folder / "manifest.json", manifest)

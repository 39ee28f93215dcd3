"""The parts of a run folder belong together, although every hash was written again."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bimhw
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.runs.folder import RunFolder, seal
from simulator.base.errors import InputError
from simulator.base.files import read_npz, write_npz
from simulator.base.reading import read_object
from simulator.base.writing import write_json
from simulator.program.faults import Faults

Change = Callable[[Any], object]


X = np.random.default_rng(1).integers(0, 2, (3, 4, 5)).astype(np.int16)


@functools.cache
def compiled(chip: str) -> bimhw.Program:
    return bimhw.compile(BimNet(BimConfig(n_in=5, hidden=(4,), n_out=3), 0), chip=chip).program


def labelled(samples: int) -> bimhw.Dataset:
    return bimhw.Dataset(X[:samples], y=np.arange(samples) % 3, layout="bt")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, samples in (("run", 3), ("short", 2)):
        bimhw.simulate(compiled("loihi2"), data=labelled(samples), output=folder / name)
    return folder


def read_all(run: RunFolder) -> None:
    """Read every part."""
    for part in (run.program, run.chip, run.activity, run.spikes, run.timing, run.outputs, lambda: run.result):
        part()


def changed(runs: Path, to: Path, part: str, change: Change) -> RunFolder:
    """Return the run with a part changed, and all hashes made to fit again."""
    shutil.copytree(runs / "run", to)
    path = to / part
    value: Any = read_object(path) if path.suffix == ".json" else read_npz(path)
    change(value)
    (write_json if path.suffix == ".json" else write_npz)(path, value)
    seal(to, read_object(to / "manifest.json"))
    return RunFolder.open(to)


def last_id(arrays: dict[str, Any]) -> None:
    arrays["ids"][-1] = 2**31 - 1


def facts(**new: object) -> Change:
    def change(arrays: dict[str, Any]) -> None:
        arrays["facts"] = np.array(json.dumps(json.loads(str(arrays["facts"])) | new))

    return change


def other_populations(arrays: dict[str, Any]) -> None:
    facts(populations=["a", "b"])(arrays)
    for name in [n for n in arrays if n.endswith("by_population")]:
        arrays[name] = np.array([arrays[name].sum(), 0])


def one_core(arrays: dict[str, Any]) -> None:
    for name in [n for n in arrays if n.endswith("by_core")]:
        arrays[name] = np.array([arrays[name].sum()])


def no_spikes(arrays: dict[str, Any]) -> None:
    arrays.update(ptr=np.zeros_like(arrays["ptr"]), ids=np.zeros(0, np.int32), payload=np.zeros(0, np.int32))


LAYER = {"population": "x", "differ": 0, "of": 3, "graded": True, "float_rate": 0.0, "rate": 0.0, "rms_error": 0.0}
CHANGES: dict[str, tuple[str, Change, str]] = {
    "an id beyond the neurons": ("spikes.npz", last_id, "ids outside 0"),
    "no spikes": ("spikes.npz", no_spikes, "has 0 spikes, the run's counters"),
    "other populations": ("activity.npz", other_populations, "are not those of the run's program"),
    "one core": ("activity.npz", one_core, "has 1 entries by core"),
    "no samples": ("activity.npz", facts(samples=0), "has 0 samples, the run 3"),
    "many cores": ("activity.npz", facts(cores_used=2**31), "cores_used, the run"),
    "many chips": ("activity.npz", facts(chips=2**20), "1,048,576 chips, the run 1"),
    "no time": ("activity.npz", facts(sim_time_ns=None), "has None ns, the run's steps"),
    "other time": ("activity.npz", facts(sim_time_ns=1e30), r"1e\+30 ns, the run's steps"),
    "few steps": ("timing.npz", lambda a: a.update(step_ticks=a["step_ticks"][:2]), "ns, the run's steps"),
    "wide times": ("timing.npz", lambda a: a.update(step_ticks=a["step_ticks"].astype(np.uint64)), "whole numbers"),
    "wrapped times": ("timing.npz", lambda a: a["step_ticks"].fill(2**62), "whole numbers"),
    "few cores": ("timing.npz", lambda a: a.update(core_busy=a["core_busy"][:1]), r"core_busy: has shape \(1,\)"),
    "few routers": ("timing.npz", lambda a: a.update(link_busy=a["link_busy"][:1]), "link_busy: has shape"),
    "few outputs": ("outputs.npz", lambda a: a.update(scores=a["scores"][:1]), "scores: has type"),
    "other samples": ("result.json", lambda v: v.update(samples=2), "has 2 samples, the manifest 3"),
    "another task": ("result.json", lambda v: v.update(task="\x1b[31m"), "task, the manifest"),
    "no task": ("result.json", lambda v: v.pop("task"), "is not the result of a run"),
    "a list": ("result.json", lambda v: v.update(accuracy=[]), "is not the result of a run"),
    "no accuracy": ("result.json", lambda v: v.update(accuracy=None), "accuracy: has no value"),
    "too accurate": ("result.json", lambda v: v.update(accuracy=1e308), "accuracy: is 1e"),
    "another accuracy": ("result.json", lambda v: v.update(accuracy=0.9), "accuracy: is 0.9, the run gives"),
    "another confusion": ("result.json", lambda v: v["confusion"][0].append(1), "confusion: does not count 3 samples"),
    "not a number": ("result.json", lambda v: v.update(spike_rate=float("nan")), "spike_rate: is nan|not.* JSON"),
    "below 0": ("result.json", lambda v: v.update(mean_latency_us=-1.0), "mean_latency_us: is -1"),
    "beyond floats": ("result.json", lambda v: v.update(recorded_of=10**400), "recorded_of: is 1000"),
    "null time": ("result.json", lambda v: v.update(mean_step_ns=None), "mean_step_ns: has no value"),
    "another time": ("result.json", lambda v: v.update(p99_latency_us=1.0), "p99_latency_us: is 1.0, the run gives"),
    "without a time": ("result.json", lambda v: v.pop("mean_latency_us"), "has no mean_latency_us"),
    "half a comparison": ("result.json", lambda v: v.update(recorded_differ=5), "has no recorded_"),
    "other spikes": ("result.json", lambda v: v.update(spikes_per_sample=5), "spikes_per_sample: is 5, the run gives"),
    "other copies": ("result.json", lambda v: v.update(copies=2), "copies: is 2, the run gives 1"),
    "saturated": ("result.json", lambda v: v["saturations"].update(total=3), "saturations: is .* the run gives"),
    "layers of text": ("result.json", lambda v: v.update(layers=[{"of": "x"}]), "is not the result of a run"),
    "a layer of another program": ("result.json", lambda v: v.update(layers=[LAYER]), "'x', which the program lacks"),
    "populations of text": ("result.json", lambda v: v.update(populations=[1]), "is not the result of a run"),
    "more than there is": ("result.json", lambda v: v.update(differ=1, of=2), "differ: is 1, the populations"),
    "other steps learnt": ("result.json", lambda v: v.update(chip_steps=7), "chip_steps: is 7, the run gives 18"),
    "other operations": ("result.json", lambda v: v.update(operations={"a": 3}), "operations: is .* the run gives"),
    "learnt too well": ("result.json", lambda v: v.update(test_accuracy_by_epoch=[0.5, 2.0]), "is 2.0, 0 to 1"),
    "weights of text": ("result.json", lambda v: v.update(weights_before={"values": 1}), "is not the result of a run"),
    "half the weights": (
        "result.json",
        lambda v: v.update(weights_before={"values": [1], "counts": []}),
        "other counts",
    ),
    "another chip": ("chip.json", lambda v: v.update(name="loihi1"), "is not the chip of this run"),
    "other limits": ("chip.json", lambda v: v["topology"].update(width=99), "is not the chip of this run"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_part_that_is_not_of_its_run_is_refused(name: str, runs: Path, tmp_path: Path) -> None:
    part, change, message = CHANGES[name]
    with pytest.raises(InputError, match=message) as told:
        read_all(changed(runs, tmp_path / "bad", part, change))
    assert len(str(told.value)) < 600


@pytest.mark.parametrize("part", ["spikes.npz", "activity.npz", "timing.npz", "result.json", "outputs.npz"])
def test_a_part_of_a_shorter_run_is_refused(part: str, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "run", tmp_path / "bad")
    shutil.copy(runs / "short" / part, tmp_path / "bad" / part)
    seal(tmp_path / "bad", read_object(tmp_path / "bad" / "manifest.json"))
    with pytest.raises(InputError, match=" has "):
        read_all(RunFolder.open(tmp_path / "bad"))


@pytest.mark.parametrize(
    "fact",
    [{"samples": 0}, {"samples": None}, {"task": []}, {"chip_sha256": 1}, {"engine": "magic"}, {"engine": "none"}, {"sync": "x"}],
    ids=str,
)  # fmt: skip
def test_a_manifest_without_its_facts_is_refused(fact: dict[str, object], runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "run", tmp_path / "bad")
    seal(tmp_path / "bad", read_object(tmp_path / "bad" / "manifest.json") | fact)
    with pytest.raises(InputError, match=r"manifest\.json"):
        RunFolder.open(tmp_path / "bad")


@pytest.mark.parametrize("fact", ["model_sha256", "program_sha256", "chip_sha256"])
def test_a_manifest_of_another_model_program_or_chip_is_refused(fact: str, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "run", tmp_path / "bad")
    seal(tmp_path / "bad", read_object(tmp_path / "bad" / "manifest.json") | {fact: "0" * 64})
    with pytest.raises(InputError, match=r"is not the (program|chip) of this run"):
        read_all(RunFolder.open(tmp_path / "bad"))


def test_a_program_with_a_core_beyond_its_chip_is_refused(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "run", tmp_path / "bad")
    core = compiled("loihi2").core.copy()
    core[-1] = 128
    beyond = dataclasses.replace(compiled("loihi2"), core=core)
    beyond.save(tmp_path / "bad" / "program.bimhw")
    seal(tmp_path / "bad", read_object(tmp_path / "bad" / "manifest.json") | {"program_sha256": beyond.sha256()})
    with pytest.raises(InputError, match=r"core 128: cannot be reached"):
        RunFolder.open(tmp_path / "bad").activity()


@pytest.mark.parametrize(
    ("chip", "how"),
    [
        *(("loihi2", {"engine": engine}) for engine in ("simpy", "clocked", "bound", "events", "none")),
        ("generic", {"sync": "tick", "period_ns": 1e6}),
        ("generic", {"sync": "neighbour"}),
        ("loihi2", {"faults": Faults(dead_cores=(0,), clock_sigma=0.1)}),
        ("loihi2", {"faults": Faults(drop_rate=0.3, state_upset_rate=0.01)}),
        ("loihi2", {"timing_sample": 0.5}),
    ],
    ids=str,
)
def test_runs_of_every_kind_are_read(chip: str, how: dict[str, Any], tmp_path: Path) -> None:
    bimhw.simulate(compiled(chip), data=bimhw.Dataset(X, layout="bt"), output=tmp_path / "run", **how)
    read_all(RunFolder.open(tmp_path / "run"))

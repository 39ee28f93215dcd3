"""Samples of one's own are learnt, compiled, fine-tuned, cross-checked and run by the path of their file."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import bimhw
from bimhw.cli.main import cli
from bimhw.learning.finetune import finetune
from simulator.base.errors import InputError
from tests.bimhw.frontends.test_nir_recorded import leaky_net, recorded


def shd(path: Path, samples: int = 60) -> Path:
    """Write a file in the layout of SHD: class c fires in its own third of 24 units, twice, 620 ms apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(samples) % 3
    with h5py.File(path, "w") as file:
        kind = h5py.vlen_dtype(np.float32), h5py.vlen_dtype(np.int64)
        spikes = file.create_group("spikes")
        times = spikes.create_dataset("times", (samples,), dtype=kind[0])
        units = spikes.create_dataset("units", (samples,), dtype=kind[1])
        for k, label in enumerate(labels):
            first = rng.uniform(0, 0.05, 20)
            times[k] = np.sort(np.concatenate([first, first + 0.62])).astype(np.float32)
            units[k] = 8 * label + rng.integers(0, 8, 40)
        file["labels"] = labels
    return path


def test_a_file_of_shds_layout_goes_the_whole_way_by_its_path(tmp_path: Path) -> None:
    data = shd(tmp_path / "shd.h5")
    binned = ["--data", str(data), "--data-option", "size=24"]
    run = CliRunner().invoke(
        cli,
        [
            "train",
            *binned,
            "--delays",
            "0,62",
            "--hidden",
            "16",
            "--epochs",
            "6",
            "--json",
            "-o",
            str(tmp_path / "m.pt"),
        ],
    )
    assert run.exit_code == 0, run.output
    assert bimhw.load_model(tmp_path / "m.pt").config.input_delays == (0, 62)
    run = CliRunner().invoke(
        cli, ["compile", str(tmp_path / "m.pt"), *binned, "--json", "-o", str(tmp_path / "m.bimhw")]
    )
    assert run.exit_code == 0, run.output
    run = CliRunner().invoke(
        cli, ["simulate", str(tmp_path / "m.bimhw"), *binned, "--json", "--engine", "none", "-o", str(tmp_path / "run")]
    )
    assert run.exit_code == 0, run.output
    assert json.loads((tmp_path / "run" / "result.json").read_text())["accuracy"] > 0.8
    steps = bimhw.Program.load(tmp_path / "m.bimhw").projections
    assert max(q.delay for q in steps) >= 62


def test_finetune_takes_samples(tmp_path: Path) -> None:
    x = np.zeros((60, 6, 4), np.uint8)
    y = np.arange(60) % 2
    x[np.arange(60), :, y] = 1
    own = bimhw.Dataset(x, y, layout="bt", name="own")
    trained = bimhw.train(own, hidden=(6,), epochs=4)
    done = finetune(trained.model, own, bits=4, epochs=2)
    assert done.accuracy >= done.rounded_accuracy - 0.2
    with pytest.raises(InputError, match="has no labels"):
        finetune(trained.model, bimhw.Dataset(x, layout="bt"), epochs=1)


def test_learning_takes_a_dataset_of_torch_as_it_is(tmp_path: Path) -> None:
    x, y = np.zeros((60, 6, 4), np.uint8), np.arange(60) % 2
    x[np.arange(60), :, y] = 1
    pairs = [(one, int(label)) for one, label in zip(x, y, strict=True)]
    own = bimhw.Dataset(x, y, layout="bt")
    trained, same = bimhw.train(pairs, hidden=(6,), epochs=2), bimhw.train(own, hidden=(6,), epochs=2)
    assert trained.final.accuracy == same.final.accuracy
    tuned = [finetune(trained.model, data, bits=4, epochs=1).accuracy for data in (pairs, own)]
    assert tuned[0] == tuned[1]
    program = bimhw.compile(trained.model, "loihi2", data=pairs).program
    learnt = [bimhw.learn(program, data, epochs=1) for data in (pairs, own)]
    assert learnt[0].program.sha256() == learnt[1].program.sha256()


def test_a_crosscheck_takes_samples(tmp_path: Path) -> None:
    pytest.importorskip("brian2")
    model = leaky_net(tmp_path / "m.nir")
    data = recorded(model, "snntorch-subtract", 2)
    float_runs = bimhw.cross_check(model, data=data, samples=(0, 1))
    assert len(float_runs) == 2 and all(c.equal and c.events > 0 for c in float_runs)
    program = bimhw.compile(model, data=data).program
    runs = bimhw.cross_check(program, data=data, samples=(1,), source=model)
    assert runs and all(c.equal for c in runs if c.tolerance is not None)
    with pytest.raises(InputError, match="sample 2"):
        bimhw.cross_check(program, data=data, samples=(2,), source=model)

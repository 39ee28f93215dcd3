"""Programs with copies: each sample runs as if alone, all together on one chip; compile, simulate, energy and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bimhw
from bimhw.cli.main import main
from bimhw.runs.copies import rounds_of
from bimhw.runs.execute import execute
from bimhw.runs.request import How, Request
from mapping.copies import copies_of, first_copy
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

ROOT = Path(__file__).resolve().parents[3]
MODEL = str(ROOT / "examples" / "digits.safetensors")
SAMPLES = 7


@pytest.fixture(scope="module")
def programs() -> tuple[Program, Program]:
    """Return the digits net on its smallest cores, alone and in 3 copies."""
    made = [bimhw.compile(MODEL, neurons_per_core=40, mapping="blocks", copies=n).program for n in (1, 3)]
    return made[0], made[1]


def test_samples_run_as_if_alone(programs: tuple[Program, Program], tmp_path: Path) -> None:
    one, three = programs
    assert copies_of(three) == 3 and first_copy(three).sha256() == one.sha256() and rounds_of(three, SAMPLES) == 3
    alone = bimhw.simulate(one, samples=SAMPLES, output=tmp_path / "one")
    beside = bimhw.simulate(three, samples=SAMPLES, output=tmp_path / "three", model=MODEL)
    a, b = alone.result, beside.result
    assert a["accuracy"] == b["accuracy"] and b["copies"] == 3 and b["decisions_agree"] <= 1
    assert b["samples_per_s"] > 2.5 * a["samples_per_s"]
    assert b["mean_latency_us"] >= a["mean_latency_us"] * 0.999
    bimhw.report(tmp_path / "three")  # its steps are those of rounds
    spent = [bimhw.energy(tmp_path / name) for name in ("one", "three")]
    rows = [e.rows()[0] for e in spent]
    assert rows[1].batch == 3 and "3 copies" in rows[1].what and rows[1].us is not None and rows[0].us is not None
    assert rows[1].us < rows[0].us / 2.5 and rows[1].uj < rows[0].uj  # one barrier and one static power for three
    assert spent[1].steps_per_sample == spent[0].steps_per_sample and not spent[1].learning


@pytest.mark.parametrize("engine", ["compiled", "events"])
def test_spikes_states_and_counters_are_those_of_single_runs(programs: tuple[Program, Program], engine: Any) -> None:
    one, _three = programs
    chip, steps = load_chip("loihi2"), int(one.meta["chip_steps"])
    rng = np.random.default_rng(3)
    width, bits = one.population(one.meta["input"]["population"]).size, one.meta["input"]["payload_bits"]
    x = rng.integers(0, 2 ** (bits - 1) if bits else 2, (6, 4, width))
    trains = [SpikeTrain.from_dense(v) for v in x]
    probe = (one.meta["output"]["population"], one.meta["output"]["state"])
    alone, beside = (execute(Request(p, trains, chip, steps, (probe,), How(engine))) for p in programs)
    for a, b in zip(alone.spikes, beside.spikes, strict=True):
        assert a.spike_hash() == b.spike_hash()
    assert (alone.probes[probe] == beside.probes[probe]).all()
    for name in ("spikes", "synaptic_events", "packets", "neuron_updates", "host_packets_in"):
        assert alone.activity.total(name) == beside.activity.total(name), name
    assert beside.activity.samples == 6 and beside.activity.steps == 2 * steps and beside.joined.steps == 2 * steps


def test_a_last_round_is_filled(programs: tuple[Program, Program]) -> None:
    _, three = programs
    steps = int(three.meta["chip_steps"])
    trains = [SpikeTrain(np.zeros(steps + 1, np.int64), np.zeros(0, np.int32))] * 4
    run = execute(Request(three, trains, load_chip("loihi2"), steps, how=How("none")))
    assert len(run.spikes) == 4 and run.activity.samples == 6


def test_bad_numbers_of_copies(programs: tuple[Program, Program], tmp_path: Path) -> None:
    with pytest.raises(FitError, match="at most"):
        bimhw.compile(MODEL, copies=500)
    with pytest.raises(InputError, match="from 1 on"):
        bimhw.compile(MODEL, copies=0)
    with pytest.raises(SystemExit) as done:
        main(["compile", MODEL, "--copies", "some", "-o", str(tmp_path / "x.bimhw")])
    assert done.value.code == 2 and not (tmp_path / "x.bimhw").exists()


def test_command_fills_the_chip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["compile", MODEL, "--objective", "cores", "--copies", "max", "-o", str(tmp_path / "x.bimhw"), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert not done.value.code and report["copies"] == 128 == report["cores"] == report["cores_of_chip"]
    loaded = Program.load(tmp_path / "x.bimhw")
    assert copies_of(loaded) == 128 and loaded.sha256() == report["program_sha256"]
    assert next(r for r in report["resources"] if r["name"] == "neurons")["total"] == 128 * 138

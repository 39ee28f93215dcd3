"""`bimhw bench` on a small generated net, and on the reference nets where they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bimhw
from benchmarks.nets import write_net
from bimhw.cli.commands.bench import command
from simulator.base.errors import FitError, InputError
from simulator.program.axons import axon_table
from simulator.program.faults import Faults, read_faults


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_net(tmp_path_factory.mktemp("nets") / "small.npz", 600, (5, 40), 0.05, n_in=40, steps=60)


def test_counts_are_those_of_the_events(net: Path) -> None:
    result = bimhw.bench(net, engine="none")
    data = np.load(net)
    assert (result.neurons, result.synapses, result.steps) == (600, data["indices"].size, 60)
    assert 0.03 < result.spikes / 600 / 60 < 0.07
    assert result.timing_cpu_s_per_1000 is None
    assert result.synapse_bytes == 3
    spikes = bimhw.run(_program(net), _inputs(net), 60).spikes
    assert spikes.spike_hash() == result.spike_hash
    assert result.events == np.diff(data["indptr"])[spikes.ids].sum()
    assert result.messages == axon_table(_program(net)).fan_cores[spikes.ids].sum()


def test_the_objective_chooses_the_mapping(net: Path) -> None:
    few, fast = (
        bimhw.bench(net, engine="compiled", chip="loihi2", mapping="auto", objective=o, repeats=1)
        for o in ("cores", "time")
    )
    assert few.spike_hash == fast.spike_hash
    assert few.sim_time_us_per_step is not None and fast.sim_time_us_per_step is not None
    assert few.messages < fast.messages and fast.sim_time_us_per_step <= few.sim_time_us_per_step
    with pytest.raises(InputError, match="speed"):
        bimhw.bench(net, engine="none", mapping="auto", objective="speed")


def _program(net: Path) -> bimhw.Program:  # type: ignore[valid-type]
    from bimhw.frontends.npz import read_plain
    from mapping.files import program_as_given

    return program_as_given(read_plain(net).network, bimhw.load_chip("loihi1-fitted"))


def _inputs(net: Path) -> bimhw.SpikeTrain:  # type: ignore[valid-type]
    from bimhw.frontends.npz import read_plain

    return read_plain(net).inputs


def test_spikes_do_not_depend_on_the_mapping(net: Path) -> None:
    by_file, auto = bimhw.bench(net, engine="bound"), bimhw.bench(net, engine="bound", mapping="auto")
    assert by_file.spike_hash == auto.spike_hash
    assert by_file.events == auto.events
    assert by_file.messages != auto.messages
    for r in (by_file, auto):
        assert r.sim_time_us_per_step is not None
        assert r.sim_time_us_per_step > 0.6  # one barrier


def test_the_command_prints_json(net: Path) -> None:
    done = CliRunner().invoke(command, [str(net), "--engine", "bound", "--chip", "loihi2", "--steps", "20", "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    for key in (
        "spike_hash", "events", "messages", "function_cpu_s_per_1000", "timing_cpu_s_per_1000", "build_s",
        "peak_rss_mb", "sim_time_us_per_step", "energy_nj_per_step",
    ):  # fmt: skip
        assert result[key]
    assert result["steps"] == 20
    for figure, unit in (("sim_time", "us_per_step"), ("energy", "nj_per_step")):
        low, high = (result[f"{figure}_{end}_{unit}"] for end in ("low", "high"))
        assert low < result[f"{figure}_{unit}"] < high and result[f"{figure}_trust"] in (
            "fitted",
            "assumed",
            "unverified",
        )
    table = CliRunner().invoke(command, [str(net), "--engine", "none", "--steps", "20"])
    assert "spike_hash" in table.output and "trust" in table.output


@pytest.mark.parametrize(("name", "share"), [("s_5", 0.05), ("m_5_local", 0.05)])
def test_the_reference_nets(shared: Path, name: str, share: float) -> None:
    result = bimhw.bench(shared / "bench" / "nets" / f"{name}.npz", engine="none")
    assert result.spike_hash == result.reference
    assert abs(result.spikes / result.steps / result.neurons / share - 1) < 0.1


def test_bad_arguments_are_named(net: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="steps: is 0"):
        bimhw.bench(net, steps=0)
    with pytest.raises(InputError, match="is not known"):
        bimhw.bench(net, chip="loihi7")
    with pytest.raises(InputError, match="Mappings: file, auto"):
        bimhw.bench(net, mapping="best")
    data = dict(np.load(net))
    np.savez(tmp_path / "far.npz", **{**data, "core": data["core"] + 60})
    with pytest.raises(FitError, match=r"uses core 187; chip 'loihi1-fitted' has cores 0\.\.127"):
        bimhw.bench(tmp_path / "far.npz")
    del data["core"]
    np.savez(tmp_path / "free.npz", **data)
    with pytest.raises(InputError, match="Use --mapping auto"):
        bimhw.bench(tmp_path / "free.npz")


def test_a_broken_chip(net: Path, tmp_path: Path) -> None:
    sound = bimhw.bench(net, engine="bound")
    assert sound.faults == {}
    file = tmp_path / "faults.yaml"
    file.write_text("seed: 3\ndrop_rate: 0.1\nclock_sigma: 0.1\n")
    done = CliRunner().invoke(command, [str(net), "--engine", "bound", "--faults", str(file), "--json"])
    assert done.exit_code == 0, done.output
    broken = json.loads(done.stdout)
    assert broken["spike_hash"] != sound.spike_hash
    assert abs(broken["faults"]["fault_lost_packets"] / broken["messages"] - 0.1) < 0.02
    assert broken["sim_time_us_per_step"] > sound.sim_time_us_per_step
    file.write_text("drop_rate: 2\n")
    with pytest.raises(InputError, match=r"faults.yaml: .*drop_rate"):
        read_faults(file)
    dead = Faults(dead_links=((0, 0, "east"),))
    with pytest.raises(
        InputError, match=r"pairs of cores, and the engine 'bound' routes x first only\. Use the engine simpy"
    ):
        bimhw.bench(net, engine="bound", faults=dead)
    around = bimhw.bench(net, engine="simpy", steps=2, repeats=1, faults=dead)
    assert around.spike_hash == bimhw.bench(net, engine="none", steps=2, repeats=1).spike_hash


@pytest.mark.parametrize("chunk", [1, 7, 59])
def test_a_long_run_in_chunks_is_the_run_in_one_piece(net: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    import sys

    bench = sys.modules["bimhw.runs.bench"]  # the façade gives the function this name

    whole = bimhw.bench(net, repeats=1)
    monkeypatch.setattr(bench, "CHUNK_STEPS", chunk)
    parts = bimhw.bench(net)
    for name in ("spike_hash", "reference", "spikes", "events", "messages", "saturations", "steps", "steps_timed"):
        assert getattr(parts, name) == getattr(whole, name), name
    assert parts.sim_time_us_per_step == pytest.approx(whole.sim_time_us_per_step, rel=1e-12)
    assert parts.energy_nj_per_step == pytest.approx(whole.energy_nj_per_step, rel=1e-12)

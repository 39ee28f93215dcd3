"""Engines, synchronisation and exit codes that the command line reaches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bimhw
from bimhw.cli.main import cli
from bimhw.runs.request import How, parse_period
from simulator.base.errors import InputError
from simulator.program.activity import Activity
from tests.bimhw.runs.test_every_run import nir


@pytest.fixture
def program(tmp_path: Path) -> bimhw.Program:
    return _program(tmp_path, "loihi2")


def _program(tmp_path: Path, chip: str) -> bimhw.Program:
    x = (np.random.default_rng(0).random((2, 6, 6)) < 0.5).astype(np.int32)
    np.savez(tmp_path / "d.npz", x=x, y=np.array([0, 2]))
    return bimhw.compile(nir(tmp_path), data=tmp_path / "d.npz", dt=1.0, chip=chip).program


def test_every_engine_gives_the_same_spikes_and_times(program: bimhw.Program, tmp_path: Path) -> None:
    found = {}
    for engine in ("compiled", "simpy", "clocked", "events"):
        run = bimhw.simulate(program, data=tmp_path / "d.npz", engine=engine, output=tmp_path / engine)
        spikes = (tmp_path / engine / "spikes.npz").read_bytes()
        found[engine] = (spikes, run.result["mean_step_ticks"], run.outputs["values"].tobytes())
    assert len(set(found.values())) == 1


def test_a_long_tick_has_no_late_packets(tmp_path: Path) -> None:
    program = _program(tmp_path, "generic")
    run = bimhw.simulate(program, data=tmp_path / "d.npz", sync="tick", period_ns=1e6, output=tmp_path / "run")
    assert run.result["late_packets"] == 0
    assert run.result["mean_latency_us"] >= 7e3  # 6 steps and the depth of the network, a millisecond each


def test_neighbours_give_the_spikes_of_a_barrier_at_their_own_time_and_energy(tmp_path: Path) -> None:
    program = _program(tmp_path, "generic")
    found, runs = {}, {}
    for engine in ("compiled", "simpy", "clocked", "events"):
        runs[engine] = bimhw.simulate(
            program, data=tmp_path / "d.npz", sync="neighbour", engine=engine, output=tmp_path / engine
        )
        spikes = (tmp_path / engine / "spikes.npz").read_bytes()
        found[engine] = (spikes, runs[engine].result["mean_step_ticks"], runs[engine].outputs["values"].tobytes())
    assert len(set(found.values())) == 1
    barrier = bimhw.simulate(program, data=tmp_path / "d.npz", output=tmp_path / "barrier")
    assert found["events"][0] == (tmp_path / "barrier" / "spikes.npz").read_bytes()
    assert runs["events"].result["mean_latency_us"] < barrier.result["mean_latency_us"]
    tokens = [i for i in bimhw.energy(tmp_path / "events").report.items if i.key == "sync_token_hop"]
    activity = Activity.load(tmp_path / "compiled" / "activity.npz")
    assert tokens[0].counts.total == activity.total("sync_token_hops") > 0
    tokens = {e: Activity.load(tmp_path / e / "activity.npz").counts["sync_tokens"] for e in runs}
    for counts in tokens.values():
        assert (counts.by_step == tokens["events"].by_step).all() and (counts.by_core == tokens["events"].by_core).all()
        assert counts.by_step.sum() == counts.by_core.sum() and counts.by_step.min() > 0


def test_a_synchronisation_that_the_chip_lacks_is_refused(program: bimhw.Program, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sync 'tick': is not one of chip 'loihi2': barrier"):
        bimhw.simulate(program, data=tmp_path / "d.npz", sync="tick", period_ns=1e6, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(InputError, match="needs a period above 0"):
        How(sync="tick")
    with pytest.raises(InputError, match="belongs to tick and free"):
        How(period_ns=5.0)
    assert [parse_period(t) for t in ("1ms", "20us", "5ns", "7")] == [1e6, 2e4, 5.0, 7.0]
    with pytest.raises(InputError, match="is no time"):
        parse_period("soon")


def test_a_refused_sweep_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nir(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(
        cli, ["sweep", str(model), "--dt", "1", "--bits", "4,8", "--db", "s.sqlite", "--workers", "1"]
    )
    assert isinstance(done.exception, InputError) and "Give --data FILE" in str(done.exception)
    assert not list(tmp_path.glob("s.sqlite*"))


def test_nir_check_exits_with_1_where_values_differ(tmp_path: Path) -> None:
    x = np.ones((5, 1, 6))
    for out, code in ((np.full((5, 1, 3), 7.0), 1),):
        np.savez(tmp_path / "d.npz", x=x, out=out)
        done = CliRunner().invoke(
            cli, ["nir", "check", str(nir(tmp_path)), "--dt", "1", "--data", str(tmp_path / "d.npz")]
        )
        assert done.exit_code == code

"""Sweeps: one functional run for all hardware, nothing redone, killed and resumed, the same table from every kind of worker."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.cli.main import main
from bimhw.studies.sweep import evaluate
from bimhw.studies.sweep.pareto import pareto_front
from bimhw.studies.sweep.run import run_sweep
from bimhw.studies.sweep.spec import SweepSpec
from bimhw.studies.sweep.values import with_number
from simulator.base.errors import InputError
from simulator.chips.load import load_chip

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bimhw.learning.api import train

    path = tmp_path_factory.mktemp("model") / "m.pt"
    train("digits", path, hidden=(16,), epochs=1)
    return path


def spec_of(model: Path, **axes: Any) -> SweepSpec:
    return SweepSpec(str(model), axes or {"chip": ("loihi2", "generic"), "cores": (4, 16)}, samples=10, task="digits")


def table(rows: Any) -> str:
    return json.dumps(list(rows), sort_keys=True)


def test_one_functional_run_serves_all_hardware(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bimhw.studies.sweep import evaluate

    axes = {
        "chip": ("loihi2", "generic"), "cores": (4, 16), "timing.synapse": (1.0, 5.0), "energy.synaptic_event": (10.0, 20.0),
    }  # fmt: skip
    timed = []
    monkeypatch.setattr(evaluate, "time_run", _counting(evaluate.time_run, timed))
    result = run_sweep(spec_of(model, **axes), tmp_path / "s.sqlite")
    assert len(result.rows) == 16 and result.failed == 0 and result.functional_runs == 1
    assert len(timed) == 8  # points that differ in energies only share their times
    by = {tuple(r["axes"].values()): r for r in result.rows}
    for chip, cores, synapse, _ in by:
        cheap, dear = by[chip, cores, synapse, 10.0], by[chip, cores, synapse, 20.0]
        assert dear["synapse_uj"] - cheap["synapse_uj"] == pytest.approx(10e-6 * cheap["synaptic_events_per_sample"])
        assert dear["latency_us"] == cheap["latency_us"] and dear["accuracy"] == cheap["accuracy"]
    assert by["loihi2", 16, 5.0, 10.0]["latency_us"] > by["loihi2", 16, 1.0, 10.0]["latency_us"]
    assert by["loihi2", 4, 1.0, 10.0]["cores"] > by["loihi2", 16, 1.0, 10.0]["cores"]
    again = run_sweep(spec_of(model, **axes), tmp_path / "s.sqlite")
    assert again.computed == 0 and table(again.rows) == table(result.rows) and len(timed) == 8


def test_a_mesh_of_another_size(model: Path, tmp_path: Path) -> None:
    """A chip that uses all of its mesh uses all of the new one; its result is that of a chip file written so."""
    small = load_chip("loihi2")
    mesh = msgspec.structs.replace(small.topology, width=1, height=1, usable_cores=4)
    assert with_number(with_number(small, "topology.width", 1), "topology.height", 1).topology == mesh
    fewer = with_number(with_number(small, "topology.usable_cores", 100), "topology.width", 7)
    assert fewer.topology.usable_cores == 100  # a mesh that was not full stays as it is
    path = tmp_path / "small.yaml"
    path.write_text(
        yaml.safe_dump(msgspec.to_builtins(msgspec.structs.replace(small, topology=mesh))), encoding="utf-8"
    )
    swept = run_sweep(spec_of(model, **{"topology.height": (1, 4), "topology.width": (1,)}), tmp_path / "a.sqlite").rows
    written = run_sweep(spec_of(model, chip=(str(path),)), tmp_path / "b.sqlite").rows
    for figure in ("accuracy", "total_uj", "latency_us", "cores"):
        assert swept[0][figure] == written[0][figure]
    assert swept[0]["cores"] <= 4 < swept[1]["cores"] <= 16


def _counting(function: Any, calls: list[int]) -> Any:
    def counted(*a: Any, **k: Any) -> Any:
        calls.append(1)
        return function(*a, **k)

    return counted


def test_point_equals_the_plain_way(model: Path, tmp_path: Path) -> None:
    """The same figures as compile, simulate and energy give, one after another."""
    import bimhw
    from bimhw.runs.simulate import simulate

    row = run_sweep(spec_of(model, chip=("loihi2",)), tmp_path / "s.sqlite").rows[0]
    program = bimhw.compile(model, "loihi2", task="digits").program
    done = simulate(program, "digits", 10, output=tmp_path / "run")
    figures = bimhw.energy(done.folder).report.figures()
    assert row["accuracy"] == done.result["accuracy"]
    assert row["total_uj"] == pytest.approx(figures["total_uj_per_inference"], rel=1e-12)
    assert row["latency_us"] == pytest.approx(figures["sim_time_us_per_inference"], rel=1e-12)


def test_an_option_that_no_point_reads_is_refused_before_the_first() -> None:
    with pytest.raises(InputError, match="'lookback': belongs to form tr"):
        SweepSpec("digits", {"bits": (8,)}, {"lookback": 3}).check()
    SweepSpec("digits", {"form": ("dense", "tr")}, {"lookback": 3}).check()


def test_sparsity_axis_trains_and_shows_measured_activity(tmp_path: Path) -> None:
    options = {"hidden": "16", "epochs": 1, "prune_mode": "resampled"}
    spec = SweepSpec("digits", {"sparsity": (0, 0.8)}, options, samples=10)
    dense, pruned = run_sweep(spec, tmp_path / "s.sqlite").rows
    assert pruned["density"] < 0.6 < dense["density"] == 1
    assert pruned["synapse_uj_fixed_activity"] < 0.8 * dense["synapse_uj_fixed_activity"]
    assert dense["synapse_uj_fixed_activity"] == pytest.approx(dense["synapse_uj"])
    assert dense["pruned_synops_fixed_activity"] == 1
    # Channels differ in activity and in what is kept of them, so the pruned SynOps are near 1 - rho, not on it.
    assert pruned["pruned_synops_fixed_activity"] == pytest.approx(1 - 0.8, abs=0.06)


def test_synop_item_falls_as_the_density_at_fixed_activity() -> None:
    """Random masks on a random program under the same spikes: energy / dense energy = 1 - rho within the mask's error."""
    rng = np.random.default_rng(0)
    events, dense = rng.integers(0, 20, 400), 100
    for rho in (0.5, 0.8, 0.9, 0.95):
        kept = (rng.random((400, dense)) >= rho).sum(axis=1)
        assert (events @ kept) / (events.sum() * dense) == pytest.approx(1 - rho, rel=0.1)


def test_failures_are_recorded_and_do_not_stop_the_rest(model: Path, tmp_path: Path) -> None:
    result = run_sweep(spec_of(model, chip=("loihi1", "loihi2")), tmp_path / "s.sqlite")
    assert [r["status"] for r in result.rows] == ["failed", "done"]
    assert "'bim_d_alpha', and chip 'loihi1' runs only" in result.rows[0]["reason"]
    assert run_sweep(spec_of(model, chip=("loihi1", "loihi2")), tmp_path / "s.sqlite").computed == 0
    assert run_sweep(spec_of(model, chip=("loihi1", "loihi2")), tmp_path / "s.sqlite", retry=True).computed == 1


def test_unforeseen_error_is_an_outcome(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (ZeroDivisionError("by zero"), RuntimeError("some library's own")):
        monkeypatch.setattr(evaluate, "hardware_run", raising(error))
        result = run_sweep(spec_of(model, chip=("loihi2",)), tmp_path / "s.sqlite", retry=True)
        assert result.rows[0]["status"] == "failed"
        assert result.rows[0]["reason"] == f"{type(error).__name__}: {error}"


def raising(error: Exception, calls: list[int] | None = None) -> Any:
    def broken(*_: Any, **__: Any) -> Any:
        if calls is not None:
            calls.append(1)
        raise error

    return broken


def test_points_share_the_failure_of_their_functional_run(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(evaluate, "_run_function", raising(RuntimeError("diverged"), calls))
    result = run_sweep(spec_of(model, chip=("loihi2", "generic"), cores=(4, 16)), tmp_path / "s.sqlite")
    assert result.failed == 4 and len(calls) == 1
    assert all(r["reason"] == "RuntimeError: diverged" for r in result.rows)


@pytest.mark.parametrize("stage", ["_run_function", "_mapped"])
def test_a_full_disk_stops_the_sweep_and_is_no_points_failure(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    from simulator.base.files import write_json

    def full(*_: Any) -> Any:
        monkeypatch.setattr(Path, "write_text", raising(OSError(errno.ENOSPC, "No space left on device")))
        write_json(tmp_path / "x.json", {})

    spec, db = spec_of(model, chip=("loihi2",), cores=(4, 16)), tmp_path / "s.sqlite"
    run_sweep(spec_of(model, chip=("loihi2",), cores=(4,)), db)
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, stage, full)
        with pytest.raises(InputError, match=r"No space left.*Finished points are safe"):
            run_sweep(replace(spec, samples=9 if stage == "_run_function" else 10), db)
    monkeypatch.undo()
    result = run_sweep(spec, db)
    assert result.computed == 1 and result.failed == 0


def test_mapping_supply_and_node_are_axes(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mappers share the functional run; node and supply scale energies and time nothing anew (energy_models.scaling)."""
    from bimhw.studies.sweep import evaluate

    timed: list[int] = []
    monkeypatch.setattr(evaluate, "time_run", _counting(evaluate.time_run, timed))
    axes = {"mapping": ("auto", "blocks"), "node": (7, 45)}
    result = run_sweep(spec_of(model, chip=("generic",), cores=(4,), **axes), tmp_path / "s.sqlite")
    assert result.failed == 0 and result.functional_runs == 1 and len(timed) <= 2
    by = {(r["axes"]["mapping"], r["axes"]["node"]): r for r in result.rows}
    for mapping in axes["mapping"]:
        now, then = by[mapping, 7], by[mapping, 45]
        assert then["synapse_uj"] == pytest.approx(now["synapse_uj"] * 10 / 7.5)  # 64 bits of SRAM: 7.5 -> 10 pJ
        assert then["latency_us"] == now["latency_us"]
    supplies = spec_of(model, chip=("loihi1-fitted", "odin"), supply=(0.5,))
    assert all(r["status"] == "failed" for r in run_sweep(supplies, tmp_path / "t.sqlite").rows)  # binary spikes only


def test_a_card_stands_beside_the_chip(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both sides in both modes; the card is no part of what is run, and a point with another card is another point."""
    plain = spec_of(model, chip=("loihi2",), cores=(16,))
    beside, other = (replace(plain, gpu=card) for card in ("h100", "a100"))
    keys = {next(iter(s.points())).key() for s in (plain, beside, other)}
    assert len(keys) == 3
    row = run_sweep(beside, tmp_path / "s.sqlite").rows[0]
    assert row["card"] == "h100" and 0 < row["card_full_uj"] <= row["card_uj"] < row["total_uj"]
    with pytest.raises(InputError, match="is not known"):
        replace(plain, gpu="h9").check()
    with pytest.raises(SystemExit) as done:
        main(["sweep", str(model), "--task", "digits", "--samples", "10", "--chip", "loihi2", "--cores", "16", "--gpu", "h100",
              "--db", str(tmp_path / "s.sqlite")])  # fmt: skip
    out = capsys.readouterr().out
    assert (
        not done.value.code
        and "fused bound of h100" in out
        and "0 points computed, 1 stored; 1 functional run in all" in out
        and "faithful" in out
    )


def test_copies_are_an_axis(model: Path, tmp_path: Path) -> None:
    """Latency against throughput: more copies share the barrier and the static power, and take no less time each."""
    spec = spec_of(model, chip=("loihi2",), cores=(16,), copies=(1, 4, "max", 1000))
    result = run_sweep(spec, tmp_path / "s.sqlite")
    one, four, most, many = result.rows
    assert many["status"] == "failed" and "at most" in many["reason"]
    alone = run_sweep(spec_of(model, chip=("loihi2",), cores=(16,)), tmp_path / "t.sqlite").rows[0]
    same = ("total_uj", "latency_us", "dynamic_uj", "edp_js", "samples_per_s")
    assert {k: one[k] for k in same} == {k: alone[k] for k in same} and alone["full_uj"] == most["full_uj"]
    assert most["copies"] == alone["copies"] > 4 == four["copies"] and most["total_uj"] == most["full_uj"]
    assert one["total_uj"] > four["total_uj"] > most["total_uj"] > one["synapse_uj"] + one["soma_uj"]
    assert one["latency_us"] <= four["latency_us"] <= most["latency_us"] < 3 * one["latency_us"]
    for r in (one, four, most):
        ran = r["copies"] if r is not one else 1
        assert r["samples_per_s"] == pytest.approx(1e6 * ran / r["latency_us"])
        assert r["edp_js"] == pytest.approx(r["total_uj"] * r["latency_us"] * 1e-12)
    assert alone["fidelity"].startswith("faithful") and alone["time_trust"] == most["trust"] == "assumed"
    assert alone["trust"] == "scaled"  # static power makes 99 % of it, whose time is modelled
    assert alone["latency_low_us"] < alone["latency_us"] < alone["latency_high_us"]
    assert alone["learning_low_uj"] < alone["learning_uj"] < alone["learning_high_uj"]
    assert alone["learners_uj"] < alone["learning_uj"] and alone["card"] is None
    for bad in (0, 1.5, "many", True):
        with pytest.raises(InputError, match="from 1 on, or max"):
            spec_of(model, copies=(bad,)).check()
    with pytest.raises(InputError, match="with faults"):
        spec_of(model, copies=(2,), **{"faults.drop_rate": (0.1,)}).check()


def test_the_objective_of_the_mapping_is_an_axis(model: Path, tmp_path: Path) -> None:
    """Fewest cores against least time: the same spikes on other cores."""
    spec = spec_of(model, chip=("loihi2",), objective=("cores", "time"))
    result = run_sweep(spec, tmp_path / "s.sqlite")
    assert result.failed == 0 and result.functional_runs == 1
    by = {r["axes"]["objective"]: r for r in result.rows}
    assert by["time"]["latency_us"] <= by["cores"]["latency_us"]
    assert by["time"]["cores"] >= by["cores"]["cores"]


def test_a_point_that_is_named_twice_is_computed_once(model: Path, tmp_path: Path) -> None:
    from bimhw.studies.sweep.run import Session

    spec, done = spec_of(model, chip=("loihi2",), cores=(4, 8)), list[int]()
    with Session(spec, tmp_path / "s.sqlite") as session:
        points = list(spec.points())
        result = session.run([points[0], points[0], points[1]], progress=done.append)
    assert result.computed == 2 and len(result.rows) == 3 and result.rows[0] == result.rows[1] and sum(done) == 3


def test_one_timing_run_a_set_of_times(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A point that changes times alone is mapped and counted no more."""
    calls: list[int] = []
    monkeypatch.setattr(evaluate, "_mapped", _counting(evaluate._mapped, calls))
    axes = {"timing.synapse": (1.0, 2.0, 3.0), "chip": ("loihi2",)}
    result = run_sweep(spec_of(model, **axes), tmp_path / "s.sqlite")
    assert result.functional_runs == 1 and len(calls) == 1
    assert len({r["latency_us"] for r in result.rows}) == 3


def test_the_mapping_is_the_same_whichever_point_is_first(model: Path, tmp_path: Path) -> None:
    """The mapper weighs times and energies: those of the file, not of the point that happens to come first."""
    rows = []
    for k, values in enumerate(((0.1, 500.0), (500.0, 0.1))):
        axes = {"timing.synapse": values, "chip": ("loihi2",)}
        rows.append(run_sweep(spec_of(model, **axes), tmp_path / f"{k}.sqlite").rows)
    assert list(rows[0]) == list(rows[1])[::-1]
    one, other = spec_of(model, chip=("loihi1", "loihi1-fitted")).points()
    assert one.mapping_key() != other.mapping_key()


def test_tasks_with_data_of_ones_own(shared: Path, tmp_path: Path) -> None:
    data = str(shared / "data" / "sets" / "japanese_vowels")
    spec = SweepSpec("japanese-vowels", {"bits": (8, 4)}, {"epochs": 1, "hidden": "8"}, samples=5, data=data)
    result = run_sweep(spec, tmp_path / "s.sqlite")
    assert result.failed == 0 and result.functional_runs == 2
    other = replace(spec, data=None)
    assert next(other.points()).function_key() != next(spec.points()).function_key()


Axes = dict[str, tuple[object, ...]]
AXES: Axes = {"bits": (8, 4), "chip": ("loihi2", "generic"), "cores": (2, 4, 8, 16)}


def start(model: Path, db: Path, axes: Axes, *more: str) -> subprocess.Popen[bytes]:
    arguments = [
        sys.executable,
        "-m",
        "bimhw",
        "sweep",
        str(model),
        "--task",
        "digits",
        "--samples",
        "10",
        "--db",
        str(db),
    ]
    arguments += ["--workers", "1", "--json", *more]
    for name, values in axes.items():
        arguments += [f"--{name}", ",".join(map(str, values))]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def kill_and_resume(model: Path, folder: Path, kills: int, longest_s: float, axes: Axes) -> None:
    unbroken = run_sweep(replace(spec_of(model), axes=axes), folder / "whole.sqlite")
    rng, db = random.Random(0), folder / "killed.sqlite"
    for _ in range(kills):
        process = start(model, db, axes)
        time.sleep(rng.uniform(0.5, longest_s))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    out, _ = start(model, db, axes).communicate(timeout=300)
    rows = {json.dumps(r["axes"], sort_keys=True): r for r in json.loads(out)["rows"]}
    assert len(rows) == len(unbroken.rows) == math.prod(map(len, axes.values()))
    for row in unbroken.rows:
        assert table([rows[json.dumps(row["axes"], sort_keys=True)]]) == table([row])


def test_killed_sweep_ends_with_the_same_table(model: Path, tmp_path: Path) -> None:
    kill_and_resume(model, tmp_path, 1, 4, AXES | {"bits": (8,), "cores": (2, 8)})


@pytest.mark.long
def test_killed_ten_times(model: Path, tmp_path: Path) -> None:
    kill_and_resume(model, tmp_path, 10, 8, AXES)


@pytest.mark.long
def test_two_processes_give_the_same_table(model: Path, tmp_path: Path) -> None:
    spec = spec_of(model, bits=(8, 4), chip=("loihi2", "generic"), cores=(4, 16))
    one = run_sweep(spec, tmp_path / "one.sqlite")
    two = run_sweep(spec, tmp_path / "two.sqlite", n_workers=2)
    assert table(one.rows) == table(two.rows)


@pytest.mark.long
def test_dask_gives_the_same_table_though_a_worker_is_killed(model: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    spec = spec_of(model, chip=("loihi2", "generic"), cores=(2, 4, 8, 16))
    one = run_sweep(spec, tmp_path / "one.sqlite")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        killer = _after_first(next(iter(cluster.workers.values())).pid)
        three = run_sweep(spec, tmp_path / "dask.sqlite", dask=cluster.scheduler_address, progress=killer)
    assert table(one.rows) == table(three.rows)


def _after_first(pid: int) -> Any:
    """Kills one worker when the first point is done."""
    alive = [pid]

    def progress(_: int) -> None:
        if alive:
            os.kill(alive.pop(), signal.SIGKILL)

    return progress


def test_search_keeps_its_trials(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    from bimhw.studies.sweep.search import search

    db = tmp_path / "s.sqlite"
    spec = spec_of(model, cores=(2, 4, 8, 16), chip=("loihi2", "generic"))
    first = search(spec, 3, db)
    assert 1 <= len(first.rows) <= 3 and first.functional_runs == 1
    again = search(spec, 3, db)
    assert again.computed == 0 and table(again.rows) == table(first.rows)
    more = search(spec, 6, db)
    assert {table([r["axes"]]) for r in first.rows} <= {table([r["axes"]]) for r in more.rows}
    other = replace(spec, axes={"cores": (3, 5), "chip": ("generic",)})
    assert 1 <= len(search(other, 2, db).rows) <= 2  # another space is another study
    Path(f"{db}.optuna").write_bytes(b"no database at all" * 99)
    with pytest.raises(InputError, match="is not a study of Optuna"):
        search(spec, 3, db)
    with pytest.raises(InputError, match="must be at least 1"):
        search(spec, 0, db)


@pytest.mark.long
def test_search_on_two_processes_goes_on_after_a_kill(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    from bimhw.studies.sweep.search import search

    db = tmp_path / "s.sqlite"
    process = start(model, db, AXES, "--optuna", "8")
    time.sleep(12)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    axes = {"bits": (8, 4), "chip": ("loihi2", "generic"), "cores": (2, 4, 8, 16)}
    result = search(replace(spec_of(model), axes=axes), 8, db, n_workers=2)
    assert 1 <= len(result.rows) <= 8 and result.failed == 0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_front_against_its_definition(costs: list[tuple[int, int, int]]) -> None:
    expected = [
        not any(all(b <= a for a, b in zip(row, other, strict=True)) and other != row for other in costs)
        for row in costs
    ]
    assert pareto_front(costs) == expected


def test_plot(model: Path, tmp_path: Path) -> None:
    from bimhw.studies.sweep.plot import plot_sweep

    result = run_sweep(spec_of(model, chip=("loihi2", "generic")), tmp_path / "s.sqlite")
    plot_sweep(result, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="must end in"):
        plot_sweep(result, tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--sparsity", "0,0.5"), "needs training"),
        (("--axis", "sparsty=1"), "Did you mean 'sparsity'?"),
        (("--axis", "bogus=1"), "axis 'bogus': is not known"),
        (("--node", "-7"), "Give numbers above 0"),
        (("--task", "lm"), "is a text"),
        (("--axis", "per_row=3"), "Give true,false"),
        (("--cores", "0"), "neurons per core must be at least 1"),
        (("--chip", "loihi2,loihi2"), "names a value twice"),
        (("--axis", "timing.hop=1"), "is not a number of chip 'loihi2'"),
        (("--axis", "timing.synapse=fast"), "is no number"),
        (("--axis", "timing.synapse=1,fast"), "is no number"),
        (("--axis", "topology.widht=2"), "Did you mean 'topology.width'"),
        (("--axis", "topology.width=2,0"), "Give integers from 1 on"),
        (("--axis", "topology.usable_cores=4000"), "the mesh has 8 x 4 x 4 = 128 cores"),
        (("--chip", "loihi2,loihi3"), "Did you mean 'loihi2'"),
        (("--chip", "nowhere.yaml"), "nowhere.yaml"),
        (("--bits", "8,a"), "Give integers"),
        (("--bits", "99"), "must be 1 to 9"),
        (("--mapping", "bloks"), "Did you mean 'blocks'?"),
        (("--objective", "speed"), "objective 'speed': is not known"),
        (("--seeds", "0,-1"), "axis 'seed'"),
        (("--samples", "0"), "must be at least 1"),
        (("--axis", "x"), "is not NAME=VALUE"),
        (("--dask", "tcp://127.0.0.1:1"), "cannot be reached"),
        (("--db", "nowhere/s.sqlite"), "does not exist"),
    ],
)
def test_bad_input(
    model: Path, tmp_path: Path, arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    database = () if "--db" in arguments else ("--db", str(tmp_path / "s.sqlite"))
    with pytest.raises(SystemExit) as done:
        task = () if "--task" in arguments else ("--task", "digits")
        main(["sweep", str(model), *task, *database, *arguments])
    out = capsys.readouterr()
    assert done.value.code == 2 and expected in out.err and "Traceback" not in out.err
    if "--dask" not in arguments:
        assert not (tmp_path / "s.sqlite").exists()


def test_other_files_are_not_touched(model: Path, tmp_path: Path) -> None:
    corrupt = tmp_path / "c.sqlite"
    corrupt.write_bytes(b"this is no database" * 100)
    with pytest.raises(InputError, match="is not a sweep's database, or it is damaged"):
        run_sweep(spec_of(model), corrupt)
    assert corrupt.read_bytes() == b"this is no database" * 100


def test_a_damaged_schema_is_one_message(model: Path, tmp_path: Path) -> None:
    """SQLite quotes it in an error, and Python cannot decode that."""
    path = tmp_path / "s.sqlite"
    from bimhw.studies.sweep.store import Store

    with Store(path):
        pass
    path.write_bytes(
        path.read_bytes().replace(b"TABLE points", b"\xffABLE points").replace(b"table points", b"\xffable points")
    )
    with pytest.raises(InputError, match="is not a sweep's database, or it is damaged"):
        run_sweep(spec_of(model), path)


def test_full_disk_loses_nothing(model: Path, tmp_path: Path) -> None:
    db = tmp_path / "s.sqlite"
    run_sweep(spec_of(model, chip=("loihi2",)), db)
    from bimhw.studies.sweep.store import Store

    with Store(db) as store:
        store._db.execute(f"pragma max_page_count = {store._db.execute('pragma page_count').fetchone()[0]}")
        with pytest.raises(InputError, match=r"cannot be written or read .*full"):
            store.put("big", {"a": "x" * 100000}, {"status": "done", "result": {}})
    assert sqlite3.connect(db).execute("select count(*) from points").fetchone() == (1,)
    assert run_sweep(spec_of(model, chip=("loihi2",)), db).computed == 0


def test_faults_are_axes(model: Path, tmp_path: Path) -> None:
    """Each point equals `bimhw simulate --faults` on the same mapping; the sound point equals the sweep without faults."""
    (tmp_path / "worn.yaml").write_text("seed: 2\nstuck_rate: 0.2\nclock_sigma: 0.1\n")
    (tmp_path / "sound.yaml").write_text("{}\n")
    axes = {"faults": (str(tmp_path / "sound.yaml"), str(tmp_path / "worn.yaml")), "faults.drop_rate": (0, 0.3)}
    result = run_sweep(spec_of(model, **axes), tmp_path / "s.sqlite")
    rows = list(result.rows)
    assert result.failed == 0 and result.functional_runs == 1 and len(rows) == 4
    plain = run_sweep(spec_of(model, chip=("loihi2",)), tmp_path / "plain.sqlite").rows[0]
    sound, dropping, worn, both = rows
    assert sound["faults"] == {}
    for figure in ("accuracy", "total_uj", "latency_us", "saturations"):
        assert sound[figure] == plain[figure]
    lost = {"lost_packets", "lost_synaptic_events", "lost_synaptic_events_dense"}
    assert set(dropping["faults"]) == lost
    assert set(worn["faults"]) == {"stuck_weights"}
    assert set(both["faults"]) == lost | {"stuck_weights"}
    assert worn["latency_us"] != sound["latency_us"]
    again = run_sweep(spec_of(model, **axes), tmp_path / "s.sqlite")
    assert again.computed == 0 and table(again.rows) == table(rows)
    for bad, message in (({"faults.drop_rate": (2,)}, "drop_rate"), ({"faults": ("none.yaml",)}, "does not exist"),
                         ({"faults.droprate": (0.1,)}, r"Did you mean 'faults\.drop_rate'")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            spec_of(model, **bad).check()


def test_the_picture_tells_chips_and_the_front_apart() -> None:
    from matplotlib.figure import Figure

    from bimhw.studies.sweep.pareto import draw_front

    points = [
        {"axes": {"bits": bits, "chip": chip, "seed": 0}, "accuracy": bits / 10, "total_uj": uj, "pareto": uj < 10}
        for bits, chip, uj in ((4, "generic", 1.0), (8, "generic", 2.0), (8, "loihi2", 90.0))
    ]
    axes = Figure().subplots()
    draw_front(axes, points, [{"seeds": 1, "pareto": False}])
    assert sorted(t.get_text() for t in axes.texts) == ["bits 4", "bits 8"]
    first, second = (c.get_paths()[0].vertices for c in axes.collections)
    assert first.shape != second.shape and axes.get_xscale() == "log"


def test_points_of_one_accuracy_are_drawn_by_their_latency() -> None:
    from matplotlib.figure import Figure

    from bimhw.studies.sweep.pareto import draw_front

    near = [
        {"axes": {"bits": b}, "accuracy": 0.5, "total_uj": 1.0 - b / 1e6, "latency_us": 1.0 + b / 1e6, "pareto": True}
        for b in (2, 4)
    ]
    far = {"axes": {"bits": 8}, "accuracy": 0.5, "total_uj": 9.0, "latency_us": 9.0, "pareto": False}
    axes = Figure().subplots()
    draw_front(axes, [*near, far], [{"seeds": 1, "pareto": False}])
    assert [sorted(t.get_text().splitlines()) for t in axes.texts] == [["bits 2", "bits 4"]]
    points = [
        {"axes": {"cores": n}, "accuracy": 1.0, "total_uj": 2.0 * n, "latency_us": 8.0 / n, "pareto": True}
        for n in (1, 2)
    ]
    axes = Figure().subplots()
    draw_front(axes, points, [{"seeds": 1, "pareto": False}])
    assert axes.get_ylabel() == "latency (µs)" and "accuracy 100 % everywhere" in axes.get_title()
    assert axes.lines[0].get_xydata().tolist() == [[2.0, 8.0], [4.0, 4.0]]
    for point, accuracy in zip(points, (1.0, 0.9), strict=True):
        point["accuracy"] = accuracy
    axes = Figure().subplots()
    draw_front(axes, points, [{"seeds": 1, "pareto": False}])
    assert axes.get_ylabel() == "accuracy (%)" and max(axes.get_yticks()) <= 100

"""`make results`: goes on after an interruption, tunes on the validation part only, and prints what the points say."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bimhw.cli.commands.results import command
from bimhw.studies.results import hours as hours_module
from bimhw.studies.results import run as run_module
from bimhw.studies.results.plan import TABLES
from bimhw.studies.results.points import Point, append_point, point_key, read_points, run_point
from bimhw.studies.results.report import write_report
from bimhw.studies.results.rows import Row, Table
from bimhw.studies.results.run import chosen, run_results
from bimhw.tasks.features.warp import warp
from bimhw.tasks.sources.sequences import Part, graded_task
from simulator.base.errors import InputError, UncheckedWarning
from tests.clusters import kill_when_busy

GRID = ({"lr": 0.001}, {"lr": 0.02})
ROWS = (
    Row("online", "bim", {"hidden": "8", "epochs": 2, "batch": 10}, GRID, seeds=2),
    Row("gru", "baseline", {"model": "gru", "parameters": 300, "epochs": 2, "batch": 10, "lr": 0.01}, seeds=2),
    Row("linear", "linear", {}, seeds=1),
)
TABLE = Table("toy", "Toy", "digits", "accuracy", ROWS, "none", "a note")


def toy() -> Any:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = [rng.normal(size=(6, 3)) + label for label in y]
    return graded_task("toy", Part(x[:40], y[:40]), Part(x[40:], y[40:]), 2, {}, validation=np.arange(30, 40))


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_data", lambda table, paths: toy())
    for tables in (run_module.TABLES, TABLES):
        monkeypatch.setitem(tables, "toy", TABLE)


def test_tunes_on_validation_and_trains_the_best(plan: None, tmp_path: Path) -> None:
    store = tmp_path / "points.jsonl"
    points = run_results(store, ["toy"], say=lambda _: None)
    tuning = [p for p in points.values() if p.tuning]
    assert sorted(p.options["lr"] for p in tuning) == [0.001, 0.02]
    best = max(tuning, key=lambda p: p.accuracy or 0)
    tested = [p for p in points.values() if p.row == "online" and not p.tuning]
    assert [(p.options["lr"], p.seed) for p in tested] == [(best.options["lr"], 0), (best.options["lr"], 1)]
    assert len(points) == 2 + 2 + 2 + 1
    again = run_point(toy(), "toy", ROWS[0], best.options, 0, False)
    assert again.accuracy == tested[0].accuracy


def test_tables_of_a_group_are_one_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that a copy does not hold is said and left out; each table has its own points."""

    def data(table: Table, paths: object) -> Any:
        if table.left_out == "c":
            raise InputError("test_case", "'c' is not there")
        return replace(toy(), window_s=60.0)

    for case in "abc":
        one = replace(TABLE, name=f"toy-{case}", rows=ROWS[2:], group="toys", left_out=case)
        monkeypatch.setitem(TABLES, one.name, one)
    monkeypatch.setattr(run_module, "_data", data)
    said: list[str] = []
    points = run_results(tmp_path / "p.jsonl", ["toys"], {"": tmp_path}, say=said.append)
    assert sorted(p.table for p in points.values()) == ["toy-a", "toy-b"]
    assert [s for s in said if "left out" in s] == ["toy-c: left out (test_case: 'c' is not there)"]
    text = write_report(points, tmp_path)[0].read_text()
    assert "| model | a | b | mean of 2 |" in text and "| event sensitivity |" in text


def figures(points: dict[str, Point]) -> dict[str, Point]:
    """Points without their wall time."""
    return {k: replace(p, seconds=0.0) for k, p in points.items()}


def test_points_trained_elsewhere_are_the_same(plan: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids and rows without one come first; a row with a grid waits for it."""
    rounds: list[int] = []

    @contextmanager
    def spreading(address: str | None, workers: int) -> Iterator[Any]:
        def spread(function: Any, tasks: Any) -> list[Any]:
            rounds.append(len(tasks))
            return [function(*task) for task in reversed(tasks)][::-1]

        yield None if address is None and workers == 1 else spread

    monkeypatch.setattr(run_module, "spreading", spreading)
    there = run_results(tmp_path / "there.jsonl", ["toy"], say=lambda _: None, dask="somewhere")
    assert rounds == [2 + 2 + 1, 2]
    here = figures(run_results(tmp_path / "here.jsonl", ["toy"], say=lambda _: None))
    assert figures(there) == here
    rounds.clear()
    both = run_results(tmp_path / "both.jsonl", ["toy"], say=lambda _: None, workers=2)
    assert rounds == [2, 2, 2, 1]  # as many as there are processes: what is done is kept
    assert figures(both) == here
    assert read_points(tmp_path / "there.jsonl").keys() == there.keys()


@pytest.mark.long
def test_a_killed_worker_changes_no_figure(plan: None, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    here = run_results(tmp_path / "here.jsonl", ["toy"], say=lambda _: None)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        killed = kill_when_busy(cluster)
        there = run_results(tmp_path / "there.jsonl", ["toy"], say=lambda _: None, dask=cluster.scheduler_address)
    assert killed
    assert figures(there) == figures(here)


def test_goes_on_where_it_stopped(plan: None, tmp_path: Path) -> None:
    store = tmp_path / "points.jsonl"
    said: list[str] = []

    def stop(text: str) -> None:
        said.append(text)
        if len(said) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_results(store, ["toy"], say=stop)
    with store.open("a") as file:
        file.write('{"key": "torn')
    assert len(read_points(store)) == 3
    said.clear()
    run_results(store, ["toy"], say=said.append)
    assert len(said) == 4, "only what was missing"
    assert len(read_points(store)) == 7, "the torn line was replaced"
    run_results(store, ["toy"], say=lambda _: pytest.fail("nothing is left to do"))


def test_a_point_that_the_disk_does_not_take_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store, point = tmp_path / "points.jsonl", Point("k", "toy", "r", False, {}, 0, accuracy=0.5)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(InputError, match="No space left"):
            append_point(store, point)
        assert not store.exists()
    append_point(store, point)
    before = store.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        append_point(store, replace(point, key="l"))
    assert store.read_bytes() == before


def test_a_line_that_was_altered_is_refused(plan: None, tmp_path: Path) -> None:
    store = tmp_path / "points.jsonl"
    append_point(store, Point("k", "toy", "r", False, {}, 0, accuracy=0.5))
    whole = store.read_text()
    for altered in (whole.replace("0.5", "0.6"), whole.replace('"sha256"', '"sha257"'), whole.replace("0.5", "")):
        store.write_text(altered)
        with pytest.raises(InputError, match="line 1"):
            read_points(store)
    line = {k: v for k, v in json.loads(whole).items() if k != "sha256"}
    store.write_text(json.dumps(line) + "\n")
    with pytest.warns(UncheckedWarning):
        assert len(read_points(store)) == 1


def test_other_data_is_another_point(plan: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points made of other training data of the same table must not be taken for those of today's plan."""
    row = ROWS[0]
    plain = point_key("toy", row, row.options, 0, False)
    monkeypatch.setitem(TABLES, "toy", replace(TABLE, task_options={"warped": 5}))
    five = point_key("toy", row, row.options, 0, False)
    monkeypatch.setitem(TABLES, "toy", replace(TABLE, task_options={"warped": 10}))
    assert len({plain, five, point_key("toy", row, row.options, 0, False)}) == 3


def test_no_time_left_begins_nothing(plan: None, tmp_path: Path) -> None:
    points = run_results(tmp_path / "p.jsonl", ["toy"], budget_s=1e-9, say=lambda _: None)
    assert points == {}


def test_only_the_rows_asked_for(plan: None, tmp_path: Path) -> None:
    points = run_results(tmp_path / "p.jsonl", ["toy"], say=lambda _: None, rows=("linear", "gr"), seeds=1)
    assert {p.row for p in points.values()} == {"linear", "gru"}
    with pytest.raises(InputError, match="row 'cubic'"):
        run_results(tmp_path / "p.jsonl", ["toy"], rows=("cubic",))


def test_logistic_regression_of_several_classes() -> None:
    """Three classes have no one ROC curve: accuracy alone, as the table asks."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = [rng.normal(size=(4, 3)) + 3 * np.eye(3)[label] for label in y]
    task = graded_task("toy", Part(x[:60], y[:60]), Part(x[60:], y[60:]), 3, {}, validation=np.arange(45, 60))
    point = run_point(task, "toy", ROWS[2], {}, 0, False)
    assert point.accuracy is not None
    assert point.accuracy > 0.9
    assert point.auc_roc is None
    assert point.parameters == 3 * 12 + 3


def test_page_says_what_the_points_say(plan: None, tmp_path: Path) -> None:
    points = {}
    for seed, value in ((0, 0.5), (1, 0.75)):
        options = ROWS[0].options | GRID[1]
        key = point_key("toy", ROWS[0], options, seed, False)
        points[key] = Point(key, "toy", "online", False, options, seed, accuracy=value, rate=0.25, updates=10, seen=5)
    files = write_report(points, tmp_path)
    text = files[0].read_text()
    assert "| online | 62.5 +- 17.7 | 2 | 0.25 |" in text
    assert "Chosen on the validation part: online: lr 0.02." in text
    assert "- toy: gru: 0 of 2 seeds" in text
    first = files[1].read_bytes()
    write_report(points, tmp_path)
    assert files[1].read_bytes() == first, "the plot is the same bytes each time"


def test_only_bim_networks_have_the_colour_of_bim() -> None:
    rows = {row.label: row.is_bim for table in TABLES.values() for row in table.rows}
    assert [name for name, bim in rows.items() if bim and not name.startswith(("BIM", "the same"))] == []
    assert [name for name, bim in rows.items() if not bim and name.startswith("BIM")] == []
    assert not rows["recurrent LIF 1x118 of the family leaky (for chips), BPTT, 40 passes, spike readout"]


def test_page_names_edges_that_were_tried_and_settings_seen_on_test(
    plan: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, points = ROWS[0], {}
    chosen = row.options | GRID[1]
    key = point_key("toy", row, chosen, 0, False)
    points[key] = Point(key, "toy", "online", False, chosen, 0, accuracy=0.5)
    assert "On the edge" not in write_report(points, tmp_path)[0].read_text()  # nothing was tried beside it
    for choice in GRID:
        key = point_key("toy", row, row.options | choice, 0, True)
        points[key] = Point(key, "toy", "online", True, row.options | choice, 0, accuracy=0.5)
    monkeypatch.setitem(TABLES, "toy", replace(TABLE, seen=(("onl", "its taps"), ("gru", "its rate"))))
    text = write_report(points, tmp_path)[0].read_text()
    assert "online: lr 0.02 (largest of 2)." in text
    assert "which flatters the row: online: its taps." in text and "its rate" not in text


@pytest.mark.parametrize(("between", "said"), [(0.9, True), (1.0, False)])
def test_an_edge_is_none_where_a_number_between_does_as_well(
    between: float, said: bool, plan: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of areas of 1.0 the more accurate is chosen, and no number beyond could be better."""
    row = replace(ROWS[0], grid=({"lr": 0.01}, {"lr": 0.02}, {"lr": 0.04}))
    monkeypatch.setitem(TABLES, "toy", replace(TABLE, rows=(row,), metric="auc_roc"))
    points = {}
    for rate, area, accuracy in ((0.01, 0.8, 0.5), (0.02, between, 0.5), (0.04, 1.0, 0.9)):
        options = row.options | {"lr": rate}
        for tuning in (True, False) if rate == 0.04 else (True,):
            key = point_key("toy", row, options, 0, tuning)
            points[key] = Point(key, "toy", "online", tuning, options, 0, accuracy=accuracy, auc_roc=area)
    text = write_report(points, tmp_path)[0].read_text()
    assert "Chosen on the validation part: online: lr 0.04." in text
    assert ("lr 0.04 (largest of 3)" in text) is said


@pytest.mark.parametrize(("best", "said"), [({}, False), ({"dropout": 0.1}, False), ({"dropout": 0.2}, True)])
def test_no_dropout_is_the_end_of_its_range(
    best: dict[str, float], said: bool, plan: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid: tuple[dict[str, float], ...] = ({}, {"dropout": 0.1}, {"dropout": 0.2})
    row = replace(ROWS[0], grid=grid)
    monkeypatch.setitem(TABLES, "toy", replace(TABLE, rows=(row,)))
    points = {}
    for choice in grid:
        options = row.options | choice
        for tuning in (True, False) if choice == best else (True,):
            key = point_key("toy", row, options, 0, tuning)
            points[key] = Point(key, "toy", "online", tuning, options, 0, accuracy=0.9 if choice == best else 0.5)
    text = write_report(points, tmp_path)[0].read_text()
    assert ("On the edge" in text) is said


def test_every_row_of_the_plan_has_valid_settings() -> None:
    """Options of each row are accepted by what will train it (a typo would only show hours later)."""
    from bimhw.learning.objectives.ctc import CtcSettings
    from bimhw.learning.objectives.language import LanguageSettings
    from bimhw.learning.objectives.language_recipe import language_recipe
    from bimhw.learning.recipe import recipe
    from bimhw.models.bim.config import BimConfig
    from bimhw.studies.baselines.fit import FitSettings
    from bimhw.studies.baselines.models import NAMES
    from bimhw.studies.results.points import _text_options
    from bimhw.tasks.sources.text import character_corpus

    corpus = character_corpus("abc " * 50)
    for table in TABLES.values():
        assert len({r.label for r in table.rows}) == len(table.rows)
        for row in table.rows:
            for choice in row.grid or ({},):
                options = row.options | choice
                if row.kind.endswith("-ctc"):
                    own = ("model", "hidden") if row.kind == "baseline-ctc" else BimConfig.__struct_fields__
                    _ = CtcSettings(**{k: v for k, v in options.items() if k not in own})
                    if row.kind == "bim-ctc":
                        _ = BimConfig(n_in=2, n_out=11, **{k: v for k, v in options.items() if k in own})
                elif row.kind == "bim":
                    recipe(toy(), options.pop("preset", None), 0, **options)
                elif row.kind == "bim-text":
                    language_recipe(corpus, 0, **options)
                elif row.kind in ("baseline", "baseline-text"):
                    assert options.pop("model") in NAMES
                    keys = ("parameters",) if row.kind == "baseline" else ("hidden",)
                    rest = {k: v for k, v in options.items() if k not in keys}
                    _ = (
                        FitSettings(hidden=4, **rest)
                        if row.kind == "baseline"
                        else LanguageSettings(**_text_options(rest))
                    )


def test_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Tables: digits"):
        run_results(tmp_path / "p", ["iris"])
    with pytest.raises(InputError, match="--data fsdd=PATH"):
        run_results(tmp_path / "p", ["fsdd"])
    (tmp_path / "q").write_text("{}\n{}\n")
    with pytest.raises(InputError, match="line 1"):
        read_points(tmp_path / "q")
    assert isinstance(CliRunner().invoke(command, ["--data", "x"]).exception, InputError)


def test_command_writes_the_page(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    row = TABLES["digits"].rows[-1]
    key = point_key("digits", row, {}, 0, False)
    append_point(tmp_path / "results" / "points.jsonl", Point(key, "digits", row.label, False, {}, 0, accuracy=0.97))
    done = CliRunner().invoke(command, ["--report-only", "--docs", str(tmp_path), "--json"])
    assert json.loads(done.stdout)["points"] == 1
    assert "| logistic regression on all pixels | 97.0 |" in (tmp_path / "results.md").read_text()


def write_mini_ptbxl(folder: Path) -> Path:
    """Two records in folds 9 and 10 (WFDB format 16, 12 leads, 10 s), as the mini copy has them."""
    from bimhw.tasks.sources.ptbxl import LEADS

    (folder / "records100").mkdir(parents=True)
    (folder / "scp_statements.csv").write_text(",diagnostic,diagnostic_class\nNORM,1.0,NORM\nIMI,1.0,MI\n")
    rows = ["ecg_id,patient_id,scp_codes,strat_fold,filename_lr"]
    for number, (code, fold) in enumerate((("NORM", 9), ("IMI", 10)), 1):
        samples = np.random.default_rng(number).integers(-900, 900, (1000, 12)).astype("<i2")
        (folder / "records100" / f"{number}.dat").write_bytes(samples.tobytes())
        sums = np.mod(samples.astype(np.int64).sum(0) + 2**15, 2**16) - 2**15
        leads = [
            f"{number}.dat 16 1000/mV 16 0 {s[0]} {c} 0 {n}" for n, s, c in zip(LEADS, samples.T, sums, strict=True)
        ]
        (folder / "records100" / f"{number}.hea").write_text("\n".join([f"{number} 12 100 1000", *leads]) + "\n")
        rows.append(f"{number},{number},\"{{'{code}': 100.0}}\",{fold},records100/{number}")
    (folder / "ptbxl_database.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_copy_too_small_to_judge_is_trained_without_a_figure(tmp_path: Path) -> None:
    """By the command of the whole set, with a plain path; a point of it does not stand for the whole set's."""
    pytest.importorskip("wfdb")
    data, docs = write_mini_ptbxl(tmp_path / "p"), tmp_path / "docs"
    options = ["--table", "ptbxl", "--row", "GRU", "--row", "logistic", "--data", str(data), "--docs", str(docs)]
    done = CliRunner().invoke(command, options)
    assert done.exit_code == 0, done.output
    assert "no record in folds 1-8" in done.output and "seed 0: trained, not judged" in done.output
    page = (docs / "results.md").read_text()
    assert page.count("| not judged |") == 2 and "**Not judged**: the test part judges nothing" in page
    points = read_points(docs / "results" / "points.jsonl")
    assert len(points) == 2 and all(p.not_judged and p.accuracy is p.auc_roc is None for p in points.values())
    assert all(run_module.stale(p, toy()) for p in points.values())
    assert "2 points" in CliRunner().invoke(command, options).output  # none is trained again


def test_hours_are_those_of_a_small_part_times_what_the_whole_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, dict[str, Any]]] = []

    def instead(data: Any, table: str, row: Row, options: dict[str, Any], seed: int, tuning: bool) -> None:
        asked.append((len(data.train), options))
        time.sleep(0.01)

    monkeypatch.setattr(hours_module, "run_point", instead)
    small = toy()
    assert hours_module.hours(TABLE, ROWS[0], small) is None and not asked  # soon done: not worth a trial
    many = replace(small, train=small.train.take(np.arange(32 * 100) % 40), validation=None)
    long = hours_module.hours(TABLE, ROWS[0], many)
    assert long is not None and 1 <= long * 3600 / (0.01 * 100 * 2 * (2 + 2)) < 5  # share, epochs, seeds and grid
    assert asked == [(32, ROWS[0].options | GRID[0] | {"epochs": 1})] * 2
    assert hours_module.hours(TABLE, ROWS[2], many) is None  # linear
    one = replace(ROWS[1], options=ROWS[1].options | {"epochs": 40}, seeds=1)  # 40 passes over 40 sequences
    assert 0.01 * 40 * 40 / 32 / 3600 <= (hours_module.hours(TABLE, one, small) or 0) < 0.1


def test_the_time_of_a_row_is_said_in_words(
    plan: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a user's own set, also of a small one; and each run is named before it begins."""
    times = {"online": 2.25, "gru": 0.005, "linear": None}
    monkeypatch.setattr(run_module, "hours", lambda table, row, data: times[row.label])
    for tables in (run_module.TABLES, TABLES):
        monkeypatch.setitem(tables, "toy", replace(TABLE, path="digits"))
    said, begun = list[str](), list[str]()
    run_results(tmp_path / "p.jsonl", ["toy"], {"digits": tmp_path}, seeds=1, say=said.append, begins=begun.append)
    assert said[0] == "toy: online: about 2.2 hours on this machine (1 seed and its grid)"
    assert said[1] == "toy: gru: under a minute on this machine (1 seed)"
    runs = [text.rpartition(":")[0] for text in said[2:]]
    assert begun[0] == "toy: reading the data" and begun[-5:] == runs and "toy: online, seed 0 (tuning)" in runs


def test_a_plain_path_needs_one_table_that_takes_it() -> None:
    for options in (["--data", "some/where"], ["--table", "digits", "--data", "some/where"]):
        refused = CliRunner().invoke(command, options)
        assert "does not say which data it is" in str(refused.exception)


@pytest.mark.long
@pytest.mark.parametrize("name", ["ptbxl", "chbmit", "librispeech"])
def test_mini_folders_run_by_the_commands_of_the_whole_sets(name: str, shared: Path, tmp_path: Path) -> None:
    data = shared / "data" / "sets" / "formats" / f"{name}_mini"
    done = CliRunner().invoke(command, ["--table", name, "--data", str(data), "--docs", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.output.count("trained, not judged") == len(TABLES[name].rows)


def test_warps_keep_an_affine_picture_affine() -> None:
    """A picture linear in time and band stays so inside (bilinear), and sample i does not depend on the batch."""
    steps, bands = 20, 16
    picture = 0.1 * np.arange(steps)[:, None] + 0.05 * np.arange(bands)[None, :]
    out = warp(np.stack([picture] * 3), seed=4)
    assert not np.allclose(out[0], out[1])
    for copy in out:
        inner = copy[2:12, 5:11]
        np.testing.assert_allclose(np.diff(inner, 2, axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(np.diff(inner, 2, axis=1), 0, atol=1e-5)
    np.testing.assert_array_equal(warp(np.stack([picture] * 2), seed=4), out[:2])


def test_colouration_is_one_offset_a_band_at_all_steps() -> None:
    """Of a flat picture level, tilt and colouration are left: equal at all steps, the last broken at its knots only."""
    flat = np.zeros((400, 7, 26))
    plain, coloured = warp(flat, seed=1), warp(flat, seed=1, colour=0.5)
    added = coloured - plain
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1], added.shape), atol=1e-6)
    line = added[:, 0].reshape(400, 26)
    knots = np.linspace(0, 5, 26)  # every fifth band is a knot
    inside = [i for i in range(1, 25) if not np.isclose(knots[i], np.rint(knots[i]))]
    np.testing.assert_allclose(np.diff(line, 2, axis=1)[:, [i - 1 for i in inside]], 0, atol=1e-6)
    at_knots = line[:, ::5]
    assert np.abs(at_knots.std(0) - 0.5).max() < 5 * 0.5 / np.sqrt(2 * 400)
    assert np.abs(np.corrcoef(at_knots.T) - np.eye(6)).max() < 5 / np.sqrt(400)
    for bad in ({"speed": 1.0}, {"colour": -0.1}):
        with pytest.raises(InputError, match="warp"):
            warp(flat, seed=1, **bad)


@pytest.mark.parametrize(
    ("accuracies", "lr"), [((0.9, 0.9, 0.9, 0.9), 0.004), ((0.8, 0.8, 0.9, 0.9), 0.01), ((0.8, 0.9, 0.9, 0.95), 0.03)]
)
def test_equal_choices_take_the_more_accurate_then_the_middle(accuracies: tuple[float, ...], lr: float) -> None:
    """An edge of the grid is never taken for being the first of equals."""
    rates = (0.001, 0.004, 0.01, 0.03)
    row = Row("a", "baseline", {}, tuple({"lr": r} for r in rates))
    found = dict(zip(rates, accuracies, strict=True))
    options = chosen(
        TABLES["mitbih208"], row,
        lambda row, options, seed, tuning: SimpleNamespace(auc_roc=1.0, accuracy=found[options["lr"]]),  # type: ignore[arg-type,return-value]
    )  # fmt: skip
    assert options == {"lr": lr}

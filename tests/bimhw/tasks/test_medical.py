"""EEG and ECG in their official layouts: files written here, and real ones where they are."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from bimhw.tasks import load_task
from bimhw.tasks.checks import extra
from bimhw.tasks.inspect import check_data
from bimhw.tasks.metrics import auc_roc
from bimhw.tasks.sources.chbmit import CHANNELS, read_summary, read_windows
from bimhw.tasks.sources.mitbih import EXCERPT_SAMPLES, EXCERPT_START
from bimhw.tasks.sources.ptbxl import LEADS, read_records
from bimhw.tasks.sources.wfdb_files import read_record
from simulator.base.errors import InputError, MissingExtraError

try:
    wfdb, pyedflib = extra("wfdb", "the tests"), extra("pyedflib", "the tests")
except MissingExtraError as missing:
    pytest.skip(str(missing), allow_module_level=True)

# wfdb's own writing of annotations uses what pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

RNG = np.random.default_rng(0)


def write_edf(path: Path, seconds: int, labels: tuple[str, ...] = (*CHANNELS, "T8-P8"), rate: int = 256) -> None:
    header = {"dimension": "uV", "sample_frequency": rate, "physical_min": -800.0, "physical_max": 800.0}
    header |= {"digital_min": -2048, "digital_max": 2047, "transducer": "", "prefilter": ""}
    with pyedflib.EdfWriter(str(path), len(labels), file_type=pyedflib.FILETYPE_EDF) as file:
        file.setSignalHeaders([{"label": name, **header} for name in labels])
        file.writeSamples([RNG.normal(0, 20, seconds * rate) for _ in labels])


def write_case(folder: Path, records: dict[str, list[tuple[int, int]]], seconds: int = 20) -> None:
    """Write a case of CHB-MIT: EDF files, summary, and annotations of the seizures."""
    folder.mkdir(parents=True)
    lines = ["Data Sampling Rate: 256 Hz", "Channels in EDF Files:", "Channel 1: FP1-F7", ""]
    for name, seizures in records.items():
        write_edf(folder / name, seconds)
        lines += [f"File Name: {name}", "File Start Time: 26:43:04", f"Number of Seizures in File: {len(seizures)}"]
        for i, (start, end) in enumerate(seizures, 1):
            number = f" {i}" if len(seizures) > 1 else ""
            lines += [f"Seizure{number} Start Time: {start} seconds", f"Seizure{number} End Time: {end} seconds"]
        if seizures:
            samples = np.array([256 * t for pair in seizures for t in pair])
            wfdb.wrann("x", "seizures", samples, ["[", "]"] * len(seizures), fs=256, write_dir=str(folder))
            (folder / "x.seizures").rename(folder / f"{name}.seizures")
    (folder / f"{folder.name}-summary.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def chb(tmp_path: Path) -> Path:
    write_case(tmp_path / "chb01", {"chb01_01.edf": [(8, 14)], "chb01_02+.edf": [], "chb01_03.edf": [(2, 5), (10, 18)]})
    write_case(tmp_path / "chb02", {"chb02_01.edf": [(4, 12)]})
    return tmp_path


def test_windows_carry_the_seizures(chb: Path) -> None:
    found = {w.record: w for w in read_windows(chb, None, 4.0, 16, CHANNELS)}
    # windows of 4 s: 8-14 s covers window 2 wholly and half of window 3
    assert found["chb01_01.edf"].labels.tolist() == [0, 0, 1, 1, 0]
    # 2-5 s covers half of window 0 and a quarter of window 1 (left out); 10-18 s half of 2, all of 3, half of 4
    assert found["chb01_03.edf"].labels.tolist() == [1, 1, 1, 1]
    assert found["chb02_01.edf"].steps.shape == (5, 64, 2 * len(CHANNELS))


def test_no_record_is_in_two_splits(chb: Path) -> None:
    task = load_task("chbmit", path=chb)
    windows = read_windows(chb, None, 4.0, 16, CHANNELS)
    assert len(task.test) == sum(len(w.labels) for w in windows if w.case == "chb02")
    assert len(task.train) == sum(len(w.labels) for w in windows if w.case == "chb01")
    one = load_task("chbmit", path=chb, cases=["chb01"])
    assert len(one.test) == 4 + 5, "the last record with seizures and the last without"
    tuning = task.for_tuning()
    assert len(tuning.test) == 4 + 5
    assert len(tuning.train) + len(tuning.test) == len(task.train)


def test_step_features(chb: Path) -> None:
    with pyedflib.EdfReader(str(chb / "chb02" / "chb02_01.edf")) as file:
        signal = file.readSignal(1)[:16]
    window = read_windows(chb / "chb02", None, 4.0, 16, CHANNELS)[0].steps[0, 0]
    np.testing.assert_allclose(window[1], signal.mean(), rtol=1e-5)
    np.testing.assert_allclose(window[len(CHANNELS) + 1], np.log(np.abs(np.diff(signal)).mean() + 0.1), rtol=1e-5)


def test_real_seizure_annotations_equal_the_summary(shared: Path, tmp_path: Path) -> None:
    """54 bytes of PhysioNet's chb01_03.edf.seizures: 2996 s to 3036 s."""
    shutil.copy(shared / "data" / "sets" / "formats" / "chb01_03.edf.seizures", tmp_path / "chb01_03.edf.seizures")
    marks = wfdb.rdann(str(tmp_path / "chb01_03.edf"), "seizures")
    assert (marks.sample / 256).tolist() == [2996, 3036]
    facts = check_data(shared / "data" / "sets" / "formats" / "chbmit_mini")
    assert (facts["records"], facts["seizure windows"]) == (2, 2)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: (f / "chb02_01.edf").write_bytes((f / "chb02_01.edf").read_bytes()[:-900]), "not a whole EDF"),
        (lambda f: (f / "chb02_01.edf").write_bytes(b"EDF? no"), "not a whole EDF"),
        (lambda f: (f / "chb02_01.edf.seizures").unlink(), "though the summary names seizures"),
        (lambda f: write_edf(f / "chb02_01.edf", 20, ("FP1-F7", "ECG")), "the channel 'F7-T7' is missing"),
        (lambda f: write_edf(f / "chb02_01.edf", 20, CHANNELS, rate=128), "sampled at"),
        (lambda f: write_edf(f / "chb02_01.edf", 10, CHANNELS), "end later"),
        (lambda f: edit(f, "12 seconds", "11 seconds"), "One of the two is mislabelled"),
        (lambda f: edit(f, "File: 1", "File: 2"), "2 seizures announced"),
        (lambda f: edit(f, "End Time: 12", "End Time: 3"), "cut or altered"),
        (lambda f: (f / "chb02-summary.txt").write_text("nothing\n"), "names no file"),
    ],
)
def test_chb_broken(chb: Path, harm: object, said: str) -> None:
    assert callable(harm)
    harm(chb / "chb02")
    with pytest.raises(InputError, match=said):
        load_task("chbmit", path=chb)


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / f"{folder.name}-summary.txt"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_chb_refuses(chb: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a path"):
        load_task("chbmit")
    with pytest.raises(InputError, match="chb01, chb02"):
        load_task("chbmit", path=chb, test_case="chb09")
    with pytest.raises(InputError, match="no EDF file"):
        load_task("chbmit", path=chb, cases=["chb07"])
    write_case(chb / "calm" / "chb03", {"chb03_01.edf": []})
    with pytest.raises(InputError, match="0 seizure windows"):
        load_task("chbmit", path=chb / "calm")
    with pytest.raises(InputError, match="0 seizure windows"):
        load_task("chbmit", path=with_a_calm_case(chb), test_case="chb09")
    (chb / "chb02" / "chb02-summary.txt").unlink()
    with pytest.raises(InputError, match=r"no \*-summary\.txt"):
        load_task("chbmit", path=chb)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no EDF file"):
        load_task("chbmit", path=tmp_path / "none")


def with_a_calm_case(chb: Path) -> Path:
    write_case(chb / "chb09", {"chb09_01.edf": []})
    return chb


def test_the_last_case_that_can_be_judged_by_is_left_out(chb: Path) -> None:
    task = load_task("chbmit", path=with_a_calm_case(chb))
    assert "case chb02 left out" in task.facts["split"] and not task.makeshift


@pytest.mark.parametrize("records", [{"a.edf": [(8, 14)], "b.edf": []}, {"a.edf": [(4, 12)]}, {"a.edf": [(16, 20)]}])
def test_too_few_records_are_cut_in_time_and_judge_nothing(
    tmp_path: Path, records: dict[str, list[tuple[int, int]]]
) -> None:
    """As the mini copies are: every window of a record lies in one part, those of training before those of the test."""
    write_case(tmp_path / "chb05", records)
    task, windows = load_task("chbmit", path=tmp_path), read_windows(tmp_path, None, 4.0, 16, CHANNELS)
    assert "too few records" in task.unjudged and "cut in time" in task.facts["split"]
    assert len(task.train) + len(task.test) == sum(len(w.labels) for w in windows)
    assert set(task.train.y.tolist()) == ({0} if records == {"a.edf": [(16, 20)]} else {0, 1}) and len(task.test) > 0


def test_summary_with_later_spelling(tmp_path: Path) -> None:
    file = tmp_path / "chb17-summary.txt"
    file.write_text(
        "File Name: chb17a_03.edf\nNumber of Seizures in File: 1\nSeizure 1 Start Time: 2282 seconds\n"
        "Seizure 1 End Time: 2372 seconds\nChannels changed:\nFile Name: chb17a_04.edf\nNumber of Seizures in File: 0\n"
    )
    assert read_summary(file) == {"chb17a_03.edf": ((2282, 2372),), "chb17a_04.edf": ()}


# PTB-XL


def write_ptbxl(folder: Path, rows: list[tuple[str, int]]) -> Path:
    """Write records of the given scp_codes and folds, with signals of their own."""
    (folder / "records100" / "00000").mkdir(parents=True)
    (folder / "scp_statements.csv").write_text(
        ",description,diagnostic,diagnostic_class\nNORM,normal,1.0,NORM\nIMI,infarction,1.0,MI\nLVH,hyp,1.0,HYP\nSR,rhythm,,\n"
    )
    with (folder / "ptbxl_database.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["ecg_id", "patient_id", "scp_codes", "strat_fold", "filename_lr"])
        for i, (codes, fold) in enumerate(rows, 1):
            name = f"{i:05d}_lr"
            wfdb.wrsamp(
                name,
                fs=100,
                units=["mV"] * 12,
                sig_name=list(LEADS),
                p_signal=RNG.normal(size=(1000, 12)),
                fmt=["16"] * 12,
                write_dir=str(folder / "records100" / "00000"),
            )
            table.writerow([i, f"{100 + i}.0", codes, fold, f"records100/00000/{name}"])
    return folder


ROWS = [
    ("{'NORM': 100.0, 'SR': 0.0}", 1),
    ("{'IMI': 50.0, 'NORM': 15.0}", 9),
    ("{'IMI': 100.0, 'LVH': 35.0}", 9),
    ("{'SR': 0.0}", 3),
    ("{'NORM': 80.0}", 10),
    ("{'LVH': 80.0}", 10),
]


def test_ptbxl_labels_and_folds(tmp_path: Path) -> None:
    path = write_ptbxl(tmp_path, ROWS)
    data = read_records(path)
    assert data.labels.astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 0, 0, 1],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
    ]
    assert data.signals.shape == (5, 1000, 12)
    task = load_task("ptbxl", path=path)
    assert task.train.y.tolist() == [0]
    assert task.test.y.tolist() == [0, 1]
    assert task.metric == "auc"
    tuning = task.for_tuning()
    assert (tuning.train.y.tolist(), tuning.test.y.tolist()) == ([0], [1, 1])
    several = load_task("ptbxl", path=path, labels="superclass")
    assert (several.train.y.tolist(), several.test.y.tolist()) == ([0], [0, 4])
    infarction = load_task("ptbxl", path=path, labels="MI")
    assert (infarction.train.y.tolist(), infarction.metric, infarction.n_classes) == ([0], "auc", 2)


def test_ptbxl_five_labels_at_once(tmp_path: Path) -> None:
    task = load_task("ptbxl", path=write_ptbxl(tmp_path, ROWS), labels="all")
    assert task.several and (task.metric, task.n_classes) == ("macro_auc", 5)
    assert task.train.y.tolist() == [[1, 0, 0, 0, 0]]
    assert task.for_tuning().test.y.tolist() == [[1, 1, 0, 0, 0], [0, 1, 0, 0, 1]]
    assert task.test.y.tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert "has 2 sequences" in task.unjudged


@pytest.mark.parametrize(("folds", "learnt"), [((9, 10), 9), ((10, 10), 10)])
def test_ptbxl_without_training_folds_is_learnt_from_and_judges_nothing(
    tmp_path: Path, folds: tuple[int, int], learnt: int
) -> None:
    rows = [("{'NORM': 100.0}", folds[0]), ("{'IMI': 100.0}", folds[1])]
    task = load_task("ptbxl", path=write_ptbxl(tmp_path, rows))
    assert f"fold {learnt} is learnt from" in task.unjudged and len(task.train) == sum(f == learnt for f in folds)
    with pytest.raises(InputError, match="fold 10"):
        load_task("ptbxl", path=write_ptbxl(tmp_path / "b", [("{'NORM': 100.0}", 9)]))


def test_ptbxl_signals_come_back(tmp_path: Path) -> None:
    path = write_ptbxl(tmp_path, ROWS)
    again = wfdb.rdrecord(str(path / "records100" / "00000" / "00002_lr")).p_signal
    np.testing.assert_allclose(read_records(path).signals[1], again, atol=1e-6)


def test_ptbxl_real_layout(shared: Path) -> None:
    task = load_task("ptbxl", path=shared / "data" / "sets" / "formats" / "ptbxl_mini")
    assert "no record in folds 1-8" in task.unjudged and (len(task.train), len(task.test)) == (1, 1)
    facts = check_data(shared / "data" / "sets" / "formats" / "ptbxl_mini")
    assert (facts["records"], facts["folds 1 to 10"]) == (2, "0 0 0 0 0 0 0 0 1 1")
    for rate in (100, 500):
        assert read_records(shared / "data" / "sets" / "formats" / "ptbxl_mini", rate).signals.shape == (
            2,
            10 * rate,
            12,
        )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("{'XYZ': 100.0}", 1), "'XYZ' is not in scp_statements"),
        (("{'NORM'", 1), "is not a dictionary"),
        (("{'NORM': 100.0}", 11), "'11' is not in 1..10"),
    ],
)
def test_ptbxl_broken_rows(tmp_path: Path, row: tuple[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_task("ptbxl", path=write_ptbxl(tmp_path, [*ROWS, row]))


def test_ptbxl_broken_files(tmp_path: Path) -> None:
    path = write_ptbxl(tmp_path, ROWS)
    signal = path / "records100" / "00000" / "00001_lr.dat"
    whole = signal.read_bytes()
    signal.write_bytes(whole[:1001])
    with pytest.raises(InputError, match="not a whole WFDB record"):
        load_task("ptbxl", path=path)
    signal.write_bytes(b"\x00\x80" * (len(whole) // 2))  # the invalid-sample code of format 16
    with pytest.raises(InputError, match="not finite"):
        load_task("ptbxl", path=path)
    signal.write_bytes(whole)
    header = signal.with_suffix(".hea")
    text = header.read_text()
    header.write_text(text.replace(" AVR", " XXX"))
    with pytest.raises(InputError, match="channel 'AVR' is missing"):
        load_task("ptbxl", path=path)
    header.unlink()
    with pytest.raises(InputError, match=r"\.hea: does not exist"):
        load_task("ptbxl", path=path)
    table = path / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("scp_codes", "codes"))
    with pytest.raises(InputError, match="no column 'scp_codes'"):
        load_task("ptbxl", path=path)
    with pytest.raises(InputError, match="Choose norm, all, superclass or one of NORM"):
        load_task("ptbxl", path=write_ptbxl(tmp_path / "b", ROWS), labels="form")
    with pytest.raises(InputError, match="'test' is empty"):
        load_task("ptbxl", path=write_ptbxl(tmp_path / "c", ROWS[:3]))


# MIT-BIH


def write_record(folder: Path, number: int, beats: list[tuple[int, str]], samples: int = 3000) -> None:
    name = str(number)
    signal = RNG.normal(size=(samples, 2))
    wfdb.wrsamp(name, 360, ["mV"] * 2, ["MLII", "V1"], p_signal=signal, fmt=["16"] * 2, write_dir=str(folder))
    wfdb.wrann(name, "atr", np.array([s for s, _ in beats]), [c for _, c in beats], write_dir=str(folder))


def test_mitbih_splits(tmp_path: Path) -> None:
    beats = [(50, "N"), (300, "N"), (700, "V"), (900, "~"), (2000, "A"), (2500, "/"), (2950, "N")]
    write_record(tmp_path, 101, beats)
    write_record(tmp_path, 100, beats)
    task = load_task("mitbih", path=tmp_path)
    assert task.train.y.tolist() == task.test.y.tolist() == [0, 2, 1, 4], "windows that leave the record are left out"
    timed = load_task("mitbih", path=tmp_path, split="time", steps=None)
    assert timed.train.y.tolist() == [0, 2, 0, 2]
    assert timed.test.y.tolist() == [1, 4, 1, 4]
    assert timed.steps == 200


def test_mitbih_refuses(tmp_path: Path) -> None:
    write_record(tmp_path, 100, [(300, "N")])
    with pytest.raises(InputError, match="'train' is empty"):
        load_task("mitbih", path=tmp_path)
    (tmp_path / "100.atr").unlink()
    with pytest.raises(InputError, match=r"100\.atr: does not exist"):
        load_task("mitbih", path=tmp_path)
    with pytest.raises(InputError, match="patients or time"):
        load_task("mitbih", path=tmp_path, split="beats")


def test_mitbih_real_record(shared: Path) -> None:
    facts = check_data(shared / "data" / "sets" / "mitdb_100")
    assert facts["train sequences"] + facts["test sequences"] >= 2239 + 33 + 1 - 2


def write_208(folder: Path, beats: list[tuple[int, str]], samples: int = EXCERPT_SAMPLES) -> Path:
    np.savez(folder / "ecg.npz", ecg=RNG.normal(size=samples))
    lines = ["sample_in_excerpt,sample_in_record_208,symbol"] + [f"{s},{s + EXCERPT_START},{c}" for s, c in beats]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


BEATS_208 = [(200, "N"), (900, "V"), (64_750, "N"), (64_800, "F"), (70_000, "N"), (80_000, "F"), (90_000, "+")]


def test_208_csv_and_atr_agree(tmp_path: Path) -> None:
    path = write_208(tmp_path, BEATS_208)
    a = load_task("mitbih208", path=path)
    samples = np.array([s + EXCERPT_START for s, _ in BEATS_208])
    (tmp_path / "labels.csv").unlink()
    wfdb.wrann("208", "atr", samples, [c for _, c in BEATS_208], write_dir=str(tmp_path))
    b = load_task("mitbih208", path=tmp_path / "208.atr")
    np.testing.assert_array_equal(a.train.x, b.train.x)
    assert a.train.y.tolist() == b.train.y.tolist() == [0, 1], "windows across the border of the splits are left out"
    assert a.test.y.tolist() == [0, 1]
    assert (a.steps, a.n_in) == (25, 8)


@pytest.mark.parametrize("per_step", [1, 8])
def test_208_less_its_baseline(tmp_path: Path, per_step: int) -> None:
    """A drift of the electrode that is constant over each window changes nothing; a step holds consecutive samples."""
    path = write_208(tmp_path, BEATS_208)
    before = load_task("mitbih208", path=path, samples_per_step=per_step)
    at, ecg = np.arange(EXCERPT_SAMPLES), np.load(path / "ecg.npz")["ecg"]
    np.savez(path / "ecg.npz", ecg=ecg + 5.0 * (at > 500) - 3.0 * (at > 75_000))
    after = load_task("mitbih208", path=path, samples_per_step=per_step)
    np.testing.assert_array_equal(after.train.x, before.train.x)
    np.testing.assert_array_equal(after.test.x, before.test.x)
    window = ecg[200 - 90 : 200 + 110]
    above = window - np.median(window)
    found = before.train.x[0].reshape(-1)
    assert np.corrcoef(above, found)[0, 1] > (0.99 if per_step == 1 else 0.9), "in the order of time"


def test_208_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a path"):
        load_task("mitbih208")
    with pytest.raises(InputError, match=r"neither 208\.atr"):
        load_task("mitbih208", path=tmp_path)
    with pytest.raises(InputError, match="108,000 samples"):
        load_task("mitbih208", path=write_208(tmp_path, BEATS_208, samples=50))
    with pytest.raises(InputError, match="sample '108000'"):
        load_task("mitbih208", path=write_208(tmp_path, [(108_000, "N")]))
    with pytest.raises(InputError, match="'test' is empty"):
        load_task("mitbih208", path=write_208(tmp_path, BEATS_208[:2]))
    with pytest.raises(InputError, match="must divide the 200"):
        load_task("mitbih208", path=write_208(tmp_path, BEATS_208), samples_per_step=7)
    (tmp_path / "ecg.npz").write_bytes(b"PK broken")
    with pytest.raises(InputError, match=r"not a whole \.npz file"):
        load_task("mitbih208", path=tmp_path)


def test_208_alignment(shared: Path) -> None:
    """With the stated offset a linear model on the real beats reaches the known AUC; 181 samples off it would not."""
    from sklearn.linear_model import LogisticRegression

    task = load_task("mitbih208", path=shared / "data" / "sets" / "ecg_mitdb208")
    train, test = (s.x.reshape(len(s), -1) / 16 for s in (task.train, task.test))
    model = LogisticRegression(C=0.01, max_iter=1000).fit(train, task.train.y)
    assert auc_roc(model.predict_proba(test)[:, 1], task.test.y) > 0.985


def test_a_channel_without_a_name_is_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text("r 1 360 8\nr.dat 16 200/mV 16 0 0 0 0\n")
    (tmp_path / "r.dat").write_bytes(bytes(16))
    with pytest.raises(InputError, match="the channel 'II' is missing"):
        read_record(tmp_path / "r", ("II",))

"""Damaged copies of data sets: whatever is broken, one message and exit code 2, or a file that reads as whole."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bimhw.cli.main import main
from bimhw.learning.recipe import Recipe, recipe
from bimhw.learning.train import check_fit, train
from bimhw.tasks import Task, load_corpus, load_task
from simulator.base.errors import InputError, UnjudgedWarning

FORMATS = {
    "librispeech": "librispeech_mini",
    "chbmit": "chbmit_mini",
    "ptbxl": "ptbxl_mini",
    "wikitext": "wikitext_mini",
}
BYTES = np.random.default_rng(1).integers(0, 256, 500).astype(np.uint8).tobytes()


def damaged(data: bytes) -> dict[str, bytes | None]:
    """Return the same file in other states: a missing one is None."""
    middle = len(data) // 2
    spoilt = data[:middle] + bytes(b ^ 0xFF for b in data[middle : middle + 20]) + data[middle + 20 :]
    states = {"empty": b"", "half": data[:middle], "less a byte": data[:-1], "bytes": BYTES}
    return {**states, "more": data + b"\0\xff\xfe", "spoilt": spoilt, "gone": None}


def one_of_a_kind(folder: Path) -> list[Path]:
    """Return the first file of each ending."""
    kinds: dict[str, Path] = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix):
        kinds.setdefault(file.suffix, file)
    return list(kinds.values())


@pytest.mark.parametrize("task", FORMATS)
def test_every_damage_is_one_message(
    task: str, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared / "data" / "sets" / "formats" / FORMATS[task]
    refused = 0
    for file in one_of_a_kind(source):
        for state, data in damaged(file.read_bytes()).items():
            copy = tmp_path / f"{file.suffix[1:]}-{state}"
            shutil.copytree(source, copy)
            (copy / file.relative_to(source)).unlink()
            if data is not None:
                (copy / file.relative_to(source)).write_bytes(data)
            with pytest.raises(SystemExit) as done:
                main(["data", "check", str(copy), "--task", task])
            errors = capsys.readouterr().err.strip().splitlines()
            assert done.value.code in (0, 2), (file.name, state)
            assert len(errors) == (1 if done.value.code == 2 else 0), (file.name, state)
            refused += done.value.code == 2
            shutil.rmtree(copy)
    assert refused >= 5


@pytest.mark.parametrize("kind", ["fsdd", "nmnist"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_spoilt_archives(kind: str, method: int, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    name = {"fsdd": "recordings/0_jackson_0.wav", "nmnist": "Train/0/00001.bin"}[kind]
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, np.random.default_rng(0).integers(0, 9, 4000).astype(np.uint8).tobytes())
    data = bytearray(buffer.getvalue())
    for at in (200, 300, 400):
        data[at] ^= 0x5A
    (tmp_path / "x.zip").write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"x\.zip"):
        load_task(kind, path=tmp_path / "x.zip")


def test_a_spoilt_excerpt(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", ecg=np.zeros(108_000, np.uint16))
    whole = (tmp_path / "e.npz").read_bytes()
    (tmp_path / "labels.csv").write_text("sample_in_excerpt,symbol\n126,N\n")
    for data in (whole[:-1], whole[: len(whole) // 2], b"PK"):
        (tmp_path / "e.npz").write_bytes(data)
        with pytest.raises(InputError, match=r"not a whole \.npz file"):
            load_task("mitbih208", path=tmp_path)
    (tmp_path / "e.npz").write_bytes(whole)
    (tmp_path / "labels.csv").write_bytes(b"sample_in_excerpt,symbol\n126,N\xff\n")
    with pytest.raises(InputError, match="UTF-8"):
        load_task("mitbih208", path=tmp_path)


def test_wikitext_never_learns_from_its_validation_file(tmp_path: Path) -> None:
    for split, text in (("valid", " a b \n" * 100), ("test", " b a \n" * 30)):
        (tmp_path / f"wiki.{split}.tokens").write_text(text)
    for level in ("char", "word"):
        with pytest.raises(InputError, match=r"wiki\.train\.tokens is not there"):
            load_corpus("wikitext", path=tmp_path, level=level)
    (tmp_path / "wiki.train.tokens").write_text(" a a b \n" * 200)
    for level, size in (("char", 1600), ("word", 800)):
        corpus = load_corpus("wikitext", path=tmp_path, level=level)
        assert len(corpus.whole_train) == len(corpus.train) == size
        assert corpus.official


def test_an_area_needs_both_classes_before_any_training() -> None:
    from dataclasses import replace

    digits = load_task("digits")
    only = replace(digits.test, y=np.zeros_like(digits.test.y))
    task = replace(digits, test=only, metric="auc")
    plan = recipe(task, hidden=4, epochs=1)
    refused_by_every_figure(task, plan, "needs both")


def test_a_test_set_too_small_to_judge_is_said_before_any_training() -> None:
    from dataclasses import replace

    digits = load_task("digits")
    task = replace(digits, test=digits.test.take(slice(0, 9)))
    plan = recipe(task, hidden=4, epochs=1)
    refused_by_every_figure(task, plan, "has 9 sequences")


def refused_by_every_figure(task: Task, plan: Recipe, reason: str) -> None:
    """Said before the training; trained; no figure of the test split; what is nothing but such a figure is refused."""
    with pytest.warns(UnjudgedWarning, match=reason), pytest.raises(KeyboardInterrupt):
        train(task, plan.config, plan.settings, progress=stop)
    with pytest.warns(UnjudgedWarning, match=reason):
        result = train(task, plan.config, plan.settings)
    facts = result.summary()
    assert result.updates > 0 and facts["train_loss_nats"] > 0
    assert facts["test_accuracy"] is facts["test_loss_nats"] is None and reason in facts["not_judged"]
    assert not [name for name in facts if name.startswith("auc")]
    with pytest.raises(InputError, match=reason):
        check_fit(task, plan.config)


def stop(_: int) -> None:
    raise KeyboardInterrupt

"""LibriSpeech's layout and connected digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bimhw.tasks.features.audio import FrontEnd
from bimhw.tasks.inspect import check_data, recognise
from bimhw.tasks.sources.connected import BLANK, best_path, digit_errors, digit_strings
from bimhw.tasks.sources.fsdd import SpokenDigits
from bimhw.tasks.sources.librispeech import utterances
from simulator.base.errors import InputError

RNG = np.random.default_rng(0)


def write_chapter(root: Path, subset: str, speaker: int, chapter: int, texts: list[str]) -> Path:
    soundfile = pytest.importorskip("soundfile")
    folder = root / subset / str(speaker) / str(chapter)
    folder.mkdir(parents=True)
    lines = []
    for i, text in enumerate(texts):
        name = f"{speaker}-{chapter}-{i:04d}"
        soundfile.write(folder / f"{name}.flac", RNG.normal(0, 0.1, 4000), 16_000)
        lines.append(f"{name} {text}")
    (folder / f"{speaker}-{chapter}.trans.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_librispeech_layout(tmp_path: Path) -> None:
    write_chapter(tmp_path / "LibriSpeech", "test-clean", 84, 121123, ["GO DO YOU HEAR", "IT'S HERE"])
    write_chapter(tmp_path / "LibriSpeech", "dev-clean", 9, 1, ["A"])
    assert [u.text for u in utterances(tmp_path, "test-clean")] == ["GO DO YOU HEAR", "IT'S HERE"]
    everything = utterances(tmp_path / "LibriSpeech")
    assert [u.speaker for u in everything] == ["84", "84", "9"]
    assert everything[1].frames().shape == (19, 40)
    assert len(everything[1].symbols()) == len("IT'S HERE")
    with pytest.raises(InputError, match="dev-clean, test-clean"):
        utterances(tmp_path, "test-other")


def test_librispeech_real_layout(shared: Path) -> None:
    facts = check_data(shared / "data" / "sets" / "formats" / "librispeech_mini")
    assert (facts["task"], facts["utterances"], facts["words"]) == ("librispeech", 5, 71)


def test_librispeech_broken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \*.trans.txt"):
        utterances(tmp_path)
    folder = write_chapter(tmp_path, "test-clean", 1, 2, ["ONE", "TWO"])
    flac = folder / "1-2-0001.flac"
    whole = flac.read_bytes()
    flac.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"1-2-0001\.flac"):
        utterances(tmp_path)[1].sound()
    flac.unlink()
    with pytest.raises(InputError, match=r"1-2-0001\.flac is not there"):
        utterances(tmp_path)
    flac.write_bytes(whole)
    lines = folder / "1-2.trans.txt"
    for text, said in [
        ("1-2-0000 ONE\n", "no line for 1-2-0001.flac"),
        ("1-2-0000 ONE\n1-2-0001\n", "is not `1-2-NNNN WORDS`"),
        ("1-2-0000 ONE\n1-3-0001 TWO\n", "is not `1-2-NNNN WORDS`"),
        ("1-2-0000 one\n1-2-0001 TWO\n", "the character 'e'"),
    ]:
        lines.write_text(text)
        with pytest.raises(InputError, match=said):
            utterances(tmp_path)


@pytest.fixture
def digits() -> SpokenDigits:
    n = 40
    signals = tuple((0.1 + 0.01 * i) * np.ones(800, np.float32) for i in range(n))
    return SpokenDigits(
        tuple(FrontEnd().frames(s) for s in signals),
        np.arange(n) % 10,
        np.arange(n) // 20,
        np.zeros(n, int),
        ("ann", "bob"),
        FrontEnd(),
        signals,
    )


def test_strings_are_one_speaker_each_and_repeatable(digits: SpokenDigits) -> None:
    which = np.arange(0, 40, 2)
    a, b = (digit_strings(digits, which, 30, seed=0) for _ in range(2))
    np.testing.assert_array_equal(a.digits, b.digits)
    np.testing.assert_array_equal(np.concatenate(a.frames), np.concatenate(b.frames))
    assert set(a.speakers) == {0, 1}
    assert (a.digits % 2 == 0).all(), "only the given recordings are used"
    low = 5 * 800 + 4 * 400
    for frames in a.frames:
        assert low / 100 - 2 <= len(frames) <= (low + 4 * 800) / 100 + 2


def test_best_path() -> None:
    path = [3, 3, BLANK, 3, BLANK, BLANK, 1, 1, 2]
    assert best_path(np.eye(11)[path]) == [3, 3, 1, 2]
    assert best_path(np.eye(11)[[BLANK] * 4]) == []


def test_digit_errors() -> None:
    errors = digit_errors(np.array([[1, 2, 3, 4, 5], [0, 0, 0, 0, 0]]), [[1, 2, 3, 4, 5], [0, 0, 7, 0]])
    assert (errors.substitutions, errors.deletions, errors.insertions, errors.words) == (1, 1, 0, 10)
    with pytest.raises(InputError, match="no recordings"):
        raise_empty()


def raise_empty() -> None:
    digit_strings(None, np.zeros(0, int))  # type: ignore[arg-type]


def test_recognise_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        recognise(tmp_path / "no")
    (tmp_path / "x.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="of a known layout"):
        recognise(tmp_path)

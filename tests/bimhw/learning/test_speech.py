"""Speech with transcripts: LibriSpeech's layout and connected digits through `bimhw train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bimhw.cli.main import main
from bimhw.learning.objectives.ctc import pairs
from bimhw.learning.objectives.speech import train_speech
from bimhw.learning.objectives.utterances import Spelt, first_pass
from bimhw.tasks import load_named, load_task
from bimhw.tasks.features.encoders import graded
from bimhw.tasks.sources.librispeech import Utterance
from bimhw.tasks.sources.transcripts import load
from simulator.base.errors import InputError

TONES_HZ = {"A": 400.0, "B": 1500.0, "C": 4000.0}


def sound(text: str, letter: int = 1600) -> np.ndarray:
    """100 ms of a tone a letter, silence for a space and at both ends."""
    t, parts = np.arange(letter) / 16_000, [np.zeros(800)]
    for c in text:
        parts += [np.zeros(letter) if c == " " else np.sin(2 * np.pi * TONES_HZ[c] * t), np.zeros(800)]
    return 0.3 * np.concatenate(parts)


def write(root: Path, subset: str, speaker: int, texts: list[str], samples: int | None = None) -> None:
    soundfile = pytest.importorskip("soundfile")
    folder = root / "LibriSpeech" / subset / str(speaker) / "1"
    folder.mkdir(parents=True)
    names = [f"{speaker}-1-{i:04d}" for i in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        soundfile.write(folder / f"{name}.flac", sound(text)[:samples], 16_000)
    lines = "".join(f"{n} {t}\n" for n, t in zip(names, texts, strict=True))
    (folder / f"{speaker}-1.trans.txt").write_text(lines)


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """Words of tones: two speakers to learn from, a third to judge by."""
    pytest.importorskip("jiwer")
    rng = np.random.default_rng(0)
    texts = [" ".join("".join(rng.choice(list("ABC"), 2)) for _ in range(2)) for _ in range(60)]
    write(tmp_path, "train-clean-100", 11, texts[:25])
    write(tmp_path, "train-other-500", 12, texts[25:50])
    write(tmp_path, "test-clean", 13, texts[50:])
    return tmp_path


def test_subsets_and_speakers(spoken: Path) -> None:
    data = load(spoken)
    assert (len(data.train), len(data.test)) == (50, 10)
    assert {u.speaker for u in data.train} == {"11", "12"}
    assert len(load(spoken, train="train-clean-100").train) == 25
    within = load(spoken, train="test-clean")
    assert (len(within.train), len(within.test)) == (8, 2)
    assert "not official" in within.facts["split"]
    assert not {u.name for u in within.train} & {u.name for u in within.test}
    write(spoken, "dev-clean", 14, ["A B"])
    for subset in ("train-clean-100", "train-other-500"):
        (spoken / "LibriSpeech" / subset).rename(spoken / subset)
    assert [u.speaker for u in load(spoken).train] == ["14"] and not load(spoken).makeshift  # dev-clean is learnt from
    (spoken / "LibriSpeech" / "dev-clean").rename(spoken / "dev-clean")
    alone = load(spoken)  # a copy of the test subset, as the mini folder is
    assert (len(alone.train), len(alone.test)) == (8, 2) and "last fifth of test-clean" in alone.makeshift
    for subset in ("train-clean-100", "train-other-500"):
        (spoken / subset).rename(spoken / "LibriSpeech" / subset)
    write(spoken, "dev-clean", 11, ["A B"])
    with pytest.raises(InputError, match="speaker 11 is both"):
        load(spoken, train="train-clean-100", test="dev-clean")
    with pytest.raises(InputError, match="no subset 'train-x'"):
        load(spoken, train="train-x")
    with pytest.raises(InputError, match="needs a path"):
        load()


def test_learns_to_spell(tmp_path: Path) -> None:
    pytest.importorskip("jiwer")
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ABC"), 2)) for _ in range(60)]
    write(tmp_path, "train-clean-100", 11, texts[:50])
    write(tmp_path, "test-clean", 13, texts[50:])
    result = train_speech(load(tmp_path), hidden=(48,), epochs=60, batch=10, lr=0.03, tau_m=1.5, k_o=0.5)
    assert result.result.errors.words == 10
    assert result.result.errors.rate <= 0.3
    assert 0 < result.rates[0] < 1


def test_inputs_are_graded_spikes_on_the_training_scale(spoken: Path) -> None:

    utterances = load(spoken).train
    inputs = Spelt(utterances, first_pass(utterances)[0])
    rows = np.concatenate(inputs[0:50])
    np.testing.assert_array_equal(rows * 16, np.rint(rows * 16))
    frames = np.concatenate([u.frames() for u in utterances])
    expected = np.clip((utterances[3].frames() - frames.mean(0)) / frames.std(0), -3, 3)
    np.testing.assert_allclose(inputs[3].reshape(-1, 40), expected[: 2 * len(inputs[3])], atol=0.04)


def test_inputs_are_made_once_and_the_same_beyond_what_is_kept(spoken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bimhw.learning.objectives.utterances import Kept

    utterances = load(spoken).train[:6]
    scale, made, frames = first_pass(utterances)[0], list[str](), Utterance.frames

    def counted(self: Utterance) -> Any:
        made.append(self.name)
        return frames(self)

    monkeypatch.setattr(Utterance, "frames", counted)
    one = Kept(2 * len(utterances[0].frames()) * 40)
    made.clear()
    again = Spelt(utterances[::-1], scale, one)
    first, second = list(Spelt(utterances, scale, one)), list(again)[::-1]
    expected = [pairs(graded((frames(u) - scale.mean) / scale.deviation)) for u in utterances]
    for rows in (first, second):
        assert all(np.array_equal(a, b) and a.dtype == np.float32 for a, b in zip(rows, expected, strict=True))
    kept = {u.name for u in utterances if made.count(u.name) == 1}
    assert 1 <= len(kept) < 6 and len(made) == 12 - len(kept)


def test_a_transcript_longer_than_its_sound(tmp_path: Path) -> None:
    write(tmp_path, "train-clean-100", 1, ["AABBCC AABBCC"], samples=1500)
    write(tmp_path, "test-clean", 2, ["A B C A B C A B C A"])
    with pytest.raises(InputError, match="truncated or mislabelled"):
        train_speech(load(tmp_path), epochs=1)


def test_commands(spoken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(["train", *arguments, "--epochs", "1", "--hidden", "6", "--json"])
        assert isinstance(done.value.code, int)
        return done.value.code, *capsys.readouterr()

    model = str(spoken / "m.pt")
    code, out, err = run("librispeech", "--data", str(spoken), "-o", model)
    assert code == 0, err
    printed = json.loads(out)
    errors = sum(printed[k] for k in ("substitutions", "deletions", "insertions"))
    assert printed["word_error_rate"] == errors / printed["test_words"]
    with pytest.raises(SystemExit) as done:
        main(["compile", model, "--chip", "loihi2", "-o", str(spoken / "m.bimhw")])
    assert done.value.code == 0
    capsys.readouterr()
    for arguments, word in (
        (["librispeech", "--data", str(spoken), "--rule", "rtrl"], "ctc"),
        (["librispeech", "--data", str(spoken), "--set", "nothing=1"], "nothing"),
        (["librispeech", "--data", str(spoken), "--stream"], "no label at a step"),
        (["librispeech"], "needs a path"),
        (["connected-digits"], "needs a path"),
        (["connected-digits", "--data", str(spoken / "no")], "does not exist"),
    ):
        code, _, err = run(*arguments)
        assert code == 2
        assert word in err
    with pytest.raises(InputError, match="bimhw train"):
        load_task("librispeech", path=spoken)
    assert load_named("librispeech", spoken).name == "librispeech"

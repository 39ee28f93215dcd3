"""Spoken digits in the official layout: written here, and the real ones where they are."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bimhw.tasks import load_task
from bimhw.tasks.features.audio import FrontEnd, mel_bank
from bimhw.tasks.sources.fsdd import FRAMES, load_spoken_digits, pictures, scaler
from simulator.base.errors import InputError


def wav(signal: np.ndarray, rate: int = 8000, channels: int = 1) -> bytes:
    data = (signal * 32767).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tone(hertz: float, seconds: float = 0.2) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(8000 * seconds)) / 8000)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for digit in range(2):
        for speaker in ("ann", "bob"):
            for index in (0, 5, 10, 11):
                (folder / f"{digit}_{speaker}_{index}.wav").write_bytes(wav(tone(300 + 400 * digit + index)))
    return tmp_path


def test_official_split_and_leave_one_out(recordings: Path) -> None:
    digits = load_spoken_digits(recordings)
    parts = digits.official()
    assert {k: len(v) for k, v in parts.items()} == {"test": 4, "validation": 4, "train": 8}
    assert set(digits.indices[parts["test"]]) == {0}
    out = digits.leave_out("bob")
    assert (digits.speakers[out["test"]] == 1).all()
    assert len(out["test"]) == 8
    assert (digits.speakers[out["train"]] == 0).all()
    assert not set(out["train"]) & set(out["validation"])
    with pytest.raises(InputError, match="ann, bob"):
        digits.leave_out("carl")


def test_left_out_speakers_settings_are_chosen_on_another_speaker(recordings: Path) -> None:
    for file in list((recordings / "recordings").glob("*_ann_*.wav")):
        (file.parent / file.name.replace("ann", "cat")).write_bytes(file.read_bytes())
    digits = load_spoken_digits(recordings)
    for position, speaker in enumerate(digits.names):
        out = digits.leave_out(speaker)
        assert set(digits.speakers[out["validation"]]) == {(position + 1) % 3}
        assert set(digits.speakers[out["train"]]) == {(position + 2) % 3}


def test_warped_copies_of_the_validation_speaker_are_not_trained_on(recordings: Path) -> None:
    for file in list((recordings / "recordings").glob("*_ann_*.wav")):
        (file.parent / file.name.replace("ann", "cat")).write_bytes(file.read_bytes())
    plain = load_task("fsdd", path=recordings, leave_out="ann").for_tuning()
    warped = load_task("fsdd", path=recordings, leave_out="ann", warped=3).for_tuning()
    np.testing.assert_array_equal(warped.test.x, plain.test.x)  # judged on the recordings as they are
    np.testing.assert_array_equal(warped.test.y, plain.test.y)
    assert len(warped.train) == 3 * len(plain.train)


def test_zip_equals_folder(recordings: Path, tmp_path: Path) -> None:
    packed = tmp_path / "fsdd.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in (recordings / "recordings").iterdir():
            archive.write(file, f"fsdd/recordings/{file.name}")
    a, b = load_spoken_digits(recordings), load_spoken_digits(packed)
    np.testing.assert_array_equal(np.concatenate(a.frames), np.concatenate(b.frames))
    np.testing.assert_array_equal(a.digits, b.digits)


def test_pictures_are_graded_and_scaled_on_train_only(recordings: Path) -> None:
    digits = load_spoken_digits(recordings)
    train = digits.official()["train"]
    scale = scaler(digits, train)
    frames = np.concatenate([digits.frames[i][:FRAMES] for i in train])
    np.testing.assert_allclose(scale.mean, frames.mean(0), rtol=1e-6)
    x = pictures(digits, scale, train)
    assert x.shape == (8, FRAMES, 32)
    assert (x * 16 == np.rint(x * 16)).all()
    assert np.abs(x).max() <= 3


def test_frames_peak_at_the_tone() -> None:
    front = FrontEnd()
    centres = (mel_bank(front) * np.fft.rfftfreq(256, 1 / 8000)).sum(1)
    for hertz in (400.0, 1000.0, 2500.0):
        loudest = front.frames(tone(hertz, 0.5))[5].argmax()
        assert abs(centres[loudest] - hertz) < 150


def test_white_noise_has_power_one_in_every_band() -> None:
    noise = np.random.default_rng(0).normal(size=8000 * 20)
    power = np.exp(FrontEnd().frames(noise)).mean(0)
    np.testing.assert_allclose(power, 1.0, atol=0.08)


def test_frames_ignore_the_level() -> None:
    signal = tone(500)
    np.testing.assert_allclose(FrontEnd().frames(signal), FrontEnd().frames(signal * 7), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("0_ann_1.wav", wav(tone(300))[:-50], "announces"),
        ("0_ann_1.wav", b"not sound at all", "not a whole sound file"),
        ("0_ann_1.wav", wav(tone(300), rate=16000), "16000 Hz"),
        ("0_ann_1.wav", wav(tone(300), channels=2), "2 channels"),
        ("0_ann_1.wav", wav(np.zeros(0)), "holds 0"),
        ("17_ann_1.wav", wav(tone(300)), "label 17"),
    ],
)
def test_broken_recordings(recordings: Path, name: str, data: bytes, said: str) -> None:
    (recordings / "recordings" / name).write_bytes(data)
    with pytest.raises(InputError, match=said):
        load_spoken_digits(recordings)


def test_refuses_other_paths(tmp_path: Path, recordings: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_spoken_digits(tmp_path / "no")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"github\.com/Jakobovski"):
        load_spoken_digits(tmp_path / "empty")
    (tmp_path / "x.zip").write_bytes(b"PK broken")
    with pytest.raises(InputError, match="not a whole zip"):
        load_spoken_digits(tmp_path / "x.zip")
    for file in (recordings / "recordings").glob("*_0.wav"):
        file.unlink()
    with pytest.raises(InputError, match="'test' is empty"):
        load_spoken_digits(recordings).official()


def test_the_real_recordings(shared: Path) -> None:
    digits = load_spoken_digits(shared / "data" / "sets" / "fsdd.zip")
    assert {k: len(v) for k, v in digits.official().items()} == {"test": 300, "validation": 300, "train": 2400}
    assert digits.names == ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    assert 0.92 < np.mean([len(f) <= FRAMES for f in digits.frames]) < 0.96

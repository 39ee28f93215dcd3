"""Long Range Arena and Speech Commands in their official layouts: files written here, read back by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bimhw.tasks import load_task
from bimhw.tasks.features.audio import decode_sound
from bimhw.tasks.inspect import recognise
from bimhw.tasks.sources.lra import LISTOPS
from bimhw.tasks.sources.speech_commands import FRONT
from simulator.base.errors import InputError

RNG = np.random.default_rng(0)


def write_listops(folder: Path) -> Path:
    rows = {
        "train": ["( ( ( [MAX 2 ) 9 ) ] )\t9", "[SM 1 [MIN 4 5 ] ]\t5", "( ( [MED 3 ) ] )\t3"],
        "val": ["( ( [MIN 8 ) ] )\t8"],
        "test": ["( ( ( [MIN 7 ) 0 ) ] )\t0", "[MAX 1 2 ]\t2"],
    }
    for part, lines in rows.items():
        (folder / f"basic_{part}.tsv").write_text("\n".join(["Source\tTarget", *lines]) + "\n")
    return folder


def test_listops_is_one_hot_without_round_brackets(tmp_path: Path) -> None:
    task = load_task("lra-listops", path=write_listops(tmp_path), steps=8)
    assert (task.n_classes, task.n_in, task.steps) == (10, 15, 8)
    spelt = ["".join(LISTOPS[i] for i in row.argmax(1)[row.any(1)]) for row in task.train.x]
    assert spelt == ["[MAX29]", "[SM1[MIN45]]", "[MED3]"] and task.train.x.sum(2).max() == 1
    assert task.train.y.tolist() == [9, 5, 3] and task.test.y.tolist() == [0, 2]
    assert task.for_tuning().test.y.tolist() == [8] and len(task.for_tuning().train) == 3
    assert task.train.x[0, -1].argmax() == LISTOPS.index("]") and not task.train.x[0, 0].any()  # silence in front
    assert len(load_task("lra-listops", path=tmp_path, steps=8, most=1).train) == 1
    assert recognise(tmp_path) == "lra-listops"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("[MAX 1 x ]\t1", "line 2: holds 'x'"),
        ("[MAX 1 2 ]\t12", "holds '12'"),
        ("[MAX 1 2 ]", "has 1 columns, must have 2"),
        ("[MAX 1 2 3 4 5 6 7 8 ]\t8", "has 10 symbols, steps is 8"),
    ],
)
def test_listops_broken(tmp_path: Path, row: str, said: str) -> None:
    (write_listops(tmp_path) / "basic_test.tsv").write_text(f"Source\tTarget\n{row}\n")
    with pytest.raises(InputError, match=said):
        load_task("lra-listops", path=tmp_path, steps=8)


def spelt(bits: np.ndarray) -> bytes:
    """Return the bytes of a row of bits, without the silence in front."""
    return np.packbits(bits, axis=1).ravel().tobytes().lstrip(b"\0")


def test_reviews_and_pairs_are_the_bits_of_their_bytes(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for side in ("neg", "pos"):
            (tmp_path / "aclImdb" / part / side).mkdir(parents=True)
            (tmp_path / "aclImdb" / part / side / "0_1.txt").write_text(f"{side} é, a long one", encoding="utf-8")
    task = load_task("lra-text", path=tmp_path, steps=10)
    assert (task.n_in, task.steps, task.train.y.tolist()) == (8, 10, [0, 1])
    assert spelt(task.train.x[0]) == "neg é, a long one".encode()[:10]
    short = load_task("lra-text", path=tmp_path, steps=40)
    assert spelt(short.test.x[1]).decode() == "pos é, a long one" and not short.test.x[1, 0].any()
    assert recognise(tmp_path) == "lra-text"
    pairs = tmp_path / "lra_release" / "tsv_data"
    pairs.mkdir(parents=True)
    for part in ("train", "eval", "test"):
        (pairs / f"new_aan_pairs.{part}.tsv").write_text(f'1.0\t12\t7\tfirst {part}\tsecond "text\n0.0\t1\t2\ta\tb\n')
    task = load_task("lra-retrieval", path=tmp_path, steps=12)
    assert (task.steps, task.train.y.tolist(), len(task.for_tuning().test)) == (24, [1, 0], 2)
    assert spelt(task.train.x[0, :12]) == b"first train" and spelt(task.test.x[0, 12:]) == b'second "text'


def test_pictures_are_grey_pixels(tmp_path: Path) -> None:
    inner = tmp_path / "cifar-10-batches-bin"
    inner.mkdir()
    pixels = RNG.integers(0, 256, (4, 3, 1024)).astype(np.uint8)
    rows = b"".join(bytes([k]) + p.tobytes() for k, p in enumerate(pixels))
    for name in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"):
        (inner / name).write_bytes(rows)
    task = load_task("lra-image", path=tmp_path)
    assert (len(task.train), len(task.test), task.steps, task.n_in) == (8, 4, 1024, 1)
    red, green, blue = pixels[2, :, 5].astype(float)
    assert task.train.x[6, 5, 0] == round(0.299 * red + 0.587 * green + 0.114 * blue) and task.train.y[6] == 2
    (inner / "test_batch.bin").write_bytes(rows[:-1])
    with pytest.raises(InputError, match="no multiple of 3073"):
        load_task("lra-image", path=tmp_path)


def test_pathfinder_reads_its_lists(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    level = tmp_path / "pathfinder32" / "curv_contour_length_14"
    (level / "metadata").mkdir(parents=True)
    shades = {}
    for part in range(2):
        (level / "imgs" / str(part)).mkdir(parents=True)
        lines = []
        for k in range(10):
            name, shade = f"sample_{k}.png", 20 * k + part
            image.fromarray(np.full((32, 32), shade, np.uint8)).save(level / "imgs" / str(part) / name)
            lines.append(f"imgs/{part} {name} {k} {k % 2} 0 0 0 0 0")
            shades[shade] = k % 2
        (level / "metadata" / f"{part}.npy").write_text("\n".join(lines))
    task = load_task("lra-pathfinder", path=tmp_path)
    assert task.judged is not None and (len(task.train), len(task.judged), len(task.test)) == (16, 2, 2)
    seen = [int(x[0, 0]) for split in (task.train, task.judged, task.test) for x in split.x]
    assert sorted(seen) == sorted(shades) and task.train.x.shape[1:] == (1024, 1)
    assert all(shades[int(x[0, 0])] == y for x, y in zip(task.train.x, task.train.y, strict=True))
    (level / "metadata" / "0.npy").write_text("imgs/0 sample_0.png 0 2")
    with pytest.raises(InputError, match="no picture with a label"):
        load_task("lra-pathfinder", path=tmp_path)


def write_commands(folder: Path, samples: int = 16_000) -> Path:
    """Three words of four recordings; the third is for validation, the fourth for the test."""
    soundfile = pytest.importorskip("soundfile")
    for word in ("no", "yes", "up", "_background_noise_"):
        (folder / word).mkdir()
        for k in range(4):
            soundfile.write(folder / word / f"s{k}_nohash_0.wav", RNG.normal(0, 0.1, samples - 500 * k), 16_000)
    for name, k in (("validation_list.txt", 2), ("testing_list.txt", 3)):
        lines = [f"{word}/s{k}_nohash_0.wav" for word in ("no", "up", "yes", "zero")]
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def test_speech_commands_keep_the_official_lists(tmp_path: Path) -> None:
    path = write_commands(tmp_path)
    task = load_task("speech-commands", path=path)
    assert (task.n_classes, task.steps, task.n_in) == (3, 39, 80)
    assert task.train.y.tolist() == [0, 0, 1, 1, 2, 2] and task.test.y.tolist() == [0, 1, 2]  # no, up, yes
    assert task.for_tuning().test.y.tolist() == [0, 1, 2] and len(task.for_tuning().train) == 6
    files = [path / word / f"s{k}_nohash_0.wav" for word in ("no", "up", "yes") for k in (0, 1)]
    sounds = [decode_sound(f.read_bytes(), str(f), 16_000) for f in files]
    frames = np.stack([FRONT.frames(np.pad(s, (0, 16_000 - len(s)))) for s in sounds])
    scaled = (frames - frames.mean((0, 1))) / frames.std((0, 1))
    rounded = np.rint(np.clip(scaled, -3, 3) * 16)[:, :78].reshape(6, 39, 80)
    assert np.abs(rounded - task.train.x).max() <= 1 and (rounded == task.train.x).mean() > 0.999
    assert load_task("speech-commands", path=path, words="yes,no").n_classes == 2
    assert recognise(path) == "speech-commands"


def test_speech_commands_refuse(tmp_path: Path) -> None:
    path = write_commands(tmp_path)
    for options, said in (({"words": "yes,maybe"}, "no folder of the word 'maybe'"), ({"words": "yes"}, "Two words")):
        with pytest.raises(InputError, match=said):
            load_task("speech-commands", path=path, **options)
    wav = path / "yes" / "s0_nohash_0.wav"
    wav.write_bytes(wav.read_bytes()[:400])
    with pytest.raises(InputError, match="s0_nohash_0"):
        load_task("speech-commands", path=path)
    (path / "testing_list.txt").unlink()
    with pytest.raises(InputError, match="official split"):
        load_task("speech-commands", path=path)


@pytest.mark.parametrize(
    "name", ["lra-listops", "lra-text", "lra-retrieval", "lra-image", "lra-pathfinder", "speech-commands"]
)
def test_each_says_what_it_needs(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a path"):
        load_task(name)
    with pytest.raises(InputError):
        load_task(name, path=tmp_path)

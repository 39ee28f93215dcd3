"""Archive sets, MNIST and N-MNIST as tasks, on files written here."""

from __future__ import annotations

import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bimhw.tasks import load_task
from bimhw.tasks.base import late_steps
from bimhw.tasks.sources.mnist import read_idx
from bimhw.tasks.sources.nmnist import read_events
from bimhw.tasks.sources.sequences import Part, block_means, graded_task
from simulator.base.errors import InputError

RNG = np.random.default_rng(0)


def ts(folder: Path, split: str, samples: list[tuple[np.ndarray, str]], classes: str = "a b") -> None:
    lines = [f"@dimensions {samples[0][0].shape[1]}", f"@classLabel true {classes}", "@data"]
    lines += [":".join(",".join(map(str, c)) for c in s.T) + f":{y}" for s, y in samples]
    (folder / f"Toy_{split}.ts").write_text("\n".join(lines) + "\n")


def samples(*lengths: int, width: int = 2) -> list[tuple[np.ndarray, str]]:
    return [(RNG.normal(size=(n, width)), "ab"[i % 2]) for i, n in enumerate(lengths)]


def test_archive_task_ends_every_sequence_at_the_last_step(tmp_path: Path) -> None:
    train, test = samples(3, 5, 4), samples(2, 5)
    ts(tmp_path, "TRAIN", train)
    ts(tmp_path, "TEST", test)
    task = load_task("archive", path=tmp_path)
    assert task.train.x.shape == (3, 5, 2)
    flat = np.concatenate([s for s, _ in train])
    expected = np.rint(np.clip((train[0][0] - flat.mean(0)) / flat.std(0), -3, 3) * 16)
    np.testing.assert_array_equal(task.train.x[0, 2:], expected)
    assert not task.train.x[0, :2].any()
    assert task.test.y.tolist() == [0, 1]
    assert task.input_scale == 1 / 16


def test_archive_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a path"):
        load_task("archive")
    ts(tmp_path, "TRAIN", samples(3, 3))
    with pytest.raises(InputError, match="_TEST ending in"):
        load_task("archive", path=tmp_path)
    ts(tmp_path, "TEST", samples(3, 3, width=3))
    with pytest.raises(InputError, match=r"\[2, 3\] channels"):
        load_task("archive", path=tmp_path)
    ts(tmp_path, "TEST", samples(3, 3), classes="a b c")
    with pytest.raises(InputError, match="do not belong together"):
        load_task("archive", path=tmp_path)
    (tmp_path / "Other_TRAIN.ts").write_text("")
    with pytest.raises(InputError, match="holds several"):
        load_task("archive", path=tmp_path)


def test_japanese_vowels_lies_in_the_package() -> None:
    task = load_task("japanese-vowels")
    assert (len(task.train), len(task.test), task.n_classes) == (270, 370, 9)
    assert task.train.x.shape[1:] == (29, 12)
    assert np.bincount(task.train.y).tolist() == [30] * 9
    assert "speaker identification" in task.facts["note"]


def test_block_means_are_means_of_stretches() -> None:
    x = RNG.normal(size=(12, 3))
    np.testing.assert_allclose(block_means(x, 4), x.reshape(4, 3, 3).mean(1))
    assert block_means(x, 12) is x
    uneven = block_means(x[:7], 3)
    np.testing.assert_allclose(uneven, [x[:2].mean(0), x[2:5].mean(0), x[5:7].mean(0)])


@given(n=st.integers(1, 5), blocks=st.integers(1, 4), per_step=st.integers(1, 4), channels=st.integers(1, 3))
def test_side_by_side_keeps_every_value(n: int, blocks: int, per_step: int, channels: int) -> None:
    rng = np.random.default_rng(n)
    series = [rng.normal(size=(blocks * per_step, channels)) for _ in range(n)]
    part = Part(series, np.arange(n) % 2)
    plain = graded_task("x", part, part, 2, {})
    folded = graded_task("x", part, part, 2, {}, per_step=per_step)
    assert folded.train.x.shape == (n, blocks, per_step * channels)
    for i, j, k, c in np.ndindex(n, blocks, per_step, channels):
        assert folded.train.x[i, j, k * channels + c] == plain.train.x[i, j * per_step + k, c]
    if per_step > 1:
        with pytest.raises(InputError, match="must divide"):
            graded_task("x", Part([s[1:] for s in series], part.labels), part, 2, {}, per_step=per_step)


def test_graded_task_refuses() -> None:
    good = Part([np.zeros((4, 1)), np.ones((4, 1))], np.array([0, 1]))
    with pytest.raises(InputError, match="split 'test' is empty"):
        graded_task("x", good, Part([], np.zeros(0, np.int64)), 2, {})
    with pytest.raises(InputError, match="label 1"):
        graded_task("x", good, good, 1, {})
    bad = Part([np.full((4, 1), np.nan)] * 2, np.array([0, 1]))
    with pytest.raises(InputError, match="not finite"):
        graded_task("x", good, bad, 2, {})


def test_for_tuning_never_sees_the_test_split(tmp_path: Path) -> None:
    part = Part([np.full((2, 1), float(i)) for i in range(10)], np.arange(10) % 2)
    task = graded_task("x", part, part, 2, {}, validation=np.array([7, 8]))
    tuning = task.for_tuning()
    np.testing.assert_array_equal(tuning.test.x, task.train.x[[7, 8]])
    assert len(tuning.train) == 8
    drawn = graded_task("x", part, part, 2, {}).for_tuning()
    assert (len(drawn.train), len(drawn.test)) == (9, 1)


def write_idx(path: Path, array: np.ndarray) -> None:
    data = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    for part, n in (("train", 6), ("t10k", 3)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", RNG.integers(0, 256, (n, 28, 28)))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.arange(n) % 10)
    return tmp_path


def test_sequential_mnist(mnist: Path) -> None:
    images = read_idx(mnist / "train-images-idx3-ubyte")
    task = load_task("smnist", path=mnist)
    assert task.train.x.shape == (6, 784, 1)
    np.testing.assert_array_equal(task.train.x[2, :, 0], images[2].reshape(-1))
    rows = load_task("smnist", path=mnist, rows=True)
    np.testing.assert_array_equal(rows.train.x, images)
    shuffled = load_task("smnist", path=mnist, permuted=True)
    np.testing.assert_array_equal(np.sort(shuffled.train.x, 1), np.sort(task.train.x, 1))
    pooled = load_task("smnist", path=mnist, pool=7)
    np.testing.assert_allclose(pooled.train.x[0, 0, 0], np.rint(images[0, :7, :7].mean()))
    assert pooled.steps == 16


def test_permutation_is_the_same_for_all_samples(mnist: Path) -> None:
    plain, shuffled = (load_task("smnist", path=mnist, permuted=p) for p in (False, True))
    order = np.random.default_rng(0).permutation(784)
    for split in ("train", "test"):
        np.testing.assert_array_equal(getattr(shuffled, split).x, getattr(plain, split).x[:, order])


def test_mnist_refuses(mnist: Path) -> None:
    with pytest.raises(InputError, match="pool 3"):
        load_task("smnist", path=mnist, pool=3)
    file = mnist / "train-images-idx3-ubyte"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="truncated"):
        load_task("smnist", path=mnist)
    file.write_bytes(b"hello world")
    with pytest.raises(InputError, match="not an idx file"):
        load_task("smnist", path=mnist)
    file.write_bytes(whole)
    write_idx(mnist / "train-labels-idx1-ubyte.gz", np.arange(6) + 8)
    with pytest.raises(InputError, match="label 10"):
        load_task("smnist", path=mnist)
    write_idx(mnist / "train-labels-idx1-ubyte.gz", np.arange(5))
    with pytest.raises(InputError, match="do not belong together"):
        load_task("smnist", path=mnist)
    write_idx(mnist / "train-labels-idx1-ubyte.gz", np.zeros(0))
    file.write_bytes(b"\0\0\x08\x03" + bytes(4) + (28).to_bytes(4, "big") * 2)
    with pytest.raises(InputError, match="'train' is empty"):
        load_task("smnist", path=mnist)
    file.write_bytes(whole)
    (mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    write_idx(mnist / "train-labels-idx1-ubyte.gz", np.arange(6))
    with pytest.raises(InputError, match="t10k-labels"):
        load_task("smnist", path=mnist)


def event(x: int, y: int, p: int, t_us: int) -> bytes:
    return bytes([x, y, p << 7 | t_us >> 16, t_us >> 8 & 255, t_us & 255])


def test_events_round_trip() -> None:
    events = [(int(x), int(y), int(p), int(t)) for x, y, p, t in RNG.integers(0, (34, 34, 2, 2**23), (50, 4))]
    address, times = read_events(b"".join(event(*e) for e in events), "x")
    assert [(*a, t) for a, t in zip(address.tolist(), times.tolist(), strict=True)] == events


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("official", [False, True])
def test_nmnist_layouts(tmp_path: Path, official: bool, packed: bool) -> None:
    files = {}
    recording = event(0, 0, 0, 0) * 3 + event(33, 33, 1, 314_000) + event(5, 5, 0, 400_000)
    if official:
        files = {"Train/7/00001.bin": recording, "Train/2/00002.bin": recording, "Test/3/00001.bin": recording}
    else:
        files = {"n/1.bs2": recording, "n/2.bs2": recording, "n/60001.bs2": recording}
        files |= {"n/train1K.txt": b"#sample #class\n1\t2\n2\t7\n", "n/test100.txt": b"#\n60001\t3\n"}
    path = tmp_path / ("x.zip" if packed else "x")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    task = load_task("nmnist", path=path, steps=3)
    assert sorted(task.train.y.tolist()) == [2, 7]
    assert task.test.y.tolist() == [3]
    assert task.train.x.shape == (2, 3, 2 * 17 * 17)
    assert task.train.x[0, 0, 0] == 3
    assert task.train.x[0, 2, -1] == 1
    assert task.train.x[0].sum() == 4, "the event after the window is dropped"


def test_nmnist_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a path"):
        load_task("nmnist")
    folder = tmp_path / "Train" / "1"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match="neither Train"):
        load_task("nmnist", path=tmp_path)
    file = folder / "1.bin"
    for data, said in [(b"123456", "multiple of 5"), (event(34, 0, 0, 0), r"\(34, 0\)")]:
        file.write_bytes(data)
        with pytest.raises(InputError, match=said):
            load_task("nmnist", path=tmp_path)
    folder.rename(folder.with_name("12"))
    with pytest.raises(InputError, match="label '12'"):
        load_task("nmnist", path=tmp_path)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("1 2\n")
    with pytest.raises(InputError, match=r"1.bs2 is not there"):
        load_task("nmnist", path=tmp_path / "lists")


def test_unknown_tasks_and_options() -> None:
    with pytest.raises(InputError, match="Tasks: archive, chbmit"):
        load_task("iris")
    with pytest.raises(InputError, match="Its options: repeat"):
        load_task("digits", path="x")
    with pytest.raises(InputError, match="is a text"):
        load_task("lm")
    assert late_steps(4, 2).tolist() == [False, False, True, True]

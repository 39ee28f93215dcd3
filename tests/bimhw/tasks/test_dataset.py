"""Recorded samples of every kind, read into one form."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import bimhw
from bimhw.tasks.dataset import Dataset, power_of_two_scale
from bimhw.tasks.inspect import OWN, check_data
from simulator.base.errors import InputError
from tests.fuzz.recordings import aedat4

RNG = np.random.default_rng(0)


def test_the_layout_is_found_by_labels_and_width() -> None:
    x = RNG.random((7, 5, 2, 3))
    by_labels = Dataset(x, y=np.zeros(5, np.int64)).samples(6)
    assert by_labels.x.shape == (5, 7, 6)
    assert by_labels.notes == ("x of shape (7, 5, 2, 3) read as [T, B, ...]",)
    np.testing.assert_array_equal(by_labels.x[2, 4], x[4, 2].reshape(-1))
    first = Dataset(x, y=np.zeros(7, np.int64)).samples(6)
    np.testing.assert_array_equal(first.x, x.reshape(7, 5, 6))
    unsure = Dataset(x).samples(6)
    assert unsure.x.shape == (5, 7, 6) and "both fit" in unsure.notes[0]
    assert Dataset(x, layout="bt").samples(6).x.shape == (7, 5, 6)


def test_a_static_input_is_not_copied() -> None:
    samples = Dataset(RNG.random((4, 1, 2, 3)), y=np.zeros(4, np.int64), steps=1000).samples(6)
    assert samples.x.shape == (4, 1000, 6)
    payloads = samples.payloads(2.0**-6, 8)
    assert samples.x.strides[1] == payloads.strides[1] == 0
    with pytest.raises(InputError, match="Give --data-option steps=T"):
        Dataset(RNG.random((4, 6)), y=np.zeros(4, np.int64)).samples(6)


def test_shapes_that_do_not_meet_are_refused() -> None:
    with pytest.raises(InputError, match=r"has shape \(4, 5, 6\).*7 inputs"):
        Dataset(np.zeros((4, 5, 6))).samples(7)
    with pytest.raises(InputError, match="for 3 labels"):
        Dataset(np.zeros((4, 5, 6)), y=np.zeros(3, np.int64)).samples(6)
    with pytest.raises(InputError, match="not finite"):
        Dataset(np.array([[np.nan]]))


@pytest.mark.parametrize("largest", [1.0, 0.3, 100.0, 1e-4])
def test_the_scale_is_the_least_power_of_two_that_fits(largest: float) -> None:
    x = RNG.uniform(-largest, largest, (3, 4, 5))
    scale = power_of_two_scale(x, 8)
    assert np.abs(x / scale).max() <= 127 < np.abs(x / (scale / 2)).max() * 1.01
    assert np.log2(scale) == round(np.log2(scale))
    payloads = Dataset(x, layout="bt").samples(5).payloads(scale, 8)
    assert np.abs(payloads * scale - x).max() <= scale / 2


def test_encodings_are_those_of_the_features() -> None:
    x = np.array([[0.0, 0.5, 1.0]])
    latency = Dataset(x, layout="static", steps=11, encoding="latency").samples(3).x
    assert [np.flatnonzero(latency[0, :, k]).tolist() for k in range(3)] == [[], [5], [0]]
    rate = Dataset(x, layout="static", steps=4000, encoding="rate", seed=3).samples(3).x
    assert rate.mean(axis=1)[0] == pytest.approx([0, 0.5, 1], abs=0.03)
    ramp = np.linspace(0, 1, 33)[None, :, None]
    delta = Dataset(ramp, layout="bt", encoding="delta").samples(2).x
    assert delta[0, :, 0].sum() == 16 and delta[0, :, 1].sum() == 0


def test_a_file_that_data_reads_is_counted(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=np.arange(12, dtype=np.int16).reshape(3, 2, 2), y=np.array([2, 0, 2]))
    own = {"task": OWN, "x": "3 x 2 x 2 of int16", "largest value": 11.0}
    assert check_data(tmp_path / "own.npz") == own | {"labels": "1 0 2"}
    np.savez(tmp_path / "own.npz", x=np.arange(12, dtype=np.int16).reshape(3, 2, 2), y=np.zeros((3, 4)))
    assert check_data(tmp_path / "own.npz") == own | {"targets": "3 x 4 of float64"}


def test_shd_files_are_binned(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    times, units = [[0.001, 0.012, 0.0121], [0.031]], [[3, 699, 699], [0]]
    with h5py.File(tmp_path / "shd_test.h5", "w") as file:
        spikes = file.create_group("spikes")
        for name, rows, kind in (("times", times, np.float16), ("units", units, np.uint16)):
            data = spikes.create_dataset(name, (2,), h5py.vlen_dtype(kind))
            for k, row in enumerate(rows):
                data[k] = np.array(row, kind)
        file["labels"] = np.array([4, 9], np.uint16)
    samples = Dataset.open(tmp_path / "shd_test.h5", time_step=0.01).samples(700)
    assert samples.x.shape == (2, 4, 700)
    assert samples.x[0, 0, 3] == 1 and samples.x[0, 1, 699] == 2 and samples.x[1, 3, 0] == 1 and samples.x.sum() == 4
    assert samples.y is not None and samples.y.tolist() == [4, 9]


def test_counts_above_a_byte_are_kept_and_unsigned_bytes_become_a_tasks_payloads_as_they_are(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    counts = {3: 300, 5: 255}  # of unit 3 and 5 in the first step of the second sample
    with h5py.File(tmp_path / "busy.h5", "w") as file:
        units = [np.array([699], np.uint16), np.repeat(list(counts), list(counts.values())).astype(np.uint16)]
        for name, rows, kind in (("times", [0 * u for u in units], np.float32), ("units", units, np.uint16)):
            data = file.create_dataset(f"spikes/{name}", (2,), h5py.vlen_dtype(kind))
            for k, row in enumerate(rows):
                data[k] = row.astype(kind)
        file["labels"] = np.array([0, 1], np.uint16)
        file["extra/keys"] = np.array([b"null", b"eins"])
        file["extra/meta_info/gender"] = np.array([b"male", b"female"])
    x = Dataset.open(tmp_path / "busy.h5").x
    assert x.shape == (2, 1, 700) and x[0, 0, 699] == 1 and x.dtype == np.int16
    assert {unit: int(x[1, 0, unit]) for unit in counts} == counts and x.sum() == 556
    few = Dataset(np.repeat(x[:1].astype(np.uint8), 4, axis=0), np.arange(4) // 2, layout="bt")
    assert few.task().train.x.dtype == np.uint8
    task = few.task(classes=20)  # the samples at hand show two of the network's classes
    assert task.n_classes == 20
    with pytest.raises(InputError, match=r"has the label 3, and the outputs are 0\.\.2"):
        Dataset(few.x, 3 * np.asarray(few.y), layout="bt").task(classes=3)


def test_event_files_and_folders(tmp_path: Path) -> None:
    for label, shift in (("0", 0), ("1", 1)):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.csv").write_text(f"t,x,y,p\n0,{shift},0,1\n10500,2,1,0\n")
    samples = Dataset.open(tmp_path, time_step=0.01).samples(2 * 2 * 3)
    assert samples.x.shape == (2, 2, 12)
    assert samples.y is not None and samples.y.tolist() == [0, 1]
    frames = samples.x.reshape(2, 2, 2, 2, 3)
    assert frames[0, 0, 1, 0, 0] == frames[1, 0, 1, 0, 1] == 1 and (frames[:, 1, 0, 1, 2] == 1).all()
    event = bytes([2, 1, 0x80 | 0x00, 0x29, 0x04])  # x 2, y 1, ON, t 10500
    (tmp_path / "one.bin").write_bytes(event)
    with pytest.raises(InputError, match=r"needs .* with 18 values a step.*size of the sensor may be missing"):
        Dataset.open(tmp_path / "one.bin").samples(18)
    one = Dataset.open(tmp_path / "one.bin", time_step=0.01).samples(2 * 2 * 3)
    assert np.argwhere(one.x.reshape(1, 2, 2, 2, 3)).tolist() == [[0, 1, 1, 1, 2]]
    (tmp_path / "one.bin").write_bytes(event[:4])
    with pytest.raises(InputError, match="an event has five"):
        Dataset.open(tmp_path / "one.bin")


@pytest.mark.parametrize("size", ["4x3", "4,3", (4, 3), [4, 3]])
def test_the_size_of_a_sensor_is_given_as_text_or_as_a_pair(tmp_path: Path, size: object) -> None:
    (tmp_path / "a.csv").write_text("0,1,2,1\n")
    assert Dataset.open(tmp_path / "a.csv", size=size).samples(2 * 4 * 3).x.shape == (1, 1, 24)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"size": "4x"}, "size: is '', no whole number"),
        ({"size": "1x2x3"}, "size: is '1x2x3'. Give WIDTHxHEIGHT"),
        ({"time_step": "soon"}, "time_step: is 'soon'. Give seconds"),
        ({"time_step": 0}, "time_step: is '0'"),
        ({"bins": 2.5}, "bins: is '2.5', no whole number"),
        ({"timestep": 0.1}, "data option 'timestep': is not known. Options: layout, steps, time_step, bins, size"),
    ],
)
def test_wrong_options_of_events_are_named(tmp_path: Path, how: dict[str, object], message: str) -> None:
    (tmp_path / "a.csv").write_text("0,1,2,1\n")
    with pytest.raises(InputError, match=message):
        Dataset.open(tmp_path / "a.csv", **how)


def test_aedat4_recordings(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("aedat")
    path = aedat4(tmp_path / "a.aedat4", [(1000, 1, 2, 1), (1500, 3, 4, 0), (52000, 7, 5, 1)])
    data = Dataset.open(path)
    assert data.x.shape == (1, 6, 2, 6, 8) and data.x.sum() == 3  # 51 ms in steps of 10 ms; p, y, x
    assert data.x[0, 0, 1, 2, 1] == data.x[0, 0, 0, 4, 3] == data.x[0, 5, 1, 5, 7] == 1
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="AEDAT4"):
        Dataset.open(path)
    whole = aedat4(tmp_path / "c.aedat4", [(1000, 1, 2, 1)])
    whole.write_bytes(
        whole.read_bytes().replace(struct.pack("<5H", 10, 20, 4, 8, 16), struct.pack("<5H", 10, 20, 4, 8, 60000))
    )
    with pytest.raises(InputError, match="AEDAT4"):
        Dataset.open(whole)
    whole.write_bytes(aedat4(tmp_path / "d.aedat4", [(1000, 1, 2, 1)]).read_bytes().replace(b"</attr>", b"</\xe1ttr>"))
    with pytest.raises(InputError, match="crashes"):  # such text makes the library end its process
        Dataset.open(whole)
    assert capfd.readouterr().err == ""  # the library in Rust prints the stack of its panic
    with pytest.raises(InputError, match="no events"):
        Dataset.open(aedat4(tmp_path / "b.aedat4", []))


def test_torch_datasets_and_loaders() -> None:
    x, y = torch.rand(6, 5, 4), torch.arange(6) % 3
    for source in (TensorDataset(x, y), DataLoader(TensorDataset(x, y), batch_size=4)):
        samples = Dataset.open(source).samples(4)
        np.testing.assert_array_equal(samples.x, x.numpy())
        assert samples.y is not None and samples.y.tolist() == y.tolist()


def test_tonic_events() -> None:
    kind = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])
    events = np.array([(1, 0, 500, True), (0, 1, 20_000, False)], kind)
    samples = Dataset.open([(events, 7)], time_step=0.01).samples(8)
    assert np.argwhere(samples.x.reshape(1, 3, 2, 2, 2)).tolist() == [[0, 0, 1, 0, 1], [0, 2, 0, 1, 0]]
    assert samples.y is not None and samples.y.tolist() == [7]


class _Recordings:
    """What a tonic dataset looks like: events with names, a sensor's size, labels that may be names."""

    sensor_size = (5, 1, 1)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> tuple[np.ndarray, str]:
        events = np.zeros(3 * (i == 0), np.dtype([("t", int), ("x", int), ("p", int)]))
        if i == 0:
            events["t"], events["x"], events["p"] = [0, 9_999, 25_000], [3, 3, 1], 1
        return events, "ba"[i]


def test_tonic_datasets_tell_their_sensor_and_name_their_classes() -> None:
    samples = Dataset.open(_Recordings(), time_step=0.01).samples(5)
    assert samples.x.shape == (2, 3, 5) and np.argwhere(samples.x).tolist() == [[0, 0, 3], [0, 2, 1]]
    assert samples.x[0, 0, 3] == 2
    assert samples.y is not None and samples.y.tolist() == [1, 0]


@pytest.mark.parametrize("batch_first", [True, False])
def test_samples_and_batches_of_different_lengths_end_in_zeros_and_say_so(batch_first: bool) -> None:
    parts = [torch.rand(n, 4) + 1 for n in (3, 5, 2)]
    pairs = [(p, k) for k, p in enumerate(parts)]
    one = Dataset.open(pairs).samples(4)
    assert one.x.shape == (3, 5, 4) and [int((r.sum(axis=1) > 0).sum()) for r in one.x] == [3, 5, 2]
    assert "end in zeros" in one.notes[0]

    def padded(batch: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.nn.utils.rnn.pad_sequence([b[0] for b in batch], batch_first=batch_first)
        return x, torch.tensor([b[1] for b in batch])

    loader = DataLoader(pairs, batch_size=2, collate_fn=padded)  # type: ignore[arg-type]
    np.testing.assert_array_equal(Dataset.open(loader).samples(4).x, one.x)
    with pytest.raises(InputError, match="different shapes"):
        Dataset.open([(torch.rand(3, 4), 0), (torch.rand(3, 5), 1)])


def test_sparse_samples_are_read() -> None:
    x = (torch.rand(5, 4) < 0.3).float()
    np.testing.assert_array_equal(Dataset.open([(x.to_sparse(), 0)]).samples(4).x[0], x.numpy())


def test_labelled_samples_become_a_task() -> None:
    y = np.repeat(np.arange(3), 10)
    task = Dataset(RNG.integers(0, 2, (30, 5, 4)), y, layout="bt").task(4)
    assert (len(task.train), len(task.test), task.n_classes) == (24, 6, 3)
    assert np.bincount(task.test.y).tolist() == [2, 2, 2]
    with pytest.raises(InputError, match="no labels"):
        Dataset(RNG.integers(0, 2, (30, 5, 4)), layout="bt").task(4)


def test_it_is_public() -> None:
    assert bimhw.Dataset is Dataset


@pytest.mark.parametrize("encoding", [None, "rate", "latency"])
def test_still_values_with_steps_make_a_task(encoding: str | None) -> None:
    x = np.random.default_rng(0).random((20, 3))
    task = Dataset(x, np.arange(20) % 2, steps=6, encoding=encoding).task()
    assert task.train.x.shape == (16, 6, 3)
    with pytest.raises(InputError, match="does not tell the values of a step"):
        Dataset(x, np.arange(20) % 2).task()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_folder_of_arrays_holds_one_sample_a_file(tmp_path: Path, suffix: str) -> None:
    arrays = [RNG.random((t, 3)) for t in (4, 2, 4)]
    for k, values in enumerate(arrays):
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        path = tmp_path / "ab"[k % 2] / f"{k}{suffix}"
        if suffix == ".npy":
            np.save(path, values)
        else:
            np.savez(path, **{"frames" if k else "x": values})
    samples = Dataset.open(tmp_path).samples(3)
    assert samples.x.shape == (3, 4, 3) and samples.y is not None and samples.y.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(samples.x[1], arrays[2])
    np.testing.assert_array_equal(samples.x[2], [*arrays[1], [0] * 3, [0] * 3])
    assert any("2 to 4 steps end in zeros" in n for n in samples.notes)
    (tmp_path / "a" / "x.csv").write_text("0,1,2,1\n")
    with pytest.raises(InputError, match="both events and arrays"):
        Dataset.open(tmp_path)


def test_a_folder_of_named_arrays_is_read_as_an_archive_is(tmp_path: Path) -> None:
    """It was "samples of different shapes"."""
    arrays = {"x": RNG.random((5, 4, 3)), "y": np.arange(5) % 2, "out": RNG.random((5, 4, 2))}
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    np.savez(tmp_path / "all.npz", **arrays)
    one, other = Dataset.open(tmp_path).samples(3), Dataset.open(tmp_path / "all.npz").samples(3)
    for name in arrays:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_folder_of_archives_names_one_without_x(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", u=np.ones((2, 3)), v=np.ones(1))
    with pytest.raises(InputError, match=r"a.npz: has no array 'x'. It has: \['u', 'v'\]"):
        Dataset.open(tmp_path)


def test_the_delta_code_counts_two_inputs_a_value() -> None:
    x = np.linspace(0, 1, 2 * 5 * 6).reshape(2, 5, 6)
    with pytest.raises(InputError, match=r"with 3 values a step for 6 inputs, ON and OFF of 3 values"):
        Dataset(x, layout="bt", encoding="delta").samples(6)
    with pytest.raises(InputError, match=r"the network takes 8 inputs, ON and OFF of 4 values"):
        Dataset(x, encoding="delta").samples(8)
    with pytest.raises(InputError, match="two inputs of each value, and the network has 7"):
        Dataset(x, layout="bt", encoding="delta").samples(7)
    with pytest.raises(InputError, match="sends changes, and data has none"):
        Dataset(x[:, 0], layout="static", steps=5, encoding="delta").samples(12)
    assert Dataset(x, layout="bt", encoding="delta").samples(12).x.shape == (2, 5, 12)

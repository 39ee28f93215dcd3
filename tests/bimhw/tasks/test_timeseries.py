"""The archive reader: round trips of written samples, and every way a file can be broken."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.tasks.sources.timeseries import read_recordings
from simulator.base.errors import InputError

HEADER = "@problemName x\n@dimensions 2\n@classLabel true a b\n@data\n"


def write(folder: Path, text: str, name: str = "x.ts") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_ts_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    n, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    numbers = st.floats(-1e6, 1e6, allow_nan=False)
    series = []
    for _ in range(n):
        length = data.draw(st.integers(1, 6))
        flat = data.draw(st.lists(numbers, min_size=width * length, max_size=width * length))
        series.append(np.array(flat).reshape(length, width))
    labels = [data.draw(st.sampled_from(["1", "2", "10"])) for _ in range(n)]
    lines = [
        ":".join(",".join(repr(float(v)) for v in s[:, m]) for m in range(width)) + f":{y}"
        for s, y in zip(series, labels, strict=True)
    ]
    text = f"# note\n@dimensions {width}\n@classLabel true 1 2 10\n@data\n" + "\n".join(lines) + "\n"
    got = read_recordings(write(tmp_path_factory.mktemp("ts"), text))
    assert got.classes == ("1", "2", "10")
    assert [got.classes[i] for i in got.labels] == labels
    for a, b in zip(got.series, series, strict=True):
        np.testing.assert_array_equal(a, b)


def test_tsv_arff_and_gz_agree(tmp_path: Path) -> None:
    ts = write(tmp_path, "@dimensions 1\n@classLabel true a b\n@data\n1,2,3:a\n4,5,6:b\n")
    tsv = write(tmp_path, "a\t1\t2\t3\nb\t4\t5\t6\n", "x.tsv")
    arff = write(tmp_path, "@relation x\n@attribute v numeric\n@attribute c {a,b}\n@data\n1,2,3,a\n4,5,6,b\n", "x.arff")
    packed = tmp_path / "y.ts.gz"
    packed.write_bytes(gzip.compress(ts.read_bytes()))
    readings = [read_recordings(p) for p in (ts, tsv, arff, packed)]
    for other in readings[1:]:
        assert other.classes == readings[0].classes
        np.testing.assert_array_equal(np.stack(other.series), np.stack(readings[0].series))


def test_relational_arff(tmp_path: Path) -> None:
    text = "@attribute s relational\n@attribute c {l,r}\n@data\n'1,2\\n3,4\\n5,6',r\n"
    got = read_recordings(write(tmp_path, text, "x.arff"))
    np.testing.assert_array_equal(got.series[0], [[1, 3, 5], [2, 4, 6]])
    assert got.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("1,2:3,4:c", "label 'c' is none of the classes a, b"),
        ("1,2:a", "1 dimensions before its label, the header says 2"),
        ("1,2:3:a", "different lengths"),
        ("1,?:3,4:a", "not finite"),
        ("1,nan:3,4:a", "not finite"),
        ("1,x:3,4:a", "could not convert"),
        ("", "holds no sample"),
    ],
)
def test_broken_samples(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_recordings(write(tmp_path, HEADER + body + "\n"))


def test_broken_files(tmp_path: Path) -> None:
    packed = gzip.compress(b"x" * 5000)
    (tmp_path / "t.ts.gz").write_bytes(packed[:-10])
    (tmp_path / "b.ts").write_bytes(b"\xff\xfe\x00")
    for name, said in [("t.ts.gz", "not a whole file"), ("b.ts", "not a text"), ("none.ts", "does not exist")]:
        with pytest.raises(InputError, match=said):
            read_recordings(tmp_path / name)
    for text, said in [("@dimensions 1\n", "no @data"), ("@data\n1:a\n", "names no class")]:
        with pytest.raises(InputError, match=said):
            read_recordings(write(tmp_path, text))
    with pytest.raises(InputError, match=r"ending '\.csv'"):
        read_recordings(write(tmp_path, "", "x.csv"))

"""`bimhw verify --rtl`: recordings written here are replayed, a change of one bit or cycle is seen, the handed ones are equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from bimhw.cli.main import cli
from bimhw.evidence.verify.rtl.case import Comparison
from bimhw.evidence.verify.rtl.check import replay_rtl
from simulator.base.errors import InputError

Fields = dict[str, npt.NDArray[np.generic]]


def _write(folder: Path, **cases: tuple[dict[str, object], Fields]) -> Path:
    arrays: dict[str, npt.NDArray[np.generic]] = {"cases": np.array(list(cases))}
    for name, (config, fields) in cases.items():
        arrays[f"{name}/config"] = np.array(json.dumps(config))
        arrays |= {f"{name}/{k}": v for k, v in fields.items()}
    folder.mkdir(exist_ok=True)
    np.savez(folder / "cases.npz", **arrays)  # type: ignore[arg-type]
    return folder


def _routers(late: int = 0) -> tuple[dict[str, object], Fields]:
    """One packet over one hop: it enters in cycle 3 and leaves 2 + 2 cycles later."""
    packets = np.array([[3, 0, 1]], np.int32)
    config: dict[str, object] = {"width": 2, "height": 1, "sink_period": 1, "kind": "pairs"}
    return config, {"packets": packets, "injected": np.array([3]), "ejected": np.array([7 + late])}


def test_equal_recordings_pass(tmp_path: Path) -> None:
    _write(tmp_path / "a", one=_routers(), two=_routers())
    result = CliRunner().invoke(cli, ["verify", "--rtl", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "total: 2 of 2 cases equal, 0 bits and 0 cycles off" in result.output


def test_a_cycle_off_fails_with_its_place(tmp_path: Path) -> None:
    _write(tmp_path / "a", one=_routers(), two=_routers(late=2))
    result = CliRunner().invoke(cli, ["verify", "--rtl", str(tmp_path), "--json"])
    assert result.exit_code == 1
    rows = json.loads(result.stdout)["rtl"]
    assert [(r["case"], r["bits_off"], r["cycles_off"], r["where"]) for r in rows] == [
        ("a/one", 0, 0, ""),
        ("a/two", 0, 2, "ejected 2 cycles"),
    ]


def test_a_case_that_breaks_is_a_difference(tmp_path: Path) -> None:
    _write(tmp_path / "a", one=({"kind": "?"}, {"x": np.zeros(1)}), two=_routers())
    rows = replay_rtl(tmp_path)
    assert [r.equal for r in rows] == [False, True]
    assert "no known design" in rows[0].error
    assert CliRunner().invoke(cli, ["verify", "--rtl", str(tmp_path)]).exit_code == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("packets", np.array([[0.5, 1, 2]]), "packets: holds float64"),
        ("ejected", np.array([np.nan]), "ejected: holds float64"),
        ("packets", np.zeros(4, np.int64), "packets: holds 4 numbers; its rows have 3"),
        ("injected", np.array(["x"]), "injected: holds <U1"),
        ("config", 10**30, "is no recording of Catalyst N1 routers"),
    ],
)
def test_a_malformed_field_is_one_message(
    tmp_path: Path, field: str, value: npt.NDArray[Any] | int, message: str
) -> None:
    config, fields = _routers()
    if field == "config":
        config = config | {"width": value}
    else:
        fields = fields | {field: value}
    _write(tmp_path / "a", one=(config, fields))
    (row,) = replay_rtl(tmp_path)
    assert not row.equal and message in row.error


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no cases\.npz"):
        replay_rtl(tmp_path)
    (tmp_path / "cases.npz").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"is not a whole \.npz file"):
        replay_rtl(tmp_path)
    nowhere = CliRunner().invoke(cli, ["verify", "--rtl", str(tmp_path / "nowhere")])
    assert isinstance(nowhere.exception, InputError)


def test_words_and_stamps_of_one_side_count() -> None:
    result = Comparison()
    result.values("v", [[1, 2], [3, 4]], np.array([[1, 3], [3, 4], [5, 6]], np.int16))
    result.times("t", [5, 9], np.array([4]))
    assert (result.words, result.bits_off) == (6, 1 + 2 * 16)
    assert (result.stamps, result.cycles_off) == (2, 1 + 1)
    assert result.where() == "v 33 bits, t 2 cycles"


@pytest.mark.parametrize("design", ["n1-router", "n1-core", "n1-mesh", "reckon", "odin"])
def test_handed_recordings_are_equal(shared: Path, design: str) -> None:
    rows = replay_rtl(shared / "data" / "rtl" / design)
    assert rows
    assert [(r.case, r.comparison.where(), r.error) for r in rows if not r.equal] == []

"""`bimhw fit`: verdicts agree with what compiling does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import bimhw
from bimhw.cli.main import main
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import save_model
from simulator.base.errors import FitError


def verdict(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    code = 0
    try:
        main(["fit", *arguments, "--json"])
    except SystemExit as done:
        code = int(done.code or 0)
    out = capsys.readouterr()
    return code, json.loads(out.out), out.err


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(save_model(BimNet(BimConfig(n_in=8, hidden=(40,), n_out=10, input_scale=1 / 16)), tmp_path / "m.pt"))


def test_a_model_that_fits(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = verdict(capsys, model)
    assert (code, said["fits"], said["chips"], said["reason"]) == (0, True, 1, "")
    report = bimhw.compile(model, mapping="blocks").report
    assert said["cores"] == report["cores"]
    assert {r["name"]: r["total"] for r in said["resources"]} == {r["name"]: r["total"] for r in report["resources"]}


def test_a_chip_without_the_neuron_is_refused_and_others_are_named(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, err = verdict(capsys, model, "--chip", "loihi1")
    assert code == 2
    assert "'bim_d_alpha'" in err
    assert "Traceback" not in err
    by_name = {o["chip"]: o for o in said["other_chips"]}
    assert by_name["loihi2"]["fits"]
    assert not by_name["truenorth"]["fits"]


def test_too_many_cores_give_the_number_of_chips(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from importlib import resources

    text = (resources.files("simulator") / "chips" / "loihi2.yaml").read_text(encoding="utf-8")
    small = tmp_path / "small.yaml"
    small.write_text(text.replace("usable_cores: 128", "usable_cores: 2").replace("name: loihi2", "name: small"))
    code, said, err = verdict(capsys, model, "--chip", str(small), "--neurons-per-core", "10")
    assert code == 2
    assert (said["cores"], said["cores_of_chip"], said["chips"]) == (5, 2, 3)
    assert "needs 5 cores, and chip 'small' has 2. 3 chips hold it: --chips 3" in err
    with pytest.raises(FitError, match="needs 5 cores"):
        bimhw.compile(model, chip=str(small), neurons_per_core=10)
    assert bimhw.compile(model, chip=str(small), neurons_per_core=10, chips=3).report["cores"] == 5

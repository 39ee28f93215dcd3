"""`bimhw doctor`: a sound installation has no problem; a clash, an old version and a read-only home are found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bimhw.cli.commands.doctor import command
from bimhw.evidence import doctor as module
from bimhw.evidence.doctor import doctor
from simulator.base import kernel_cache as cache


def test_this_installation_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert {f.what for f in doctor() if f.health == "problem"} == set()
    assert command.main(["--json"], standalone_mode=False) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"Python", "numpy", "GPU", "kernel cache"} <= {f["what"] for f in found}


def test_an_extra_of_extras_is_complete_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a; extra == 'x'", "b; extra == 'y'", "bimhw[x,y]; extra == 'all'", "bimhw[all]; extra == 'more'"]
    monkeypatch.setattr(module.importlib.metadata, "requires", lambda _: names)
    monkeypatch.setattr(module, "_installed", lambda name: name == "a")
    found = {f.what: f.found for f in module._extras()}
    assert found == {
        "extra x": "complete", "extra y": "lacks b", "extra all": "lacks b", "extra more": "lacks b",
    }  # fmt: skip


def test_a_file_of_the_same_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "mapping.py").write_text("")
    root = str(Path(__file__).resolve().parents[3])
    code = (
        f"import sys; sys.path[1:1] = [{root!r}]\nfrom bimhw.evidence.doctor import doctor\n"
        "print([f.found for f in doctor() if f.what == 'package mapping'])"
    )
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env, check=True
    )
    assert str(tmp_path / "mapping.py") in done.stdout


def test_a_wrong_version_says_what_to_install() -> None:
    assert module._requirement(Requirement("numpy>=99")).way_out == 'pip install "numpy>=99"'
    assert module._requirement(Requirement("no-such-package>=1")).found == "is missing"


def test_kernels_go_to_a_temporary_folder_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    assert not cache.ensure_kernel_cache()
    monkeypatch.setattr(cache, "_writable", lambda folder: False)
    assert cache.ensure_kernel_cache()
    assert os.environ[cache.VARIABLE] == str(cache.kernel_cache())
    monkeypatch.delenv(cache.VARIABLE)

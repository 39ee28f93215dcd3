"""Faithful or approximate, with reasons: models that change, weights that are far off, made-up calibration, integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bimhw
from bimhw.compiler.advice import off
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import save_model
from simulator.program.program import Program

EXAMPLE = str(Path(__file__).resolve().parents[3] / "examples" / "digits.safetensors")


def test_the_shipped_net_is_faithful() -> None:
    report = bimhw.compile(EXAMPLE, mapping="blocks").report
    assert report["fidelity"] == {"word": "faithful", "reasons": []}


def test_coarse_weights_are_approximate() -> None:
    report = bimhw.compile(EXAMPLE, mapping="blocks", bits=3).report
    errors = {q["name"]: (q["relative_rms_weight_error"], q["relative_rms_row_error"]) for q in report["projections"]}
    named = {r.split(":")[0] for r in report["fidelity"]["reasons"]}
    assert report["fidelity"]["word"] == "approximate"
    assert named == {name for name, both in errors.items() if off(*both)} != set()


def test_the_program_file_says_it(tmp_path: Path) -> None:
    """What a compilation kept is in the program, and so in its runs: result, table, report and NeuroBench."""
    from bimhw.views.neurobench import neurobench

    made = bimhw.compile(EXAMPLE, mapping="blocks", bits=3)
    made.program.save(tmp_path / "p.bimhw")
    kept = Program.load(tmp_path / "p.bimhw").facts.fidelity
    assert kept is not None and kept.as_json() == made.report["fidelity"]
    run = bimhw.simulate(tmp_path / "p.bimhw", samples=2, output=tmp_path / "run")
    assert run.result["fidelity"] == made.report["fidelity"]
    found = neurobench(tmp_path / "run")
    assert (found["bimhw.fidelity"], found["bimhw.fidelity_reasons"]) == (kept.word, list(kept.reasons))
    page = bimhw.report(tmp_path / "run").read_text(encoding="utf-8")
    assert f"Compilation: approximate: {kept.reasons[0]}" in page


def test_made_up_inputs_are_a_reason(tmp_path: Path) -> None:
    save_model(BimNet(BimConfig(n_in=4, hidden=(8,), n_out=3)), tmp_path / "m.safetensors")
    report = bimhw.compile(tmp_path / "m.safetensors", mapping="blocks").report
    assert any("made-up inputs" in r for r in report["fidelity"]["reasons"])
    x = np.random.default_rng(0).integers(0, 2, (8, 6, 4)).astype(np.int16)
    given = bimhw.compile(tmp_path / "m.safetensors", mapping="blocks", calibration=x).report
    assert not any("made-up" in r for r in given["fidelity"]["reasons"])


def test_the_command_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from bimhw.cli.main import main

    with pytest.raises(SystemExit):
        main(["compile", EXAMPLE, "--mapping", "blocks", "-o", str(tmp_path / "x.bimhw")])
    assert "faithful" in capsys.readouterr().out

"""The whole way in seconds: compile, simulate, energy and report of the shipped network."""

from __future__ import annotations

from pathlib import Path

import bimhw

MODEL = Path(__file__).resolve().parents[1] / "examples" / "digits.safetensors"


def test_compile_simulate_energy_report(tmp_path: Path) -> None:
    compiled = bimhw.compile(MODEL, chip="loihi2")
    run = bimhw.simulate(compiled.program, model=MODEL, samples=4, output=tmp_path / "run")
    costs = bimhw.energy(run.folder, gpu="h100")
    page = bimhw.write_report(run.folder)
    assert run.result["decisions_agree"] >= 0.75
    assert costs is not None
    assert "<html" in Path(page).read_text(encoding="utf-8")

"""Networks of snnTorch, SpikingJelly, Norse and sinabs through NIR: do they give their framework's own output?

    NIR_FRAMEWORKS_PYTHON=/path/to/python python -m benchmarks.nir_frameworks [--only snn-] [--folder DIR]

NIR_FRAMEWORKS_PYTHON is a Python with torch, nir and those frameworks (snntorch 1.0.0, spikingjelly 2.0.0, norse 1.1.0 and
sinabs 3.1.3 were tried). Each net has random weights and stimuli. A line says how many of its output values differ under the
profile that belongs to the net's making, and what happens without a profile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bimhw
from simulator.base.errors import InputError

VARIABLE = "NIR_FRAMEWORKS_PYTHON"


class Row(NamedTuple):
    name: str
    profile: str
    differ: int
    of: int
    automatic: str
    mean: float


def make(python: str, folder: Path, only: str = "") -> None:
    """Let the frameworks write their networks and outputs into `folder`."""
    root = Path(__file__).resolve().parents[1]
    command = [python, "-m", "benchmarks.frameworks.make", str(folder.resolve()), "--only", only]
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run(command, check=True, env=clean, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rows(folder: Path) -> Iterator[Row]:
    """Check every network of a folder that `make` filled."""
    cases: dict[str, dict[str, Any]] = json.loads((folder / "cases.json").read_text())
    for name, case in cases.items():
        model, data = folder / f"{name}.nir", folder / f"{name}.npz"
        profile = case["profile"]
        if isinstance(profile, dict):
            (folder / "profile.json").write_text(json.dumps(profile))
            profile = str(folder / "profile.json")
        found = bimhw.check_nir(model, data, profile, case["dt"])
        shown = json.dumps(case["profile"]) if isinstance(case["profile"], dict) else profile or "none"
        shown += f" --dt {case['dt']:g}" if case["dt"] else ""
        yield Row(name, shown, found.differ, found.of, _automatic(model, data), case["mean"])


def _automatic(model: Path, data: Path) -> str:
    try:
        found = bimhw.check_nir(model, data)
    except InputError:
        return "asks for --profile or --dt"
    if found.differ == 0:
        return "0 differ"
    hint = next((h for h in found.hints if h.startswith("0 ")), "no better reading found")
    return f"{found.differ} differ; {hint}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_known_args()[0]
    python = os.environ.get(VARIABLE)
    if not python:
        print(f"skipped: {VARIABLE} names no Python with snntorch, spikingjelly, norse and sinabs")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        make(python, folder, arguments.only)
        print("| net | profile | differ | mean of out | without a profile |\n|---|---|---|---|---|")
        wrong = 0
        for row in rows(folder):
            wrong += row.differ > 0
            print(
                f"| {row.name} | {row.profile} | {row.differ} of {row.of} | {row.mean:.3g} | {row.automatic} |",
                flush=True,
            )
        print(f"{wrong} nets differ")


if __name__ == "__main__":
    main()

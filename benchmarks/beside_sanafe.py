"""Function and timing beside SANA-FE (GPL-3, in a Python environment of its own) on the reference nets, in one run.

    SANAFE_PYTHON=/path/to/python python -m benchmarks.beside_sanafe [--models simple,detailed,cycle] [--nets s_5,m_5]

SANAFE_PYTHON is a Python with sanafe 2.2.9 and numpy; its runner and the nets lie beside the project (../shared/bench). Each
line has the CPU seconds per 1000 steps of both, their ratio, and how spikes, energy and simulated time compare.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.function import REFERENCE, SHARED

STEPS = {"simple": 200, "detailed": 100, "cycle": 50}
FEW_STEPS = {"cycle": 5}  # of a net of 10,240 neurons, 0.7 CPU seconds each
OUR_STEPS = 200  # at least, for our CPU time: fewer measure the tables that are made once a run


def _theirs(python: str, net: Path, steps: int, model: str) -> dict[str, Any]:
    """SANA-FE's runner; its result is the last line that it prints."""
    command = [python, str(Path(str(SHARED)) / "run_sanafe.py"), str(net), str(steps), model, "--spikes"]
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=clean).stdout
    result: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return result


def _ours(net: Path, steps: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bimhw", "bench", str(net), "--steps", str(steps), "--json"]
    result: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return result


def compare(net: Path, model: str, steps: int, sanafe_python: str) -> dict[str, Any]:
    """One net under one of SANA-FE's timing models."""
    theirs, ours = _theirs(sanafe_python, net, steps, model), _ours(net, steps)
    speed = ours if steps >= OUR_STEPS else _ours(net, OUR_STEPS)
    cpu = speed["function_cpu_s_per_1000"] + speed["timing_cpu_s_per_1000"]
    return {
        "net": net.stem,
        "model": model,
        "steps": steps,
        "bimhw_s": cpu,
        "sanafe_s": theirs["cpu_s_per_1000"],
        "times_faster": theirs["cpu_s_per_1000"] / cpu,
        "messages_per_s": speed["messages"] / speed["steps"] * 1000 / speed["timing_cpu_s_per_1000"],
        "same_spikes": theirs["spike_hash"] == ours["spike_hash"],
        "energy_ratio": ours["energy_nj_per_step"] / theirs["energy_nj_per_step"],
        "bimhw_us_per_step": ours["sim_time_us_per_step"],
        "sanafe_us_per_step": theirs["sim_time_us_per_step"],
        "time_ratio": ours["sim_time_us_per_step"] / theirs["sim_time_us_per_step"],
        "build_s": ours["build_s"],
        "sanafe_build_s": theirs["build_s"],
        "peak_mb": ours["peak_rss_mb"],
        "sanafe_peak_mb": theirs["peak_rss_mb"],
    }


def main(arguments: list[str] | None = None) -> None:
    """One JSON line a net and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="simple", help="simple,detailed,cycle")
    parser.add_argument("--nets", default=",".join(REFERENCE))
    options = parser.parse_args(arguments)
    python = os.environ.get("SANAFE_PYTHON")
    if SHARED is None or python is None:
        sys.exit("needs the reference nets (../shared/bench) and SANAFE_PYTHON, a Python that has sanafe")
    for model in options.models.split(","):
        for name in options.nets.split(","):
            steps = STEPS[model] if name.startswith("s_") else FEW_STEPS.get(model, STEPS[model])
            print(json.dumps(compare(SHARED / "nets" / f"{name}.npz", model, steps, python)), flush=True)


if __name__ == "__main__":
    main()

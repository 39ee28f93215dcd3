"""Speed of WHAT: CPU seconds of one thread per 1000 steps beside the best C of the yardstick, in one run.

    python -m benchmarks.function [--large]

The reference nets and the C yardstick lie beside the project (../shared/bench); without them only generated nets are run,
and without gcc nothing is compared. ``--large`` adds 1 M neurons / 100 M synapses.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.nets import write_net

SHARED = next(
    (p / "shared" / "bench" for p in Path(__file__).resolve().parents if (p / "shared" / "bench").is_dir()), None
)
REFERENCE = ("s_5", "m_1", "m_5", "m_5_local")


def _bench(path: Path, *options: str) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "bimhw",
        "bench",
        str(path),
        "--engine",
        "none",
        "--repeats",
        "9",
        "--json",
        *options,
    ]
    result: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return result


def yardstick(folder: Path) -> Path | None:
    """Copy the C yardstick to a folder, without its AVX-512 kernel where the processor has none; None without the means."""
    if SHARED is None or shutil.which("gcc") is None:
        return None
    script = Path(shutil.copy(SHARED / "run_limit.py", folder))
    info = Path("/proc/cpuinfo")
    wide = not info.exists() or "avx512f" in info.read_text()
    lines = (SHARED / "limit.c").read_text().splitlines()
    (folder / "limit.c").write_text("\n".join(x for x in lines if wide or not x.startswith("SIM(sim_avx")) + "\n")
    return script


def _limit(script: Path, path: Path) -> dict[str, Any]:
    command = [sys.executable, str(script), str(path)]
    result: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return result


def compare(path: Path, script: Path | None) -> dict[str, Any]:
    """C and bimhw by turns, four times, on one net; the best of each."""
    c, ours = [], []
    for _ in range(4):
        if script:
            c.append(_limit(script, path))
        ours.append(_bench(path))
    best = min(ours, key=lambda r: float(r["function_cpu_s_per_1000"]))
    row = {
        "net": path.stem,
        "bimhw_s": best["function_cpu_s_per_1000"],
        "events_per_step": best["events"] / best["steps"],
    }
    row |= {k: best[k] for k in ("build_ns_per_synapse", "synapse_bytes", "peak_rss_mb", "spike_hash")}
    if c:
        yardstick = min(c, key=lambda r: float(r["cpu_s_per_1000"]))
        row |= {"c_s": yardstick["cpu_s_per_1000"], "ratio": row["bimhw_s"] / yardstick["cpu_s_per_1000"]}
        row["c_kernel"] = yardstick["kernel"]
        row["same_spikes"] = yardstick["spike_hash"] == best["spike_hash"]
    return row


def main(arguments: list[str] | None = None) -> None:
    """Run everything and print one JSON line a net."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="add 1 M neurons / 100 M synapses (1.5 GB)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        paths = [SHARED / "nets" / f"{name}.npz" for name in REFERENCE] if SHARED else []
        paths.append(write_net(Path(folder) / "variable_5.npz", 10_240, (20, 100), 0.05))
        script = yardstick(Path(folder))
        for path in paths:
            print(json.dumps(compare(path, script)), flush=True)
        if options.large:
            path = write_net(Path(folder) / "large_1.npz", 1_000_000, (100, 100), 0.01, steps=100)
            result = _bench(path, "--repeats", "1")
            result["steps_per_s"] = 1000 / result["function_cpu_s_per_1000"]
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

"""Distance of platforms, and of our float engine, to the exact response of one LIF neuron (lif_csv of the NIR paper).

Usage: python -m benchmarks.nir_lif [FOLDER with lif_norse.nir and lif_csv/]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bimhw.frontends.nir import choose, read_graph, run_graph
from simulator.base.arrays import Floats

DT = 1e-4
THRESHOLD = 0.1
DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "nir" / "upstream"


@dataclass(frozen=True)
class Row:
    """One platform: RMS distance of its membrane in thresholds (its unit fitted), and its spikes beside the exact ones."""

    name: str
    distance: float
    spikes: tuple[int, ...]
    shift: int | None

    def line(self) -> str:
        """Return a row of a Markdown table."""
        shift = "other number" if self.shift is None else f"{self.shift} steps"
        return f"| {self.name} | {self.distance:.2e} | {', '.join(map(str, self.spikes))} | {shift} |"


def row(name: str, membrane: Floats, spikes: Floats, exact: Floats) -> Row:
    """Compare one trace [T] with the exact solution [T, 3]; the unit of the membrane is fitted by least squares."""
    power = float(membrane @ membrane)
    scaled = membrane * float(membrane @ exact[:, 1]) / power if power else membrane
    distance = float(np.sqrt(np.mean((scaled - exact[:, 1]) ** 2))) / THRESHOLD
    at, wanted = np.nonzero(spikes)[0], np.nonzero(exact[:, 2])[0]
    shift = int(np.abs(at - wanted).max()) if at.size == wanted.size else None
    return Row(name, distance, tuple(int(t) for t in at), shift)


def table(folder: Path) -> list[Row]:
    """Rows of all platforms and of our engine's profiles, nearest first."""
    exact = np.loadtxt(folder / "lif_csv" / "lif_exact.csv", delimiter=",")
    rows = []
    for path in sorted((folder / "lif_csv").glob("*.csv")):
        trace = np.loadtxt(path, delimiter=",")
        rows.append(row(path.stem.removeprefix("lif_"), trace[:, 1], trace[:, 2], exact))
    graph = read_graph(folder / "lif_norse.nir")
    neuron = graph.of_kind("LIF")[0].name
    for profile in ("exact", "euler"):
        x = exact[:, 0].reshape(-1, 1, 1)
        run = run_graph(graph, choose(graph, profile, DT), {"input": x}, probes=[neuron])
        membrane, spikes = run.membranes[neuron].reshape(-1), run.probes[neuron].reshape(-1)
        rows.append(row(f"bimhw, profile {profile}", membrane, spikes, exact))
    return sorted(rows, key=lambda r: r.distance)


def main(folder: Path = DEFAULT) -> None:
    """Print the table."""
    if not folder.is_dir():
        print(f"needs {folder}, which is not here")
        return
    print("| platform | RMS distance of v (thresholds) | output spikes at steps | largest shift |\n|---|---|---|---|")
    for found in table(folder):
        print(found.line())


if __name__ == "__main__":
    main(*(Path(a) for a in sys.argv[1:2]))

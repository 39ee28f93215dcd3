"""Plot of a sweep: accuracy against energy, the front joined, one colour a chip."""

from __future__ import annotations

from pathlib import Path

from bimhw.sweep.run import SweepResult
from simulator.errors import InputError
from simulator.files import replacing


def plot_sweep(result: SweepResult, path: Path) -> None:
    """Write a PNG, SVG or PDF by the file's ending.

    Raises:
        InputError: no finished point, or an ending that is not one of these.
    """
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(str(path), "must end in .png, .svg or .pdf")
    rows = [r for r in result.rows if r["status"] == "done"]
    if not rows:
        raise InputError("sweep", "has no finished point to plot", "See the reasons of the failures")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name in dict.fromkeys(r["axes"].get("chip", "loihi2") for r in rows):
        own = [r for r in rows if r["axes"].get("chip", "loihi2") == name]
        axes.scatter([r["total_uj"] for r in own], [r["accuracy"] for r in own], label=name)
    front = sorted((r["total_uj"], r["accuracy"]) for r in rows if r["pareto"])
    axes.plot([e for e, _ in front], [a for _, a in front], lw=1, color="0.5", zorder=0, label="Pareto front")
    axes.set(xlabel="energy per inference (uJ)", ylabel="accuracy")
    energies = [r["total_uj"] for r in rows if r["total_uj"] > 0]
    if energies and max(energies) > 20 * min(energies):
        axes.set_xscale("log")  # chips lie decades apart
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)

"""Angle between the waves of backpropagation diffusion and the true gradient, against the speed of the input.

python -m benchmarks.diffusion [--plot docs/images/diffusion.png]

Four layers of ten tanh neurons, sinusoidal inputs, ten seeds: mean angle in degrees by layer (the last waits for nobody).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bimhw.studies.literature.diffusion import Pairing, angle_by_speed

PERIODS, SEEDS = [8.0, 16.0, 40.0, 80.0, 200.0, 800.0, 8000.0, float("inf")], range(10)


def angles(pairing: Pairing) -> npt.NDArray[np.float64]:
    """Return the mean angle in degrees, [periods, layers]."""
    out: npt.NDArray[np.float64] = np.mean([angle_by_speed(PERIODS, seed=s, pairing=pairing) for s in SEEDS], axis=0)
    return out


def plot(naive: npt.NDArray[np.float64], paired: npt.NDArray[np.float64], file: Path) -> None:
    """Draw the angles over the period."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for layer in range(naive.shape[1]):
        axes.semilogx(PERIODS[:-1], naive[:-1, layer], "o-", label=f"naive, layer {layer + 1}")
    axes.semilogx(PERIODS[:-1], paired[:-1].max(axis=1), "k--", label="paired, all layers")
    axes.set_xlabel("period of the input, steps")
    axes.set_ylabel("angle to the gradient, degrees")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--plot", type=Path)
    file = parser.parse_args().plot
    naive, paired = angles("naive"), angles("paired")
    print("| period, steps | naive, layer 1 | 2 | 3 | 4 | paired, largest |\n|---|---|---|---|---|---|")
    for period, row, other in zip(PERIODS, naive, paired, strict=True):
        shown = " | ".join(f"{a:.2f}" for a in row)
        print(f"| {'constant' if np.isinf(period) else f'{period:.0f}'} | {shown} | {other.max():.2f} |")
    if file is not None:
        plot(naive, paired, file)


if __name__ == "__main__":
    main()

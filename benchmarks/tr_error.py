"""Error of the sliding window TR by its size: python -m benchmarks.tr_error

Relative L2 error and cosine of the gradient of all hidden parameters against SEQ; T=256, inputs with probability .1, M=H=32,
alpha PSP (tau_m 5, tau_s 2), a label at every step, median of 3 seeds.
"""

from __future__ import annotations

import numpy as np
import torch

from bimhw.learning.forms.learner import Gradients, add
from bimhw.learning.forms.seq import SweepLearner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, Init

WINDOWS = [(16, 0), (16, 16), (16, 32), (16, 64), (64, 64), (64, 128)]
RANGES = [(0.2, 1.0), (0.02, 0.5), (0.005, 0.05)]
T, M, H, C = 256, 32, 32, 4


def gradient(net: BimNet, x: torch.Tensor, y: torch.Tensor, block: int | None, lookback: int) -> torch.Tensor:
    learner, total = SweepLearner(net, 1, block=block, lookback=lookback), Gradients()
    for u, t in zip(x, y, strict=True):
        due = learner.observe(u, t).gradients
        add(total, due or {})
    add(total, learner.finish() or {})
    return torch.cat([total[n].reshape(-1) for n in sorted(total) if n.startswith("layers")])


def errors(low: float, high: float, seed: int) -> list[tuple[float, float]]:
    config = BimConfig(n_in=M, hidden=(H,), n_out=C, tau_m=5.0, tau_s=2.0)
    net = BimNet(config, seed, Init(delta_min=low, delta_max=high)).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        net.readout.weight.normal_(generator=generator)
    x = (torch.rand(T, 1, M, generator=generator) < 0.1).double()
    y = torch.randint(0, C, (T, 1), generator=generator)
    exact = gradient(net, x, y, None, 0)
    out = []
    for block, lookback in WINDOWS:
        g = gradient(net, x, y, block, lookback)
        out.append((float((g - exact).norm() / exact.norm()), float(torch.cosine_similarity(g, exact, dim=0))))
    return out


def main() -> None:
    print(
        "| Delta | " + " | ".join(f"K{k}+L{back}" for k, back in WINDOWS) + " |\n|---" * 1 + "|---" * len(WINDOWS) + "|"
    )
    for low, high in RANGES:
        middle = np.median([errors(low, high, seed) for seed in range(3)], axis=0)
        print(f"| {low}-{high} | " + " | ".join(f"{e:.1e} / {c:.4f}" for e, c in middle) + " |")


if __name__ == "__main__":
    main()

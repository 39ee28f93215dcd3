"""Compile the kernels of the exact learners in both precisions, in a process beside `tests.warm`. Nothing is checked here."""

from __future__ import annotations

import torch

from bimhw.learning.forms.lazy import LazyLearner
from bimhw.learning.forms.learner import Learner
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet


def step(learner: Learner, dtype: torch.dtype) -> None:
    learner.observe(torch.ones(1, 4, dtype=dtype), torch.zeros(1, dtype=torch.int64))
    learner.finish()


def main() -> None:
    for psp in ("delta", "exp", "alpha"):
        for dtype in (torch.float64, torch.float32):
            for kind, states in (("diag", 1), ("s6", 3)):
                config = BimConfig(n_in=4, hidden=(5,), n_out=3, psp=psp, kind=kind, n_states=states)
                net = BimNet(config).to(dtype)
                step(RtrlLearner(net, 1), dtype)
                if kind == "diag":
                    step(LazyLearner(net, 0.1), dtype)


if __name__ == "__main__":
    main()

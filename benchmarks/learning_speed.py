"""Time and memory of one learning step: dense RTRL and SEQ beside torch BPTT of the same network (one core, process time).

    python benchmarks/learning_speed.py

H=128, diag, delta PSP, spike readout, M=32, batch 32, T=256, a label at every step. Prints ms per time step, best of `--repeats`.
RTRL: forward, traces, gradient and an Adam update at every step; BPTT and SEQ: forward, backward and one update per sequence.
RTRL of kind complex stands last: its traces have no compiled loop.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.optim import FlatParameters, Optimiser
from bimhw.learning.rules.registry import LearnerSettings, make_learner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet

H, M, B, T, C = 128, 32, 32, 256, 10


def make(psp: str = "delta", **fields: Any) -> tuple[BimNet, Optimiser, torch.Tensor, torch.Tensor]:
    net = BimNet(BimConfig(n_in=M, hidden=(H,), n_out=C, psp=psp, **fields))
    rng = np.random.default_rng(0)
    x = torch.from_numpy((rng.random((T, B, M)) < 0.2).astype(np.float32))
    return net, Optimiser("adam", FlatParameters(net)), x, torch.from_numpy(rng.integers(0, C, (T, B)))


def bptt(psp: str) -> Callable[[], None]:
    net, optimiser, x, y = make(psp)

    def run() -> None:
        net.zero_grad()
        logits = net.run(x).logits
        functional.cross_entropy(logits.flatten(0, 1), y.flatten()).backward()
        optimiser.step(optimiser.parameters.gather(optimiser.parameters.gradients()), 1e-3)

    return run


def online(rule: str, psp: str, **fields: Any) -> Callable[[], None]:
    net, optimiser, x, y = make(psp, **fields)
    learner = make_learner(net, LearnerSettings(rule), B)

    def run() -> None:
        learner.reset()
        for u, t in zip(x, y, strict=True):
            gradients = learner.observe(u, t).gradients
            if gradients is not None:
                optimiser.step(optimiser.parameters.gather(gradients), 1e-3)
        gradients = learner.finish()
        if gradients is not None:
            optimiser.step(optimiser.parameters.gather(gradients), 1e-3)

    return run


def sequences(psp: str) -> Callable[[], None]:
    net, optimiser, x, y = make(psp)
    learner = SweepLearner(net, B)
    labelled = torch.ones(T, dtype=torch.bool)

    def run() -> None:
        _, gradients, _ = learner.sequence(x, y[0], labelled)
        optimiser.step(optimiser.parameters.gather(gradients), 1e-3)

    return run


def best_ms_per_step(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Return the best of each, taken in turns so that what else the machine does hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(repeats + 1):  # the first compiles and warms up
        for name, run in runs.items():
            start = time.process_time()
            run()
            if number:
                times[name].append(time.process_time() - start)
    return {name: 1e3 * min(values) / T for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--psp", default="delta", choices=["delta", "exp", "alpha"])
    arguments = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    rows = {"bptt": bptt(arguments.psp), "rtrl": online("rtrl", arguments.psp), "seq": sequences(arguments.psp)}
    rows["rtrl, complex"] = online("rtrl", arguments.psp, kind="complex")
    rows["rtrl, complex with norm"] = online("rtrl", arguments.psp, kind="complex", norm="batch")
    ms = best_ms_per_step(rows, arguments.repeats)
    ratios = {f"{name} / bptt": ms[name] / ms["bptt"] for name in ("rtrl", "seq")}
    ratios |= {f"{name} / rtrl": ms[name] / ms["rtrl"] for name in rows if "complex" in name}
    print(json.dumps({"ms_per_step": ms, **ratios}, indent=2))


if __name__ == "__main__":
    main()

"""Largest memory of learning on a stream of T steps, by rule: python -m benchmarks.stream_memory

M = H = 64, diag, alpha PSP, one sequence, a label and the update that is due at every step; each figure is the largest resident
memory (MiB) of a process of its own that draws its inputs as it goes and keeps nothing but the learner. BPTT (torch autograd
over the whole stream) stands beside them up to T = 10,000.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys

import numpy as np
import torch
from torch.nn import functional

from bimhw.learning.settings import TrainSettings
from bimhw.learning.updater import Updater
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet

STEPS, RULES = (1_000, 10_000, 100_000), ("rtrl", "blk", "tr", "lazy", "hybrid")
M = H = 64
C = 10


def net_of() -> BimNet:
    """Return the network of every figure."""
    return BimNet(BimConfig(n_in=M, hidden=(H,), n_out=C, tau_m=5.0, tau_s=2.0))


def drawn(rng: np.random.Generator, steps: int) -> torch.Tensor:
    """Draw inputs [steps, 1, M] at rate .1."""
    return torch.from_numpy((rng.random((steps, 1, M)) < 0.1).astype(np.float32))


def learn(rule: str, steps: int) -> float:
    """Learn from so many steps; the largest resident memory of this process so far in MiB."""
    torch.set_num_threads(1)
    net, rng = net_of(), np.random.default_rng(0)
    if rule == "bptt":
        logits = net.run(drawn(rng, steps)).logits
        functional.cross_entropy(logits.flatten(0, 1), torch.zeros(steps, dtype=torch.int64)).backward()
    else:
        settings = TrainSettings(rule=rule, batch=1, lr=1e-4, optimiser="sgd", credit="direct")  # type: ignore[arg-type]
        updater = Updater(net, settings, 1)
        learner = updater.learner(1)
        for _ in range(steps):
            updater.observe(learner, drawn(rng, 1)[0], torch.from_numpy(rng.integers(0, C, 1)))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_its_own_process(rule: str, steps: int) -> float:
    """`learn` in a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.stream_memory", "--one", rule, str(steps)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("RULE", "STEPS"), help="one figure, in this process")
    parser.add_argument("--steps", type=int, nargs="*", default=STEPS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_known_args()[0]
    if arguments.one:
        print(learn(arguments.one[0], int(arguments.one[1])))
        return
    rows = {rule: {t: in_its_own_process(rule, t) for t in arguments.steps} for rule in RULES}
    rows["bptt"] = {t: in_its_own_process("bptt", t) for t in arguments.steps if t <= 10_000}
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        "| rule | "
        + " | ".join(f"T = {t:,}" for t in arguments.steps)
        + " |\n|---"
        + "|---" * len(arguments.steps)
        + "|"
    )
    for rule, row in rows.items():
        print(f"| {rule} | " + " | ".join(f"{row[t]:.1f}" if t in row else "" for t in arguments.steps) + " |")


if __name__ == "__main__":
    main()

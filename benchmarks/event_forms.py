"""Work of the forms of the same gradient per step, counted as they run: python -m benchmarks.event_forms

One sequence, M = H = 128, binary inputs with probability p at each step, a label at every step; 256 steps after 512 that fill the
traces. Operations are multiply-accumulates or adds of learning (the forward pass stands in the first column), RMW are synaptic
words read, changed and written, words are the learning words a form holds at its most per weight; microseconds are process time,
forward pass and readout included. `--psp` takes another kernel, `--json` prints all of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bimhw.learning.forms.blk import BlockLearner
from bimhw.learning.forms.counts import dense_counts
from bimhw.learning.forms.lazy import LazyLearner
from bimhw.learning.forms.learner import Learner
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.seq import SweepLearner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet

M, H, C, WARM, STEPS = 128, 128, 10, 512, 256
RATES = (0.01, 0.03, 0.1, 0.3)
FORMS: dict[str, Callable[[BimNet], Learner]] = {
    "dense": lambda net: RtrlLearner(net, 1),
    "LAZY": lambda net: LazyLearner(net, 1e-4),
    "BLK K=16": lambda net: BlockLearner(net, 1, block=16),
    "BLK K=64": lambda net: BlockLearner(net, 1, block=64),
    "TR 64+64": lambda net: SweepLearner(net, 1, "direct", block=64, lookback=64),
    "SEQ 64": lambda net: SweepLearner(net, 1, "direct", block=64),
}


def measure(form: str, psp: str, p: float) -> dict[str, float]:
    """Per step: operations, synaptic words touched; words held per weight; microseconds."""
    torch.manual_seed(0)
    net = BimNet(BimConfig(n_in=M, hidden=(H,), n_out=C, psp=psp, tau_m=5.0, tau_s=2.0))  # type: ignore[arg-type]
    learner = FORMS[form](net)
    x = torch.from_numpy((np.random.default_rng(0).random((WARM + STEPS, 1, M)) < p).astype(np.float32))
    label, words = torch.zeros(1, dtype=torch.int64), 0
    for u in x[:WARM]:
        learner.observe(u, label)
    before, start = _counts(learner), time.process_time()
    for u in x[WARM:]:
        learner.observe(u, label)
        words = max(words, learner.memory_words)
    micro = 1e6 * (time.process_time() - start) / STEPS
    after = _counts(learner)
    if after is None or before is None:  # the dense form does the same at every step
        dense = dense_counts(net.config, M, H, True)
        ops, rmw = float(dense.total), float(dense.rmw)
    else:
        ops, rmw = (after.total - before.total) / STEPS, (after.rmw - before.rmw) / STEPS
    return {"ops": ops, "rmw": rmw, "words_per_weight": words / (3 * M * H), "us_per_step": micro}


def _counts(learner: Learner) -> Any:
    counts = getattr(learner, "counts", None)
    return None if counts is None else replace(counts)


def inference(psp: str, p: float) -> float:
    """Forward pass: three adds per event and neuron, and the neuron's own multiplies (state 3, kernel, readout filter 1)."""
    return 3 * p * M * H + (3 + {"alpha": 7, "exp": 4, "delta": 2}[psp] + 1) * H


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--psp", default="alpha", choices=["delta", "exp", "alpha"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    result = {p: {form: measure(form, arguments.psp, p) for form in FORMS} for p in RATES}
    if arguments.json:
        print(json.dumps({"psp": arguments.psp, "rates": result}, indent=2))
        return
    print(f"| p, {arguments.psp} | inference | " + " | ".join(FORMS) + " |\n" + "|---" * (len(FORMS) + 2) + "|")
    for p, row in result.items():
        forward = f"{inference(arguments.psp, p):,.0f}"
        print(f"| {p:.2f} operations | {forward} | " + " | ".join(f"{v['ops']:,.0f}" for v in row.values()) + " |")
        print(f"| {p:.2f} RMW | | " + " | ".join(f"{v['rmw']:,.0f}" for v in row.values()) + " |")
        print(f"| {p:.2f} words/weight | | " + " | ".join(f"{v['words_per_weight']:.2f}" for v in row.values()) + " |")
        print(f"| {p:.2f} us/step | | " + " | ".join(f"{v['us_per_step']:.0f}" for v in row.values()) + " |")


if __name__ == "__main__":
    main()

"""Online learning in low precision on the chip: the digits net (H=64, alpha, batch 1), integer words against wide words.

    python -m benchmarks.onchip_learning [--seeds 3] [--other-seeds 1] [--epochs 8] [--rows all|headline] [--only TEXT]
                                         [--validate] [--out FILE.json]

One row: accuracy on the test split after the last epoch, mean and standard deviation over seeds. `wide` is the same learner
without any rounding (float learning with the same optimiser, batch, update interval and learning rate), from the same initial
weights and with the same hard bounds. Rows already in FILE.json are not run again, so a stopped run goes on where it was.
`--validate` scores on a fifth of the training samples, held out, on which settings may be chosen; `--only` takes the rows
whose name holds a text.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.compiler.pipeline import compile
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.runs.learn import STATE_HEADROOM_BITS, score, step_labels
from bimhw.tasks import load_task
from bimhw.tasks.base import Task
from simulator.plasticity import calibrate, learn, learn_config, prepare
from simulator.program.graph import csr_to_dense
from simulator.program.program import Program

# One update a sample (the digits have 8 labelled steps); the float rows take the seq form, which is the same sum, for speed.
BASE: dict[str, Any] = {"every": 8, "lr": 0.008, "lr_end": 0.02}
EACH_STEP = {"every": 1, "lr": 0.002}
HALVED = {
    "weight_range": 2.0,
    "delta_range": 2.0,
    "c_range": 2.0,
    "readout_range": 4.0,
}  # of the default bounds and units
WIDE = {"words": "wide", "form": "seq"}
TRACE_WIDE = {"trace_bits": 24, "history_bits": 24}
S6 = {"net": {"kind": "s6", "n_states": 4}}  # of the model; the other settings are the learning's
# name -> (settings, in the headline)
ROWS: dict[str, tuple[dict[str, Any], bool]] = {
    "float weights, float traces": (WIDE, True),
    "8 bit stochastic, 8-bit traces": ({}, True),
    "8 bit stochastic, 24-bit traces": (TRACE_WIDE, False),
    "8 bit nearest, 24-bit traces": ({"rounding": "nearest"} | TRACE_WIDE, False),
    "12 bit nearest, 24-bit traces": ({"weight_bits": 12, "rounding": "nearest"} | TRACE_WIDE, False),
    "12 bit stochastic, 24-bit traces": ({"weight_bits": 12} | TRACE_WIDE, False),
    "16 bit nearest, 24-bit traces": ({"weight_bits": 16, "rounding": "nearest"} | TRACE_WIDE, False),
    "16 bit stochastic, 24-bit traces": ({"weight_bits": 16} | TRACE_WIDE, False),
    "16 bit stochastic, 16-bit traces": ({"weight_bits": 16, "trace_bits": 16}, False),
    "16 bit stochastic, 8-bit traces": ({"weight_bits": 16}, False),
    "16 bit stochastic, 6-bit traces": ({"weight_bits": 16, "trace_bits": 6}, False),
    "SEQ, 8 bit stochastic": ({"form": "seq"}, False),
    "each step: float": ({"words": "wide"} | EACH_STEP, False),
    "each step: 8 bit stochastic, 8-bit traces": (EACH_STEP, False),
    "each step: 8 bit, readout unit halved": ({"readout_range": 4.0} | EACH_STEP, False),
    "each step, units and bounds halved: 8 bit": (HALVED | EACH_STEP, False),
    "each step, units and bounds halved: float": ({"words": "wide"} | HALVED | EACH_STEP, False),
    "each step: 12 bit stochastic, 8-bit traces": ({"weight_bits": 12} | EACH_STEP, False),
    "hidden layer frozen, 8 bit stochastic": ({"rule": "frozen"}, False),
    "s6 with 4 states, SEQ: float": ({"words": "wide", "form": "seq"} | S6, False),
    "s6 with 4 states, SEQ: 8 bit stochastic": ({"form": "seq"} | S6, False),
}


def start(seed: int, **fields: Any) -> tuple[Program, Program, dict[str, np.ndarray]]:
    """Return the initial net as a compiled and as a float program, and the float weights of each projection."""
    shape = {"n_in": 8, "hidden": (64,), "n_out": 10, "input_scale": 1 / 16}
    net = BimNet(BimConfig(**shape, psp="alpha", tau_m=3.0, tau_s=1.0, **fields), seed)
    result = compile(net, "loihi2", task="digits")
    network = result.float_network
    floats = {q.name: csr_to_dense(q, network.population(q.target).size).T for q in network.projections}
    unrounded = Program("", "", network.populations, network.projections, result.program.core, meta=network.meta)
    return result.program, unrounded, floats


def held_out(task: Task) -> Task:
    """Return the task with a fifth of its training samples in the place of the test split, to choose learning rates on."""
    order = np.random.default_rng(0).permutation(len(task.train))
    n = len(order) // 5
    return replace(task, train=task.train.take(order[n:]), test=task.train.take(order[:n]))


def run_row(settings: dict[str, Any], seed: int, epochs: int, validate: bool = False) -> dict[str, Any]:
    """Learn the digits once; accuracy, spike rate, loss, operations. `validate`: on a held-out part of the training data."""
    task = load_task("digits")
    if validate:
        task = held_out(task)
    labels = step_labels(task, task.train)
    program, unrounded, floats = start(seed, **settings.get("net", {}))
    settings = {k: v for k, v in settings.items() if k != "net"}
    bits = program.meta["options"]["state_bits"] + STATE_HEADROOM_BITS
    config = learn_config({**BASE, **settings, "state_bits": 0 if settings.get("words") == "wide" else bits})
    unit = 1.0
    if config.wide:
        ready, unit = unrounded, task.input_scale
    else:
        ready = prepare(program, config, floats)
        ready = calibrate(ready, list(task.train.x[:200]), list(labels[:200]), config, seed)
        config = learn_config(ready.learning)
    x = task.train.x if unit == 1.0 else task.train.x * unit
    result = learn(ready, list(x), list(labels), config, epochs=epochs, seed=seed)
    last = result.history[-1]
    return {
        "accuracy": score(result.learner, task, task.test, unit),
        "rate": last.rates[0],
        "loss": last.loss,
        "cpu_s": sum(e.cpu_s for e in result.history),
        "operations": result.operations,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="of the headline rows")
    parser.add_argument("--other-seeds", type=int, default=1, help="of the other rows")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rows", choices=["all", "headline"], default="all")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--validate", action="store_true", help="score on held-out training samples")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    done: dict[str, Any] = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    split = " | held out" if args.validate else ""
    for name, (settings, headline) in ROWS.items():
        if (args.rows == "headline" and not headline) or args.only not in name:
            continue
        seeds = range(args.seeds if headline else args.other_seeds)
        for seed in seeds:
            key = f"{name} | seed {seed} | {args.epochs} epochs{split}"
            if key not in done:
                done[key] = run_row(settings, seed, args.epochs, args.validate)
                if args.out:
                    args.out.write_text(json.dumps(done, indent=1))
        found = [done[f"{name} | seed {s} | {args.epochs} epochs{split}"] for s in seeds]
        accuracy = 100 * np.array([f["accuracy"] for f in found])
        rate, cpu = np.mean([f["rate"] for f in found]), np.mean([f["cpu_s"] for f in found])
        print(
            f"{name:40s} {accuracy.mean():5.1f} +- {accuracy.std():3.1f} %   rate {rate:.3f}   {cpu:5.1f} s CPU",
            flush=True,
        )


if __name__ == "__main__":
    main()

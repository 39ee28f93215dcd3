"""Memory and speed of long runs, from their first tenth to their last: python -m benchmarks.soak --steps 1000000

Each run has a process of its own and a tiny network (8 inputs, 4 hidden neurons, 10 outputs, loihi2). ``simulate`` runs samples
of 100 steps of data of its own and writes the run folder; ``learn`` learns by the form seq, ``rule`` by the rule file delta, on
samples of 24 steps, with a run folder and its times. Resident memory is read after every piece or sample: its largest value in
the first tenth is compared with the largest afterwards, the writing of the folder included. Speed is CPU time a step in whole
pieces. A shorter run of the same kind comes first, so that no tenth loads or compiles kernels.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

STEPS, CHANNELS, CLASSES = 1_000_000, 8, 10
WARM = 24_000  # steps: long enough to let go of what was counted
KINDS = ("simulate", "learn", "rule")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Resident memory and CPU time of a run, by tenths of its samples.

    What a run has recorded is counted and timed at the end of each piece: CPU time is noted there alone, and the time at the
    end of a tenth lies on the line between two pieces.
    """

    def __init__(self, samples: int, piece: int) -> None:
        self.samples, self.piece, self.now, self.largest = samples, piece, 0, [0] * 10
        self.done, self.cpu = [0], [time.process_time()]

    def __call__(self, n: int) -> None:
        """Note that so many more samples are done."""
        if not n:  # it begins now
            self.cpu[0] = time.process_time()
            return
        tenth = min(9, self.now * 10 // self.samples)
        self.largest[tenth] = max(self.largest[tenth], resident())
        self.now += n
        if self.now - self.done[-1] >= self.piece:
            self.done.append(self.now)
            self.cpu.append(time.process_time())

    def figures(self) -> dict[str, float]:
        """Return memory (MB) and CPU time (us a sample) of the first tenth and of the rest or the last one."""
        at_end = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        rest = max(*self.largest[1:], resident())
        marks = np.linspace(
            self.done[min(1, len(self.done) - 2)], self.done[-1], 11
        )  # after the first piece, which is cheaper
        cpu = np.diff(np.interp(marks, self.done, self.cpu)) / np.diff(marks) * 1e6
        return {
            "first_mb": self.largest[0] / 1e6, "rest_mb": rest / 1e6, "peak_mb": at_end / 1e6,
            "first_us": float(cpu[0]), "last_us": float(cpu[-1]), "least_us": float(cpu.min()), "most_us": float(cpu.max()),
        }  # fmt: skip


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def watched(kind: str, steps: int, folder: Path) -> dict[str, float]:
    """Do a run in this process."""
    import bimhw
    from bimhw.models.bim.config import BimConfig
    from bimhw.models.bim.net import BimNet
    from bimhw.models.io import save_model

    save_model(
        BimNet(BimConfig(n_in=CHANNELS, hidden=(4,), n_out=CLASSES, input_scale=0.0625), 0), folder / "m.safetensors"
    )
    program = bimhw.compile(folder / "m.safetensors", chip="loihi2").program
    run = _simulate if kind == "simulate" else _learn
    return run(program, kind, steps, folder)


def _simulate(program: object, kind: str, steps: int, folder: Path) -> dict[str, float]:
    import bimhw

    x = (np.random.default_rng(0).random((steps // 100, 100, CHANNELS)) < 0.2).astype(np.uint8)
    bimhw.simulate(program, data=bimhw.Dataset(x[: WARM // 100], layout="bt"), output=folder / "warm", workers=1)
    watch = Watch(len(x), 1)  # called after each piece
    bimhw.simulate(program, data=bimhw.Dataset(x, layout="bt"), output=folder / "run", workers=1, progress=watch)
    return watch.figures() | {"each": 100}


def _learn(program: object, kind: str, steps: int, folder: Path) -> dict[str, float]:
    from bimhw.runs.learn import learn
    from bimhw.runs.learn_rule import learn_by_rule
    from bimhw.runs.pieces import PIECE_STEPS
    from bimhw.tasks.base import Split, Task
    from simulator.program.activity import Activity

    rng, each = np.random.default_rng(0), 24
    x, y = rng.integers(0, 4, (500, each, CHANNELS)).astype(np.int16), np.arange(500) % CLASSES
    late = np.arange(each) > each // 2
    task = Task("soak", CLASSES, 0.0625, Split(x, y), Split(x[:20], y[:20]), late, late)
    epochs = max(1, round(steps / each / len(x)))
    act: Callable[..., object] = learn
    how: dict[str, object] = {"form": "seq"}
    if kind == "rule":
        act, how = learn_by_rule, {"rule": "delta"}
    act(program, task=task, epochs=WARM // each // len(x), run=folder / "warm", **how)
    warm = Activity.load(folder / "warm" / "activity.npz")
    watch = Watch(epochs * len(x), math.ceil(PIECE_STEPS * warm.samples / warm.steps))
    act(program, task=task, epochs=epochs, run=folder / "run", progress=watch, **how)
    return watch.figures() | {"each": each}


def soak(kind: str, steps: int) -> dict[str, float]:
    """Do a run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.soak", "--one", kind, "--steps", str(steps)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--runs", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(watched(options.one, options.steps, Path(folder))))
        return
    heads = f"{'MB, first tenth':>16} {'afterwards':>11} {'growth':>7} {'us/step first':>14} {'last':>7} {'tenths':>15}"
    print(f"{'run':>9} {'steps':>10} {heads}")
    for kind in options.runs:
        r = soak(kind, options.steps)
        growth, each = r["rest_mb"] / r["first_mb"] - 1, r["each"]
        print(
            f"{kind:>9} {options.steps:>10,} {r['first_mb']:>16.1f} {r['rest_mb']:>11.1f} {growth:>7.1%} "
            f"{r['first_us'] / each:>14.1f} {r['last_us'] / each:>7.1f} "
            f"{r['least_us'] / each:>7.1f} {r['most_us'] / each:>7.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

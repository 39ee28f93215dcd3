"""Compile the kernels that most tests need, before workers start that would each compile them.

`make test` runs it beside the linters. Nothing is checked here.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import bimhw
from bimhw.learning.recipe import recipe
from bimhw.learning.train import train

MODEL = Path(__file__).resolve().parents[1] / "examples" / "digits.safetensors"


def main() -> None:
    digits = bimhw.load_task("digits")
    task = replace(digits, train=digits.train.take(slice(0, 8)), test=digits.test.take(slice(0, 8)))
    program = bimhw.compile(MODEL, "loihi2").program
    for engine in ("compiled", "events"):
        bimhw.simulate(program, task, samples=2, engine=engine, output=f"{engine}-run")
    for psp in ("delta", "alpha"):
        for rule in ("rtrl", "seq", "blk", "bptt"):
            plan = recipe(task, rule=rule, hidden=4, epochs=1, psp=psp)
            model = train(task, plan.config, plan.settings).model
    small = bimhw.compile(model, "loihi2", task=task, mapping="blocks").program
    for form in ("dense", "seq", "blk"):
        bimhw.learn(small, task, form=form, epochs=1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        main()

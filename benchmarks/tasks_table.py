"""Digits, speech, ECG, EEG and a language model side by side: trained online, compiled, run on the simulated chip, charged.

    python -m benchmarks.tasks_table --fsdd FSDD.zip --ecg LABELS -o docs/table.md     # tasks without data are named and left out

FSDD is the user's copy of the Free Spoken Digit Dataset, LABELS a folder with labels.csv (or 208.atr) of MIT-BIH record 208; the
signals of ECG and EEG come from `bimhw data fetch mitbih208` and `bimhw data fetch scp1`. Some minutes of one core in all. Writes
the table, and beside it the tasks' metrics by NeuroBench's names (table-neurobench.json). One seed a task: the table is about
energy, the accuracies of docs/results.md are about learning.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bimhw.views import table as task_table
from bimhw.views.neurobench import neurobench
from simulator.base.errors import BimhwError
from simulator.base.files import write_json, write_text

CHIP = "loihi2"
CARDS = ("h100", "orin-nano", "i7-4960x")


def classified(task: str, path: Path | None, folder: Path, **options: Any) -> Path:
    """Train a classification task, run its test split on the chip, give the run folder."""
    from bimhw.compiler.pipeline import compile
    from bimhw.learning.api import train
    from bimhw.runs.simulate import simulate
    from bimhw.tasks import load_task

    data = load_task(task, **({} if path is None else {"path": path}))
    model = folder / f"{task}.pt"
    train(data, model, **options)
    program = compile(model, CHIP, task=data).program
    return simulate(program, data, model=model, output=folder / task).folder


def text(folder: Path, symbols: int = 0) -> Path:
    """Train a character model of the packaged text in one pass online, and run its test part on the chip."""
    from bimhw.compiler.pipeline import compile
    from bimhw.learning.objectives.language import train_language
    from bimhw.learning.objectives.language_recipe import language_recipe
    from bimhw.models.io import save_model
    from bimhw.runs.simulate import simulate
    from bimhw.tasks import load_corpus

    corpus = load_corpus("lm")
    config, settings, init = language_recipe(corpus, hidden="64", symbols=symbols)
    model = folder / "lm.pt"
    save_model(train_language(corpus, config, settings, init).model, model)
    program = compile(model, CHIP, task=corpus).program
    return simulate(program, corpus, samples=2, model=model, output=folder / "lm").folder


def run(wanted: dict[str, Callable[[], Path]]) -> dict[str, Any]:
    """Metrics of each task that can be run; the others are named with their reason."""
    found = {}
    for name, work in wanted.items():
        start = time.process_time()
        try:
            found[name] = neurobench(work(), CARDS)
        except BimhwError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
            continue
        print(f"{name}: {task_table.metric_of(found[name])}, {time.process_time() - start:.0f} s of CPU", flush=True)
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsdd", type=Path, help="copy of the spoken digits (zip or folder)")
    parser.add_argument("--ecg", type=Path, help="folder with the labels of MIT-BIH record 208")
    parser.add_argument("-o", "--output", type=Path, help="Markdown file to write")
    parser.add_argument("--tasks", default="digits,speech,ECG,EEG,text", help="columns of the table [all]")
    given = parser.parse_args(arguments or [])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work: dict[str, Callable[[], Path]] = {
            "digits": lambda: classified("digits", None, folder),
            "speech": lambda: classified("fsdd", given.fsdd, folder, hidden="64", epochs=1),
            "ECG": lambda: classified("mitbih208", given.ecg, folder),
            "EEG": lambda: classified("scp1", None, folder, hidden="128", epochs=20, lr=0.004),
            "text": lambda: text(folder),
        }
        wanted = given.tasks.split(",")
        if unknown := set(wanted) - set(work):
            parser.error(f"--tasks: {', '.join(sorted(unknown))}; known are {', '.join(work)}")
        found = run({name: work[name] for name in work if name in wanted})
    page = _page(found)
    print(page)
    if given.output is not None:
        write_text(given.output, page)
        write_json(given.output.with_name(f"{given.output.stem}-neurobench.json"), found)


def _page(found: dict[str, Any]) -> str:
    parts = (
        ("On the chip", ("figure", *found), task_table.rows(found)),
        (
            "Energy of a sample on cards by what runs: nominal [low .. high] (best batch)",
            ("card", *found),
            task_table.gpu_rows(found),
        ),
    )
    return _HEAD + "\n".join(task_table.markdown(*part) for part in parts) + _FOOT.format(chip=CHIP)


_HEAD = """# Tasks on one chip

Written by `python -m benchmarks.tasks_table --fsdd FSDD.zip --ecg LABELS -o docs/table.md`; do not edit by hand. One BIM-D layer
is trained online by exact RTRL (one seed) and compiled to int8. The chip runs the whole test split (of the text: two stretches).

"""
_FOOT = """
A sample of the text is a stretch of thousands of symbols; each step is one token. Constants of {chip} are Loihi 1's and
digital op energies, `assumed`. Energies of spikes, packets and host traffic were never published and are not in the sums
([energy.md](energy.md)). No card was measured ([gpu.md](gpu.md)). Learning is counted from the events of the run, with
its time and one update per sample (of the text: one every 16 symbols). BPTT and RTRL on a card include the forward
pass. The metrics under NeuroBench's names are in [table-neurobench.json](table-neurobench.json).
"""


if __name__ == "__main__":
    main(sys.argv[1:])

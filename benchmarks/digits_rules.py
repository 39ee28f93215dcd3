"""Every registered rule on digits beside the frozen layer of its network: python -m benchmarks.digits_rules

On the host each rule of `bimhw train` takes the learning rate of ``RATES`` that scores best on held-out training digits after a
pass with seed 0, then learns ``--epochs`` passes. On the chip (`loihi2`) the built-in rules learn a BIM network and the shipped
rule files a leaky one, ``--chip-epochs`` passes at their own rates. Leaky and event networks see the whole picture in each of 8
steps, BIM sees each row for two steps. ``--only`` takes the rows of one part, ``--page FILE`` writes the rows that ran into the
table of a page and keeps its other rows.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import msgspec
import torch
from torch.nn import functional

import bimhw
from bimhw.learning.evaluate import inputs
from bimhw.learning.event_form import event_form
from bimhw.learning.methods import ClippedAdam
from bimhw.learning.recipe import recipe
from bimhw.learning.rules.registry import rules as host_rules
from bimhw.models.event.config import EventConfig
from bimhw.models.event.net import EventNet
from bimhw.models.nets import build
from bimhw.studies.rules import BUILT_IN
from bimhw.studies.rules_page import check_page
from bimhw.tasks.base import Split, Task
from simulator.base.writing import write_text
from simulator.plasticity.rules.rule_file import shipped_rules

RATES = (0.006, 0.02, 0.06, 0.2, 0.6)
FROZEN = {"bim": "frozen", "leaky": "delta", "event": "readout"}
TRIAL = 1
LR_END = 0.02


class Row(msgspec.Struct, frozen=True):
    """A rule's test accuracy by seed, in %, and its learning rate where one was chosen."""

    part: str
    network: str
    rule: str
    rate: float | None
    accuracy: tuple[float, ...]


def task_of(network: str, train: int) -> Task:
    """Return digits as a network sees them, at most `train` of them to learn from."""
    task = bimhw.load_task("digits", whole=network != "bim")
    return replace(task, train=task.train.take(slice(0, train)), validation=None, judged=None)


def on_host(rule: str, task: Task, network: str, seeds: int, epochs: int) -> Row:
    """Choose the rate of a rule, and train each seed."""

    def score(data: Task, seed: int, passes: int, lr: float) -> float:
        if rule == FROZEN["event"]:
            return frozen_events(data, seed, passes, lr)
        options = {"rule": rule, "family": network, "hidden": "64", "batch": 20, "lr_end": LR_END}
        return 100 * bimhw.train(data, seed=seed, epochs=passes, lr=lr, **options).final.accuracy

    tuning = task.for_tuning()
    lr = max(RATES, key=lambda lr: score(tuning, 0, TRIAL, lr))
    return Row("host", network, rule, lr, tuple(score(task, seed, epochs, lr) for seed in range(seeds)))


def frozen_events(task: Task, seed: int, epochs: int, lr: float) -> float:
    """Train the readout of a network of the family ``event`` alone; its layer's response does not change, so it is run once."""
    torch.manual_seed(seed)
    config = EventConfig(n_in=task.n_in, hidden=(64,), n_out=64, input_scale=task.input_scale)
    net = EventNet(config, seed)
    with torch.no_grad():
        net.readout.get_parameter("weight").copy_(torch.eye(64))

    @torch.no_grad()
    def seen(split: Split) -> torch.Tensor:
        return event_form(net)(inputs(split, task, torch.zeros(1))).logits

    weight = torch.nn.Parameter(torch.zeros(task.n_classes, 64))
    x, y = seen(task.train), torch.from_numpy(task.train.y)
    labelled, size = torch.from_numpy(task.loss_steps), 20
    descent = ClippedAdam([weight], lr, LR_END, epochs * math.ceil(len(y) / size))
    for _ in range(epochs):
        for batch in torch.randperm(len(y)).split(size):
            logits = x[labelled][:, batch] @ weight.T
            descent.step(functional.cross_entropy(logits.flatten(0, 1), y[batch].repeat(len(logits))))
    scores = (seen(task.test)[torch.from_numpy(task.decision_steps)] @ weight.T).mean(0)
    return 100 * float((scores.argmax(1) == torch.from_numpy(task.test.y)).float().mean())


def on_chip(rule: str, task: Task, network: str, seeds: int, epochs: int) -> Row:
    """Learn by a rule on the chip: a rule file, or one of BIM's own."""
    if rule not in BUILT_IN:
        found = bimhw.rules(task, "loihi2", [rule], family=network, epochs=epochs, seeds=range(seeds))
        return Row("chip", network, rule, None, tuple(100 * each.accuracy[-1] for each in found))
    scores = []
    for seed in range(seeds):
        plan = recipe(task, None, seed, network, hidden=(64,))
        program = bimhw.compile(build(plan.config, seed, plan.init), "loihi2", task=task).program
        scores.append(100 * bimhw.learn(program, task, epochs=epochs, seed=seed, **BUILT_IN[rule]).accuracy[-1])
    return Row("chip", network, rule, None, tuple(scores))


def names() -> Iterator[tuple[str, str, str]]:
    """Yield part, network and rule of every row: from the registries, so that none can be forgotten."""
    for rule in host_rules().values():
        if not rule.only:
            yield "host", rule.family or "bim", rule.name
    yield "host", "event", FROZEN["event"]
    for name in BUILT_IN:
        yield "chip", "bim", name
    for name in shipped_rules():
        yield "chip", "leaky", name


HEAD = [
    "| where | network | rule | rate | accuracy, % | less the frozen layer, points |",
    "|---|---|---|---|---|---|",
]
Key = tuple[str, str, str]


def listed(text: str) -> dict[Key, list[str]]:
    """Return the cells of each row of a table by where, network and rule."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[len(HEAD) :]]
    return {(row[0], row[1], row[2].strip("`")): row for row in cells}


def table(rows: list[Row], before: str = "") -> str:
    """Return the rows of a table `before` and new ones, those of one network together, each beside its frozen layer."""
    cells = listed(before)
    means = {key: float(row[4].split()[0]) for key, row in cells.items()} | {
        (row.part, row.network, row.rule): mean(row.accuracy) for row in rows
    }
    for row in rows:
        key, frozen = (row.part, row.network, row.rule), (row.part, row.network, FROZEN[row.network])
        gain = "" if frozen not in means else "frozen" if key == frozen else f"{means[key] - means[frozen]:+.1f}"
        spread = f"{mean(row.accuracy):.1f}" + (f" +- {stdev(row.accuracy):.1f}" if len(row.accuracy) > 1 else "")
        rate = "" if row.rate is None else f"{row.rate:g}"
        cells[key] = [row.part, row.network, f"`{row.rule}`", rate, spread, gain]
    order = sorted(cells, key=lambda key: (key[:2], -means[key]))
    return "\n".join([*HEAD, *(f"| {' | '.join(cells[key])} |" for key in order)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, value in (("seeds", 3), ("epochs", 4), ("chip-epochs", 2), ("train", 1297)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--only", default="", help="part, network and rule, such as 'host leaky'")
    parser.add_argument("--rows", type=Path, help="file that keeps finished rows, so that an interrupted run goes on")
    parser.add_argument(
        "--page", type=Path, help="Markdown page with the marks <!-- rules digits-all --> to write into"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.page is not None:
        check_page(given.page, "digits-all")
    kept = given.rows.read_bytes().splitlines() if given.rows and given.rows.exists() else []
    rows = [msgspec.json.decode(line, type=Row) for line in kept]
    for part, network, rule in names():
        done = any((r.part, r.network, r.rule) == (part, network, rule) for r in rows)
        if done or not f"{part} {network} {rule}".startswith(given.only):
            continue
        learn, epochs = (on_host, given.epochs) if part == "host" else (on_chip, given.chip_epochs)
        rows.append(learn(rule, task_of(network, given.train), network, given.seeds, epochs))
        print(rows[-1], flush=True)
        if given.rows:
            with given.rows.open("ab") as file:
                file.write(msgspec.json.encode(rows[-1]) + b"\n")
    print(table(rows))
    if given.page is not None:
        begin, end = check_page(given.page, "digits-all")
        text = given.page.read_text(encoding="utf-8")
        write_text(given.page, text[:begin] + table(rows, text[begin:end]) + text[end:])


if __name__ == "__main__":
    main()

"""`bimhw train --stream`: learn from an endless stream, with reports, until the last step or an interrupt."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from bimhw.cli.output import print_json, stopping

if TYPE_CHECKING:
    from bimhw.learning.stream import StreamReport, StreamTrainer


class StreamRun(NamedTuple):
    """The options of a stream."""

    steps: int | None
    report_every: int
    checkpoint: Path | None
    resume: bool
    output: Path | None
    as_json: bool


def run_stream(trainer: StreamTrainer, run: StreamRun) -> None:
    """Learn the stream, save the network, print the reports and the figures of the test data."""
    from bimhw.models.io import save_model
    from simulator.base.locks import held

    if run.checkpoint is not None:
        trainer.checkpoint(run.checkpoint, run.resume)  # refuses one that is there and not to be resumed
    with held(run.checkpoint) if run.checkpoint is not None else nullcontext():
        if run.resume and run.checkpoint is not None:
            trainer.load(run.checkpoint)
        reports = _learn(trainer, run)
    figures = trainer.judge()
    if run.output is not None:
        save_model(trainer.net, run.output)
    if run.as_json:
        print_json({"reports": [r._asdict() for r in reports], "step": trainer.step, **figures})
        return
    for name, value in figures.items():
        shown = "not judged" if value is None else f"{value:.3f}"
        click.echo(f"{name.replace('_', ' ')} {shown} after {trainer.step:,} steps")


def _learn(trainer: StreamTrainer, run: StreamRun) -> list[StreamReport]:
    """Learn up to step ``--steps`` of the stream, or until SIGINT or SIGTERM; what was learnt is in the checkpoint."""
    reports: list[StreamReport] = []
    with stopping() as between_steps:
        try:
            while run.steps is None or trainer.step < run.steps:
                count = run.report_every if run.steps is None else min(run.report_every, run.steps - trainer.step)
                report = trainer.run(count, between_steps)
                if run.checkpoint is not None:
                    trainer.save(run.checkpoint)
                reports.append(report)
                if not run.as_json:
                    rates = ", ".join(f"{r:.3f}" for r in report.rates)
                    click.echo(
                        f"step {report.step:>9,}  accuracy {report.accuracy:.3f}  loss {report.loss:.3f}  rate {rates}"
                    )
        except KeyboardInterrupt:
            if run.checkpoint is not None:
                trainer.save(run.checkpoint)
            click.echo(f"stopped after step {trainer.step}", err=True)
    return reports

"""`bimhw rules TASK --chip loihi2`: which learning rule learns best, at what energy, time and memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from bimhw.cli.output import OutputFile, PictureFile, echo, json_option, print_json, print_table, progress
from bimhw.cli.timing_options import processes_option

if TYPE_CHECKING:
    from bimhw.studies.rules_rows import RuleRow


@click.command()
@click.argument("task", default="digits")
@click.option("--chip", help="Chip name or file [loihi2; that of a program].")
@click.option("--rule", "names", multiple=True, help="Rule: built in, shipped, or a rule file; may be repeated [all].")
@click.option(
    "--epochs", type=click.IntRange(1), default=1, show_default=True, help="Passes over the training samples."
)
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Number of seeds.")
@click.option("--hidden", help="Neurons of each layer [64].")
@click.option("--family", type=click.Choice(["bim", "leaky"]), help="Family of the network [bim].")
@click.option("--every", type=click.IntRange(1), help="Samples between two scores, of rule files [an epoch].")
@click.option(
    "--shift", default="0,0", show_default=True, help="Powers of 2 on weight changes of rule files, HIDDEN,READOUT."
)
@click.option(
    "--rounding", type=click.Choice(["stochastic", "nearest", "unbiased"]), help="Rounding of rule files [as they say]."
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="Your copy of the task's data, or the samples of a program."
)
@click.option("--task-option", "task_options", multiple=True, help="Option of TASK, NAME=VALUE.")
@click.option("--set", "settings", multiple=True, help="Field of the network's config, NAME=VALUE; may be repeated.")
@click.option("--level", type=float, default=0.9, show_default=True, help="Accuracy to reach.")
@click.option("--train", type=click.IntRange(1), help="Training samples used [all].")
@click.option("--test", type=click.IntRange(1), help="Test samples used [all].")
@click.option("--plot", type=PictureFile(), help="Pareto picture (.png, .svg, .pdf).")
@click.option("--page", type=OutputFile(), help="Markdown page whose table of this task is replaced.")
@processes_option
@json_option
def command(
    task: str,
    chip: str | None,
    names: tuple[str, ...],
    epochs: int,
    seeds: int,
    hidden: str | None,
    family: str | None,
    every: int | None,
    shift: str,
    rounding: Literal["stochastic", "nearest", "unbiased"] | None,
    data: Path | None,
    task_options: tuple[str, ...],
    settings: tuple[str, ...],
    level: float,
    train: int | None,
    test: int | None,
    plot: Path | None,
    page: Path | None,
    workers: int,
    as_json: bool,
) -> None:
    """Compare learning rules on TASK: accuracy, energy, time.

    All rules start from the same network. In the place of TASK stands a task, or a program of your own (.bimhw) with --data.
    """
    from bimhw.learning.recipe import integers
    from bimhw.studies.rules import rules
    from bimhw.studies.rules_page import check_page, write_table
    from bimhw.studies.rules_rows import pareto
    from bimhw.tasks import load_named
    from bimhw.tasks.dataset import Dataset
    from bimhw.tasks.named import named_values
    from simulator.program.program import Program

    program = Program.load(Path(task)) if task.endswith(".bimhw") else None
    if program is not None and (data is None or task_options):
        raise click.UsageError("a program learns your own samples: give --data, and no --task-option")
    chosen = load_named(task, data, task_options) if program is None else Dataset.open(str(data))
    if page is not None:
        check_page(page, chosen.name)
    with progress(f"learning {task} by rules", None) as advance:
        rows = rules(
            chosen, chip, names, program=program, epochs=epochs, seeds=range(seeds), hidden=hidden, family=family, every=every,
            shift=integers("shift", shift), rounding=rounding, level=level, train=train, test=test, plot=plot, progress=advance,
            settings=named_values(settings, "setting", "recurrent=yes"), workers=workers,
        )  # fmt: skip
    if page is not None:
        write_table(page, chosen.name, rows, level)
    if as_json:
        import msgspec

        print_json([msgspec.to_builtins(r) | {"pareto": r in pareto(rows)} for r in rows])
        return
    on = program.chip if program else chip or "loihi2"
    _show(rows, f"{task} on {on}: rules after {epochs} passes", on, level)


def _ranged(low: float | None, nominal: float | None, high: float | None) -> str:
    """Return a figure with its range."""
    from simulator.base.shown import ends, significant

    return "unknown" if nominal is None else f"{significant(nominal, 4)}{ends(low, high)}"


def _show(rows: list[RuleRow], title: str, chip: str, level: float) -> None:
    """Print a line for each row, and what no energy holds."""
    from bimhw.studies.rules_rows import pareto

    front = pareto(rows)
    columns = ("rule", "seed", f"{rows[0].figure} %", "energy per sample, uJ", "time per sample, us", "trust: energy, time",
               "memory, bytes", "bits per synapse", "packets per sample", f"energy to {level:.0%}, mJ", "front")  # fmt: skip
    table = [
        (r.rule, r.seed, 100 * r.accuracy[-1], _ranged(r.energy_low_uj, r.energy_uj, r.energy_high_uj),
         _ranged(r.latency_low_us, r.latency_us, r.latency_high_us), f"{r.word}, {r.time_word}", r.memory_bytes,
         r.bits_per_synapse, r.packets, "not reached" if r.samples_to_level is None else r.energy_to_level_mj,
         "*" if r in front else "")
        for r in rows
    ]  # fmt: skip
    print_table(title, columns, table, keys=2)
    if left_out := sorted({name for r in rows for name in r.not_priced}):
        echo(f"not in the energies, since the file of {chip} has no constant: {', '.join(left_out)}")

"""`bimhw table RUN ...`: one row a task, chip beside GPUs; NeuroBench's metrics as a file."""

from __future__ import annotations

from pathlib import Path

import click

from bimhw.cli.output import OutputFile, json_option, print_json, print_table


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--gpu", multiple=True, help="Cards to put beside the chip.")
@click.option("--neurobench", is_flag=True, help="Write neurobench.json into each run folder.")
@click.option("--markdown", type=OutputFile(), help="Write the tables as Markdown.")
@json_option
def command(
    runs: tuple[Path, ...], gpu: tuple[str, ...], neurobench: bool, markdown: Path | None, as_json: bool
) -> None:
    """Compare RUNS, folders that `bimhw simulate` wrote, by task: accuracy, energies, times."""
    from bimhw.views import table as task_table
    from bimhw.views.neurobench import neurobench as metrics
    from simulator.base.files import write_json, write_text

    found = {str(run): metrics(run, gpu) for run in runs}
    if neurobench:
        for run, value in found.items():
            write_json(Path(run) / "neurobench.json", value)
    names = ("figure", *(Path(run).name for run in found))
    tables = [("per task, on the chip", names, task_table.rows(found))]
    if beside := task_table.gpu_rows(found):
        title = (
            "energy of a sample on cards: optimistic bound .. realistic case (batch), estimates; nothing was measured"
        )
        tables.append((title, ("card", *names[1:]), beside))
    if markdown is not None:
        write_text(markdown, "\n".join(task_table.markdown(*table) for table in tables))
    if as_json:
        print_json(found)
        return
    for title, columns, body in tables:
        print_table(title, columns, body)

"""`bimhw table RUN ...`: one row a task, chip beside GPUs; NeuroBench's metrics as a file."""

from __future__ import annotations

from pathlib import Path

import click

from bimhw.cli.output import OutputFile, json_option, print_json, print_table


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--gpu", multiple=True, help="GPUs to compare with.")
@click.option("--neurobench", is_flag=True, help="Write neurobench.json into each run folder.")
@click.option("--markdown", type=OutputFile(), help="Write the tables as Markdown.")
@json_option
def command(
    runs: tuple[Path, ...], gpu: tuple[str, ...], neurobench: bool, markdown: Path | None, as_json: bool
) -> None:
    """Compare run folders by task: accuracy, energies, times."""
    from bimhw.views.tasks import compare_runs
    from simulator.base.files import write_text

    found = compare_runs(runs, gpu, neurobench)
    if markdown is not None:
        write_text(markdown, found.markdown())
    if as_json:
        print_json(dict(found.metrics))
        return
    for table in found.tables():
        print_table(*table)

"""`bimhw report RUN`: the HTML report."""

from __future__ import annotations

from pathlib import Path

import click

from bimhw.cli.output import OutputFile, json_option, print_json


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=OutputFile(), help="HTML file; report.html in the run by default.")
@click.option("--gpu", default="h100", show_default=True, help="GPU to compare with.")
@json_option
def command(run: Path, output: Path | None, gpu: str, as_json: bool) -> None:
    """Write the report of RUN as one self-contained HTML page."""
    from bimhw.views.build import write_report

    path = write_report(run, output, gpu)
    if as_json:
        print_json({"report": str(path)})
    else:
        click.echo(f"report {path}")

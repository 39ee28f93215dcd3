"""`bimhw report RUN [OTHER]`: the HTML report of one run, or of two side by side."""

from __future__ import annotations

from pathlib import Path

import click

from bimhw.cli.output import OutputFile, echo, json_option, print_json


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("beside", metavar="[OTHER]", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=OutputFile(), help="HTML file; report.html in the run by default.")
@click.option("--gpu", default="h100", show_default=True, help="GPU to compare with.")
@json_option
def command(run: Path, beside: Path | None, output: Path | None, gpu: str, as_json: bool) -> None:
    """Write the report of RUN, one self-contained HTML page.

    With OTHER, the page shows both runs side by side.
    """
    from bimhw.views.build import write_report

    path = write_report(run, output, gpu, beside)
    if as_json:
        print_json({"report": str(path)})
    else:
        echo(f"report {path}")

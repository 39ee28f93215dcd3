"""`bimhw doctor`: look at this installation."""

from __future__ import annotations

import click
import msgspec

from bimhw.cli.output import json_option, print_json, print_table


@click.command()
@json_option
def command(as_json: bool) -> int:
    """Check this installation; exit code 1 on a problem.

    Versions, clashing module names, caches, threads, extras, GPU.
    """
    from bimhw.evidence.doctor import doctor

    findings = doctor()
    if as_json:
        print_json(msgspec.to_builtins(findings))
    else:
        rows = [(f.what, f.health, f.found, f.way_out) for f in findings]
        print_table("this installation", ("what", "health", "found", "what to do"), rows)
    return int(any(f.health == "problem" for f in findings))

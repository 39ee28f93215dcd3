"""Old option names: they still work, hidden from the help, with one line on standard error that names the new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click


def renamed(names: Mapping[str, str]) -> dict[str, Any]:
    """Return the context settings of a command whose old options have new names.

    Args:
        names: old name -> new name, without dashes in front.
    """
    said: set[str] = set()

    def new_name(token: str) -> str:
        if token not in names:
            return token
        if token not in said:
            said.add(token)
            click.echo(f"--{token} is now --{names[token]}; the old name goes with the next release", err=True)
        return names[token]

    return {"token_normalize_func": new_name}

"""Names that a program, a chip and a neuron model share, and what a name from a file may be."""

from __future__ import annotations

from simulator.base.errors import InputError

VERSION = "0.1.0"
"""Version of all four packages."""

INPUT_MODEL = "input"
"""Model of ids that fire when the input spike train says so."""

MAX_NAME = 200

COPY_MARK = "#"
"""Between the name of a population and the number of its copy, 1 and more; the first copy has the plain name."""


def check_name(name: str, kind: str) -> None:
    """Raise `InputError` unless a name is printable, not empty and at most `MAX_NAME` characters long."""
    if not name or len(name) > MAX_NAME:
        raise InputError(
            f"{kind} {name[:MAX_NAME]!r}", f"has {len(name)} characters; 1 to {MAX_NAME} are allowed", "Rename it"
        )
    if not name.isprintable():
        raise InputError(f"{kind} named {name!r}", "with characters that do not print", "Rename it")

"""A run folder where a file is expected, and the reverse: the message names what the path is and what takes it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from simulator.base.errors import InputError
from simulator.base.near import missing_path

MANIFEST, PROGRAM = "manifest.json", "program.bimhw"
TAKES_A_RUN = "A run folder goes to bimhw energy, report, codesign, table or map --run"


def is_run_folder(path: Path | str) -> bool:
    """Return whether a path is a folder that a run wrote."""
    with contextlib.suppress(
        OSError, ValueError
    ):  # no rights, a name too long, a NUL: no run folder that could be read
        return all((Path(path) / name).is_file() for name in (MANIFEST, PROGRAM))
    return False


def check_no_run_folder(path: Path | str) -> None:
    """Raise `InputError` where a program, a model or data is expected, and a path is a run folder."""
    if is_run_folder(path):
        way = f"{TAKES_A_RUN}; its program is {Path(path) / PROGRAM}"
        raise InputError(str(path), "is a run folder, not a program, a model, data or a task", way)


def no_run_folder(path: Path) -> InputError:
    """Return the error for a path that is no folder, where a run folder is expected."""
    way = "Make one with: bimhw simulate x.bimhw"
    if is_run_folder(path.parent):
        way = f"Give its folder: {path.parent}"
    elif path.suffix == ".bimhw" and path.is_file():
        way = f"Run this program: bimhw simulate {path} -o run"
    return missing_path(path, way, "is not a folder of a run")

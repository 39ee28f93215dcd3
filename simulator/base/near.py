"""Near names for a path that does not exist: a mistyped file or folder is answered with what lies beside it."""

from __future__ import annotations

import contextlib
import difflib
import os
from itertools import islice
from pathlib import Path

from simulator.base.errors import InputError

MOST_ENTRIES = 2000  # of a folder that are compared
_CUTOFF = 0.65


def missing_path(path: Path | str, way_out: str = "Check the path", problem: str = "does not exist") -> InputError:
    """Return the error for a path that leads nowhere, with near names from its folder first.

    Args:
        path: the path given.
        way_out: what else the user can do.
        problem: what is wrong, where another word than "does not exist" is known.
    """
    near = near_paths(Path(path))
    hint = f"Did you mean {' or '.join(repr(str(p)) for p in near)}? " if near else ""
    return InputError(str(path), problem, hint + way_out)


def near_paths(path: Path, most: int = 3) -> list[Path]:
    """Return existing paths whose names are near that of a missing one; its folders may be mistyped, too.

    A path that exists has none.
    """
    with contextlib.suppress(OSError, ValueError):  # no rights, a name too long, a NUL: then there is no hint
        parent = path.parent
        if parent == path or path.exists():
            return []
        folders = [parent] if parent.is_dir() else near_paths(parent, 1)
        return [p for folder in folders if folder.is_dir() for p in _beside(folder, path.name)][:most]
    return []


def _beside(folder: Path, name: str) -> list[Path]:
    """Return entries of a folder with a near name or, after these, with the same stem; hidden ones do not count."""
    if (folder / name).exists():
        return [folder / name]
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in islice(entries, MOST_ENTRIES) if not e.name.startswith("."))
    of_lower = {n.lower(): n for n in names}
    near = [of_lower[n] for n in difflib.get_close_matches(name.lower(), of_lower, 3, _CUTOFF)]
    near += [n for n in names if n not in near and Path(n).stem == Path(name).stem]
    return [folder / n for n in near]

"""Place of numba's compiled kernels: beside the code, else in the user's cache, else in a temporary folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def kernel_cache() -> Path:
    """Return the folder that numba will use: the variable's, the first writable of code and home, or a temporary one."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    code = Path(__file__).resolve().parents[1]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~")) / ".cache") / "numba"  # noqa: PTH111
    for folder in (code, home):
        if _writable(folder):
            return folder
    return Path(tempfile.gettempdir()) / f"bimhw-kernels-{os.getuid()}"


def ensure_kernel_cache() -> bool:
    """Send numba to a temporary folder if it could write nowhere else; return whether it was sent there.

    Call before numba is imported. Without it numba refuses to compile a cached kernel on a read-only installation without a home.
    """
    folder = kernel_cache()
    if VARIABLE in os.environ or not folder.name.startswith("bimhw-kernels-"):
        return False
    os.environ[VARIABLE] = str(folder)
    return True


def _writable(folder: Path) -> bool:
    """Return whether a file could be made there; a folder that is missing counts by its nearest parent."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)

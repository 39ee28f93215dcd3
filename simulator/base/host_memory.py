"""Memory foreseen: say before a run, with the figures, that it will not fit."""

from __future__ import annotations

import mmap
import resource
from pathlib import Path

from simulator.base.errors import InputError

_MB = 1e6
_BLAS_BYTES = 64 << 20  # OpenBLAS takes 32 MB a thread


def available_bytes() -> int | None:
    """Return the memory that this process may still take, or None where the system does not tell.

    The least of: what the kernel calls available, the room under a container's limit, and under this process's own limit.
    """
    found = [b for b in (_kernel_says(), _cgroup_says(), _limit_says()) if b is not None]
    return min(found) if found else None


def check_memory(need: int, where: str, what: str, way_out: str) -> None:
    """Raise `InputError` if `need` bytes are more than there are.

    Args:
        need: bytes.
        where: the object that needs them.
        what: what they hold, as in "the recorded states of 1,000 steps".
        way_out: what the user can do about it.
    """
    there = available_bytes()
    if there is not None and need > there:
        raise InputError(
            where, f"needs {need / _MB:,.0f} MB for {what}, and {there / _MB:,.0f} MB are available", way_out
        )


def reserve_blas() -> None:
    """Take the work memory of numpy's matrix products, where the process has a limit of memory.

    OpenBLAS asks for it at the first large product, and asks again for ever if it is refused. It keeps what it has.

    Raises:
        InputError: the limit leaves too little.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    import numpy as np

    ones = np.ones((256, 256))
    try:
        mmap.mmap(-1, _BLAS_BYTES).close()
    except (OSError, MemoryError) as error:
        need = f"leaves less than {_BLAS_BYTES / _MB:.0f} MB for products of matrices"
        raise InputError("memory", f"the limit of this process {need}", "Allow more (ulimit -v)") from error
    ones @ ones


def _kernel_says() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def _cgroup_says() -> int | None:
    """Return the room under a container's limit (control groups version 2)."""
    folder = Path("/sys/fs/cgroup")
    try:
        return int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def _limit_says() -> int | None:
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft == resource.RLIM_INFINITY:
        return None
    try:
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return None
    return max(0, soft - used)

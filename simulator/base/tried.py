"""Try a decoder in a child process first: a damaged file can send a library into an endless loop or end the process.

Only what the child survives is read in this process. On Linux; elsewhere a fork is missing or not safe, and so is the guard.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from simulator.base.errors import InputError

TIME_LIMIT_S = 4  # of work on a small file; larger ones get a second for each 20 MB. A damaged one may take for ever
MAX_BYTES = 2**31  # that a file may unfold to


def check_survived(path: Path, read: Callable[[Path], object], what: str, way_out: str = "Write it again") -> None:
    """Raise `InputError` if the process that reads the file is ended by a signal, its limit of time or of memory.

    Args:
        path: a regular file.
        read: the decoder; what it returns or raises does not matter here.
        what: what the file should have been, as in "a whole HDF5 file".
        way_out: what the user can do.
    """
    if sys.platform.startswith("linux") and not _survives(path, read):
        raise InputError(str(path), f"is not {what} (its library crashes on it or does not end)", way_out)


def _survives(path: Path, read: Callable[[Path], object]) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: the child only reads and exits
        child = os.fork()
    if child == 0:
        try:
            faulthandler.disable()
            _silence()
            limit = TIME_LIMIT_S + path.stat().st_size // 20_000_000
            for number in (signal.SIGALRM, signal.SIGPROF, signal.SIGABRT):
                signal.signal(number, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, limit)  # of its own work: a busy machine damages no file
            signal.alarm(10 * limit)
            _bound_memory()
            read(path)
        except MemoryError:
            os._exit(1)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status)


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


def _bound_memory() -> None:
    """Let this process take no more than a whole file may hold, and leave no core file."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = used + 2 * MAX_BYTES
    if soft == resource.RLIM_INFINITY or soft > most:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

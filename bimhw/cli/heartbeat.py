"""Sign of life: a line on standard error where a command has been silent for ten seconds.

On a terminal, only of work that is named by `doing` and shows no bar of its own.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

LOG_SECONDS = 10.0
_due = [0.0]  # when a line is owed
_doing: list[tuple[str, float]] = []  # what the command does now, and since when


def log(message: str) -> None:
    """Log a line on standard error; the heartbeat keeps still for longer than progress, which comes every `LOG_SECONDS`."""
    _due[0] = time.monotonic() + 1.5 * LOG_SECONDS
    click.echo(f"bimhw: {message}", err=True)


def doing(what: str) -> None:
    """Name the work that begins now, for the lines of the heartbeat."""
    _doing[:] = [(what, time.monotonic())]


@contextmanager
def heartbeat(name: str) -> Iterator[None]:
    """Log that a command works, every `LOG_SECONDS` that bring no other line; on a terminal only named work."""
    over, begun = threading.Event(), time.monotonic()
    _due[0] = begun + LOG_SECONDS
    _doing.clear()
    thread = threading.Thread(target=_beat, args=(name, begun, over), daemon=True)
    with suppress(RuntimeError):  # no memory for a thread
        thread.start()
    try:
        yield
    finally:
        over.set()


def _beat(name: str, begun: float, over: threading.Event) -> None:
    while not over.wait(max(0.01, _due[0] - time.monotonic())):
        now = time.monotonic()
        if now < _due[0]:
            continue
        what, since = next(iter(_doing), ("", begun))
        if sys.stderr.isatty() and not what:
            _due[0] = now + LOG_SECONDS
            continue
        with suppress(OSError, ValueError):  # standard error is closed
            log(f"{name}: {what + ': ' if what else ''}at work for {now - since:.0f} s")
        _due[0] = now + LOG_SECONDS

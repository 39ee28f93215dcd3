"""Sign of life without a terminal: a line on standard error where a command has been silent for ten seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

LOG_SECONDS = 10.0
_last = [time.monotonic()]  # when a line was logged


def log(message: str) -> None:
    """Log a line on standard error."""
    _last[0] = time.monotonic()
    click.echo(f"bimhw: {message}", err=True)


@contextmanager
def heartbeat(name: str) -> Iterator[None]:
    """Log that a command works, every `LOG_SECONDS` that bring no other line; nothing on a terminal."""
    if sys.stderr.isatty():
        yield
        return
    over, begun = threading.Event(), time.monotonic()
    _last[0] = begun
    thread = threading.Thread(target=_beat, args=(name, begun, over), daemon=True)
    with suppress(RuntimeError):  # no memory for a thread
        thread.start()
    try:
        yield
    finally:
        over.set()


def _beat(name: str, begun: float, over: threading.Event) -> None:
    while not over.wait(max(0.01, _last[0] + LOG_SECONDS - time.monotonic())):
        now = time.monotonic()
        if now - _last[0] >= LOG_SECONDS:
            with suppress(OSError, ValueError):  # standard error is closed
                log(f"{name}: at work for {now - begun:.0f} s")

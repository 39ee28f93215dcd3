"""What every command shares: `--json`, tables on a terminal, progress."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from simulator.base.shown import short
from simulator.base.text import printable

LOG_SECONDS = 10.0
F = TypeVar("F", bound=Callable[..., Any])
Item = TypeVar("Item")


def json_option(function: F) -> F:
    """Add ``--json``: the result as JSON on standard output, nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(function)


def seed_option(function: F) -> F:
    """Add ``--seed``."""
    return click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Random seed.")(
        function
    )


def force_option(function: F) -> F:
    """Add ``--force``."""
    return click.option("--force", is_flag=True, help="Replace another run that the run folder holds.")(function)


class OutputFile(click.Path):
    """A file to write, checked at once: its folder is there and writable, it is no folder and no device."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        from simulator.base.writing import check_output

        check_output(value)
        return Path(value)


def threads_option(function: F) -> F:
    """Add ``--threads``."""
    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Threads of torch; stored with the result.",
    )(function)


def device_option(function: F) -> F:
    """Add ``--device``."""
    return click.option(
        "--device", default="cpu", show_default=True, help="Where torch trains: cpu, cuda, cuda:1, mps."
    )(function)


def print_json(value: Any) -> None:
    """Print a value as JSON with sorted keys."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, default=_plain))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"not JSON: {type(value).__name__}")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; numbers to the right. Plain text where standard output is not a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title)), title_justify="left", title_style="bold")
    cells = [[printable(c) if isinstance(c, str) else short(c) for c in row] for row in rows]
    for i, column in enumerate(columns):
        numeric = bool(cells) and all(_is_number(row[i]) for row in cells)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))  # text, never markup: names come from files
    console = Console(width=_width(), highlight=False)
    console.print(table)


def _width() -> int | None:
    """Columns of a table: those of COLUMNS, else of the terminal (None), else 110."""
    asked = os.environ.get("COLUMNS", "")
    return max(20, int(asked)) if asked.isdigit() else None if sys.stdout.isatty() else 110


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").removesuffix("%").strip() or 0)
    except ValueError:
        return cell == "unknown"
    return True


class _Log:
    """Progress without a terminal: one line every `LOG_SECONDS`, none of work that ends sooner."""

    def __init__(self, description: str, total: int | None) -> None:
        self.description, self.total, self.done = description, total, 0
        self.begun = self.told = time.monotonic()

    def advance(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if now - self.told >= LOG_SECONDS:
            self.told = now
            of = f" of {self.total:,}" if self.total else ""
            click.echo(f"bimhw: {self.description}: {self.done:,}{of} after {now - self.begun:.0f} s", err=True)


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error: a bar on a terminal, elsewhere a line every 10 s; yields ``advance(n)``."""
    if not sys.stderr.isatty():
        yield _Log(description, total).advance
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda n: bar.advance(task, n)


@contextmanager
def stopping() -> Iterator[Callable[[int], None]]:
    """Let SIGINT and SIGTERM end a loop between two steps; yields what raises `KeyboardInterrupt` there."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt  # asked twice: at once
        asked.append(number)

    def between(n: int) -> None:
        if asked:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield between
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield between
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

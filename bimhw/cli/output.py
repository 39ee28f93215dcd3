"""Parts that every command shares: `--json`, tables on a terminal, progress."""

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
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bimhw.cli import heartbeat
from simulator.base.shown import short
from simulator.base.text import printable

if TYPE_CHECKING:
    from rich.table import Table

MOST_WORD = 40  # characters; a longer word, a path for instance, may be broken in a table
MARGIN = 3  # two blanks and a line beside each column of a table
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
    return click.option("--force", is_flag=True, help="Overwrite another run in the run folder.")(function)


class OutputFile(click.Path):
    """A file to write, checked at once: its folder is there and writable, it is no folder and no device."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        self._check(value)
        return Path(value)

    def _check(self, path: str) -> None:
        from simulator.base.writing import check_output

        check_output(path)


class PictureFile(OutputFile):
    """A picture to write, its ending checked at once as well."""

    def _check(self, path: str) -> None:
        from bimhw.views.figure import check_picture

        check_picture(path)


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


def echo(text: str, err: bool = False) -> None:
    """Print a text; what a terminal would obey (escape codes, directions of writing) in the names that it holds is escaped."""
    click.echo(printable(text, max(len(text), 400)), err=err)


def print_json(value: Any) -> None:
    """Print a value as JSON with sorted keys."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, default=_plain))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"not JSON: {type(value).__name__}")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], keys: int = 1) -> None:
    """Print a table; numbers to the right. No word is broken: what is too wide goes on below, under the same keys.

    Args:
        title: above it.
        columns: their names.
        rows: one value a column.
        keys: first columns that tell rows apart, and stand in every part.
    """
    from rich.console import Console
    from rich.text import Text

    columns = [printable(name) for name in columns]
    cells = [[printable(c) if isinstance(c, str) else short(c) for c in row] for row in rows]
    console = Console(width=_width(), highlight=False)
    words = [min(MOST_WORD, max(map(_longest_word, texts))) for texts in _columns(columns, cells)]
    for number, part in enumerate(_parts(words, console.width, keys)):
        shown = _table([columns[i] for i in part], [[row[i] for i in part] for row in cells], console.width)
        shown.title = Text(printable(title) + (", continued" if number else ""))
        console.print(shown)


def _columns(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[name, *(row[i] for row in cells)] for i, name in enumerate(columns)]


def _table(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title_justify="left", title_style="bold")
    for texts, chars in zip(_columns(columns, cells), _widths(columns, cells, width), strict=True):
        numeric = bool(cells) and all(map(_is_number, texts[1:]))
        table.add_column(Text(texts[0]), justify="right" if numeric else "left", overflow="fold", width=chars)
    for row in cells:
        table.add_row(*map(Text, row))  # text, never markup: names come from files
    return table


def _widths(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the characters of each column: its longest word, and what is left over for those that have longer texts."""
    from rich.cells import cell_len

    texts = _columns(columns, cells)
    widths = [min(MOST_WORD, width - 4, max(map(_longest_word, column))) for column in texts]
    wanted = [max(map(cell_len, column)) for column in texts]
    room = width - 1 - sum(w + MARGIN for w in widths)
    while room > 0 and (short_of := [i for i, w in enumerate(wanted) if w > widths[i]]):
        for i in short_of[:room]:
            widths[i] += 1
        room -= len(short_of[:room])
    return widths


def _parts(words: Sequence[int], width: int, keys: int) -> list[list[int]]:
    """Return the columns of each part of a table, so that no part is wider than `width` unless one column alone is."""
    first = list(range(min(keys, len(words))))
    room = width - 1 - sum(words[i] + MARGIN for i in first)
    parts, used = [list(first)], 0
    for i in range(len(first), len(words)):
        if used and used + words[i] + MARGIN > room:
            parts.append(list(first))
            used = 0
        parts[-1].append(i)
        used += words[i] + MARGIN
    return parts


def _longest_word(text: str) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, text.split()), default=1)


def _width() -> int | None:
    """Return the columns of a table: those of COLUMNS, else of the terminal (None), else 110."""
    asked = os.environ.get("COLUMNS", "")
    return max(20, int(asked)) if asked.isdecimal() else None if sys.stdout.isatty() else 110


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").removesuffix("%").strip() or 0)
    except ValueError:
        return cell == "unknown"
    return True


class _Log:
    """Progress without a terminal: one line every `heartbeat.LOG_SECONDS`, none of work that ends sooner."""

    def __init__(self, description: str, total: int | None, unit: str) -> None:
        self.description, self.total, self.unit, self.done = description, total, unit, 0
        self.begun = self.told = time.monotonic()

    def advance(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if now - self.told >= heartbeat.LOG_SECONDS:
            self.told = now
            count = f"{self.done:,}" + (f" of {self.total:,}" if self.total else "")
            heartbeat.log(f"{self.description}: {count} {self.unit} after {now - self.begun:.0f} s")


@contextmanager
def progress(description: str, total: int | None, unit: str = "samples") -> Iterator[Callable[[int], None]]:
    """Show progress on standard error: a bar on a terminal, elsewhere a line every 10 s; yields ``advance(n)``."""
    if not sys.stderr.isatty():
        yield _Log(description, total, unit).advance
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

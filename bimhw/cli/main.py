"""The `bimhw` command: finds its subcommands in `bimhw.cli.commands`, one file each, and turns errors into exit code 2."""

from __future__ import annotations

import _thread
import contextlib
import difflib
import errno
import importlib
import io
import json
import os
import pkgutil
import signal
import sys
import threading
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from bimhw.cli.examples import documented
from bimhw.cli.heartbeat import heartbeat
from simulator.base.errors import BimhwError
from simulator.base.host_memory import reserve_blas
from simulator.base.interrupts import check_interrupted, noted
from simulator.base.reading import lacks_memory
from simulator.base.text import first_line, printable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

GROUPS = {
    "Start": ("demo", "examples", "doctor", "schema", "chips", "data"),
    "Networks": ("train", "finetune", "convert", "nir", "diagram", "results", "forgetting"),
    "On a chip": ("fit", "compile", "map", "simulate", "learn", "rules", "bench"),
    "Answers": ("energy", "report", "serve", "codesign", "table", "sweep"),
    "Trust": ("verify", "crosscheck", "crosscheck-learning", "silicon", "learning-cost", "stdp-window"),
}  # every command in one group: tests/bimhw/cli/test_main.py


class _Commands(click.Group):
    """Imports only the command that is run; `--help` imports the light command files for their one-line texts."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        import bimhw.cli.commands as folder

        return sorted(m.name.removesuffix("_").replace("_", "-") for m in pkgutil.iter_modules(folder.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        stem = cmd_name.replace("-", "_")
        try:
            module = importlib.import_module(f"bimhw.cli.commands.{stem}")
        except ModuleNotFoundError as error:
            if error.name != f"bimhw.cli.commands.{stem}":
                raise
            module = importlib.import_module(f"bimhw.cli.commands.{stem}_")
        command: click.Command = module.command
        return documented(command, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Add the nearest names to the error of an unknown command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), 3)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {' or '.join(near)}?", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by purpose."""
        named = {name for names in GROUPS.values() for name in names}
        more = {"More": tuple(n for n in self.list_commands(ctx) if n not in named)}
        for title, names in (GROUPS | more).items():
            if not names:
                continue
            with formatter.section(title):
                found = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl([(n, c.get_short_help_str(200)) for n, c in found if c is not None])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: bimhw demo. Every command has an example: bimhw COMMAND --help.",
)
@click.version_option(None, "-V", "--version", package_name="bimhw")
def cli() -> None:
    """Hardware co-design for neuromorphic chips: fit, function, timing, energy and learning of spiking networks."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: errors that a user can act on are one message on stderr and exit code 2, without a traceback."""
    _prepare()
    if arguments is None:
        sys.unraisablehook = _unraisable
        if isinstance(sys.stderr, io.TextIOWrapper):
            file = io.BufferedWriter(_Forgiving(sys.stderr.fileno(), "w", closefd=False))
            sys.stderr = io.TextIOWrapper(file, sys.stderr.encoding, "backslashreplace", line_buffering=True)
    as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    with noted(signal.SIGINT, signal.SIGTERM):
        try:
            code = _run(arguments)
        except (click.Abort, KeyboardInterrupt):
            _ignore_signals(arguments)
            fail("interrupted", as_json)
        except Exception as error:
            _tell(error, as_json)
        else:
            _ignore_signals(arguments)
            sys.exit(code if isinstance(code, int) else 0)


def _run(arguments: list[str] | None) -> object:
    """Return what a command returned; any error after a signal is the interrupt."""
    try:
        with _alive(arguments):
            if arguments is None and _works():
                reserve_blas()
            code: object = cli.main(args=arguments, prog_name="bimhw", standalone_mode=False)
        sys.stdout.flush()  # here a full disk behind it is one message; at the interpreter's end it is not
    except Exception as error:
        check_interrupted(error)
        raise
    return code


def _alive(arguments: list[str] | None) -> AbstractContextManager[None]:
    """Return what logs that the command works; `serve` does until it is stopped."""
    quiet = arguments is not None or _named() in ("", "serve")
    return contextlib.nullcontext() if quiet else heartbeat(_named())


def _named() -> str:
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def _works() -> bool:
    """Return whether a command is asked for, and not its help."""
    return bool(_named()) and not {"-h", "--help"} & set(sys.argv)


def _tell(error: Exception, as_json: bool) -> NoReturn:
    """End with the one message of an error, or raise it again if it is bimhw's fault."""
    if isinstance(error, BimhwError):
        fail(str(error), as_json, error.to_dict())
    if isinstance(error, click.ClickException):
        _refuse(error, as_json)
    if isinstance(error, click.exceptions.Exit):
        sys.exit(error.exit_code)
    if _is_memory(error):
        fail("out of memory: use a smaller network, fewer samples or fewer recorded steps", as_json)
    if isinstance(error, BrokenPipeError):
        _discard_output()
        sys.exit(1)
    unloaded = (
        error.errno is None if isinstance(error, OSError) else isinstance(error, ImportError) and lacks_memory(error)
    )
    if unloaded:
        fail(f"a library cannot be loaded ({first_line(error)}): allow more memory (ulimit -v)", as_json)
    if not isinstance(error, OSError):
        raise error
    what = printable("standard output" if error.filename is None else str(error.filename), 300)
    problem = f"cannot be read or written ({error.strerror or error})"
    if as_json and error.filename is not None:
        _print_error(
            {"where": what, "problem": problem, "way_out": "Check the path, its rights and the disk"}, "OSError"
        )
    _discard_output()
    fail(f"{what}: {problem}")


def _is_memory(error: Exception) -> bool:
    """Return whether memory ran out; under a limit of it, C code may then return without an exception set."""
    if isinstance(error, SystemError) and sys.platform != "win32":
        import resource

        return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    if isinstance(error, RuntimeError):
        return lacks_memory(error)
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)


def _refuse(error: click.ClickException, as_json: bool) -> NoReturn:
    """Report wrong arguments, with the usage line of the command; a group without a command shows its help."""
    if type(error).__name__ == "NoArgsIsHelpError" and not as_json:  # older clicks have none
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    message = printable(error.format_message(), 700)
    command = "bimhw"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        command = error.ctx.command_path
        click.echo(error.ctx.get_usage(), err=True)
    if as_json:
        _print_error({"where": command, "problem": message, "way_out": f"See {command} --help"}, "UsageError")
    click.echo(f"Error: {message}", err=True)
    sys.exit(2)


def _print_error(error: dict[str, str], kind: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(json.dumps({"error": {"kind": kind} | error}, indent=2))


def _ignore_signals(arguments: list[str] | None) -> None:
    """Let the interpreter end in peace: the work is done, and an interrupted exit of a library is a traceback."""
    if arguments is None and threading.current_thread() is threading.main_thread():
        for kind in (signal.SIGINT, signal.SIGTERM):
            signal.signal(kind, signal.SIG_IGN)


def _prepare() -> None:
    """Escape what a terminal cannot show; print warnings on one line."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell (>&-)
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as the process lasts
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        warnings.showwarning = lambda message, *_: click.echo(f"bimhw: note: {printable(str(message))}", err=True)


class _Forgiving(io.FileIO):
    """Standard error where the disk is full or no one reads: a message that is lost must not end the work."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """Take Ctrl-C again that came where Python drops exceptions (in a destructor, say), instead of printing a traceback."""
    if issubclass(what.exc_type, KeyboardInterrupt):
        later = threading.Timer(0.25, _thread.interrupt_main)  # at once, it would be dropped here again
        later.daemon = True
        with contextlib.suppress(RuntimeError):  # Python is ending
            later.start()
    else:
        sys.__unraisablehook__(what)


def _discard_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not fail on it once more."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, as_json: bool = False, error: dict[str, str] | None = None) -> NoReturn:
    """Print one message, with ``--json`` as an object on standard output too, and end with exit code 2."""
    if as_json:
        _print_error(error or {"where": "bimhw", "problem": message, "way_out": ""}, "Error")
    with contextlib.suppress(OSError):
        click.echo(f"bimhw: {message}", err=True)
    sys.exit(2)

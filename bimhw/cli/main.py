"""The `bimhw` command: finds its subcommands in `bimhw.cli.commands`, one file each, and turns errors into exit code 2."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pkgutil
import signal
import sys
import threading
import warnings

import click

from simulator.base.errors import BimhwError
from simulator.base.text import printable


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
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="bimhw")
def cli() -> None:
    """Hardware co-design for neuromorphic chips: fit, function, timing, energy and learning of spiking networks."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors that a user can act on are one message on stderr and exit code 2, without a traceback."""
    _prepare()
    try:
        code = cli.main(args=arguments, prog_name="bimhw", standalone_mode=False)
        sys.stdout.flush()  # here a full disk behind it is one message; at the interpreter's end it is not
    except BimhwError as error:
        fail(str(error))
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Error: {printable(error.format_message(), 700)}", err=True)
        sys.exit(2)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted")
    except MemoryError:
        fail("out of memory: use a smaller network, fewer samples or fewer recorded steps")
    except BrokenPipeError:
        _discard_output()
        sys.exit(1)
    except OSError as error:
        _discard_output()
        what = "standard output" if error.filename is None else str(error.filename)
        fail(f"{printable(what, 300)}: cannot be read or written ({error.strerror or error})")
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _prepare() -> None:
    """SIGTERM ends a command as Ctrl-C does; what a terminal cannot show is escaped; warnings are one line."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        warnings.showwarning = lambda message, *_: click.echo(f"bimhw: note: {printable(str(message))}", err=True)


def _discard_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not fail on it once more."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str) -> None:
    """Print one message and end with exit code 2."""
    with contextlib.suppress(OSError):
        click.echo(f"bimhw: {message}", err=True)
    sys.exit(2)

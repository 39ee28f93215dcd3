"""The `bimhw` command: finds its subcommands in `bimhw.cli.commands`, one file each, and turns errors into exit code 2."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import click

from simulator.base.errors import BimhwError


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
    try:
        code = cli.main(args=arguments, prog_name="bimhw", standalone_mode=False)
    except BimhwError as error:
        fail(str(error))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted")
    except MemoryError:
        fail("out of memory: use a smaller network, fewer samples or fewer recorded steps")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def fail(message: str) -> None:
    """Print one message and end with exit code 2."""
    click.echo(f"bimhw: {message}", err=True)
    sys.exit(2)

"""`python -m bimhw`, and the command `bimhw`."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line; Ctrl-C while it is still being imported, or already ending, is one message as well."""
    try:
        from bimhw.cli.main import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("bimhw: interrupted\n")
        sys.exit(2)


if __name__ == "__main__":
    run()

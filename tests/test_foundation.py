"""The command starts fast and light."""

from __future__ import annotations

import subprocess
import sys


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "numba", "matplotlib", "networkx", "sklearn", "simpy")
    code = (
        "import sys; from bimhw.cli.main import cli; cli.main(['--help'], standalone_mode=False); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_public_names_stay_what_they_are() -> None:
    """A module of a public function's name would replace the function once it is imported."""
    code = (
        "import bimhw, types\n"
        "for name in 2 * bimhw.__all__:\n"
        "    assert not isinstance(getattr(bimhw, name), types.ModuleType), name"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_help_loads_no_numbers() -> None:
    """The lists of commands and options need neither numpy nor torch: `bimhw --help` answers at once."""
    code = (
        "import sys, bimhw\nfrom click.testing import CliRunner\nfrom bimhw.cli.main import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "print(sorted({'numpy', 'torch', 'numba', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

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

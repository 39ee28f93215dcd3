"""Write the demo's output into the README: python -m benchmarks.readme"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- demo: begin (written by: python -m benchmarks.readme) -->", "<!-- demo: end -->"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bimhw", "demo", "-o", f"{folder}/demo"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    table = "\n".join(line.rstrip() for line in done.stdout.splitlines() if not line.startswith("report "))
    text = README.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n```\n{table}\n```\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

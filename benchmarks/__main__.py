"""`python -m benchmarks [NAME ...]`: run the benchmarks (all by default); each prints what it measured.

What follows a single name is for it: `python -m benchmarks word_speed --words 3200`.
"""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import sys
from pathlib import Path

_NOT_BENCHMARKS = {"__main__", "nets", "readme", "frameworks"}  # readme writes the README


def names() -> list[str]:
    folder = Path(__file__).parent
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if m.name not in _NOT_BENCHMARKS)


def main(arguments: list[str]) -> None:
    known = names()
    given = list(itertools.takewhile(known.__contains__, arguments))
    own = arguments[len(given) :]  # options of the benchmark
    if own and len(given) != 1:
        sys.exit(f"benchmarks: {own[0]} is not one of: {', '.join(known)}; options follow a single name")
    for name in given or known:
        module = importlib.import_module(f"benchmarks.{name}")
        if hasattr(module, "main"):
            print(f"== {name}", flush=True)
            sys.argv = [f"benchmarks.{name}", *own]
            module.main()


if __name__ == "__main__":
    main(sys.argv[1:])

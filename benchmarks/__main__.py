"""`python -m benchmarks [NAME ...]`: run the benchmarks (all by default); each prints what it measured."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

_NOT_BENCHMARKS = {"__main__", "nets", "readme", "frameworks"}  # readme writes the README


def names() -> list[str]:
    folder = Path(__file__).parent
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if m.name not in _NOT_BENCHMARKS)


def main(arguments: list[str]) -> None:
    unknown = set(arguments) - set(names())
    if unknown:
        sys.exit(f"benchmarks: {', '.join(sorted(unknown))} is not one of: {', '.join(names())}")
    for name in arguments or names():
        module = importlib.import_module(f"benchmarks.{name}")
        if hasattr(module, "main"):
            print(f"== {name}", flush=True)
            sys.argv = [f"benchmarks.{name}"]  # its own options have their defaults
            module.main()


if __name__ == "__main__":
    main(sys.argv[1:])

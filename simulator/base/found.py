"""Registries found by folder: each module of a package is imported, and registers what it adds."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache


@cache
def import_all(package: str) -> None:
    """Import every module of a package, in the order of their names.

    A registry calls this when it is asked, by the package's name: the modules import the registry, not it them.
    """
    folder = importlib.import_module(package)
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{package}.{module.name}")

"""bimhw: hardware co-design for neuromorphic chips.

Everything a user needs is here. Names are imported when they are first used, so that `import bimhw` stays light;
`__init__.pyi` lists them, for this module and for type checkers.
"""

from __future__ import annotations

import importlib

from simulator.base.names import VERSION as __version__


def _public() -> dict[str, str]:
    """Return public name -> full path, from the lines ``from MODULE import WHAT as NAME`` of the stub."""
    with open(f"{__file__.removesuffix('.py')}.pyi", encoding="utf-8") as stub:  # noqa: PTH123 - pathlib loads slowly
        words = [line.split() for line in stub if line.startswith("from ")]
    return {name: f"{module}.{what}" for _, module, _, what, _, name in words if name != "__version__"}


_PUBLIC = _public()
__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bimhw' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)

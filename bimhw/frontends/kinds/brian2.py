"""Brian2 Networks."""

from __future__ import annotations

from bimhw.frontends.registry import FrontEnd, NoOptions, register
from mapping.network import Network


def _accepts(model: object) -> bool:
    return any(c.__module__ == "brian2.core.network" for c in type(model).__mro__)


def _read(model: object, options: NoOptions) -> Network:
    from bimhw.frontends.brian2.network import from_brian2

    return from_brian2(model)


register(FrontEnd("brian2", "Brian2 Networks", NoOptions, _read, accepts=_accepts, rank=10))

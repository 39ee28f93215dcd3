"""Networks made in Python."""

from __future__ import annotations

from bimhw.frontends.registry import FrontEnd, NoOptions, register
from mapping.network import Network


def _accepts(model: object) -> bool:
    return isinstance(model, Network)


def _read(model: Network, options: NoOptions) -> Network:
    return model


register(FrontEnd("network", "bimhw.Network", NoOptions, _read, accepts=_accepts, rank=20))

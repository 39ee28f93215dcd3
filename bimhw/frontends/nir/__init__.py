"""NIR files (.nir): read, checked, run in a float engine, lowered to a `Network`, and written where that is exact."""

from bimhw.frontends.nir.check import CheckResult, check
from bimhw.frontends.nir.execute import Run, run_graph
from bimhw.frontends.nir.graph import NirGraph, Node
from bimhw.frontends.nir.profile import Profile, Settings, load_profile
from bimhw.frontends.nir.read import build_graph, read_graph
from bimhw.frontends.nir.sources import choose, decays

__all__ = [
    "CheckResult", "NirGraph", "Node", "Profile", "Run", "Settings", "build_graph", "check", "choose", "decays",
    "load_profile", "read_graph", "run_graph",
]  # fmt: skip

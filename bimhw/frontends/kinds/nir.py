"""NIR graphs."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bimhw.frontends.registry import FrontEnd, register
from bimhw.tasks.dataset import Dataset
from mapping.network import Network

if TYPE_CHECKING:
    from bimhw.frontends.nir.profile import Profile


class NirOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options for running a .nir file.

    Attributes:
        profile: name, JSON file or content of a profile, see `bimhw.frontends.nir.profile`.
        dt: time step.
    """

    profile: str | dict[str, object] | None = None
    dt: float | None = None


def _read(path: Path, options: NirOptions) -> Network:
    """Read the network; its meta keeps the settled profile, so that a program can be compared with its model later."""
    from bimhw.frontends.nir.lower import lower
    from bimhw.frontends.nir.profile import parse_profile
    from bimhw.frontends.nir.read import read_graph
    from bimhw.frontends.nir.sources import choose, settle

    graph = read_graph(path)
    if isinstance(options.profile, dict):
        profile = settle(graph, parse_profile(options.profile, "profile"))
    else:
        profile = choose(graph, options.profile, options.dt, path.stem)
    network = lower(graph, profile)
    return replace(network, meta=dict(network.meta) | {"reading": {"profile": _content(profile)}})


def _content(profile: Profile) -> dict[str, object]:
    """Return a settled profile as the JSON of a profile file."""
    content: dict[str, object] = asdict(profile.default)
    content |= {"nodes": {name: asdict(settings) for name, settings in profile.nodes.items()}}
    return content | {"delayed_edges": [list(e) for e in profile.delayed_edges], "output": profile.output}


def _outline(path: Path, options: NirOptions) -> Network | None:
    from bimhw.frontends.nir.lower import read_outline

    if isinstance(options.profile, dict):
        return None  # the kept profile of a program, whose network is read whole
    return read_outline(path, options.profile, options.dt)


def _settle(path: Path, options: NirOptions, data: Dataset) -> tuple[NirOptions, tuple[str, ...]]:
    """Return the profile that gives the recorded outputs, where none was asked for."""
    if options.profile is not None or (data.out is None and data.y is None and not data.recorded):
        return options, ()
    from bimhw.frontends.nir.recorded import recorded_reading

    found = recorded_reading(path, data, options.dt)
    profile = options.profile if found.profile is None else found.profile
    return msgspec.structs.replace(options, profile=profile), (found.note,) if found.note else ()


register(FrontEnd("nir", ".nir files", NirOptions, _read, suffixes=(".nir",), outline=_outline, settle=_settle))

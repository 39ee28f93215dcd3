"""A float network in the neurons of its chip: the first of the chip's own neurons that says what a population says."""

from __future__ import annotations

from dataclasses import replace

from bimhw.compiler.lower.natives.base import Native, natives_of
from mapping.network import Network
from simulator.base.errors import FitError
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.neurons.base import get
from simulator.program.graph import Population


def for_chip(network: Network, chip: Chip) -> Network:
    """Return the network with every population in the chip's own neuron, where the chip does not run its model.

    The same object is returned where nothing changes. Populations without a converter stay as they are.

    Raises:
        FitError: a population that none of the chip's neurons can say, by name and reason.
    """
    runs = chip.capabilities.neuron_models
    if network.stage != "float" or "*" in runs:
        return network
    foreign = {p.name for p in network.populations if p.model != INPUT_MODEL and p.model not in runs}
    natives = natives_of(runs)
    families = {family for native in natives for family in native.families}
    changed = {p.name for p in network.populations if p.name in foreign and get(p.model).family in families}
    if not changed:
        return network
    heard = {q.source for q in network.projections}
    populations = tuple(
        _converted(p, natives, p.name in heard, chip) if p.name in changed else p for p in network.populations
    )
    return replace(network, populations=populations)


def _converted(p: Population, natives: tuple[Native, ...], heard: bool, chip: Chip) -> Population:
    able = [native for native in natives if get(p.model).family in native.families]
    reasons = {native.target: native.reason(p, heard) for native in able}
    for native in able:
        if not reasons[native.target]:
            return native.convert(p)
    said = "; ".join(f"{reason}, which the neuron {target!r} cannot do" for target, reason in reasons.items())
    raise FitError(
        f"population {p.name!r}",
        f"{said}. Chip {chip.name!r} has no other neuron for it",
        "Choose a chip with programmable neurons (loihi2, generic)",
    )

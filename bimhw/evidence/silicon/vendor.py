"""Chips with their vendors' constants alone: what was fitted on measurements is taken back, to what a vendor has published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.chips.quantity import Quantity

# Constants that belong together -> their keys; where a vendor states none of a group, it is in no sum.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "neuron": ("neuron_update_active", "neuron_update_inactive", "soma_access", "soma_update"),
    "synapse": ("synaptic_event", "synaptic_event_dense", "synaptic_event_conv"),
    "spike": ("spike",),
    "packet": ("packet_out", "packet_in", "packet_in_own", "packet_in_tile"),
    "hop": ("hop_east_west", "hop_north_south"),
    "step": ("step",),
}
LOIHI1 = "loihi1"  # Davies et al. 2018, Table 2, before silicon
_BRIEF = Quantity(
    200.0, "ns", "Intel Loihi 2 technology brief 2021", "unverified", where="a chip-wide step: below 200 ns"
)
_HOEPPNER = "Hoeppner et al. 2019, arXiv:1903.08941"
_NONE = Quantity(0.0, "pJ", "contained in the two published figures", "scaled")


def loihi2() -> Chip:
    """Return Loihi 2 without what was fitted on boards: no energy of a step, the barrier of Intel's brief."""
    chip = load_chip("loihi2")
    assert chip.timing is not None
    timing = msgspec.structs.replace(chip.timing, barrier=_BRIEF, barrier_by_tiles={})
    return msgspec.structs.replace(chip, timing=timing, energy={k: q for k, q in chip.energy.items() if k != "step"})


def spinnaker1() -> Chip:
    """Return SpiNNaker 1 with the two energies that its designers published."""
    event = Quantity(13300.0, "pJ", _HOEPPNER, "unverified")
    return _spinnaker1(event, Quantity(26000.0, "pJ", _HOEPPNER, "unverified"))


def spinnaker1_board() -> Chip:
    """Return SpiNNaker 1 with its designers' two energies of a board, measured on their software of 2012."""
    source = "Sharp, Galluppi, Rast and Furber 2012, J. Neurosci. Methods 210:110"
    event = Quantity(43000.0, "pJ", source, "measured", where="abstract: a postsynaptic potential")
    neuron = Quantity(100000.0, "pJ", source, "measured", where="abstract: a neuron and millisecond")
    return _spinnaker1(event, neuron)


def _spinnaker1(event: Quantity, neuron: Quantity) -> Chip:
    chip = load_chip("spinnaker1")
    own = {"synaptic_event": event, "neuron_update_active": neuron, "neuron_update_inactive": neuron}
    contained = dict.fromkeys(("spike", "packet_in", "packet_in_own"), _NONE)
    return msgspec.structs.replace(chip, energy=dict(chip.energy) | own | contained)


def chips() -> Mapping[str, Chip]:
    """Return the chips that stand for those of the same name in tables of counted activity."""
    return {"spinnaker1": spinnaker1(), "loihi2": loihi2(), "loihi1-fitted": load_chip(LOIHI1)}


def _chips_with(keys: tuple[str, ...]) -> Mapping[str, Chip]:
    """Return the vendors' chips with the constants of these keys as they were fitted since."""
    return {name: _exchanged(chip, load_chip(name), keys) for name, chip in chips().items()}


def _exchanged(chip: Chip, fitted: Chip, keys: tuple[str, ...]) -> Chip:
    kept = {k: q for k, q in chip.energy.items() if k not in keys}
    return msgspec.structs.replace(chip, energy=kept | {k: fitted.energy[k] for k in keys if k in fitted.energy})


# Name -> the vendors' chips in another way: one group of constants as fitted, or SpiNNaker's figures of a board.
VARIANTS: Mapping[str, Callable[[], Mapping[str, Chip]]] = {
    group: partial(_chips_with, keys) for group, keys in GROUPS.items()
} | {"board, 2012": lambda: dict(chips()) | {"spinnaker1": spinnaker1_board()}}

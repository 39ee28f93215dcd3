"""Chips with their vendors' constants alone: what was fitted on measurements is taken back, to what a vendor has published."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.chips.quantity import Quantity

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
    chip = load_chip("spinnaker1")
    event = Quantity(13300.0, "pJ", _HOEPPNER, "unverified")
    neuron = Quantity(26000.0, "pJ", _HOEPPNER, "unverified")
    own = {"synaptic_event": event, "neuron_update_active": neuron, "neuron_update_inactive": neuron}
    return msgspec.structs.replace(chip, energy=dict(chip.energy) | own | {"spike": _NONE, "packet_in": _NONE})


def chips() -> Mapping[str, Chip]:
    """Return the chips that stand for those of the same name in tables of counted activity."""
    return {"spinnaker1": spinnaker1(), "loihi2": loihi2(), "loihi1-fitted": load_chip(LOIHI1)}

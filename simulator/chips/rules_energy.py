"""Rules of the energy sections of a chip file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.chips.energy_keys import ENERGY_UNITS
from simulator.chips.quantity import Quantity

MAX_STATIC_MW = 1e6
MAX_PJ = {"barrier": 1e9, "step": 1e9}  # these are of the whole chip; all others are one operation of one core
MAX_OPERATION_PJ = 1e6  # 1 uJ: four orders above the costliest published one (a SpiNNaker neuron update, 26 nJ)


def fail(where: str, path: str, problem: str, way_out: str) -> None:
    """Raise `InputError` at a path of the file."""
    raise InputError(f"{where}: {path}", problem, way_out)


def energies(chip: Chip) -> Iterator[tuple[str, str, Quantity]]:
    """Yield path, key and quantity of every energy, those of single units too."""
    for key, quantity in chip.energy.items():
        yield f"$.energy.{key}", key, quantity
    for unit, energies in chip.unit_energy.items():
        for key, quantity in energies.items():
            yield f"$.unit_energy.{unit}.{key}", key, quantity


def energy_keys_are_known(chip: Chip, where: str) -> None:
    """Check that every key is one of `ENERGY_UNITS`."""
    if not chip.energy:
        fail(where, "$.energy", "is empty", "Give at least synaptic_event (value null where it is unknown)")
    for path, key, _ in energies(chip):
        if key not in ENERGY_UNITS:
            near = difflib.get_close_matches(key, ENERGY_UNITS, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(ENERGY_UNITS)}"
            fail(where, path, "is not a known key", hint)


def energies_have_units(chip: Chip, where: str) -> None:
    """Check that every energy has the unit of its key."""
    for path, key, q in energies(chip):
        if q.unit != ENERGY_UNITS[key]:
            fail(where, f"{path}.unit", f"is {q.unit!r}; it must be {ENERGY_UNITS[key]!r}", "Convert the value")


def energies_are_not_negative(chip: Chip, where: str) -> None:
    """Check that no energy is below 0."""
    for path, _, q in energies(chip):
        for number in (q.low, q.value):
            if number is not None and number < 0:
                fail(where, path, f"is {number:g} {q.unit}; it cannot be negative", "Give 0 or more")


def energies_are_not_absurd(chip: Chip, where: str) -> None:
    """Check that no energy is beyond what chips come near."""
    for path, key, q in energies(chip):
        limit = MAX_STATIC_MW if q.unit == "mW" else MAX_PJ.get(key, MAX_OPERATION_PJ)
        worst = max((n for n in (q.value, q.high) if n is not None), default=0.0)
        if worst > limit:
            fail(
                where,
                path,
                f"is {worst:g} {q.unit}, above {limit:g} {q.unit}, which no chip comes near",
                "Check the unit: 1 nJ = 1e3 pJ, 1 J = 1e12 pJ",
            )

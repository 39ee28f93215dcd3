"""Voltage and node scaling of a chip's constants, where a user asks for it.

    dynamic energy  E' = E (V' / V)^2                       (C V^2: charge moved at the supply)
    static power    P' = P (V' / V)                         (at constant leakage current: a lower bound of its change)
    node            E' = E f(nm') / f(nm),  f log-linear between 45 nm (Horowitz 2014) and 7 nm (Jouppi et al. 2021):
                    logic as a 32-bit multiplication (3.1 -> 1.48 pJ), memory as 64 bits of 8 KB SRAM (10 -> 7.5 pJ)

Every scaled number has quality `scaled` (worse stays worse) and says from what. Times are not scaled.
"""

from __future__ import annotations

import math

import msgspec

from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.chips.quantity import Quantity

NODES_NM = (7.0, 45.0)
LOGIC_PJ, MEMORY_PJ = (1.48, 3.1), (7.5, 10.0)
MEMORY_KEYS = frozenset({
    "synaptic_event", "synaptic_event_dense", "synaptic_event_conv", "synaptic_memory_read", "op_lut", "op_state_read",
    "op_state_write", "state_reset", "packet_in", "packet_in_own",
})  # fmt: skip
SOURCE = "Horowitz 2014 (45 nm) and Jouppi et al. 2021 (7 nm), unverified"


def scaled_chip(chip: Chip, supply_v: float | None = None, process_nm: float | None = None) -> Chip:
    """Return the chip with its energies scaled to another supply or node (equations above).

    Raises:
        InputError: the chip's own supply or node is unknown, or the wanted one is out of range.
    """
    energy = dict(chip.energy)
    note = []
    if supply_v is not None:
        ratio = _voltage_ratio(chip, supply_v)
        energy = {k: _times(q, ratio if q.unit == "mW" else ratio**2) for k, q in energy.items()}
        note.append(f"scaled to {supply_v:g} V by V^2 (static power by V)")
    if process_nm is not None:
        energy = {k: q if q.unit == "mW" else _times(q, _node_ratio(chip, k, process_nm)) for k, q in energy.items()}
        note.append(f"scaled from {chip.process_nm:g} to {process_nm:g} nm after {SOURCE}; static power is not scaled")
    if not note:
        return chip
    energy = {
        k: msgspec.structs.replace(q, note="; ".join([*filter(None, [q.note]), *note])) for k, q in energy.items()
    }
    return msgspec.structs.replace(chip, energy=energy, notes=(*chip.notes, *note))


def _voltage_ratio(chip: Chip, supply_v: float) -> float:
    own = chip.supply_v.value if chip.supply_v is not None else None
    if own is None:
        raise InputError(f"chip {chip.name!r}", "does not state its supply, so it cannot be scaled", "Add $.supply_v")
    low = chip.supply_v.low if chip.supply_v is not None and chip.supply_v.low is not None else 0.3
    high = chip.supply_v.high if chip.supply_v is not None and chip.supply_v.high is not None else 1.5
    if not low <= supply_v <= high:
        raise InputError(f"supply {supply_v:g} V", f"is outside {low:g}..{high:g} V", "Choose a supply within it")
    return supply_v / own


def _node_ratio(chip: Chip, key: str, nm: float) -> float:
    if chip.process_nm is None:
        raise InputError(f"chip {chip.name!r}", "does not state its node, so it cannot be scaled", "Add $.process_nm")
    for value in (nm, chip.process_nm):
        if not NODES_NM[0] <= value <= NODES_NM[1]:
            raise InputError(
                f"node {value:g} nm", f"is outside {NODES_NM[0]:g}..{NODES_NM[1]:g} nm", "Nothing is known there"
            )
    ends = MEMORY_PJ if key in MEMORY_KEYS else LOGIC_PJ
    return _at(nm, ends) / _at(chip.process_nm, ends)


def _at(nm: float, ends: tuple[float, float]) -> float:
    share = math.log(nm / NODES_NM[0]) / math.log(NODES_NM[1] / NODES_NM[0])
    return math.exp(math.log(ends[0]) * (1 - share) + math.log(ends[1]) * share)


def _times(q: Quantity, factor: float) -> Quantity:
    def scaled(number: float | None) -> float | None:
        return None if number is None else number * factor

    quality = q.quality if q.quality in ("assumed", "unverified") else "scaled"
    return msgspec.structs.replace(q, value=scaled(q.value), low=scaled(q.low), high=scaled(q.high), quality=quality)

"""Rules of a chip file beyond its schema: one small function a rule, each error with the path in the file and a way out."""

from __future__ import annotations

import math
from collections.abc import Iterator

from simulator.chips.chip import MOST_CHIPS, MOST_CORES, MOST_MESH_CORES, Chip, core_range
from simulator.chips.quantity import Quantity
from simulator.chips.rules_energy import (
    energies,
    energies_are_not_absurd,
    energies_are_not_negative,
    energies_have_units,
    energy_keys_are_known,
)
from simulator.chips.rules_energy import fail as _fail

MAX_TIME_NS = 1e9
MOST_PORTS = 64  # of a router: those of `simulator.timing.wires`
_COUNTS = ("flits", "port_slots", "core_slots")


def check_chip(chip: Chip, where: str) -> None:
    """Raise `InputError` where a chip breaks a rule."""
    for rule in (
        _name_is_plain,
        _numbers_are_finite,
        _known_numbers_have_a_source,
        _cores_fit_the_mesh,
        _routers_have_ports,
        _host_port_is_on_the_mesh,
        _broken_cores_exist,
        _chips_are_linked,
        _limits_are_positive,
        _limits_of_cores_are_limits,
        _spikes_agree_with_payload,
        _weights_have_bits,
        _times_have_units,
        _times_are_not_negative,
        _counts_are_whole,
        _tick_divides_times,
        _barrier_table_counts_tiles,
        _neighbours_shake_hands,
        energy_keys_are_known,
        energies_have_units,
        energies_are_not_negative,
        energies_are_not_absurd,
        _supply_is_in_volts,
        _ranges_hold_their_value,  # last: a wrong unit or sign is the better reason
    ):
        rule(chip, where)


def quantities(chip: Chip) -> Iterator[tuple[str, Quantity]]:
    """Yield all numbers of a chip with their paths (``$.timing.hop_east_west``)."""
    for name, limit in _limits(chip):
        yield f"$.limits.{name}", limit
    yield from _times(chip)
    for path, _, quantity in energies(chip):
        yield path, quantity
    if chip.supply_v is not None:
        yield "$.supply_v", chip.supply_v


def _limits(chip: Chip) -> Iterator[tuple[str, Quantity]]:
    for name in chip.limits.__struct_fields__:
        value = getattr(chip.limits, name)
        if value is not None:
            yield name, value


def _times(chip: Chip) -> Iterator[tuple[str, Quantity]]:
    if chip.link is not None:
        for name in chip.link.__struct_fields__:
            yield f"$.link.{name}", getattr(chip.link, name)
    if chip.board_link is not None:
        for name in chip.board_link.__struct_fields__:
            yield f"$.board_link.{name}", getattr(chip.board_link, name)
    if chip.timing is None:
        return
    for name in chip.timing.__struct_fields__:
        value = getattr(chip.timing, name)
        if isinstance(value, Quantity):
            yield f"$.timing.{name}", value
    for tiles, quantity in chip.timing.barrier_by_tiles.items():
        yield f"$.timing.barrier_by_tiles.{tiles}", quantity


def _is_count(path: str) -> bool:
    return path.rsplit(".", 1)[1] in _COUNTS


def _name_is_plain(chip: Chip, where: str) -> None:
    if not chip.name or any(not (c.isalnum() or c in "-_.") for c in chip.name):
        _fail(where, "$.name", f"is {chip.name!r}; it must be letters, digits, '-', '_' or '.'", "Rename the chip")


def _numbers_are_finite(chip: Chip, where: str) -> None:
    for path, q in quantities(chip):
        for part in ("value", "low", "high"):
            number = getattr(q, part)
            if number is not None and not math.isfinite(number):
                _fail(where, f"{path}.{part}", f"is {number}; it must be finite", "Use null where it is unknown")


def _ranges_hold_their_value(chip: Chip, where: str) -> None:
    for path, q in quantities(chip):
        ends = [n for n in (q.low, q.value, q.high) if n is not None]
        if ends != sorted(ends):
            _fail(where, path, f"has low {q.low}, value {q.value}, high {q.high}, not in this order", "Order them")


def _known_numbers_have_a_source(chip: Chip, where: str) -> None:
    for path, q in quantities(chip):
        if not q.source.strip():
            _fail(where, f"{path}.source", "is empty; every number needs its source", "Say who published it")


def _cores_fit_the_mesh(chip: Chip, where: str) -> None:
    t = chip.topology
    cores = t.chip_cores
    if cores > MOST_CORES:
        _fail(
            where,
            "$.topology",
            f"has {t.width} x {t.height} x {t.cores_per_router} = {cores:,} cores; {MOST_CORES:,} are the most",
            "Describe a smaller mesh",
        )
    if t.usable_cores > cores:
        _fail(
            where,
            "$.topology.usable_cores",
            f"is {t.usable_cores}; the mesh has {t.width} x {t.height} x {t.cores_per_router} = {cores} cores",
            "Lower it or enlarge the mesh",
        )


def _routers_have_ports(chip: Chip, where: str) -> None:
    """Hold the ports of a router, those to other routers and the host's among them, against what is timed."""
    t = chip.topology
    most = MOST_PORTS - 4 * t.networks - 1
    if chip.timing is not None and t.cores_per_router > most:
        _fail(
            where,
            "$.topology.cores_per_router",
            f"is {t.cores_per_router}; {most} are the most, since a router is timed with up to {MOST_PORTS} ports",
            "Spread the cores over more routers, or leave the times out (timing: null)",
        )


def _host_port_is_on_the_mesh(chip: Chip, where: str) -> None:
    t = chip.topology
    x, y = t.host_port
    if not (0 <= x < t.columns and 0 <= y < t.height):
        _fail(where, "$.topology.host_port", f"is [{x}, {y}]; the mesh is {t.columns} x {t.height}", "Count from 0")


def _broken_cores_exist(chip: Chip, where: str) -> None:
    t = chip.topology
    for i, core in enumerate(t.broken_cores):
        if not (0 <= core < t.mesh_cores and core % t.chip_cores < t.usable_cores):
            each = f" on each of the {t.chips} chips, which have {t.chip_cores} numbers each" if t.chips > 1 else ""
            _fail(
                where,
                f"$.topology.broken_cores[{i}]",
                f"is {core}; cores are 0..{t.usable_cores - 1}{each}",
                "Leave out cores that do not exist",
            )
    if len(set(t.broken_cores)) != len(t.broken_cores):
        _fail(where, "$.topology.broken_cores", "names a core twice", "Name each once")
    if chip.n_cores == 0:
        _fail(where, "$.topology.broken_cores", "leaves no core to use", "Name fewer")


def _chips_are_linked(chip: Chip, where: str) -> None:
    n = chip.topology.chips
    if n > MOST_CHIPS:
        _fail(where, "$.topology.chips", f"is {n}; a system has at most {MOST_CHIPS}", "Give fewer")
    if chip.topology.mesh_cores > MOST_MESH_CORES:
        cores = f"gives {chip.topology.mesh_cores:,} cores; a system has at most {MOST_MESH_CORES:,}"
        _fail(where, "$.topology.chips", cores, "Give fewer")
    if n > 1 and chip.timing is not None and chip.link is None:
        _fail(where, "$.link", f"is missing for a system of {n} chips", "Give hop, packet and barrier")
    boards = 0 < chip.topology.board_chips < n
    if boards and chip.timing is not None and chip.board_link is None:
        _fail(
            where,
            "$.board_link",
            f"is missing for boards of {chip.topology.board_chips} of {n} chips",
            "Give its times",
        )
    for path, link in (("link", chip.link), ("board_link", chip.board_link)):
        for name in ("hop", "packet") if link is not None else ():
            if getattr(link, name).value == 0:
                _fail(where, f"$.{path}.{name}", "is 0 ns; it must be greater than 0", "Use null if it is unknown")


def _limits_are_positive(chip: Chip, where: str) -> None:
    for name, q in _limits(chip):
        unit = "B" if "bytes" in name else "1"
        if q.unit != unit:
            _fail(where, f"$.limits.{name}.unit", f"is {q.unit!r}; it must be {unit!r}", "Convert the value")
        if q.value is not None and q.value <= 0:
            _fail(where, f"$.limits.{name}", f"is {q.value:g}; it must be greater than 0", "Use null if it is unknown")


def _limits_of_cores_are_limits(chip: Chip, where: str) -> None:
    names = [n for n in chip.limits.__struct_fields__ if n.endswith("_per_core")]
    for cores, limits in chip.core_limits.items():
        path, (first, last) = f"$.core_limits.{cores}", core_range(cores)
        if not 0 <= first <= last < chip.topology.usable_cores:
            _fail(where, path, f"names no cores of 0..{chip.topology.usable_cores - 1}", "Write '7' or '0-3'")
        for name, value in limits.items():
            if name not in names:
                _fail(where, f"{path}.{name}", "is no limit of a core", f"Limits of a core: {', '.join(names)}")
            if not (math.isfinite(value) and value > 0):
                _fail(where, f"{path}.{name}", f"is {value:g}; it must be greater than 0", "List broken cores instead")


def _spikes_agree_with_payload(chip: Chip, where: str) -> None:
    c = chip.capabilities
    if (c.spikes == "graded") != (c.graded_bits > 0):
        _fail(
            where,
            "$.capabilities.graded_bits",
            f"is {c.graded_bits} with {c.spikes} spikes",
            "Give 0 for binary spikes, and the payload's bits for graded ones",
        )
    if c.max_delay < 0:
        _fail(where, "$.capabilities.max_delay", f"is {c.max_delay}; it must not be negative", "Use 0 for none")


def _weights_have_bits(chip: Chip, where: str) -> None:
    bits = chip.capabilities.weight_bits
    if not bits or any(not 1 <= b <= 32 for b in bits):
        _fail(where, "$.capabilities.weight_bits", f"is {list(bits)}; it must list numbers of 1..32", "List them")


def _times_have_units(chip: Chip, where: str) -> None:
    for path, q in _times(chip):
        unit = "1" if _is_count(path) else "ns"
        if q.unit != unit:
            _fail(where, f"{path}.unit", f"is {q.unit!r}; it must be {unit!r}", "Convert the value")


def _times_are_not_negative(chip: Chip, where: str) -> None:
    for path, q in _times(chip):
        for number in (q.low, q.value):
            if number is not None and number < 0:
                _fail(where, path, f"is {number:g} {q.unit}; a time cannot be negative", "Give 0 or more")
        if q.value is not None and q.value > MAX_TIME_NS:
            _fail(where, path, f"is {q.value:g} ns, above {MAX_TIME_NS:g} ns for one operation", "Check the unit")


def _counts_are_whole(chip: Chip, where: str) -> None:
    for path, q in _times(chip):
        if _is_count(path) and q.value is not None and (q.value < 1 or q.value != int(q.value)):
            _fail(where, path, f"is {q.value:g}; it must be a whole number of at least 1", "Round it")


def _tick_divides_times(chip: Chip, where: str) -> None:
    """Refuse a tick that is so coarse beside the times that rounding changes one by more than half."""
    if chip.timing is None:
        return
    tick = chip.timing.tick.value
    if tick is None or tick <= 0:
        _fail(where, "$.timing.tick", f"is {tick}; it must be greater than 0 ns", "0.1 suits a chip without a clock")
        return
    for path, q in _times(chip):
        if path == "$.timing.tick" or _is_count(path) or not q.value:
            continue
        error = abs(round(q.value / tick) * tick - q.value)
        if error > 0.5 * q.value:
            _fail(
                where,
                path,
                f"is {q.value:g} ns, which a tick of {tick:g} ns rounds to {round(q.value / tick) * tick:g} ns",
                f"Use a $.timing.tick of at most {q.value:g} ns",
            )


def _barrier_table_counts_tiles(chip: Chip, where: str) -> None:
    if chip.timing is None:
        return
    for key in chip.timing.barrier_by_tiles:
        if not key.isdigit() or int(key) < 1:
            _fail(
                where,
                f"$.timing.barrier_by_tiles.{key}",
                "has a key that is not a number of tiles",
                "Use keys such as '1', '2', '32'",
            )


def _neighbours_shake_hands(chip: Chip, where: str) -> None:
    needs = "neighbour" in chip.capabilities.sync and chip.timing is not None
    if needs and (chip.timing is None or chip.timing.handshake is None):
        _fail(
            where,
            "$.timing.handshake",
            "is missing, and $.capabilities.sync lists neighbour",
            "Give the time of a handshake",
        )


def _supply_is_in_volts(chip: Chip, where: str) -> None:
    if chip.supply_v is None:
        return
    if chip.supply_v.unit != "V":
        _fail(where, "$.supply_v.unit", f"is {chip.supply_v.unit!r}; it must be 'V'", "Convert the value")
    if chip.supply_v.value is not None and not 0.1 <= chip.supply_v.value <= 10:
        _fail(where, "$.supply_v", f"is {chip.supply_v.value:g} V; it must be 0.1..10 V", "Check the unit")

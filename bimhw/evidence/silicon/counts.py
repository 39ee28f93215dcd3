"""Counted activity against a measured energy: one row a network, of any chip, with the operations that a step or an update does.

A table of this kind has the columns ``chip``, ``network``, ``measured_pj``, ``judges`` (yes, or why not) and ``given`` (what was
given and what assumed). The others are counters of an activity (`COUNTERS`) or of operations (``op_mul``, ...), ``rule`` (a
learning rule, whose operations are counted by `rule_operations`), ``supply_v`` (the supply of the measurement, where it is
not the chip file's: `energy_models.scaling`), and for a total energy ``time_ns`` and ``boards`` (how many of the chip file's
system are powered)::

    E [pJ] = sum over counters of count x constant of the chip file  (+ static power x boards x time, of a total energy)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from bimhw.evidence.silicon.judge import LINE, QUANTITIES, DataSet, Quantity, Row, number, signed
from energy_models.chip_energy import chip_energy, counters
from energy_models.scaling import scaled_chip
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.program.activity import Activity

COLUMNS = {"chip", "network", "measured_pj", "judges"}
COUNTERS = (
    "neuron_updates", "neuron_updates_active", "spikes", "synaptic_events", "synaptic_events_dense", "packets",
    "packets_one_to_one", "hops_ew", "hops_ns", "learn_weight_updates",
)  # fmt: skip
OPERATIONS = ("op_mul", "op_add", "op_lut", "op_state_read", "op_state_write")
SCALE = 1000  # counts are integers: thousandths of an event
Chips = Mapping[str, Chip]  # chips that stand for those of the same name


def recognises(columns: set[str]) -> bool:
    """Return whether a table of these columns is one of counted activity."""
    return columns >= COLUMNS


def predict(name: str, rows: Sequence[Mapping[str, str]], chips: Chips | None = None) -> list[DataSet]:
    """Predict the rows of each chip; one set a chip and kind of quantity.

    Args:
        name: of the file.
        rows: of the table.
        chips: used instead of the chip files of the same name.
    """
    sets: dict[tuple[str, Quantity], list[Row]] = {}
    notes: dict[tuple[str, Quantity], list[str]] = {}
    for row in rows:
        key = _text(row, "chip"), _quantity(row)
        found, said = sets.setdefault(key, []), notes.setdefault(key, [])
        measured, label = signed(row, "measured_pj"), _text(row, "network") or row.get(LINE, "a row")
        if not measured or measured < 0:
            said.append(f"{row.get(LINE, label)} is left out: its measured energy is missing or negative")
            continue
        try:
            chip = (chips or {}).get(key[0]) or load_chip(key[0])
            predicted = energy_pj(chip, row, key[1] == "total energy")
        except InputError as error:  # a chip that no file describes, or a supply where the chip's own is unknown
            said.append(f"{row.get(LINE, label)} is left out: {error}")
            continue
        why = _cannot_judge(row, key[1], predicted, chip) or _said_to_judge(row)
        found.append(Row(label, key[1], "pJ", measured, predicted, None, why))
        if given := _text(row, "given"):
            said.append(f"{label}: {given}")
    return [
        DataSet(f"{name}: {chip}", _KIND[quantity], chip, tuple(found), (), tuple(notes[chip, quantity]))
        for (chip, quantity), found in sets.items()
    ]


def _text(row: Mapping[str, str], column: str) -> str:
    """Return a cell; "" where the row ends before it."""
    return (row.get(column) or "").strip()


def _said_to_judge(row: Mapping[str, str]) -> str:
    """Return why the table does not let a row judge; empty if it does."""
    said = _text(row, "judges")
    return "" if said.lower() == "yes" else said or "the table does not say that it judges"


def _cannot_judge(row: Mapping[str, str], quantity: Quantity, predicted: float, chip: Chip) -> str:
    if predicted <= 0:
        return "the chip file has no energy of what this row counts"
    if lacks := [op for op, n in _operations(row).items() if n and _price(chip, op) is None]:
        return f"the chip file has no energy of {', '.join(lacks)}"
    return (
        "a total energy without time_ns lacks its static part"
        if quantity == "total energy" and not number(row, "time_ns")
        else ""
    )


_KIND: Mapping[Quantity, str] = {"dynamic energy": "counts", "learning energy": "learning", "total energy": "total"}


def _quantity(row: Mapping[str, str]) -> Quantity:
    text = (row.get("quantity") or "").strip() or "dynamic energy"
    for known in QUANTITIES:
        if text == known and known != "step time":
            return known
    raise ValueError(f"{row.get(LINE, 'a row')}, column 'quantity' holds {text!r}; energies are {', '.join(_ENERGIES)}")


_ENERGIES = tuple(q for q in QUANTITIES if q != "step time")


def rule_operations(rule: str) -> dict[str, float]:
    """Count what a learning rule does at one synapse and one update.

    A rule is a sum of products, as ``x*y`` or ``x*y*z + x*w``. Factors that start with ``x`` belong to the presynaptic neuron,
    whose event brings them once for all its synapses (scale factors included); every other factor is a word read at each
    synapse. A product of k factors takes k - 1 multiplications, and each product one addition to the weight, which is read
    and written.

    Raises:
        ValueError: a rule without a product.
    """
    products = [[f.strip() for f in p.split("*") if f.strip()] for p in rule.split("+")]
    if not all(products):
        raise ValueError(f"the rule {rule!r} has a product without factors")
    read = {f for p in products for f in p if not f.startswith("x")} | {"w"}
    return {
        "op_mul": sum(len(p) - 1 for p in products), "op_add": len(products), "op_state_read": len(read), "op_state_write": 1,
    }  # fmt: skip


def energy_pj(chip: Chip, row: Mapping[str, str], with_static: bool = False) -> float:
    """Return the predicted energy of a row: dynamic, or with the static power of its time too.

    Raises:
        InputError: a supply for a chip whose own supply is unknown.
    """
    if volts := number(row, "supply_v"):
        chip = scaled_chip(chip, volts)
    counts = {c: (number(row, c) or 0.0) * SCALE for c in COUNTERS}
    time = (number(row, "time_ns") or 0.0) if with_static else None
    boards = round(number(row, "boards") or 1)
    activity = Activity(counters(counts), 1, 1, ("network",), sim_time_ns=time, chips=boards)
    native = msgspec.structs.replace(
        chip, capabilities=msgspec.structs.replace(chip.capabilities, native_models=("*",))
    )
    report = chip_energy(activity, native)
    per_step = report.by("item").get("steps", 0.0)
    total = (report.energy_pj("dynamic") - per_step) / SCALE + report.energy_pj("static")
    return total + sum(n * (_price(chip, op) or 0.0) for op, n in _operations(row).items() if n)


def _operations(row: Mapping[str, str]) -> dict[str, float]:
    """Return the operations of a row: its own columns, or those of its rule."""
    rule = _text(row, "rule")
    return {op: number(row, op) or 0.0 for op in OPERATIONS} | (rule_operations(rule) if rule else {})


def _price(chip: Chip, operation: str) -> float | None:
    return chip.energy[operation].value if operation in chip.energy else None

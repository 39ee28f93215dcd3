"""Counted activity against a measured energy: one row a network, of any chip, with the operations that a step or an update does.

A table of this kind has the columns ``chip``, ``network``, ``measured_pj``, ``judges`` (yes, or why not), ``given`` (what the
constants took from the row) and one column for each counter: those of an activity (``neuron_updates``, ``spikes``,
``synaptic_events``, ``packets``) or of operations (``op_mul``, ``op_add``, ``op_lut``, ``op_state_read``, ``op_state_write``).

    E [pJ] = sum over counters of count x constant of the chip file; static power, host and board are in no row
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bimhw.evidence.silicon.judge import LINE, DataSet, Row, number, signed
from energy_models.chip_energy import chip_energy, counters
from simulator.chips.load import load_chip
from simulator.program.activity import Activity

COLUMNS = {"chip", "network", "measured_pj", "judges"}
COUNTERS = ("neuron_updates", "spikes", "synaptic_events", "packets")
OPERATIONS = ("op_mul", "op_add", "op_lut", "op_state_read", "op_state_write")


def recognises(columns: set[str]) -> bool:
    """Return whether a table of these columns is one of counted activity."""
    return columns >= COLUMNS


def predict(name: str, rows: Sequence[Mapping[str, str]]) -> list[DataSet]:
    """Predict the rows of each chip; one set a chip and kind of quantity."""
    sets: dict[tuple[str, bool], list[Row]] = {}
    notes: dict[tuple[str, bool], list[str]] = {}
    for row in rows:
        learning = row.get("quantity", "").strip() == "learning energy"
        key = row["chip"].strip(), learning
        measured, label = signed(row, "measured_pj"), row["network"].strip()
        if not measured or measured < 0:
            notes.setdefault(key, []).append(
                f"{row.get(LINE, label)} is left out: its measured energy is missing or negative"
            )
            sets.setdefault(key, [])
            continue
        judges = row["judges"].strip()
        excluded = "" if judges == "yes" else judges
        sets.setdefault(key, []).append(
            Row(
                label,
                "learning energy" if learning else "dynamic energy",
                "pJ",
                measured,
                energy_pj(key[0], row),
                None,
                excluded,
            )
        )
        if row.get("given", "").strip():
            notes.setdefault(key, []).append(f"{label}: {row['given'].strip()}")
    return [
        DataSet(
            f"{name}: {chip}",
            "learning" if learning else "counts",
            chip,
            tuple(found),
            (),
            tuple(notes.get((chip, learning), ())),
        )
        for (chip, learning), found in sets.items()
    ]


def energy_pj(chip_name: str, row: Mapping[str, str]) -> float:
    """Return the predicted dynamic energy of a row."""
    chip = load_chip(chip_name)
    counts = {c: number(row, c) or 0.0 for c in COUNTERS}
    activity = Activity(counters({k: v * 1000 for k, v in counts.items()}), 1, 1, ("network",))
    import msgspec

    native = msgspec.structs.replace(
        chip, capabilities=msgspec.structs.replace(chip.capabilities, native_models=("*",))
    )
    report = chip_energy(activity, native)
    per_step = report.by("item").get("steps", 0.0)
    total = (report.energy_pj("dynamic") - per_step) / 1000
    return total + sum(
        (number(row, op) or 0.0) * (chip.energy[op].value or 0.0) for op in OPERATIONS if number(row, op)
    )

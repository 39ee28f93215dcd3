"""Two LIF neurons and one synapse on Loihi 2: the floor of a step, in time and energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bimhw.silicon.judge import DataSet, Row
from bimhw.silicon.pilotnet import _native
from energy_models.chip_energy import chip_energy, counters
from simulator.activity import Activity
from simulator.chip import Chip

RUN_STEPS = 1e7
Cells = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]


def looks_like(value: Any) -> bool:
    """Whether a JSON value is {rate: {delay: {dynamic_energy: {mean, std}, total_time: ...}}}."""
    try:
        cell = next(iter(next(iter(value.values())).values()))
        return "mean" in cell["dynamic_energy"] and "mean" in cell["total_time"]
    except (AttributeError, KeyError, StopIteration, TypeError):
        return False


def predict(name: str, cells: Cells, chip: Chip) -> DataSet:
    """Step time and dynamic energy of every cell; both rest on terms that were fitted on such cells."""
    energy_nj, rows = step_energy_nj(chip), []
    fit = "the per-step term was fitted on cells of this kind; judged against its own sigma only"
    for rate, delays in cells.items():
        for delay, cell in delays.items():
            label = f"{rate} Hz, delay {delay} ms"
            mean, sigma = (cell["dynamic_energy"][k] / RUN_STEPS * 1e9 for k in ("mean", "std"))
            rows.append(Row(label, "dynamic energy", "nJ/step", mean, energy_nj, sigma, fit))
            if chip.timing is not None:
                us = cell["total_time"]["mean"] / RUN_STEPS * 1e6
                rows.append(Row(label, "step time", "us/step", us, step_us(chip), excluded=fit))
    return DataSet(
        name, "pair", chip.name, tuple(rows), (_fit(cells, chip),), ("two updates a step, no input in most",)
    )


def step_energy_nj(chip: Chip) -> float:
    """Predicted dynamic energy of a step of two neurons."""
    activity = Activity(counters({"neuron_updates": 2}), 1, 1, ("pair",))
    return chip_energy(activity, _native(chip)).energy_pj("dynamic") / 1e3


def step_us(chip: Chip) -> float:
    """Predicted time of a step of two neurons."""
    t = chip.timing
    assert t is not None
    work = 2 * float(t.neuron_update_inactive.value or 0.0) + float(t.barrier.value or 0.0)
    return work / 1e3


def _fit(cells: Cells, chip: Chip) -> str:
    """Leave-one-out error of a per-step energy fitted as the mean of the cells."""
    means = [c["dynamic_energy"]["mean"] / RUN_STEPS * 1e9 for d in cells.values() for c in d.values()]
    total, n = sum(means), len(means)
    step = chip.energy.get("step")
    text = f"energy of a step: {step.value if step else 'unknown'} pJ in the chip file"
    if n < 2:
        return text
    errors = [abs((total - m) / (n - 1) - m) / m for m in means]
    return (
        f"{text}; mean of these cells {total / n:.1f} nJ; leave-one-out error of the mean {100 * sum(errors) / n:.1f} %"
    )

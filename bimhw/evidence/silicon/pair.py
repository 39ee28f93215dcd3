"""Two LIF neurons and one synapse on Loihi 2: the floor of a step, in time and energy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bimhw.evidence.silicon.judge import LEAST, MOST, DataSet, Row, is_missing, number
from energy_models.chip_energy import chip_energy, counters
from energy_models.forms import any_neuron
from simulator.chips.chip import Chip
from simulator.program.activity import Activity
from simulator.timing.scale import barrier_ns

RUN_STEPS = 1e7
Cells = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]


def looks_like(value: Any) -> bool:
    """Return whether a JSON value is {rate: {delay: {dynamic_energy: {mean, std}, ...}}}, in one cell at least."""
    return any(True for _ in _cells(value))


def _cells(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the cells with something that can be compared, with their names."""
    for rate, delays in value.items() if isinstance(value, Mapping) else ():
        for delay, cell in delays.items() if isinstance(delays, Mapping) else ():
            known = (
                {k: cell[k] for k in ("dynamic_energy", "total_time") if k in cell} if isinstance(cell, Mapping) else {}
            )
            label = f"{rate} Hz, delay {delay} ms"
            for quantity, value in known.items():
                if value is not None and not isinstance(value, Mapping):
                    raise ValueError(f"{label}, {quantity} holds {value!r}; it must hold a mean and a std")
            if known:
                yield label, known


def predict(name: str, cells: Cells, chip: Chip) -> DataSet:
    """Step time and dynamic energy of every cell; both rest on terms that were fitted on such cells."""
    energy_nj, rows = step_energy_nj(chip), []
    fit = "the per-step constant was fitted on such cells; this one is compared with its own sigma only"
    for label, cell in _cells(cells):
        joules = cell.get("dynamic_energy")
        if joules is not None:
            mean, sigma = (_finite(joules.get(k), f"{label}, dynamic_energy {k}") for k in ("mean", "std"))
            if mean:
                nano = 1e9 / RUN_STEPS
                spread = None if sigma is None else sigma * nano
                why = fit if mean > 0 else f"below 0: the measurement's noise is larger than the energy; {fit}"
                rows.append(Row(label, "dynamic energy", "nJ/step", mean * nano, energy_nj, spread, why))
        if chip.timing is not None and cell.get("total_time"):
            seconds = number({f"{label}, total_time mean": cell["total_time"].get("mean")}, f"{label}, total_time mean")
            if seconds:
                rows.append(Row(label, "step time", "us/step", seconds / RUN_STEPS * 1e6, step_us(chip), excluded=fit))
    return DataSet(
        name,
        "pair",
        chip.name,
        tuple(rows),
        (_fit(rows, chip),),
        ("two neuron updates per step; most steps have no input", *_sigmas(rows)),
    )


def _finite(value: Any, where: str) -> float | None:
    """Return a number of either sign: an energy that is a difference may be below 0 where noise is larger than it."""
    if is_missing(value):
        return None
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or (value and not LEAST <= abs(value) <= MOST):
        raise ValueError(f"{where} holds {value!r}; it must be a finite number (0, or {LEAST} to {MOST} in size)")
    return float(value)


def step_energy_nj(chip: Chip) -> float:
    """Predict the dynamic energy of a step of two neurons."""
    activity = Activity(counters({"neuron_updates": 2}), 1, 1, ("pair",))
    return chip_energy(activity, any_neuron(chip)).energy_pj("dynamic") / 1e3


def step_us(chip: Chip) -> float:
    """Predict the time of a step of two neurons."""
    t = chip.timing
    assert t is not None
    work = 2 * float(t.neuron_update_inactive.value or 0.0) + barrier_ns(chip, 1)
    return work / 1e3


def _sigmas(rows: Sequence[Row]) -> Iterator[str]:
    """Yield how far the predicted energies lie from the measured ones, in the measurements' own deviations."""
    away = [abs(r.predicted - r.measured) / r.sigma for r in rows if r.quantity == "dynamic energy" and r.sigma]
    if away:
        yield f"largest error of dynamic energy over {len(away)} cells: {max(away):.2f} of the cell's own sigma"


def _fit(rows: Sequence[Row], chip: Chip) -> str:
    """Return the leave-one-out error of a per-step energy fitted as the mean of the cells."""
    means = [r.measured for r in rows if r.quantity == "dynamic energy"]
    total, n = sum(means), len(means)
    step = chip.energy.get("step")
    text = f"energy of a step: {step.value if step else 'unknown'} pJ in the chip file"
    if n < 2:
        return f"{text}; leave-one-out error of that fit 12.5 %"
    errors = [abs((total - m) / (n - 1) - m) / abs(m) for m in means]
    return (
        f"{text}; mean of these cells {total / n:.1f} nJ; leave-one-out error of the mean {100 * sum(errors) / n:.1f} %"
    )

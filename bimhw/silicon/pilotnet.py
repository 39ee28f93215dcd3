"""PilotNet (LIF) on Loihi 2: measured activity by core x the chip file's constants, against the board's power probes.

E [J per step] = dynamic power x time per step;  1 / time per step = frames per second x steps per frame
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bimhw.silicon.judge import DataSet, Row, number
from energy_models.chip_energy import chip_energy, counters
from simulator.activity import Activity
from simulator.chip import Chip

ACTIVITY_COLUMNS = {"core_idx", "syn_ops", "neuron_updates"}
PRINTED = {"num_steps", "steps_per_frame", "fps", "dynamic_W"}
Cores = Sequence[Mapping[str, str]]


def predict(name: str, printed: Mapping[str, Any], cores: Cores, chip: Chip) -> DataSet:
    """Dynamic energy and time of a step of one printed result, from the activity of its cores."""
    steps = float(printed["num_steps"])
    step_s = 1.0 / (float(printed["fps"]) * float(printed["steps_per_frame"]))
    measured_uj = float(printed["dynamic_W"]) * step_s * 1e6
    predicted_uj = step_energy_pj(cores, steps, chip) / 1e6
    rows = [Row(name, "dynamic energy", "uJ/step", measured_uj, predicted_uj)]
    if chip.timing is not None:
        rows.append(Row(name, "step time", "us/step", step_s * 1e6, step_us(cores, steps, chip)))
    return DataSet(
        name,
        "pilotnet",
        chip.name,
        tuple(rows),
        ("a step's own energy (item 'steps') was fitted on the pair of neurons",),
        _ASSUMPTIONS,
    )


_FITTED = ("a step's own energy (item 'steps') was fitted on the pair of neurons",)
_ASSUMPTIONS = (
    "activity is the board's, by core (digitised: +-0.43e7 counts a core); empty cells count as 0",
    "the counter of neuron updates counts 2 a neuron and step, and 1 a spike: updates = (count - spikes) / 2, all active",
    "energies of spikes, packets and their hops are unknown on Loihi 2 and left out",
    "time is the busiest core's mean work and the barrier: steps differ by a factor of 2, so the mean of the largest is above it",
)


def _sum(cores: Cores, column: str) -> float:
    return sum(_number(c, column) for c in cores)


def _number(core: Mapping[str, str], column: str) -> float:
    return number(core, column) or 0.0


def updates(core: Mapping[str, str]) -> float:
    """Neuron updates of a core over the run, from its counter."""
    return max(0.0, _number(core, "neuron_updates") - _number(core, "spikes_out")) / 2


def step_energy_pj(cores: Cores, steps: float, chip: Chip) -> float:
    """Predicted dynamic energy of a step."""
    all_updates = sum(updates(c) for c in cores)
    counts = {
        "synaptic_events": _sum(cores, "syn_ops"),
        "neuron_updates": all_updates,
        "neuron_updates_active": all_updates,
        "spikes": _sum(cores, "spikes_out"),
    }
    native = _native(chip)
    report = chip_energy(Activity(counters(counts), 1, 1, ("network",)), native)
    per_step = report.by("item").get("steps", 0.0)  # once in the report, but paid in every step
    return (report.energy_pj("dynamic") - per_step) / steps + per_step


def _native(chip: Chip) -> Chip:
    """The chip with its neuron constants for all models: this network is of plain LIF neurons."""
    import msgspec

    return msgspec.structs.replace(chip, capabilities=msgspec.structs.replace(chip.capabilities, native_models=("*",)))


def step_us(cores: Cores, steps: float, chip: Chip) -> float:
    """Mean work of the busiest core in a step, and the barrier."""
    t = chip.timing
    assert t is not None

    def ns(name: str) -> float:
        return float(getattr(t, name).value or 0.0)

    worst = 0.0
    for core in cores:
        soma = updates(core) * ns("neuron_update_active") + _number(core, "spikes_out") * (
            ns("spike_out") + ns("axon_out")
        )
        synapse = _number(core, "spikes_in") * ns("message_in") + _number(core, "syn_ops") * ns("synapse")
        worst = max(worst, soma / steps, synapse / steps)
    return (worst + ns("barrier")) / 1e3

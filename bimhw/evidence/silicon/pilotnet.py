"""PilotNet (LIF) on Loihi 2: measured activity by core x the chip file's constants, against the board's power probes.

E [J per step] = dynamic power x time per step;  1 / time per step = frames per second x steps per frame
time per step = E[max over layers of the work of its busiest core] + barrier (`spread`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bimhw.evidence.silicon import spread
from bimhw.evidence.silicon.judge import DataSet, Row, number, positive
from energy_models.chip_energy import chip_energy, counters
from energy_models.forms import any_neuron
from simulator.chips.chip import Chip
from simulator.program.activity import Activity
from simulator.timing.scale import barrier_ns

ACTIVITY_COLUMNS = {"core_idx", "syn_ops", "neuron_updates"}
COUNTS = 2  # of the counter of updates, a neuron and step, where the file does not describe its neurons
Cores = Sequence[Mapping[str, str]]


def looks_like(printed: Mapping[str, Any]) -> bool:
    """Return whether a mapping is a printed result: a frame rate and some power or energy."""
    return "fps" in printed and any(str(k).endswith(("_W", "_mJ_per_frame")) for k in printed)


def missing(printed: Mapping[str, Any]) -> list[str]:
    """Name what a printed result lacks for a prediction."""
    lacks = [k for k in ("num_steps", "fps") if not number(printed, k)]
    return lacks if dynamic_w(printed) else [*lacks, "dynamic_W"]


def dynamic_w(printed: Mapping[str, Any]) -> float | None:
    """Return the dynamic power: as printed, or total less static power, or energy of a frame x frame rate."""
    own, total, static, mj = (
        positive(printed, k) for k in ("dynamic_W", "total_W", "static_W", "dynamic_mJ_per_frame")
    )
    fps = number(printed, "fps")
    if own:
        return own
    if total and static and total > static:
        return total - static
    return mj * fps / 1e3 if mj and fps else None


def predict(name: str, printed: Mapping[str, Any], cores: Cores, chip: Chip, trace: Sequence[float] = ()) -> DataSet:
    """Predict dynamic energy and time of a step of one printed result, from the activity of its cores.

    Args:
        name: of the set.
        printed: power, frame rate and, where it says so, cores of each layer.
        cores: counts of the run by core.
        chip: whose constants are used.
        trace: times of single steps; only their spread about their own mean is used.
    """
    steps, fps, watt = number(printed, "num_steps"), number(printed, "fps"), dynamic_w(printed)
    assert steps and fps and watt, "asked `missing` first"
    per_frame = number(printed, "steps_per_frame")
    step_s = 1.0 / (fps * (per_frame or 1.0))
    counts, how = counts_per_update(printed, cores, steps)
    why, energy_uj = incomplete(printed, cores), step_energy_pj(cores, steps, chip, counts) / 1e6
    rows = [Row(name, "dynamic energy", "uJ/step", watt * step_s * 1e6, energy_uj, excluded=why)]
    fitted: tuple[str, ...] = _FITTED
    if chip.timing is not None:
        time_us, floor_us, said = _time(printed, cores, steps, chip, counts, trace)
        rows.append(Row(name, "step time", "us/step", step_s * 1e6, time_us, excluded=why, core=floor_us))
        fitted = (*fitted, said)
    return DataSet(name, "pilotnet", chip.name, tuple(rows), fitted, (_ASSUMPTIONS[0], how, *_ASSUMPTIONS[1:]))


def incomplete(printed: Mapping[str, Any], cores: Cores) -> str:
    """Return why a printed result and its table of activity cannot judge; empty if they can."""
    described = number(printed, "cores")
    if not any(_sum(cores, c) for c in ("syn_ops", "neuron_updates")):
        return "its table of activity counts nothing"
    if described and described != len(cores):
        return f"its table of activity has {len(cores)} cores, the printed result {described:g}"
    return "" if number(printed, "steps_per_frame") else "steps_per_frame is not given; one step a frame is taken"


def _time(
    printed: Mapping[str, Any], cores: Cores, steps: float, chip: Chip, counts: int, trace: Sequence[float]
) -> tuple[float, float, str]:
    """Predict the time of a step [us], that of the longest core's mean work, and where the spread between them comes from."""
    floor = step_us(cores, steps, chip, counts)
    layers = layer_works_ns(printed, cores, steps, chip, counts)
    if not layers:
        return floor, floor, "spread of steps: none, since the cores of each layer are not given"
    shape = spread.variation(trace)
    if shape is None:
        c, how = spread.STORED, "stored: the shape of the published LIF run's trace"
    else:
        c = spread.coefficient(layers, shape)
        how = f"from the shape of the trace, whose {len(trace)} steps vary by {100 * shape:.1f} %; its mean is not used"
    mean, _ = spread.longest(layers, c)
    return (
        mean / 1e3 + floor - max(layers) / 1e3,
        floor,
        f"spread of a layer's work over steps: {100 * c:.1f} % ({how})",
    )


def counts_per_update(printed: Mapping[str, Any], cores: Cores, steps: float) -> tuple[int, str]:
    """Find how often the counter of updates counts a neuron in a step, and how that is known.

    counts = (sum of the counters - spikes) / (steps x neurons), a whole number; the neurons are those that the printed result
    describes (cores of a layer x neurons of such a core).
    """
    of_layer, of_core = (printed.get(k) for k in ("cores_per_layer", "neurons_per_core"))
    text = "the update counter adds {0} per neuron and step ({1}) and 1 per spike: updates = (count - spikes) / {0}"
    if isinstance(of_layer, Mapping) and isinstance(of_core, Mapping):
        neurons = sum((number(of_layer, k) or 0.0) * (number(of_core, k) or 0.0) for k in of_core)
        counted = sum(max(0.0, _number(c, "neuron_updates") - _number(c, "spikes_out")) for c in cores)
        if neurons:
            counts = max(1, round(counted / (steps * neurons)))
            return counts, text.format(counts, f"{counted / steps / neurons:.2f} on {neurons:,.0f} described neurons")
    return COUNTS, text.format(COUNTS, "as in the published LIF run; no neurons are described here")


_FITTED = (
    "energy of a step (item 'steps'): mean of the two-neuron networks, leave-one-out error 12.5 %; 0.05 % of this sum",
)
_ASSUMPTIONS = (
    "activity was measured on the board, per core (digitised: +-0.43e7 counts per core); empty cells count as 0",
    "every neuron is charged as an active LIF update, regardless of its model",
    "energies of spikes, packets and their hops are unknown on Loihi 2 and omitted",
    "step time is the mean work of the slowest layer plus the barrier; only means per core are known, so layers are independent",
)


def _sum(cores: Cores, column: str) -> float:
    return sum(_number(c, column) for c in cores)


def _number(core: Mapping[str, str], column: str) -> float:
    return number(core, column) or 0.0


def updates(core: Mapping[str, str], counts: int = COUNTS) -> float:
    """Return the neuron updates of a core over the run, from its counter."""
    return max(0.0, _number(core, "neuron_updates") - _number(core, "spikes_out")) / counts


def step_energy_pj(cores: Cores, steps: float, chip: Chip, counts_per_update: int = COUNTS) -> float:
    """Predict the dynamic energy of a step."""
    all_updates = sum(updates(c, counts_per_update) for c in cores)
    counts = {
        "synaptic_events": _sum(cores, "syn_ops"),
        "neuron_updates": all_updates,
        "neuron_updates_active": all_updates,
        "spikes": _sum(cores, "spikes_out"),
    }
    native = any_neuron(chip)  # this network is of plain LIF neurons
    report = chip_energy(Activity(counters(counts), 1, 1, ("network",)), native)
    per_step = report.by("item").get("steps", 0.0)  # once in the report, but paid in every step
    return (report.energy_pj("dynamic") - per_step) / steps + per_step


def step_us(cores: Cores, steps: float, chip: Chip, counts_per_update: int = COUNTS) -> float:
    """Return the mean work of the busiest core in a step, and the barrier [us]."""
    worst = max((work_ns(c, steps, chip, counts_per_update) for c in cores), default=0.0)
    tiles = -(-len(cores) // chip.topology.cores_per_router)
    return (worst + barrier_ns(chip, tiles)) / 1e3


def work_ns(core: Mapping[str, str], steps: float, chip: Chip, counts_per_update: int = COUNTS) -> float:
    """Return the mean work of a core in a step [ns]: its neurons' or its synapses', the longer of the two side by side."""
    t = chip.timing
    assert t is not None

    def ns(name: str) -> float:
        return float(getattr(t, name).value or 0.0)

    soma = updates(core, counts_per_update) * ns("neuron_update_active") + _number(core, "spikes_out") * (
        ns("spike_out") + ns("axon_out")
    )
    synapse = _number(core, "spikes_in") * ns("message_in") + _number(core, "syn_ops") * ns("synapse")
    return max(soma, synapse) / steps


def layer_works_ns(
    printed: Mapping[str, Any], cores: Cores, steps: float, chip: Chip, counts_per_update: int = COUNTS
) -> list[float]:
    """Return the mean work [ns] of each layer's busiest core; empty where the printed result names no cores of a layer.

    Cores are numbered in the order of ``cores_per_layer``.
    """
    sizes = printed.get("cores_per_layer")
    if not isinstance(sizes, Mapping):
        return []
    numbers = [int(number(sizes, k) or 0) for k in sizes]
    if sum(numbers) != len(cores):
        return []
    first, works = 0, []
    for size in numbers:
        works.append(
            max((work_ns(c, steps, chip, counts_per_update) for c in cores[first : first + size]), default=0.0)
        )
        first += size
    return works

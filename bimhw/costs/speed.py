"""Limits of the speed of a run: times that it hangs on, bounds of SynOps/s, the term that binds each step.

Each figure has its range, from all times of the chip file at either end, and a word: the weakest quality of the times in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bimhw.runs.folder import RunFolder
from energy_models.spread import weakest
from energy_models.times import at_end, time_word
from simulator.chips.chip import Chip
from simulator.chips.quantity import Quantity
from simulator.program.activity import Activity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.program.work import operations

if TYPE_CHECKING:
    from simulator.timing.terms import StepTerms

Cells = dict[str, Any]  # a row
TIME_STEPS = 64  # steps that are timed again for each constant
TIME_FACTOR = 2.0
# term of a step -> times in it
_TERMS = {
    "neurons": ("neuron_update_active", "neuron_update_inactive", "neuron_op", "spike_out"),
    "packets out": ("axon_out",),
    "packets in": ("message_in",),
    "synapses": ("synapse",),
    "heaviest link": ("flit_time", "flits"),
    "barrier": ("barrier", "barrier_hop"),
}


def floorline(run: RunFolder | Path | str, chip: Chip | None = None) -> StepTerms:
    """Compute which term binds each of a run's first steps, in time.

    Args:
        run: folder that `bimhw simulate` wrote, on a chip with times.
        chip: with other times than the run's.
    """
    from simulator.timing.terms import step_terms

    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    return step_terms(folder.program(), chip or folder.chip(), _first_steps(folder.spikes(), TIME_STEPS))


def floorline_rows(run: RunFolder) -> list[Cells]:
    """Return each term of a run's first steps with its range and its word; none on a chip without times."""
    chip = run.chip()
    if chip.timing is None:
        return []
    low, high = ({r["term"]: r["mean_ns"] for r in floorline(run, at_end(chip, high)).rows()} for high in (False, True))
    rows = []
    for row in floorline(run).rows():
        name, change = row["term"], row.pop("change")
        word = _word(chip, _TERMS[name], run.program())
        rows.append(row | {"mean_low_ns": low[name], "mean_high_ns": high[name], "trust": word, "change": change})
    return rows


def _word(chip: Chip, names: Iterable[str], program: Program) -> str:
    """Return the weakest quality among these times; operations count where a neuron model is not native to the chip."""
    programmed = any(not chip.capabilities.is_native(p.model) for p in program.populations)
    used = [
        q
        for name in names
        if (name != "neuron_op" or programmed) and (q := getattr(chip.timing, name)) is not None and q.value
    ]
    return weakest(q.quality for q in used) if used else time_word(chip, program, learns=False)


def time_sensitivity(folder: RunFolder, program: Program, chip: Chip) -> list[Cells]:
    """Return the relative change of the time of the run's first steps where one time constant is doubled."""
    if chip.timing is None:
        return []
    from simulator.timing.run import run_timing

    spikes = folder.spikes()
    part = _first_steps(spikes, TIME_STEPS)
    base = float(run_timing(program, chip, part).step_ticks.sum())
    rows = []
    for name in chip.timing.__struct_fields__:
        value = getattr(chip.timing, name)
        if (
            name in ("tick", "learn_synapse")
            or not isinstance(value, Quantity)
            or not value.value
            or value.unit != "ns"
        ):
            continue
        slower: Cells = {name: _times(value, TIME_FACTOR)}
        if name == "barrier":
            slower["barrier_by_tiles"] = {k: _times(q, TIME_FACTOR) for k, q in chip.timing.barrier_by_tiles.items()}
        other = msgspec.structs.replace(chip, timing=msgspec.structs.replace(chip.timing, **slower))
        change = float(run_timing(program, other, part).step_ticks.sum()) / base - 1
        rows.append(
            {
                "time": name, "low_ns": value.value if value.low is None else value.low, "ns": value.value,
                "high_ns": value.value if value.high is None else value.high, "quality": value.quality,
                "change_if_doubled": change,
            }
        )  # fmt: skip
    return sorted(rows, key=lambda r: -float(r["change_if_doubled"]))


def _times(q: Quantity, factor: float) -> Quantity:
    """Multiply a quantity; the product has no range."""
    value = None if q.value is None else q.value * factor
    return msgspec.structs.replace(q, value=value, low=None, high=None)


def _first_steps(spikes: SpikeTrain, steps: int) -> SpikeTrain:
    last = min(spikes.steps, steps)
    end = int(spikes.ptr[last])
    payload = None if spikes.payload is None else spikes.payload[:end]
    return SpikeTrain(spikes.ptr[: last + 1], spikes.ids[:end], payload)


@dataclass(frozen=True)
class _Limit:
    """A limit of SynOps/s [1e9], and the times in it."""

    value: float | None
    times: tuple[str, ...]


def roofline(folder: RunFolder, chip: Chip, ratios: tuple[float, float] | None = None) -> list[Cells]:
    """Return limits of SynOps/s: synapse stages, packets at the observed synapses a packet, soma stages, the barrier; the run.

    Each limit is what the chip could do if nothing else took time:
    synapses  cores / t_synapse;        messages  cores (SynOps / packets) / t_message_in;
    links     links (SynOps / hops) / (flits x flit_time);   somas  SynOps / (updates t_update / cores);
    barrier   SynOps / (steps t_barrier), of the routers in use; t_update of a programmed neuron is its operations x t_op

    Args:
        folder, chip: of the run.
        ratios: low and high time of the run over its nominal one.
    """
    activity, program = folder.activity(), folder.program()
    synops = activity.total("synaptic_events")
    if chip.timing is None or activity.sim_time_ns is None or not synops:
        return []
    busy = _busiest_link(folder)
    found, most, least = (_limits(activity, program, c, busy) for c in (chip, at_end(chip, False), at_end(chip, True)))
    reached = synops / activity.sim_time_ns
    rows: list[Cells] = [
        {
            "limit": name, "low_gsynops_per_s": least[name].value, "gsynops_per_s": limit.value,
            "high_gsynops_per_s": most[name].value, "reached": reached / limit.value,
            "trust": _word(chip, limit.times, program),
        }
        for name, limit in found.items()
        if limit.value
    ]  # fmt: skip
    rows.sort(key=lambda r: float(r["gsynops_per_s"]))
    low, high = (None, None) if ratios is None else (reached / ratios[1], reached / ratios[0])
    run = {"limit": "this run", "low_gsynops_per_s": low, "gsynops_per_s": reached, "high_gsynops_per_s": high}
    return [*rows, run | {"reached": 1.0, "trust": time_word(chip, program, bool(folder.manifest.get("learning")))}]


def _busiest_link(folder: RunFolder) -> float:
    """Return the time for which the run's busiest link between routers was taken, in packets; 0 where no timing was kept."""
    from simulator.timing.scale import packet_ticks

    timing = folder.timing()
    if timing is None or not timing["link_busy"].size:
        return 0.0
    return float(timing["link_busy"].max()) / packet_ticks(folder.chip())


def _update_ns(program: Program, chip: Chip, activity: Activity) -> float:
    """Return the time of all neuron updates; of a model that is not native to the chip by its operations."""
    t, total = chip.timing, 0.0
    assert t is not None
    for p, count in zip(program.populations, activity.counts["neuron_updates"].by_population, strict=False):
        programmed = t.neuron_op is not None and not chip.capabilities.is_native(p.model)
        op = t.neuron_op.value if t.neuron_op is not None else None
        each = operations(p) * (op or 0.0) if programmed else t.neuron_update_active.value or 0.0
        total += float(count) * each
    return total


def _limits(activity: Activity, program: Program, chip: Chip, busiest: float) -> dict[str, _Limit]:
    """Return the limits of `roofline`."""
    from simulator.timing.scale import barrier_ns, packet_ticks, tiles_in_use

    def ns(name: str) -> float:
        return float(getattr(chip.timing, name).value or 0.0)

    def over(count: float, time: float) -> float | None:
        return count / time if count and time else None

    synops, cores, mesh = activity.total("synaptic_events"), max(1, activity.cores_used), chip.topology
    packets = activity.total("packets") + activity.total("host_packets_in")
    hops = sum(activity.total(name) for name in ("hops_ew", "hops_ns", "hops_chip", "hops_board"))
    links = 2 * (mesh.columns * (mesh.height - 1) + mesh.height * (mesh.columns - 1))
    soma_ns = _update_ns(program, chip, activity) + activity.total("spikes") * ns("spike_out")
    packet_ns = packet_ticks(chip) * ns("tick")
    barrier = barrier_ns(chip, tiles_in_use(program.core[program.core >= 0], chip))
    somas = ("neuron_update_active", "neuron_op", "spike_out")
    return {
        "weight memories of all cores of the chip": _Limit(over(chip.n_cores, ns("synapse")), ("synapse",)),
        "weight memories of the cores in use": _Limit(over(cores, ns("synapse")), ("synapse",)),
        "packets into the cores in use": _Limit(over(cores * synops, packets * ns("message_in")), ("message_in",)),
        "links of the mesh": _Limit(over(links * synops, hops * packet_ns), ("flit_time", "flits")),
        "busiest link of this run": _Limit(over(synops, busiest * packet_ns), ("flit_time", "flits")),
        "somas of the cores in use": _Limit(over(synops * cores, soma_ns), somas),
        "barrier": _Limit(over(synops, activity.steps * barrier), ("barrier",)),
    }

"""Answers to design questions of a run: what dominates, when it beats a GPU, what learning costs, what limits its speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from bimhw.costs.compare import energy
from bimhw.costs.counted import LearningPlan
from bimhw.costs.learning import LearningPrice, learning_forms
from bimhw.costs.pilot import Pilot
from bimhw.costs.result import Energy
from bimhw.costs.rows import EXACT, ModeRow, modes
from bimhw.runs.folder import RunFolder
from energy_models.spread import trust
from mapping.copies import most_copies
from simulator.base.shown import Shown, Value
from simulator.chips.chip import Chip
from simulator.chips.quantity import Quantity
from simulator.program.meta import ProgramFidelity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

if TYPE_CHECKING:
    from simulator.timing.terms import StepTerms

TIME_STEPS = 64  # steps that are timed again for each constant
TIME_FACTOR = 2.0


@dataclass(frozen=True, repr=False)
class Codesign(Shown):
    """Answers for one run; every list is ready to print, largest effect first.

    Attributes:
        energy_sensitivity: constant -> change of the energy per sample [uJ] from its low to its high end.
        time_sensitivity: time -> relative change of the step time where it is doubled.
        break_even: against each GPU estimate, the density of synapses at which the chip costs as much.
        learning: energy a step [nJ] of each form of exact learning, see `bimhw.costs.learning`; dynamic, no time in it.
        on_chip: energy and time of a sample learnt by each form that the chip does, its learning time charged.
        verdict: where the chip loses against a card, in words.
        modes: latency mode (one sample) and throughput mode (full chip, best batch) beside each card and case.
        roofline: what limits SynOps/s, and how much of it the run reaches.
        floorline: share of steps that each term binds, its mean time, and what to change (`simulator.timing.terms`).
        fidelity: how far the program is the network that it was compiled from; None where it does not say.
        notes: how learning was counted.
    """

    energy_sensitivity: list[dict[str, Any]]
    time_sensitivity: list[dict[str, Any]]
    break_even: list[dict[str, Any]]
    learning: list[dict[str, Any]]
    roofline: list[dict[str, Any]]
    on_chip: list[dict[str, Any]] = field(default_factory=list)
    verdict: list[str] = field(default_factory=list)
    floorline: list[dict[str, Any]] = field(default_factory=list)
    modes: list[ModeRow] = field(default_factory=list)
    fidelity: ProgramFidelity | None = None
    notes: list[str] = field(default_factory=list)

    def _facts(self) -> Mapping[str, Value]:
        top = self.energy_sensitivity[0]["item"] if self.energy_sensitivity else None
        return {"dominant_item": top, "verdict": self.verdict[0] if self.verdict else "no card to compare with"}

    def _records(self) -> Sequence[Mapping[str, Value]]:
        return self.energy_sensitivity

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        from dataclasses import asdict

        return asdict(self) | {"fidelity": None if self.fidelity is None else self.fidelity.as_json()}


def codesign(
    run: Path | str, gpu: tuple[str, ...] = ("h100",), price: LearningPrice | None = None, copies: int | None = None,
    pilot: Pilot | bool | None = None,
) -> Codesign:  # fmt: skip
    """Answer the design questions of a run folder.

    Args:
        run: folder that `bimhw simulate` wrote.
        gpu: cards to break even with.
        price: parameters of the comparison of learning forms.
        copies: of the network in throughput mode; None: as many as the chip holds, 1: none.
        pilot: samples that forms of learning learn first, as in `bimhw.energy`.

    Raises:
        InputError: not a run folder, an unknown card, a parameter out of its range.
        FitError: more copies than the chip holds.
    """
    price = price or LearningPrice()
    price.check()
    folder = RunFolder.open(run)
    chip, program = folder.chip(), folder.program()
    plan = LearningPlan(block=price.block, lookback=price.lookback)
    costs = energy(folder, chip, gpu, plan=plan, copies=copies, pilot=pilot)
    dynamic = sum(i.energy_pj or 0.0 for i in costs.report.select("dynamic") if i.hardware != "learning")
    inference_nj = dynamic / 1e3 / max(1, costs.report.steps)
    return Codesign(
        energy_sensitivity(costs),
        time_sensitivity(folder, program, chip),
        break_even(costs),
        learning_forms(program, chip, _rates(folder, program), inference_nj, price),
        [r | {"trust": costs.time_words[0]} for r in roofline(folder, chip)],
        chip_learning(costs),
        costs.verdict() + _one_copy(costs, program, chip) + _other_sync(folder),
        [] if chip.timing is None else [r | {"trust": costs.time_words[0]} for r in floorline(folder).rows()],
        modes(costs.rows()),
        costs.fidelity,
        list(costs.notes),
    )


def _one_copy(costs: Energy, program: Program, chip: Chip) -> list[str]:
    """Say why throughput mode is latency mode, where no second copy fits beside the mapped network."""
    if costs.ran > 1 or costs.full is not None or most_copies(program, chip) > 1:
        return []
    return [
        f"throughput mode shows one copy: this mapping takes {program.cores_used} of {chip.n_cores} cores. "
        "`bimhw compile --objective cores --copies max` places as many as fit"
    ]


def _other_sync(folder: RunFolder) -> list[str]:
    sync = folder.manifest.get("sync", "barrier")
    if sync == "barrier":
        return []
    return [
        f"the run's steps were kept apart by sync {sync!r}; time sensitivity, roofline and floorline are those of a barrier"
    ]


def floorline(run: RunFolder | Path | str) -> StepTerms:
    """Compute which term binds each of a run's first steps, in time.

    Args:
        run: folder that `bimhw simulate` wrote, on a chip with times.
    """
    from simulator.timing.terms import step_terms

    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    return step_terms(folder.program(), folder.chip(), _first_steps(folder.spikes(), TIME_STEPS))


def energy_sensitivity(costs: Energy) -> list[dict[str, Any]]:
    """Return the tornado of the energy: each item from the low to the high end of its constant."""
    samples = max(1, costs.report.samples)
    rows = []
    for item in costs.report.items:
        high = item.high_pj
        rows.append(
            {
                "item": item.name,
                "quality": item.constant.quality,
                "low_uj": item.low_pj / 1e6 / samples,
                "uj": None if item.energy_pj is None else item.energy_pj / 1e6 / samples,
                "high_uj": None if high is None else high / 1e6 / samples,
                "swing_uj": None if high is None else (high - item.low_pj) / 1e6 / samples,
            }
        )
    return sorted(rows, key=lambda r: -1.0 if r["swing_uj"] is None else float(r["swing_uj"]), reverse=True)


def time_sensitivity(folder: RunFolder, program: Program, chip: Chip) -> list[dict[str, Any]]:
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
        slower: dict[str, Any] = {name: _times(value, TIME_FACTOR)}
        if name == "barrier":
            slower["barrier_by_tiles"] = {k: _times(q, TIME_FACTOR) for k, q in chip.timing.barrier_by_tiles.items()}
        other = msgspec.structs.replace(chip, timing=msgspec.structs.replace(chip.timing, **slower))
        change = float(run_timing(program, other, part).step_ticks.sum()) / base - 1
        rows.append({"time": name, "ns": value.value, "quality": value.quality, "change_if_doubled": change})
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


def break_even(costs: Energy) -> list[dict[str, Any]]:
    """Find the density d at which E_rest + d E_synapse = E_gpu, at fixed activity; above 1 the dense network already wins.

    None: not even a network without synapses would cost less (E_rest >= E_gpu).
    """
    samples = max(1, costs.report.samples)
    synapse = costs.report.by("hardware").get("synapse", 0.0) / 1e6 / samples
    total = costs.report.energy_pj() / 1e6 / samples
    word = trust(costs.report.items)
    rows = []
    for cost in costs.gpu:
        if cost.mode != "inference":
            continue
        uj = cost.uj
        density = (uj - (total - synapse)) / synapse if synapse > 0 and uj > total - synapse else None
        sparsity = None if density is None else max(0.0, 1.0 - density)
        rows.append(
            {
                "gpu": cost.gpu, "batch": cost.batch, "case": cost.case, "gpu_uj": uj, "chip_uj": total,
                "chip_without_synapses_uj": total - synapse, "density": density, "break_even_sparsity": sparsity,
                "trust": word,
            }
        )  # fmt: skip
    return rows


def chip_learning(costs: Energy) -> list[dict[str, Any]]:
    """Return the forms of learning that the chip does: energy and time of a sample, inference included.

    One learner first, least energy first; then separate learners that fill the chip, each with a network of its own.
    """
    together = [] if costs.learners is None else [costs.learners]
    rows = []
    for cost in [*sorted(costs.learning, key=lambda c: c.uj_per_sample()[1]), *together]:
        low, nominal, high = cost.uj_per_sample()
        report = cost.nominal
        samples = max(1, report.samples)
        static = report.energy_pj("static") / 1e6 / samples
        rows.append(
            {
                "form": cost.plan.form, "learners": cost.copies, "exact": cost.plan.form in EXACT, "low_uj": low, "uj": nominal,
                "high_uj": high, "of it static_uj": static,
                "us": None if report.sim_time_ns is None else report.sim_time_ns / 1e3 / samples, "updates": cost.updates,
                "pilot": cost.pilot, "trust": trust(report.items),
            }
        )  # fmt: skip
    return _ranked(rows)


def _ranked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with their place among single learners by energy and by time, 1 the best."""
    single = [r for r in rows if r["learners"] == 1]
    places = {key: sorted(float(r[key]) for r in single if r[key] is not None) for key in ("uj", "us")}
    for r in rows:
        for key, values in places.items():
            ranked = r["learners"] == 1 and r[key] is not None
            r[f"place by {'energy' if key == 'uj' else 'time'}"] = values.index(float(r[key])) + 1 if ranked else None
    return rows


def _rates(folder: RunFolder, program: Program) -> dict[str, float]:
    """Return events per neuron and step of each population."""
    spikes = folder.spikes()
    events = np.bincount(spikes.ids, minlength=program.n_neurons)
    out, first = {}, program.first_ids()
    for p in program.populations:
        part = events[first[p.name] : first[p.name] + p.size]
        out[p.name] = float(part.sum()) / max(1, p.size * spikes.steps)
    return out


def _busiest_link_ns(folder: RunFolder, chip: Chip) -> float:
    """Time for which the run's busiest link between routers was taken; 0 where no timing was kept."""
    timing = folder.timing()
    if timing is None or chip.timing is None or not timing["link_busy"].size:
        return 0.0
    return float(timing["link_busy"].max()) * float(chip.timing.tick.value or 0.0)


def roofline(folder: RunFolder, chip: Chip) -> list[dict[str, Any]]:
    """Return limits of SynOps/s: synapse stages, packets at the observed synapses a packet, soma stages, the barrier; the run.

    Each limit is what the chip could do if nothing else took time:
    synapses  cores / t_synapse;        messages  cores (SynOps / packets) / t_message_in;
    links     links (SynOps / hops) / (flits x flit_time);   somas  SynOps / (updates t_update / cores);
    barrier   SynOps / (steps t_barrier)
    """
    from simulator.timing.scale import packet_ticks

    t = chip.timing
    activity = folder.activity()
    synops = activity.total("synaptic_events")
    if t is None or activity.sim_time_ns is None or not synops:
        return []

    def ns(name: str) -> float:
        return float(getattr(t, name).value or 0.0)

    cores = max(1, activity.cores_used)
    packets = activity.total("packets") + activity.total("host_packets_in")
    hops = sum(activity.total(name) for name in ("hops_ew", "hops_ns", "hops_chip", "hops_board"))

    mesh = chip.topology
    links = 2 * (mesh.columns * (mesh.height - 1) + mesh.height * (mesh.columns - 1))
    soma_ns = activity.total("neuron_updates") * ns("neuron_update_active") + activity.total("spikes") * ns("spike_out")
    limits = {
        "weight memories of all cores of the chip": chip.n_cores / ns("synapse") if ns("synapse") else None,
        "weight memories of the cores in use": cores / ns("synapse") if ns("synapse") else None,
        "packets into the cores in use": cores * synops / packets / ns("message_in")
        if packets and ns("message_in")
        else None,
        "links of the mesh": links * synops / hops / (packet_ticks(chip) * ns("tick")) if hops and links else None,
        "busiest link of this run": synops / busiest if (busiest := _busiest_link_ns(folder, chip)) else None,
        "somas of the cores in use": synops / (soma_ns / cores) if soma_ns else None,
        "barrier": synops / (activity.steps * ns("barrier")) if ns("barrier") else None,
    }
    reached = synops / activity.sim_time_ns
    rows = [
        {"limit": name, "gsynops_per_s": value, "reached": reached / value} for name, value in limits.items() if value
    ]
    rows.sort(key=lambda r: float(r["gsynops_per_s"]))  # type: ignore[arg-type]
    return [*rows, {"limit": "this run", "gsynops_per_s": reached, "reached": 1.0}]

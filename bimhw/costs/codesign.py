"""Answers to design questions of a run: what dominates, when it beats a GPU, what learning costs, what limits its speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.costs.compare import energy
from bimhw.costs.counted import LearningPlan
from bimhw.costs.learning import LearningPrice, learning_forms
from bimhw.costs.pilot import Pilot
from bimhw.costs.result import Energy
from bimhw.costs.rows import EXACT, ModeRow, modes
from bimhw.costs.speed import Cells, floorline_rows, roofline, time_sensitivity
from bimhw.runs.folder import RunFolder
from energy_models.gpu import WORD
from energy_models.spread import spread, trust
from mapping.copies import most_copies
from simulator.base.shown import Shown, Value
from simulator.chips.chip import Chip
from simulator.program.meta import ProgramFidelity
from simulator.program.program import Program


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

    energy_sensitivity: list[Cells]
    time_sensitivity: list[Cells]
    break_even: list[Cells]
    learning: list[Cells]
    roofline: list[Cells]
    on_chip: list[Cells] = field(default_factory=list)
    verdict: list[str] = field(default_factory=list)
    floorline: list[Cells] = field(default_factory=list)
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
        roofline(folder, chip, costs.time_ratios),
        chip_learning(costs),
        costs.verdict() + _one_copy(costs, program, chip) + _other_sync(folder),
        floorline_rows(folder),
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


def energy_sensitivity(costs: Energy) -> list[Cells]:
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


def break_even(costs: Energy) -> list[Cells]:
    """Find the density d at which E_rest + d E_synapse = E_gpu, at fixed activity; above 1 the dense network already wins.

    None: not even a network without synapses would cost less (E_rest >= E_gpu). The low end has the chip at its most and the
    card at its least energy, the high end the reverse.
    """
    samples, report = max(1, costs.report.samples) * 1e6, costs.report
    whole = spread(report.items).over(samples)
    synapse = spread(i for i in report.items if i.hardware == "synapse").over(samples)
    assert whole is not None and synapse is not None
    rows = []
    for cost in costs.gpu:
        if cost.mode != "inference":
            continue
        density = _density(cost.uj, whole.nominal, synapse.nominal)
        rows.append(
            {
                "gpu": cost.gpu, "batch": cost.batch, "case": cost.case, "gpu_low_uj": cost.low_uj, "gpu_uj": cost.uj,
                "gpu_high_uj": cost.high_uj, "gpu_trust": WORD, "chip_low_uj": whole.low, "chip_uj": whole.nominal,
                "chip_high_uj": whole.high, "chip_without_synapses_uj": whole.nominal - synapse.nominal, "trust": whole.word,
                "density_low": _density(cost.low_uj, whole.high, synapse.high), "density": density,
                "density_high": _density(cost.high_uj, whole.low, synapse.low),
                "break_even_sparsity": None if density is None else max(0.0, 1.0 - density),
            }
        )  # fmt: skip
    return rows


def _density(card: float, whole: float, synapse: float) -> float | None:
    """Return d = (E_gpu - E_rest) / E_synapse; None where not even a network without synapses costs less."""
    return (card - (whole - synapse)) / synapse if synapse > 0 and card > whole - synapse else None


def chip_learning(costs: Energy) -> list[Cells]:
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
        us = None if report.sim_time_ns is None else report.sim_time_ns / 1e3 / samples
        low_us, _, high_us = cost.us_per_sample() or (None, us, None)
        rows.append(
            {
                "form": cost.plan.form, "learners": cost.copies, "exact": cost.plan.form in EXACT, "low_uj": low, "uj": nominal,
                "high_uj": high, "of it static_uj": static,
                "low_us": low_us, "us": us, "high_us": high_us, "updates": cost.updates, "pilot": cost.pilot,
                "trust": trust(report.items), "time_trust": costs.time_words[1],
            }
        )  # fmt: skip
    return _ranked(rows)


def _ranked(rows: list[Cells]) -> list[Cells]:
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

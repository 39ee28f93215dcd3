"""`Energy`: what a run cost on its chip and what the same work costs elsewhere, as rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bimhw.costs.compared import ComparedEnergy
from bimhw.costs.counted import LearningPlan
from bimhw.costs.measured import MeasuredGpu
from bimhw.costs.rows import EXACT, ComparisonRow, equal_work, shown, verdict
from energy_models.gpu import GpuCost, Mode
from energy_models.items import EnergyReport, time_spreads
from energy_models.spread import UNKNOWN, Spread, trust
from simulator.base.shown import Shown
from simulator.program.meta import ProgramFidelity


@dataclass(frozen=True, eq=False, repr=False)
class LearningCost(Shown):
    """Learning from a run's samples by one form, inference included: counted, not simulated.

    Attributes:
        plan: the form.
        low, nominal, high: reports at the low, nominal and high shares of what errors decide.
        updates: weight updates of a sample.
        timed: the learning phases' time is in the static power.
        copies: separate learners side by side, each with a network of its own; the reports are of all of them.
        pilot: samples that were learnt to correct the count; 0: none, and the count needed them; None: it needs none.
        ns: low, nominal and high time of all samples, inference and learning at the same end; None where it was not timed.
    """

    plan: LearningPlan
    low: EnergyReport
    nominal: EnergyReport
    high: EnergyReport
    updates: float
    timed: bool
    copies: int = 1
    pilot: int | None = None
    ns: tuple[float, float, float] | None = None

    def us_per_sample(self) -> tuple[float, float, float] | None:
        """Return low, nominal and high time of a sample; None where it was not timed."""
        samples = max(1, self.nominal.samples) * 1e3
        return None if self.ns is None else (self.ns[0] / samples, self.ns[1] / samples, self.ns[2] / samples)

    def uj_per_sample(self) -> tuple[float, float, float]:
        """Return low, nominal and high energy of a sample."""
        samples = max(1, self.nominal.samples) * 1e6
        return self.low.low_pj() / samples, self.nominal.energy_pj() / samples, self.high.high_pj() / samples


def cheapest_exact(costs: Iterable[LearningCost]) -> LearningCost | None:
    """Return the exact form that costs least energy; None without one."""
    return min((c for c in costs if c.plan.form in EXACT), key=lambda c: c.uj_per_sample()[1], default=None)


@dataclass(frozen=True, eq=False, repr=False)
class Energy(ComparedEnergy):
    """Cost of a run, and of the same work elsewhere.

    Attributes:
        report: the chip's items.
        learning: each form of learning on the chip, counted from the run; empty for a program that does not learn there, and
            where learning was simulated (then its items are in `report`).
        copies, full: copies of the network that the chip holds, and the report of all of them together; None where one fits.
        time_ratios: low and high time of the run over its nominal one (`energy_models.times`); None where it was not timed.
        ran: copies that ran side by side, of a program that was compiled with them (then `report` is theirs).
        steps_per_sample: of the network.
        gpu: estimates by card, mode, case and batch.
        labelled_steps: of a sample, each with a weight update; of a run that learnt, its updates a sample.
        measured: measurements on the card of this machine.
        accuracy: of the run on the chip, None where it has none.
        board_mw: board, host and supply around the chip; None: unknown.
        fidelity: how far the program is the network that it was compiled from; None where it does not say.
        time_words: how far times of inference and of learning can be trusted.
        learners: the cheapest exact form on separate learners that fill the chip; None where one fits, or none learns.
    """

    report: EnergyReport
    learning: tuple[LearningCost, ...]
    steps_per_sample: float
    gpu: tuple[GpuCost, ...]
    labelled_steps: int = 1
    measured: tuple[MeasuredGpu, ...] = ()
    accuracy: float | None = None
    copies: int = 1
    full: EnergyReport | None = None
    board_mw: float | None = None
    ran: int = 1
    time_ratios: tuple[float, float] | None = None
    fidelity: ProgramFidelity | None = None
    time_words: tuple[str, str] = (UNKNOWN, UNKNOWN)
    learners: LearningCost | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def best_learning(self) -> LearningCost | None:
        """The exact form that costs least energy; None where none was counted."""
        return cheapest_exact(self.learning)

    def learning_uj_per_sample(self) -> tuple[float, float, float] | None:
        """Return low, nominal and high energy of a sample by the best exact form, inference and its time included."""
        best = self.best_learning
        return None if best is None else best.uj_per_sample()

    def learning_spread(self) -> Spread | None:
        """Return `learning_uj_per_sample` with its word."""
        best = self.best_learning
        return None if best is None else Spread(*best.uj_per_sample(), trust(best.nominal.items))

    @property
    def learnt(self) -> bool:
        """True if the run itself learnt (then learning is among the report's items)."""
        return any(i.hardware == "learning" for i in self.report.items)

    def rows(self) -> list[ComparisonRow]:
        """Return chip and GPUs side by side, per sample; the chip first."""
        out = [self._chip_row(self.report, "learning" if self.learnt else "inference", "simulated", self.ran)]
        if self.full is not None:
            out.append(self._chip_row(self.full, out[0].work, "simulated", self.copies))
        together = [] if self.learners is None else [self.learners]
        for cost in [*sorted(self.learning, key=lambda c: c.uj_per_sample()[1]), *together]:
            low, _, high = cost.uj_per_sample()
            row = self._chip_row(cost.nominal, "learning", cost.plan.form, cost.copies)
            row = replace(row, low_uj=low, high_uj=high, updates=cost.updates, pilot=cost.pilot)
            low_us, _, high_us = cost.us_per_sample() or (None, None, None)
            out.append(replace(row, low_us=low_us, high_us=high_us))
        return [*out, *map(self._gpu_row, self.gpu), *map(self._measured_row, self.measured)]

    def _chip_row(self, report: EnergyReport, work: str, how: str, copies: int = 1) -> ComparisonRow:
        samples = max(1, report.samples)
        time = None if report.sim_time_ns is None else report.sim_time_ns / 1e3 / samples
        energy = report.energy_pj() / 1e6 / samples
        system = None if self.board_mw is None or time is None else energy + self.board_mw * time * 1e-3
        return ComparisonRow(
            who=report.chip, side="chip", work="learning" if work == "learning" else "inference", how=how, batch=copies,
            low_uj=report.low_pj() / 1e6 / samples, uj=energy, high_uj=report.high_pj() / 1e6 / samples, system_uj=system,
            low_us=self._us(report, 0), us=time, high_us=self._us(report, 1),
            updates=float(self.labelled_steps) if work == "learning" else 0.0,
            word=trust(report.items), unknown=report.unknown, time_word=self.time_words[work == "learning"],
        )  # fmt: skip

    def _us(self, report: EnergyReport, end: Literal[0, 1]) -> float | None:
        """Return the low (0) or high (1) time of a sample [us]; None where it is not known."""
        if self.time_ratios is None or report.sim_time_ns is None:
            return None
        return report.sim_time_ns / 1e3 / max(1, report.samples) * self.time_ratios[end]

    def _gpu_row(self, cost: GpuCost) -> ComparisonRow:
        system = None if cost.host_uj is None else cost.uj + cost.host_uj
        return ComparisonRow(
            who=cost.gpu, side="gpu", work=cost.mode, how=cost.case, batch=cost.batch, low_uj=cost.low_uj, uj=cost.uj,
            high_uj=cost.high_uj, system_uj=system, low_us=cost.low_us, us=cost.us, high_us=cost.high_us,
            updates=self._gpu_updates(cost.mode, cost.batch), word="assumed", time_word="assumed",
            scan=cost.schedule == "scan" and any("a bound only" in a for a in cost.assumptions),
        )  # fmt: skip

    def _measured_row(self, m: MeasuredGpu) -> ComparisonRow:
        work: Mode = "bptt" if m.mode == "bptt" else "inference"
        return ComparisonRow(
            who=m.gpu, side="gpu", work=work, how="measured", batch=m.batch, low_uj=m.uj - m.idle_uj, uj=m.uj, high_uj=m.uj,
            system_uj=None, low_us=m.us, us=m.us, high_us=m.us, updates=self._gpu_updates(work, m.batch), word="measured",
            time_word="measured",
        )  # fmt: skip

    def _gpu_updates(self, mode: Mode, batch: int) -> float:
        """Return the updates on a GPU: BPTT changes the weights once a batch, RTRL at every labelled step of it."""
        return {"inference": 0.0, "bptt": 1.0 / batch, "rtrl": self.labelled_steps / batch}[mode]

    def records(self) -> list[dict[str, str | float | None]]:
        """Return `rows` as flat records for a table: ``pandas.DataFrame(result.records())``."""
        fidelity = "" if self.fidelity is None else self.fidelity.text
        return [r.as_record() | {"fidelity": fidelity if r.side == "chip" else ""} for r in self.rows()]

    def compare(self) -> list[dict[str, Any]]:
        """Return `rows` as plain values, with their words."""
        return [r.as_json() for r in self.rows()]

    def equal_work(self, short: bool = False) -> list[dict[str, Any]]:
        """Return the rows (`short`: of cards batch 1 and the best one) divided; see `bimhw.costs.rows.equal_work`."""
        samples = self.report.samples if self.learnt else None
        return equal_work(shown(self.rows()) if short else self.rows(), self.steps_per_sample, samples, self.accuracy)

    def verdict(self) -> list[str]:
        """State against which card and case, and from which batch on, the chip loses."""
        return verdict(self.rows())

    def time_spreads(self, report: EnergyReport | None = None) -> dict[str, Spread]:
        """Return time and energy-delay product of a sample, of the run's `report` or that of all copies."""
        report = report or self.report
        low, high, us = self._us(report, 0), self._us(report, 1), report.figures()["sim_time_us_per_inference"]
        ends = None if low is None or us is None or high is None else (low, us, high)
        return time_spreads(report, ends, self.time_words[self.learnt])

    def _learning_json(self, cost: LearningCost) -> dict[str, Any]:
        return _with(cost.nominal, time_spreads(cost.nominal, cost.us_per_sample(), self.time_words[1]))

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        learning = self.learning_spread()
        return {
            "chip": _with(self.report, self.time_spreads()),
            "fidelity": None if self.fidelity is None else self.fidelity.as_json(),
            "learning": {c.plan.form: self._learning_json(c) for c in self.learning},
            "learners": None if self.learners is None else self._learning_json(self.learners),
            "learning_uj_per_sample": None if learning is None else learning.as_json(),
            "copies": self.copies,
            "all_copies": None if self.full is None else _with(self.full, self.time_spreads(self.full)),
            "steps_per_sample": self.steps_per_sample,
            "labelled_steps": self.labelled_steps,
            "gpu": [cost.as_json() for cost in self.gpu],
            "gpu_measured": [m.as_json() for m in self.measured],
            "compare": self.compare(),
            "equal_work": self.equal_work(),
            "verdict": self.verdict(),
        }


def _with(report: EnergyReport, times: dict[str, Spread]) -> dict[str, Any]:
    """Return a report as plain values, times among its spreads."""
    plain = report.as_json()
    return plain | {"spreads": plain["spreads"] | {name: s.as_json() for name, s in times.items()}}

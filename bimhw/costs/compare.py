"""`bimhw.energy`: the energy of a run on its chip, beside the same network on GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bimhw.costs.measured import MeasuredGpu, measure_gpu
from bimhw.runs.folder import RunFolder
from energy_models.chip_energy import chip_energy, counters
from energy_models.gpu import GpuCost, Mode, Schedule, Workload, fits_memory, gpu_cost, gpu_work, workload_of
from energy_models.gpu_card import GpuCard, load_gpu
from energy_models.items import EnergyReport
from energy_models.learning import program_learning_counts
from energy_models.scaling import scaled_chip
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.program.activity import Activity
from simulator.program.chip import chip_of_program
from simulator.program.program import Program

LARGE_BATCH = 256  # samples at once, where a GPU is at home


@dataclass(frozen=True, eq=False)
class Energy:
    """What a run cost, and what the same work costs elsewhere.

    Attributes:
        report: the chip's items.
        learning_step: one labelled step of exact dense RTRL on the chip, counted, not simulated; None for a program
            without BIM-D layers, or where learning was simulated (then its items are in `report`).
        steps_per_sample: chip steps.
        gpu: estimates by card, mode and batch.
        labelled_steps: of a sample, each with a weight update; of a run that learnt, its updates a sample.
        measured: measurements on the card of this machine.
        accuracy: of the run on the chip, None where it has none.
    """

    report: EnergyReport
    learning_step: EnergyReport | None
    steps_per_sample: float
    gpu: tuple[GpuCost, ...]
    labelled_steps: int = 1
    measured: tuple[MeasuredGpu, ...] = ()
    accuracy: float | None = None

    def learning_uj_per_sample(self) -> tuple[float, float, float] | None:
        """Low, nominal and high energy of learning from one sample on the chip: its trace updates in every step, error and
        weight update in every labelled one. Without inference."""
        if self.learning_step is None:
            return None
        low = nominal = high = 0.0
        for item in self.learning_step.items:
            times = self.steps_per_sample if item.name.startswith("learning: trace") else float(self.labelled_steps)
            low += times * item.low_pj
            nominal += times * (item.energy_pj or 0.0)
            high += times * (item.high_pj or 0.0)
        return low / 1e6, nominal / 1e6, high / 1e6

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        learning = self.learning_uj_per_sample()
        return {
            "chip": self.report.as_json(),
            "learning_step": None if self.learning_step is None else self.learning_step.as_json(),
            "learning_uj_per_sample": None
            if learning is None
            else dict(zip(("low", "nominal", "high"), learning, strict=True)),
            "steps_per_sample": self.steps_per_sample,
            "labelled_steps": self.labelled_steps,
            "gpu": [cost.as_json() for cost in self.gpu],
            "gpu_measured": [m.as_json() for m in self.measured],
            "compare": self.compare(),
            "equal_work": self.equal_work(),
        }

    @property
    def learnt(self) -> bool:
        """Whether the run itself learnt (then learning is among the report's items)."""
        return any(i.hardware == "learning" for i in self.report.items)

    def compare(self) -> list[dict[str, Any]]:
        """Chip and GPUs side by side, per sample: rows of who, what, low/nominal/high energy [uJ] and time [us]."""
        figures, samples = self.report.figures(), max(1, self.report.samples)
        rows: list[dict[str, Any]] = [
            {
                "who": self.report.chip,
                "what": "inference + learning (simulated)" if self.learnt else "inference",
                "low_uj": self.report.low_pj() / 1e6 / samples,
                "uj": figures["total_uj_per_inference"],
                "high_uj": self.report.high_pj() / 1e6 / samples,
                "us": figures["sim_time_us_per_inference"],
            }
        ]
        learning = self.learning_uj_per_sample()
        if learning is not None:
            # A GPU's training includes its forward pass and all its power, so the chip's must too.
            inference = rows[0]
            total = [a + (inference[k] or 0.0) for a, k in zip(learning, ("low_uj", "uj", "high_uj"), strict=True)]
            row = {"who": self.report.chip, "what": "inference + learning (RTRL, counted)"}
            rows.append(row | dict(zip(("low_uj", "uj", "high_uj"), total, strict=True)) | {"us": None})
        for cost in self.gpu:
            rows.append(
                {
                    "who": cost.gpu,
                    "what": f"{_MODES[cost.mode]}, batch {cost.batch}" + (", scan" if cost.schedule == "scan" else ""),
                    "low_uj": cost.optimistic_uj,
                    "uj": cost.realistic_uj,
                    "high_uj": None,
                    "us": cost.realistic_us,
                }
            )
        for m in self.measured:
            what = f"{_MODES[m.mode]}, batch {m.batch}, measured"
            energies = {"low_uj": m.uj - m.idle_uj, "uj": m.uj, "high_uj": None, "us": m.us}
            rows.append({"who": m.gpu, "what": what, **energies})
        return rows

    def equal_work(self) -> list[dict[str, Any]]:
        """The same rows per sample, step, weight update and percent of accuracy; see `bimhw.costs.equal_work`."""
        from bimhw.costs.equal_work import equal_work

        return equal_work(self.compare(), self.steps_per_sample, self.labelled_steps, self.accuracy)


_MODES = {"inference": "inference", "bptt": "training (BPTT)", "rtrl": "training (RTRL)"}


def energy(
    run: Path | str | RunFolder | Activity,
    chip: Chip | str | None = None,
    gpu: str | GpuCard | Sequence[str | GpuCard] = (),
    program: Program | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    supply_v: float | None = None,
    process_nm: float | None = None,
    measure: Path | str | None = None,
    scan: bool = False,
) -> Energy:
    """The energy of a run, itemised, beside GPUs.

    Args:
        run: folder that `bimhw simulate` wrote, or the counters of a run (then `chip` and `program` are needed).
        chip: name, YAML file or chip whose constants are used; by default that of the run.
        gpu: cards (names or YAML files) to compare with.
        program: what ran, where `run` is an `Activity`.
        bounds: energy key -> (low, high), for constants that were never published.
        supply_v, process_nm: scale the chip's constants to this supply or node (`energy_models.scaling`).
        measure: model file to run on the NVIDIA card of this machine, whose energy is measured.
        scan: also as a parallel scan over time, which only networks without resets allow: the bound of what it could save.

    Raises:
        InputError: not a run folder, an unknown chip or card, or a program that is not the run's.
    """
    activity, program, chip = _parts(run, chip, program)
    chip = scaled_chip(chip, supply_v, process_nm)
    report = chip_energy(activity, chip, program, bounds)
    steps = activity.steps / max(1, activity.samples)
    cards = [gpu] if isinstance(gpu, str | GpuCard) else list(gpu)
    costs: list[GpuCost] = []
    if program is not None:
        workload = workload_of(program, max(1, round(steps)))
        for card in cards:
            costs += gpu_costs(workload, load_gpu(card) if isinstance(card, str) else card, scan)
    learned = any(name.startswith("learn_") for name in activity.counts)
    step = None if learned else _learning_step(chip, program, bounds)
    measured = tuple(measure_gpu(measure, max(1, round(steps)))) if measure is not None else ()
    result = _result(run)
    labelled = _updates_per_sample(result, activity) if learned else _labelled(program, result, steps)
    return Energy(report, step, steps, tuple(costs), labelled, measured, result.get("accuracy"))


def gpu_costs(workload: Workload, card: GpuCard, scan: bool = False) -> list[GpuCost]:
    """Inference, BPTT and (where the layers have eligibilities) RTRL, one sample at a time and in a large batch; the first two
    in the schedule that the neurons allow, with `scan` also as a parallel scan over time. The large
    batch is halved until the card's memory holds it."""
    modes: list[tuple[Mode, Schedule]] = [("inference", workload.schedule), ("bptt", workload.schedule)]
    if any(la.eligibility_words for la in workload.layers):
        modes.append(("rtrl", "sequential"))
    if scan and workload.schedule == "sequential":
        modes += [("inference", "scan"), ("bptt", "scan")]
    costs = []
    for mode, schedule in modes:
        large = LARGE_BATCH
        while large > 1 and not fits_memory(gpu_work(workload, mode, large, schedule), workload, card):
            large //= 2
        costs += [gpu_cost(workload, card, mode, batch, schedule) for batch in dict.fromkeys((1, large))]
    return costs


def _parts(
    run: Path | str | RunFolder | Activity, chip: Chip | str | None, program: Program | None
) -> tuple[Activity, Program | None, Chip]:
    chip = load_chip(chip) if isinstance(chip, str) else chip
    if isinstance(run, Activity):
        if chip is None:
            chip = chip_of_program(program) if program is not None and program.chip else load_chip("loihi2")
        return run, program, chip
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    return folder.activity(), folder.program() if program is None else program, chip or folder.chip()


def _result(run: Path | str | RunFolder | Activity) -> Mapping[str, Any]:
    """What a run folder says of its run; nothing for counters alone."""
    if isinstance(run, Activity):
        return {}
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    return folder.result if (folder.path / "result.json").is_file() else {}


def _updates_per_sample(result: Mapping[str, Any], activity: Activity) -> int:
    """Weight updates of a sample of a run that learnt, as its result says."""
    return max(1, round(float(result.get("updates", 0)) / max(1, activity.samples)))


def _labelled(program: Program | None, result: Mapping[str, Any], steps: float) -> int:
    """Steps of a sample at which the readout decides, which are taken as its labelled steps; of a text, every step."""
    if "bits_per_character" in result:
        return max(1, round(steps))
    output = dict(program.meta.get("output") or {}) if program is not None else {}
    return max(1, len(output.get("window", ())))


def _learning_step(
    chip: Chip, program: Program | None, bounds: Mapping[str, tuple[float, float]] | None
) -> EnergyReport | None:
    counts = program_learning_counts(program) if program is not None else {}
    if not counts:
        return None
    report = chip_energy(Activity(counters(counts), 1, 1, ("network",)), chip, bounds=bounds)
    items = tuple(i for i in report.items if i.hardware == "learning")  # the step itself is part of inference
    keys = sorted({i.key for i in items if i.constant.quality in ("assumed", "unverified")})
    return replace(report, items=items, assumptions=(f"learning is charged at assumed constants: {', '.join(keys)}",))

"""`bimhw.energy`: the energy of a run on its chip, beside the same network on GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bimhw.costs.copies import learning_throughput, throughput
from bimhw.costs.counted import CountedLearning, LearningPlan, count_learning, count_learnt, forms_of
from bimhw.costs.measured import measure_gpu
from bimhw.costs.pilot import Pilot, corrected
from bimhw.costs.result import Energy, LearningCost, cheapest_exact
from bimhw.runs.folder import RunFolder
from bimhw.runs.time_range import learnt_ns
from energy_models.chip_energy import chip_energy
from energy_models.gpu import (
    BATCHES,
    CASES,
    GpuCost,
    Mode,
    Schedule,
    Workload,
    best_batch,
    fits_memory,
    gpu_cost,
    gpu_work,
)
from energy_models.gpu_card import GpuCard, load_gpu
from energy_models.gpu_work import workload_of
from energy_models.items import EnergyReport
from energy_models.scaling import scaled_chip
from energy_models.times import time_ratios, time_word, with_learning
from mapping.copies import copies_of, first_copy, most_copies
from simulator.base.errors import FitError, InputError
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.program.activity import Activity
from simulator.program.chip import chip_of_program
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


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
    spikes: SpikeTrain | None = None,
    copies: int | None = None,
    plan: LearningPlan | None = None,
    pilot: Pilot | bool | None = None,
) -> Energy:
    """Itemise the energy of a run, beside GPUs.

    Args:
        run: folder that `bimhw simulate` wrote, or the counters of a run (then `chip` and `program` are needed).
        chip: name, YAML file or chip whose constants are used; by default that of the run.
        gpu: cards (names or YAML files) to compare with.
        bounds: energy key -> (low, high), for constants that were never published.
        supply_v, process_nm: scale the chip's constants to this supply or node (`energy_models.scaling`).
        measure: model file to run on the NVIDIA card of this machine, whose energy is measured.
        scan: also as a parallel scan over time, which only networks without resets allow: the bound of what it could save.
        program, spikes: what ran and all its events, where `run` is an `Activity`; without events neither learning nor copies.
        copies: of the network in throughput mode (None: as many as the chip holds, 1: none).
        plan: block and look-back of the forms of learning.
        pilot: samples that each form learns first; by default a few of the run's task, where it updates every 1 to 3 steps.

    Raises:
        InputError: not a run folder, an unknown chip or card, another program's run; `FitError`: more copies than fit.
    """
    activity, program, chip, spikes = _parts(run, chip, program, spikes)
    chip = scaled_chip(chip, supply_v, process_nm)
    report = chip_energy(activity, chip, program, bounds)
    steps, result = _network_steps(program, activity), _result(run)
    cards = [load_gpu(g) if isinstance(g, str) else g for g in ([gpu] if isinstance(gpu, str | GpuCard) else gpu)]
    workload = None if program is None else workload_of(first_copy(program), max(1, round(steps)))
    costs = [] if workload is None else [c for card in cards for c in gpu_costs(workload, card, scan)]
    learned = any(name.startswith("learn_") for name in activity.counts)
    learning: tuple[LearningCost, ...] = ()
    full, held, learners, piloted, ran = None, 1, None, "", 1 if program is None else copies_of(program)
    ratios = _time_ratios(run, program, chip, activity, spikes)
    if program is not None and spikes is not None and not learned and spikes.steps and ran == 1:
        counted = _counted(program, spikes, activity, chip, plan or LearningPlan(), "bits_per_character" in result)
        forms, piloted = corrected(counted, _folder(run), program, chip, pilot)
        learning = tuple(_charged(c, c.activities, chip, program, bounds, (report, ratios)) for c in forms)
        held, full = _full(program, spikes, activity, chip, bounds, copies)
        if full is not None and forms:
            learners = _learners(forms, learning, chip, bounds, held, (full, ratios))
    labelled = _updates_per_sample(result, activity) if learned else _labelled(program, result, steps)
    return Energy(
        report, learning, steps, tuple(costs), labelled,
        tuple(measure_gpu(measure, max(1, round(steps)))) if measure is not None else (),
        result.get("test_accuracy", result.get("accuracy")), held, full, _board_mw(chip), ran,
        ratios, None if program is None else program.facts.fidelity,
        (time_word(chip, program, False), time_word(chip, program, True)), learners,
        _recounted(program, spikes, activity, chip, report, result) if learned else _notes(learning, ran, learners, piloted),
    )  # fmt: skip


def _board_mw(chip: Chip) -> float | None:
    return chip.energy["board"].value if "board" in chip.energy else None


def _counted(
    program: Program, spikes: SpikeTrain, activity: Activity, chip: Chip, plan: LearningPlan, every_step: bool
) -> tuple[CountedLearning, ...]:  # fmt: skip
    """Count every form that the chip can do; none on a chip without on-chip learning."""
    if not chip.capabilities.learning:
        return ()
    plans = [replace(plan, form=form) for form in forms_of(program)]
    return tuple(count_learning(program, spikes, activity, chip, p, every_step) for p in plans)


_Inference = tuple[EnergyReport, tuple[float, float] | None]  # of the same samples, and the range of its time


def _charged(
    counted: CountedLearning, activities: tuple[Activity, Activity, Activity], chip: Chip, program: Program,
    bounds: Mapping[str, tuple[float, float]] | None, inference: _Inference, copies: int = 1,
) -> LearningCost:  # fmt: skip
    low, nominal, high = (chip_energy(a, chip, program, bounds) for a in activities)
    least, middle, most = (_learning_ns(r, chip, inference) for r in (low, nominal, high))
    ns = None if least is None or middle is None or most is None else (least[0], middle[1], most[2])
    return LearningCost(counted.plan, low, nominal, high, counted.updates, counted.timed, copies, counted.pilot, ns)


def _learning_ns(report: EnergyReport, chip: Chip, inference: _Inference) -> tuple[float, float, float] | None:
    """Return low, nominal and high time of a run that learns: that of its inference, and of the words that it touches."""
    base, ratios = inference
    if ratios is None or base.sim_time_ns is None or report.sim_time_ns is None:
        return None
    own = min(report.sim_time_ns, base.sim_time_ns * report.steps / max(1, base.steps))
    ends = with_learning(chip, (own * ratios[0], own * ratios[1]), own, report.sim_time_ns - own)
    return None if ends is None else (report.sim_time_ns * ends[0], report.sim_time_ns, report.sim_time_ns * ends[1])


def _learners(
    forms: Sequence[CountedLearning], costs: Sequence[LearningCost], chip: Chip,
    bounds: Mapping[str, tuple[float, float]] | None, copies: int, inference: _Inference,
) -> LearningCost | None:  # fmt: skip
    """Charge separate learners that fill the chip, by the exact form that costs one of them least."""
    best = cheapest_exact(costs)
    if best is None:
        return None
    counted = next(c for c in forms if c.plan == best.plan)
    many, activities = learning_throughput(counted, chip, copies)
    return _charged(counted, activities, chip, many, bounds, inference, copies)


def _full(
    program: Program, spikes: SpikeTrain, activity: Activity, chip: Chip, bounds: Mapping[str, tuple[float, float]] | None,
    copies: int | None,
) -> tuple[int, EnergyReport | None]:  # fmt: skip
    """Return the copies of the network, and what they cost together."""
    held = most_copies(program, chip) if copies is None else copies
    if held == 1:
        return 1, None
    many, counted = throughput(program, chip, spikes, activity, held)
    return held, chip_energy(counted, chip, many, bounds)


def _time_ratios(
    run: Path | str | RunFolder | Activity, program: Program | None, chip: Chip, activity: Activity, spikes: SpikeTrain | None
) -> tuple[float, float] | None:  # fmt: skip
    """Return the range of a run's time as it was synchronised; counters alone come from runs of inference with a barrier."""
    if program is None or spikes is None or activity.sim_time_ns is None or chip.timing is None:
        return None
    folder = _folder(run)
    if folder is None:
        return time_ratios(program, chip, spikes, samples=activity.samples)
    sync = str(folder.manifest.get("sync", "barrier"))
    # Times of another chip do not subtract.
    steps_ns = learnt_ns(folder) if chip.timing == folder.chip().timing else None
    return time_ratios(program, chip, spikes, sync, activity.samples, steps_ns)


def _notes(
    learning: Sequence[LearningCost], ran: int, learners: LearningCost | None, piloted: str
) -> tuple[str, ...]:  # fmt: skip
    if not learning:
        return (_OF_ONE,) if ran > 1 else ()
    lines = [
        "learning is counted from the events of the run, core by core; what errors decide (neurons reached, weights that "
        "change) has a low, a nominal and a high share; one update a sample, or one every K steps (tr, blk)"
    ]
    lines += [piloted] if piloted else []
    if not all(c.timed for c in learning):
        lines.append("the chip file has no time for a word of learning, or no timing ran: learning takes no time here")
    return (*lines, _SEPARATE) if learners is not None else tuple(lines)


def _recounted(
    program: Program | None, spikes: SpikeTrain | None, activity: Activity, chip: Chip, report: EnergyReport,
    result: Mapping[str, Any],
) -> tuple[str, ...]:  # fmt: skip
    """Count a run that learnt from its own spikes, beside what the learner did."""
    if program is None or spikes is None or not spikes.steps:
        return ()
    try:
        counted = count_learnt(program, spikes, activity, chip, "bits_per_character" in result)
    except (FitError, InputError):  # another rule than the gradient
        return ()
    ratio = chip_energy(counted.activities[1], chip, program).energy_pj() / report.energy_pj()
    return (
        f"the same learning counted from this run's spikes and shares of errors: {ratio:.3f} of the simulated energy",
    )


_OF_ONE = "learning is counted from a run of one network; this run was of copies that do not learn"
_SEPARATE = (
    "learners side by side learn a network each (seeds, folds, users): no path of a chip sums their weight changes, so they are "
    "no batch of one network, and the verdict leaves them out"
)


def gpu_costs(workload: Workload, card: GpuCard, scan: bool = False) -> list[GpuCost]:
    """Cost inference, BPTT and (where the layers have eligibilities) RTRL in each case, at `BATCHES` and at the best batch.

    Batches that the card's memory does not hold are left out. With `scan`, graph and eager also as a parallel scan over time.
    """
    modes: list[tuple[Mode, Schedule]] = [("inference", workload.schedule), ("bptt", workload.schedule)]
    if any(la.eligibility_words for la in workload.layers):
        modes.append(("rtrl", "sequential"))
    if scan and workload.schedule == "sequential":
        modes += [("inference", "scan"), ("bptt", "scan")]
    costs = []
    for mode, schedule in modes:
        fitting = [b for b in BATCHES if fits_memory(gpu_work(workload, mode, b, schedule), workload, card)]
        for case in CASES:
            if case == "fused" and schedule != workload.schedule and mode != "rtrl":
                continue  # the bound does not depend on the schedule
            batches = {*fitting, best_batch(workload, card, mode, case, schedule)}
            costs += [gpu_cost(workload, card, mode, b, schedule, case) for b in sorted(batches)]
    return costs


def _parts(
    run: Path | str | RunFolder | Activity, chip: Chip | str | None, program: Program | None, spikes: SpikeTrain | None
) -> tuple[Activity, Program | None, Chip, SpikeTrain | None]:
    chip = load_chip(chip) if isinstance(chip, str) else chip
    if isinstance(run, Activity):
        if chip is None:
            chip = chip_of_program(program) if program is not None and program.chip else load_chip("loihi2")
        return run, program, chip, spikes
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    own = folder.chip()
    mapped = chip is None or chip.topology == own.topology  # another mesh needs another mapping
    return (
        folder.activity(), folder.program() if program is None else program, chip or own,
        folder.spikes() if mapped else None,
    )  # fmt: skip


def _network_steps(program: Program | None, activity: Activity) -> float:
    """Return the network's steps of a sample: the chip's, less its latency."""
    chip_steps = activity.steps / max(1, activity.samples)
    if program is None:
        return chip_steps
    chip_steps *= copies_of(program)
    return min(chip_steps, float(program.facts.sample_steps or chip_steps))


def _folder(run: Path | str | RunFolder | Activity) -> RunFolder | None:
    """Return a run's folder; None for counters alone."""
    return None if isinstance(run, Activity) else run if isinstance(run, RunFolder) else RunFolder.open(run)


def _result(run: Path | str | RunFolder | Activity) -> Mapping[str, Any]:
    """Return the result that a run folder holds; nothing for counters alone."""
    folder = _folder(run)
    return folder.result if folder is not None and (folder.path / "result.json").is_file() else {}


def _updates_per_sample(result: Mapping[str, Any], activity: Activity) -> int:
    """Return the weight updates of a sample of a run that learnt, as its result states."""
    return max(1, round(float(result.get("updates", 0)) / max(1, activity.samples)))


def _labelled(program: Program | None, result: Mapping[str, Any], steps: float) -> int:
    """Count the steps of a sample at which the readout decides, taken as its labelled steps; of a text, every step."""
    if "bits_per_character" in result:
        return max(1, round(steps))
    output = dict(program.meta.get("output") or {}) if program is not None else {}
    return max(1, len(output.get("window", ())))

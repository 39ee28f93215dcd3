"""`RunManifest` and `RunResult`: what a run folder says of a run, typed; the JSON files hold these fields by name."""

from __future__ import annotations

import json
import platform
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from bimhw.compiler.compare import Difference
from bimhw.runs.request import How
from simulator.base.shown import Shown
from simulator.chips.chip import Chip
from simulator.program.faults import Faults
from simulator.program.meta import ProgramFidelity
from simulator.program.program import Program

Number = float | None | UnsetType  # UNSET: not judged; None: judged, and without a value


class RunManifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Program, data and settings of a run; ``manifest.json``.

    Attributes:
        bimhw, python, packages: versions.
        program_sha256, model_sha256, chip_sha256: of what ran.
        chip: name.
        task: name of the task or data, "" where there is none.
        samples, seed, engine: of the run.
        sync, period_ns: how steps are kept apart, where it is no barrier.
        faults: what was put in.
        learning: whether the run learnt.
        learned_from_sha256: of the program that learning began with: its weights, rule and options.
        rule_sha256: of the rule file that was learnt by.
    """

    bimhw: str
    python: str
    packages: dict[str, str]
    program_sha256: str
    model_sha256: str
    chip: str
    chip_sha256: str
    task: str
    samples: int
    seed: int
    engine: str
    sync: str = "barrier"
    period_ns: float | None = None
    faults: dict[str, Any] | None = None
    learning: bool = False
    learned_from_sha256: str = ""
    rule_sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        value: dict[str, Any] = json.loads(msgspec.json.encode(self))
        return value


class Saturations(msgspec.Struct, frozen=True):
    """Values that left their word, by core (``host`` outside of the chip) and population."""

    total: int = 0
    by_core: dict[str, int] = {}
    by_population: dict[str, int] = {}


class OutputResult(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one of several outputs, judged by its own labels, targets or recorded values; names as in `RunResult`."""

    accuracy: Number = UNSET
    confusion: list[list[int]] | UnsetType = UNSET
    rms_error: Number = UNSET
    relative_rms_error: Number = UNSET
    float_accuracy: Number = UNSET
    float_rms_error: Number = UNSET
    float_relative_rms_error: Number = UNSET
    float_decisions_agree: Number = UNSET
    recorded_accuracy: Number = UNSET
    recorded_rms_error: Number = UNSET
    recorded_relative_rms_error: Number = UNSET
    recorded_differ: int | UnsetType = UNSET
    recorded_of: int | UnsetType = UNSET
    recorded_decisions_agree: Number = UNSET


class RunResult(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """Results of a run; ``result.json``. A figure that the run does not have is UNSET and not in the file.

    Attributes:
        task, samples: what was run.
        accuracy: share of right answers (of symbols, in a text).
        confusion: [label][answer], counts.
        bits_per_character, perplexity, scored_symbols: of texts.
        auc_roc, auc_pr: of tasks that are judged by them.
        rms_error, relative_rms_error: of regression; relative to the spread of the targets.
        float_*: the float model on the same samples.
        recorded_*: the outputs that the data holds, of the network's own framework; differences are quantisation's.
        decisions_agree, scores_rms_error: chip and float model.
        copies: of the network in the program, where there are several: so many samples ran side by side.
        spikes_per_sample: of the hidden layers.
        spike_rate: spikes of the hidden layers over their neuron updates.
        spikes_per_sample_same_steps, float_spikes_per_sample, spikes_that_differ, spike_slots, layers: beside float.
        tick_ns, ..., samples_per_s: times, where the run was timed.
        timing_sample: what the times rest on, where only some steps were timed.
        late_packets: done after their tick had ended, of tick synchronisation.
        fidelity: how far the program is the network that it was compiled from.
        outputs: of several outputs, the figures of each that the data names.
        notes: what was found, chosen or assumed.
    """

    task: str
    samples: int
    accuracy: Number = UNSET
    confusion: list[list[int]] | UnsetType = UNSET
    bits_per_character: Number = UNSET
    perplexity: Number = UNSET
    scored_symbols: int | UnsetType = UNSET
    auc_roc: Number = UNSET
    auc_pr: Number = UNSET
    rms_error: Number = UNSET
    relative_rms_error: Number = UNSET
    copies: int | UnsetType = UNSET
    spikes_per_sample: float = 0.0
    spike_rate: float = 0.0
    saturations: Saturations = Saturations()
    float_accuracy: Number = UNSET
    float_confusion: list[list[int]] | UnsetType = UNSET
    float_bits_per_character: Number = UNSET
    float_perplexity: Number = UNSET
    float_auc_roc: Number = UNSET
    float_auc_pr: Number = UNSET
    float_rms_error: Number = UNSET
    float_relative_rms_error: Number = UNSET
    recorded_accuracy: Number = UNSET
    recorded_rms_error: Number = UNSET
    recorded_relative_rms_error: Number = UNSET
    recorded_differ: int | UnsetType = UNSET
    recorded_of: int | UnsetType = UNSET
    recorded_decisions_agree: Number = UNSET
    decisions_agree: Number = UNSET
    scores_rms_error: Number = UNSET
    spikes_per_sample_same_steps: Number = UNSET
    float_spikes_per_sample: Number = UNSET
    spikes_that_differ: int | UnsetType = UNSET
    spike_slots: int | UnsetType = UNSET
    layers: list[Difference] | UnsetType = UNSET
    tick_ns: Number = UNSET
    mean_step_ticks: Number = UNSET
    max_step_ticks: Number = UNSET
    mean_step_ns: Number = UNSET
    mean_latency_us: Number = UNSET
    p99_latency_us: Number = UNSET
    samples_per_s: Number = UNSET
    late_packets: int | UnsetType = UNSET
    timing_sample: dict[str, int | float] | UnsetType = UNSET
    faults: dict[str, int] | UnsetType = UNSET
    fidelity: ProgramFidelity | UnsetType = UNSET
    outputs: dict[str, OutputResult] | UnsetType = UNSET
    notes: list[str] | UnsetType = UNSET

    def to_json(self) -> dict[str, Any]:
        """Return plain values, without the figures that the run does not have."""
        value: dict[str, Any] = json.loads(msgspec.json.encode(self))
        return value


class WeightCounts(msgspec.Struct, frozen=True):
    """Synapses by their stored weight."""

    values: list[int]
    counts: list[int]


class MoreFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Further figures in ``result.json``: of learning (`OnChipResult.summary`), and beside a float network (`Comparison`)."""

    rule: str = ""
    fit: dict[str, dict[str, float | None]] = {}
    spikes: int = 0
    populations: list[Difference] = []
    differ: int = 0
    of: int = 0
    test_accuracy: Number = UNSET
    test_accuracy_by_epoch: list[float] = []
    loss_nats_by_epoch: list[float] = []
    spike_rates: list[float] = []
    updates: int = 0
    chip_steps: int = 0
    weights_at_bound: int = 0
    weights_before: WeightCounts | UnsetType = UNSET
    operations: dict[str, int] = {}
    learning_bytes: dict[str, int] = {}
    pruned_share: dict[str, float] = {}


def run_manifest(program: Program, chip: Chip, task: str, samples: int, how: How) -> RunManifest:
    """Return the manifest of a run: versions, hashes, and how it was run."""
    from importlib.metadata import version

    return RunManifest(
        bimhw=version("bimhw"),
        python=platform.python_version(),
        packages={p: version(p) for p in ("numpy", "numba", "simpy")},
        program_sha256=program.sha256(),
        model_sha256=program.facts.model_sha256 or "",
        chip=chip.name,
        chip_sha256=chip.sha256(),
        task=task,
        samples=samples,
        seed=how.seed,
        engine=how.engine,
        sync=how.sync,
        period_ns=how.period_ns,
        faults=json.loads(msgspec.json.encode(how.faults)) if how.faults != Faults() else None,
    )

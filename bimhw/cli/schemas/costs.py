"""Documents of the commands that cost, compare and sweep runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bimhw.cli.schemas.base import Anything, Document, Figure, Value, document
from bimhw.cli.schemas.shared import Fidelity, Row, Spread, TimedResult
from bimhw.costs.sweep_figures import SweepFigures
from bimhw.runs.manifest import RunManifest
from energy_models import gpu
from energy_models.gpu_work import GpuWork

if TYPE_CHECKING:
    GpuCost = gpu.GpuCost
else:
    GpuCost = document("GpuCost", gpu.GpuCost, work=document("GpuWork", GpuWork), word=str)


class Simulate(TimedResult, frozen=True, kw_only=True):
    """A run: what came out, what was run (manifest), and its folder."""

    run: str
    manifest: RunManifest


class EnergyItem(Document, frozen=True):
    """A count times a constant; null where the constant is unknown."""

    key: str
    name: str
    hardware: str
    kind: str
    count: float
    constant: Figure
    unit: str
    energy_pj: Figure
    low_pj: Figure
    high_pj: Figure
    quality: str
    source: str
    where: str
    note: str
    assumption: str
    explanation: str = ""


class ChipEnergy(Document, frozen=True):
    """Energy of a run on a chip, itemised."""

    chip: str
    samples: int
    steps: int
    sim_time_ns: Figure
    neuron_updates: float
    synaptic_events: float
    items: list[EnergyItem]
    figures: dict[str, Figure]
    spreads: dict[str, Spread]
    by_kind_pj: dict[str, float]
    by_hardware_pj: dict[str, float]
    by_population_pj: dict[str, float]
    by_core_pj: dict[str, float]
    spreads_by: dict[str, dict[str, Spread]]
    unknown: list[str]
    unbounded: list[str]
    assumptions: list[str]


class EqualWork(Document, frozen=True):
    """Energy of the same work on each side, and to reach the accuracy."""

    who: str
    what: str
    accuracy: Figure
    uj_per_sample: Figure
    low_uj_per_sample: Figure
    high_uj_per_sample: Figure
    uj_per_step: Figure
    low_uj_per_step: Figure
    high_uj_per_step: Figure
    uj_per_update: Figure
    low_uj_per_update: Figure
    high_uj_per_update: Figure
    uj_to_accuracy: Figure
    low_uj_to_accuracy: Figure
    high_uj_to_accuracy: Figure
    word: str


class Energy(Document, frozen=True):
    """Energy of a run beside a GPU."""

    chip: ChipEnergy
    fidelity: Fidelity | None
    compare: list[Row]
    verdict: list[str]
    copies: int
    all_copies: ChipEnergy | None
    equal_work: list[EqualWork]
    gpu: list[GpuCost]
    gpu_measured: list[dict[str, Anything]]
    labelled_steps: int | None
    learning: dict[str, ChipEnergy]
    learners: ChipEnergy | None
    learning_uj_per_sample: Spread | None
    steps_per_sample: float


class EnergyRow(Document, frozen=True):
    """`--explain ROW`: the arithmetic of a row in words."""

    row: str
    explanation: str


class EnergyBy(Document, frozen=True):
    """`--by`: sums by population, core, hardware or kind."""

    by: str
    pj: dict[str, float]
    spreads: dict[str, Spread]
    total_pj: float
    unknown: list[str]


class Codesign(Document, frozen=True):
    """Dominant items, break-even, and the cost of each form of learning; one object a row."""

    verdict: list[str]
    energy_sensitivity: list[dict[str, Value]]
    time_sensitivity: list[dict[str, Value]]
    break_even: list[dict[str, Value]]
    learning: list[dict[str, Value]]
    on_chip: list[dict[str, Value]]
    roofline: list[dict[str, Value]]
    floorline: list[dict[str, Value]]
    modes: list[dict[str, Value]]
    fidelity: Fidelity | None
    notes: list[str]


class _Point(Document, frozen=True):
    """A point of a sweep; figures are null where it failed."""

    axes: dict[str, Value]
    status: str
    reason: str
    pareto: bool


if TYPE_CHECKING:
    SweepRow = _Point
else:  # the figures are those of the table and the store, none of which a failed point has
    SweepRow = msgspec.defstruct(
        "SweepRow",
        [(f.name, f.type | None, None) for f in msgspec.structs.fields(SweepFigures)],
        bases=(_Point,),
        namespace={"__doc__": _Point.__doc__},
        frozen=True,
    )


class Sweep(Document, frozen=True):
    """Points of a sweep, and mean and standard deviation over seeds (axes beside NAME_mean and NAME_sd)."""

    rows: list[SweepRow]
    over_seeds: list[dict[str, Value]]
    computed: int
    functional_runs: int
    failed: int


class Results(Document, frozen=True):
    """Tables that were measured."""

    points: int
    files: list[str]


class Demo(Document, frozen=True):
    """All steps of the demo: files, seconds of each step, and the figures of its table."""

    model: str
    program: str
    run: str
    report: str
    seconds: dict[str, float]
    training: dict[str, Anything]
    compile: dict[str, Anything]
    simulation: dict[str, Anything]
    energy: dict[str, Figure]
    energy_spreads: dict[str, Spread]
    energy_unknown: list[str]
    learning_uj_per_sample: Spread | None
    per_sample: dict[str, Anything]
    verdict: list[str]


Table = dict[str, dict[str, Anything]]
"""Run -> NeuroBench's metrics under its names, and ours under ``bimhw.``."""

"""Documents of the commands that make, read and compile networks."""

from __future__ import annotations

import msgspec

from bimhw.cli.schemas.base import Document, Figure
from bimhw.cli.schemas.shared import Fidelity, Layer, ProjectionFacts, Resource, Row, TimedResult


class Layout(Document, frozen=True):
    """A step of the calibration's sample under one mapping; a lower bound of large networks has no high end of its time."""

    layout: str
    cores: int
    messages_per_step: float
    hops_per_step: float
    step_ns: Figure
    step_low_ns: Figure
    step_high_ns: Figure
    time_word: str
    energy_pj_per_step: Figure
    energy_low_pj_per_step: Figure
    energy_high_pj_per_step: Figure
    word: str
    lower_bound: bool = False


class Mapping(Document, frozen=True):
    """The mapping that was chosen, and what other objectives would have cost."""

    method: str
    cores: int
    usable_cores: int
    messages_per_step: float
    hops_per_step: float
    objective: str | None = None
    layout: str | None = None
    start: str | None = None
    judged: Layout | None = None
    blocks: Layout | None = None
    alternatives: dict[str, Layout] = {}
    tried: dict[str, float] = {}
    chips: int | None = None
    chip_messages_per_step: Figure = None


class PopulationFacts(Document, frozen=True):
    """A population: its neuron model, its spike rate on the calibration's samples, fraction bits of its states."""

    name: str
    model: str
    neurons: int
    layer: int
    on_chip: bool
    rate: Figure
    formats: dict[str, int]


class Compile(Document, frozen=True):
    """A compiled program."""

    program: str
    program_sha256: str
    chip: str
    neurons: int
    synapses: int
    axons: int
    cores: int
    cores_of_chip: int
    sample_steps: int | None
    chip_steps: int | None
    calibration: str | None
    model_sha256: str | None
    fidelity: Fidelity
    mapping: Mapping
    populations: list[PopulationFacts]
    projections: list[ProjectionFacts]
    resources: list[Resource]
    notes: list[str]
    copies: int = 1


class AnnWork(Document, frozen=True):
    """Work of the ReLU network for one sample."""

    macs: int
    pointwise: int
    parameters: int
    activations: int
    inputs: int
    outputs: int
    kernels: int


class Convert(Document, frozen=True):
    """A ReLU network as spiking neurons: accuracy by the number of steps, on the chip, and beside a GPU."""

    code: str
    steps: int
    curve: dict[str, float]
    agreement: dict[str, float]
    thresholds: dict[str, float]
    ann_accuracy: Figure
    calibration_samples: int
    judged_samples: int
    shared_samples: int
    ann_work: AnnWork
    chip: str
    cores: int
    neurons: int
    result: TimedResult
    compare: list[Row]
    verdict: list[str]
    notes: list[str]
    program: str = ""


class NirNode(Document, frozen=True):
    """A node of a NIR graph."""

    type: str
    in_shape: list[int]
    out_shape: list[int]


class NirShow(Document, frozen=True):
    """A NIR graph as it is read: smallest and largest decay of each state."""

    nodes: dict[str, NirNode]
    edges: list[list[str]]
    decays: dict[str, dict[str, list[float]]]
    notes: list[str]


class DiagramFinding(Document, frozen=True):
    """Finding in a component diagram: a contradiction, something unused or unreached; see docs/literature/scid.md."""

    kind: str
    path: str
    text: str


class Diagram(Document, frozen=True):
    """A component diagram held against its anatomy table."""

    name: str
    components: int
    interfaces: int
    neurons: int
    synapses: int
    consistent: bool
    checked: bool
    findings: list[DiagramFinding]


class NirExport(Document, frozen=True):
    """A NIR file that was written."""

    file: str
    nodes: dict[str, NirNode] | int
    edges: list[list[str]]


class FloatDifference(Document, frozen=True):
    """Spikes on the chip compared with the float engine's."""

    differ: int
    of: int
    saturations: int
    populations: list[Layer]


class NirRun(Document, frozen=True, kw_only=True):
    """A run of a .nir file: spikes that differ from the recorded ones, and from the float engine's."""

    chip: str
    cores: int
    cores_of_chip: int
    neurons: int
    synapses: int
    inputs: str
    differ: int | None
    of: int | None
    float_engine: FloatDifference | None = msgspec.field(name="float")
    resources: list[Resource]
    result: TimedResult
    notes: list[str]

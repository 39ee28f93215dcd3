"""Parts that several documents hold."""

from __future__ import annotations

from bimhw.runs.manifest import RunResult
from bimhw.views.schemas.base import Document, Figure


class Fidelity(Document, frozen=True):
    """``faithful`` or ``approximate``, with reasons."""

    word: str
    reasons: list[str]


class Spread(Document, frozen=True):
    """A figure with its range and the word of its provenance."""

    low: float
    nominal: float
    high: float
    word: str


class TimedResult(RunResult, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Results of a run, with the range and the word of its latency; its other times go with it."""

    latency_low_us: Figure = None
    latency_high_us: Figure = None
    time_word: str = ""


class Layer(Document, frozen=True):
    """A population of spiking neurons compared with the float network: spikes that differ, rates, error of the states."""

    population: str
    differ: int
    of: int
    rate: float
    float_rate: float
    rms_error: Figure
    graded: bool = False


class Resource(Document, frozen=True):
    """A limit of the chip and the fullest core."""

    name: str
    worst_core: float
    limit: Figure
    load: Figure
    total: int | None = None
    cores_asked: int | None = None


class Row(Document, frozen=True):
    """A line of a comparison: who, what, its energy and time with their ranges, the word of its provenance."""

    who: str
    what: str
    side: str
    work: str
    how: str
    word: str
    time_word: str
    batch: int
    scan: bool
    pilot: int | None
    updates: float
    uj: Figure
    low_uj: Figure
    high_uj: Figure
    us: Figure
    low_us: Figure
    high_us: Figure
    system_uj: Figure
    unknown: list[str]


class ProjectionFacts(Document, frozen=True):
    """A projection: its synapses and how its weights are stored."""

    name: str
    synapses: int
    weight_bits: int
    layout: str
    delay: int
    relative_rms_weight_error: Figure
    relative_rms_row_error: Figure

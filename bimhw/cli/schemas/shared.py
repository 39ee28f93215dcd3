"""Parts that several documents hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.cli.schemas.base import Document, Figure, document
from bimhw.compiler.compare import Difference
from bimhw.costs.rows import ComparisonRow
from bimhw.runs.manifest import RunResult

if TYPE_CHECKING:
    Layer = Difference
    Row = ComparisonRow
else:
    Layer, Row = document("Layer", Difference), document("Row", ComparisonRow, what=str)


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


class Resource(Document, frozen=True):
    """A limit of the chip and the fullest core."""

    name: str
    worst_core: float
    limit: Figure
    load: Figure
    total: int | None = None
    cores_asked: int | None = None


class ProjectionFacts(Document, frozen=True):
    """A projection: its synapses and how its weights are stored."""

    name: str
    synapses: int
    weight_bits: int
    layout: str
    delay: int
    relative_rms_weight_error: Figure
    relative_rms_row_error: Figure

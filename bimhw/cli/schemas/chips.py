"""Documents of the commands that look at chips, data and the installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.cli.schemas.base import Document, Figure, document
from bimhw.cli.schemas.shared import Resource
from bimhw.studies.serve import listing
from bimhw.studies.sweep import store
from simulator.chips import listing as chip_listing

if TYPE_CHECKING:
    ChipCheck = chip_listing.ChipCheck
    ServedRun = listing.RunLine
    ServedSweep = listing.SweepLine
else:
    ChipCheck = document("ChipCheck", chip_listing.ChipCheck, ok=bool)
    ServedRun = document("ServedRun", listing.RunLine)
    ServedSweep = document("ServedSweep", listing.SweepLine, points=list[document("StoredPoint", store.StoredPoint)])


class ChipLine(Document, frozen=True):
    """A chip in the list."""

    name: str
    title: str
    cores: int
    neurons_a_core: int | None
    neuron_models: list[str]
    spikes: str
    learning: list[str]
    timing: str
    energy_qualities: list[str]


class ChipNew(Document, frozen=True):
    """A chip file that was written."""

    file: str
    name: str
    like: str


class ChipImport(Document, frozen=True):
    """A chip file made of another tool's."""

    file: str
    name: str
    cores: int
    notes: list[str]


class OtherChip(Document, frozen=True):
    """Another chip that was tried."""

    chip: str
    fits: bool
    chips: int | None
    cores: int | None
    cores_of_chip: int
    reason: str


class Fit(Document, frozen=True):
    """Verdict on a network and a chip, and the resource that binds."""

    chip: str
    fits: bool
    chips: int
    cores: int | None
    cores_of_chip: int
    neurons: int
    synapses: int
    relay_neurons: int
    binding: str
    reason: str
    way_out: str
    resources: list[Resource]
    other_chips: list[OtherChip]


class Core(Document, frozen=True):
    """A core that holds neurons."""

    core: int
    chip: int
    router: list[int]
    neurons: int
    populations: str
    load: Figure
    binding: str
    messages_in: float
    messages_out: float


class MeshLink(Document, frozen=True):
    """A link between two routers."""

    router: list[int]
    direction: str
    messages: float


class Map(Document, frozen=True):
    """Placement on the chip and traffic of a step."""

    program: str
    chip: str
    rates: str
    hops_per_step: float
    chip_messages_per_step: float
    cores: list[Core]
    links: list[MeshLink]


class DataLine(Document, frozen=True):
    """A task in the list."""

    name: str
    what: str
    origin: str
    data: str


class DataFetch(Document, frozen=True):
    """Files that were fetched."""

    name: str
    folder: str
    files: list[str]


class DoctorLine(Document, frozen=True):
    """A finding: ``ok``, ``note`` or ``problem``."""

    what: str
    health: str
    found: str
    way_out: str


class Files(Document, frozen=True):
    """Files that were written."""

    files: list[str]


class ReportFile(Document, frozen=True):
    """The page that was written."""

    report: str


class Served(Document, frozen=True):
    """A folder of runs (`--list`); without it the address alone."""

    runs: list[ServedRun] = []
    sweeps: list[ServedSweep] = []
    address: str = ""

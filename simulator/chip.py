"""Chip files: one YAML a chip, every number with unit, source and quality.

The simulator reads capabilities, limits, topology and timing; the energy section it hands on unread.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from simulator.errors import InputError
from simulator.files import check_is_file
from simulator.quantity import Quantity

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a core can do.

    Attributes:
        neuron_models: names of neuron models it can run; ``["*"]`` for a programmable neuron.
        spikes: binary or graded.
        graded_bits: payload bits of a graded spike (signed), 0 for binary.
        weight_bits: bits of a stored weight that it supports.
        max_delay: largest extra delay in steps.
        shared_kernels: whether convolution weights are stored once.
        learning: names of on-chip learning rules; empty for none.
        sync: synchronisation policies.
        native_models: neuron models whose update the chip's neuron constants describe; a model that is not among them
            is timed like them but charged by its operation counts. ``["*"]``: all.
    """

    neuron_models: tuple[str, ...]
    spikes: Literal["binary", "graded"]
    graded_bits: int
    weight_bits: tuple[int, ...]
    max_delay: int
    shared_kernels: bool = False
    learning: tuple[str, ...] = ()
    sync: tuple[Literal["barrier", "tick", "free"], ...] = ("barrier",)
    native_models: tuple[str, ...] = ("*",)

    def is_native(self, model: str) -> bool:
        """Whether the chip's neuron constants describe this model."""
        return "*" in self.native_models or model in self.native_models


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mesh of routers: core c at router c // cores_per_router, router r at (r // height, r % height)."""

    width: PositiveInt
    height: PositiveInt
    cores_per_router: PositiveInt
    usable_cores: PositiveInt
    host_port: tuple[int, int] = (0, 0)
    broken_cores: tuple[int, ...] = ()
    source: str = ""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Capacity of one core; an unpublished limit is ``null`` in its quantity and is not checked (and said so)."""

    neurons_per_core: Quantity
    synapse_bytes_per_core: Quantity
    state_bytes_per_core: Quantity
    in_axons_per_core: Quantity
    out_axons_per_core: Quantity
    state_bytes_per_neuron: Quantity


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times of the model of simulator.timing; each in ns (converted to integer ticks of `tick`), counts in 1."""

    tick: Quantity
    hop_east_west: Quantity
    hop_north_south: Quantity
    hop_local: Quantity
    enqueue: Quantity
    flits: Quantity
    port_slots: Quantity
    core_slots: Quantity
    neuron_update_active: Quantity
    neuron_update_inactive: Quantity
    spike_out: Quantity
    axon_out: Quantity
    message_in: Quantity
    synapse: Quantity
    barrier_hop: Quantity
    barrier: Quantity
    barrier_by_tiles: dict[str, Quantity] = {}
    learn_synapse: Quantity | None = None
    arbiter: Literal["fifo", "rr"] = "fifo"


class Chip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chip. ``timing: null`` marks a chip whose times were never published (energy only).

    The keys of ``energy`` and their units are those of `simulator.chip_rules.ENERGY_UNITS`; an absent key is unknown.
    """

    name: str
    title: str
    process_nm: float | None
    capabilities: Capabilities
    topology: Topology
    limits: Limits
    timing: Timing | None
    energy: dict[str, Quantity]
    notes: tuple[str, ...] = ()
    supply_v: Quantity | None = None

    @property
    def n_cores(self) -> int:
        """Cores that may be used."""
        return self.topology.usable_cores - len(self.topology.broken_cores)

    def sha256(self) -> str:
        """Hash of the chip's content."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def chip_names() -> list[str]:
    """Names of the chips that come with bimhw."""
    folder = resources.files("simulator") / "chips"
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def load_chip(name_or_path: str) -> Chip:
    """A chip by name, or by path of a YAML file.

    Raises:
        InputError: unknown name, missing file, or a file that breaks the schema; the message has the path in the file.
    """
    if name_or_path in chip_names():
        return _built_in(name_or_path)
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml") and not path.exists():
        raise InputError(
            f"chip {name_or_path!r}",
            "is not known",
            f"Known chips: {', '.join(chip_names())}; or give the path of a YAML file",
        )
    check_is_file(path)
    return parse_chip(path.read_text(encoding="utf-8"), str(path))


@lru_cache(maxsize=32)
def _built_in(name: str) -> Chip:
    text = (resources.files("simulator") / "chips" / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_chip(text, name)


def parse_chip(text: str, where: str) -> Chip:
    """A chip from YAML text; `where` names the file in errors."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        raw: Any = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        raise InputError(where, f"is not YAML ({' '.join(str(error).split())})") from error
    try:
        chip = msgspec.convert(raw, Chip, strict=False)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise InputError(
            where, str(error), "`bimhw chips show loihi2 --yaml` prints a complete file to start from"
        ) from error
    from simulator.chip_rules import check_chip

    check_chip(chip, where)
    return chip

"""Choices that a network, its data or its mapping leaves nothing to: each is refused, none is passed over."""

from __future__ import annotations

from bimhw.compiler.options import CompileOptions
from bimhw.tasks.base import Task
from bimhw.tasks.dataset import Dataset, as_dataset
from bimhw.tasks.sources.text import Corpus
from mapping.mapper import METHODS
from mapping.network import Network
from mapping.objective import DEFAULT
from mapping.words import stored_bits
from simulator.base.errors import InputError
from simulator.chips.chip import Chip

Given = str | Task | Corpus | Dataset | None


def check_choices(
    network: Network,
    chip: Chip,
    options: CompileOptions,
    bits: int | None,
    mapping: str,
    neurons_per_core: int | None,
    objective: str,
) -> None:
    """Refuse what a network leaves nothing to quantise for, or a mapping nothing to choose; as the two checks below."""
    check_quantisation(network, chip, options, bits)
    check_mapping(mapping, neurons_per_core, objective)


def check_quantisation(network: Network, chip: Chip, options: CompileOptions, bits: int | None) -> None:
    """Refuse options of quantisation for a network that holds integers already; `bits` may name the width that they have.

    Raises:
        InputError: an option beside its default, by name, or another width than the integers'.
    """
    if network.stage != "integer":
        return
    usual = CompileOptions(bits=options.bits)
    changed = [f for f in options.__struct_fields__ if getattr(options, f) != getattr(usual, f)]
    if bits is not None and bits != max(
        (stored_bits(q, chip) or q.weight_bits for q in network.projections), default=bits
    ):
        changed.insert(0, "bits")
    if changed:
        raise InputError(
            f"option {changed[0]}",
            f"is {getattr(options, changed[0])}, but the network holds integers, which are kept as they are",
            "Leave it out, or give the network before quantisation",
        )


def its_own(network: Network, chip: Chip, mapping: str) -> str:
    """Return the mapping, which is a SANA-FE network's own (``file``) on an architecture of SANA-FE unless another is chosen."""
    return "file" if mapping == "auto" and network.core is not None and chip.units else mapping


def check_mapping(mapping: str, neurons_per_core: int | None, objective: str) -> None:
    """Refuse what a mapping that is given, or is plain blocks, leaves open to no choice.

    Raises:
        InputError: a number of neurons a core, or an objective, that nothing would heed.
    """
    given = mapping not in METHODS
    if given and neurons_per_core is not None:
        raise InputError(
            "option neurons_per_core", f"is for a mapping to find, and {mapping!r} is given", "Leave it out"
        )
    if (given or mapping == "blocks") and objective != DEFAULT:
        raise InputError("option objective", f"is for a mapping to search, and {mapping!r} is not", "Leave it out")


def samples_of(task: Given, data: object, calibration: object) -> Given:
    """Return what calibrates beside payloads: data of the user's own, else the task.

    Raises:
        InputError: payloads and data, of which each calibrates.
    """
    if data is None:
        return task
    if calibration is not None:
        raise InputError("options calibration and data", "are both given, and each calibrates", "Give one of them")
    return as_dataset(data)

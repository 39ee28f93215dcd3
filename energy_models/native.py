"""Neuron updates that a chip's constants describe, where the neurons are, and which units of a core they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from simulator.base.arrays import Bools, Floats
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.program.activity import Activity
from simulator.program.program import Program
from simulator.program.work import parameter_reads


@dataclass(frozen=True, eq=False)
class Split:
    """Part of the neuron updates that the chip's neuron constants describe.

    Attributes:
        native: bool [populations].
        core_share: [populations, cores + 1], share of a population's neurons on each core.
        reads: [populations], parameter words that an update reads.
        unit_of: kind -> population -> unit of the cores that it takes, where that is not the chip's first.
    """

    native: Bools
    core_share: Floats
    reads: Floats
    unit_of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def all_native(self) -> bool:
        """Whether the chip's constants describe every population."""
        return bool(self.native.all())


def split(activity: Activity, chip: Chip, program: Program | None) -> Split:
    """Return the split of a run.

    Raises:
        InputError: the program is missing and needed, or does not belong to the activity.
    """
    n_cores = next((c.by_core.size for c in activity.counts.values()), 1)
    if program is None:
        if "*" not in chip.capabilities.native_models and activity.total("neuron_updates"):
            raise InputError(
                f"chip {chip.name!r}",
                f"has neuron constants for {', '.join(chip.capabilities.native_models) or 'no model'} only",
                "Give the program that ran, so that other neurons are charged by their operations",
            )
        size = len(activity.populations)
        return Split(np.ones(size, bool), np.zeros((size, n_cores)), np.zeros(size))
    if tuple(p.name for p in program.populations) != activity.populations:
        raise InputError("activity", "was not counted on this program", "Give the program of the same run")
    native = np.array([chip.capabilities.is_native(p.model) for p in program.populations], bool)
    share = np.zeros((len(program.populations), n_cores))
    first = 0
    for k, p in enumerate(program.populations):
        np.add.at(share[k], program.core[first : first + p.size], 1.0 / max(1, p.size))
        first += p.size
    reads = np.array([parameter_reads(p) for p in program.populations], np.float64)
    return Split(native, share, reads, program.meta.get("unit_of") or {})

"""Counted activity of a run: the only thing that the energy models read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from simulator.base.arrays import I64, Array
from simulator.base.errors import InputError
from simulator.base.files import read_npz, write_npz
from simulator.base.reading import boundary, parse_as
from simulator.base.shown import Shown

MOST_COUNTED = 2**60  # of one counter: sums of several stay within 64 bits


@dataclass(frozen=True, eq=False)
class Count:
    """One counter, by three groupings that all sum to the same total.

    Attributes:
        by_core: int64 [cores + 1]; the last entry is the host.
        by_step: int64 [steps].
        by_population: int64 [populations]; a synaptic event belongs to its target, a spike and its packets to the source.
    """

    by_core: I64
    by_step: I64
    by_population: I64

    @property
    def total(self) -> int:
        """The count."""
        return int(self.by_step.sum())


@dataclass(frozen=True, eq=False, repr=False)
class Activity(Shown):
    """All counters of a run.

    Names in use (a name absent means 0): ``synaptic_events`` (SynOps: one synapse met by one spike, counted in the step
    of the spike; ``synaptic_events_dense`` and ``synaptic_events_conv`` are the part at dense and shared-kernel synapses),
    ``neuron_updates``, ``neuron_updates_active`` (input not zero or a spike), ``neuron_updates_resting`` (of neurons at
    rest, where a program leaves these uncharged; see `simulator.function.resting`), ``spikes`` (of neurons with an
    update; external inputs are not counted), ``packets`` (one per spike and destination, sent by a core, the host as a
    destination included), ``packets_in_tile`` (of these, to a core of the same router), ``packets_one_to_one`` (received by a
    core that keeps their synapses itself, on a chip that fetches others from a shared memory), ``hops_ew``, ``hops_ns`` (of
    all packets, the host's too: last entry of ``by_core``), ``hops_west``, ``hops_south`` (part of these two, where the chip
    charges them apart), ``hops_chip`` (from one chip of a board to the next, in neither), ``hops_board`` (from one board to the
    next, in neither),
    ``packets_received`` (by cores, where the mesh multicasts: then a spike sends one packet, which may have many leaves),
    ``host_packets_in`` (sent by the host, not in ``packets``),
    ``host_packets_out`` (of ``packets``, those to the host), ``state_resets`` (state words reset), ``random_numbers``,
    ``op_mul``, ``op_add``, ``op_lut``, ``op_state_read``, ``op_state_write``, ``learn_*`` (by kind of operation),
    ``sync_tokens`` and ``sync_token_hops`` (tokens between neighbours and the links that they cross, where neighbours
    synchronise: then there is no barrier),
    ``saturations`` (values that left their word: sums when they are read, states, payloads; by the neuron's core).

    Attributes:
        counts: counter name -> Count.
        steps: chip steps executed.
        samples: samples executed (1 for a stream).
        populations: names, in the order of ``by_population``.
        sim_time_ns: simulated time, or ``None`` when no timing engine ran.
        cores_used: number of cores that hold at least one neuron.
        chips: chips of the system that ran, all of them powered.
    """

    counts: Mapping[str, Count]
    steps: int
    samples: int
    populations: tuple[str, ...]
    sim_time_ns: float | None = None
    cores_used: int = 0
    notes: tuple[str, ...] = field(default=())
    chips: int = 1

    def total(self, name: str) -> int:
        """Return the total of one counter; 0 where it never counted."""
        count = self.counts.get(name)
        return count.total if count is not None else 0

    def save(self, path: Path) -> None:
        """Write all counters to an .npz file (no pickles inside)."""
        write_npz(path, self.arrays())

    def arrays(self) -> dict[str, Array]:
        """Return what `save` writes."""
        facts = {
            "steps": self.steps,
            "samples": self.samples,
            "populations": self.populations,
            "sim_time_ns": self.sim_time_ns,
            "cores_used": self.cores_used,
            "notes": self.notes,
            "chips": self.chips,
            "names": sorted(self.counts),
        }
        arrays: dict[str, Array] = {"facts": np.array(json.dumps(facts, sort_keys=True))}
        for name, count in sorted(self.counts.items()):
            arrays |= {f"{name}.{grouping}": getattr(count, grouping) for grouping in _GROUPINGS}
        return arrays

    @staticmethod
    def load(path: Path) -> Activity:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or not one of counters.
        """
        arrays = read_npz(path)
        with boundary(path, "the counters of a run", "Simulate again"):
            facts = parse_as(str(arrays["facts"]), _Facts, path, "the facts of a run's counters", "Simulate again")
            counts = {n: Count(*(arrays[f"{n}.{grouping}"] for grouping in _GROUPINGS)) for n in facts.names}
            for name, count in counts.items():
                _check_count(count, facts, f"{path}: {name}")
            return Activity(
                counts,
                facts.steps,
                facts.samples,
                facts.populations,
                facts.sim_time_ns,
                facts.cores_used,
                facts.notes,
                facts.chips,
            )


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of an activity file beside its counters."""

    steps: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    samples: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    populations: tuple[str, ...]
    sim_time_ns: Annotated[float, msgspec.Meta(ge=0, le=1e30)] | None
    cores_used: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    notes: tuple[str, ...]
    names: tuple[str, ...]
    chips: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 1


def _check_count(count: Count, facts: _Facts, where: str) -> None:
    """Raise `InputError` unless a counter's groupings are whole numbers of their sizes, not negative, of one sum."""
    sizes = {"by_step": facts.steps, "by_population": len(facts.populations)}
    totals = set()
    for grouping in _GROUPINGS:
        values: Array = getattr(count, grouping)
        if values.dtype != np.int64 or values.ndim != 1 or values.size != sizes.get(grouping, values.size):
            raise InputError(
                f"{where}.{grouping}", f"has type {values.dtype} and shape {values.shape}", "Simulate again"
            )
        if values.size and int(values.min()) < 0:
            raise InputError(f"{where}.{grouping}", f"counts {int(values.min())}", "Simulate again")
        if values.sum(dtype=np.float64) > MOST_COUNTED:
            raise InputError(f"{where}.{grouping}", f"sums to more than {MOST_COUNTED:,}", "Simulate again")
        totals.add(int(values.sum()))
    if len(totals) != 1:
        raise InputError(where, f"sums to {sorted(totals)} by core, step and population", "Simulate again")


_GROUPINGS = ("by_core", "by_step", "by_population")

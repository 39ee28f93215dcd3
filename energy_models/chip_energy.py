"""Cost of a run on a chip: activity x the chip file's constants, itemised.

    E [pJ] = sum over items of count x constant

A neuron that the chip's neuron constants describe (its *native* models) is charged by them; any other model by its own
operations: multiplies, additions, table look-ups, state words read and written, each at a digital op energy.
Constants that were never published stay unknown: such an item has no nominal energy, only the bounds it states.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from energy_models.items import Counts, EnergyReport, Item, Kind, bounded
from energy_models.learning import learning_constant
from energy_models.native import Split, split
from simulator.base.arrays import Floats
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.chips.quantity import Quantity
from simulator.program.activity import Activity, Count
from simulator.program.program import Program

_OPS = ("op_mul", "op_add", "op_lut", "op_state_read", "op_state_write")


def chip_energy(
    activity: Activity,
    chip: Chip,
    program: Program | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> EnergyReport:
    """Compute the itemised energy of a run.

    Args:
        activity: counters of the run.
        chip: the chip, any chip: constants are not part of function, so one run can be charged on many.
        program: what ran; needed where the chip has constants for some neuron models only.
        bounds: energy key -> (low, high), stated by the user for constants that are unknown.

    Raises:
        InputError: the program is missing and needed, or does not belong to the activity; bad bounds.
    """
    bounds = _checked(bounds or {}, chip)
    book = _Book(activity, chip, bounds, split(activity, chip, program))
    items = tuple(book.items())
    return EnergyReport(
        chip=chip.name,
        items=items,
        populations=activity.populations,
        steps=activity.steps,
        samples=activity.samples,
        synaptic_events=activity.total("synaptic_events"),
        neuron_updates=activity.total("neuron_updates"),
        sim_time_ns=activity.sim_time_ns,
        assumptions=tuple(dict.fromkeys(_assumptions(items, activity, chip))),
    )


@dataclass(frozen=True, eq=False)
class _Book:
    activity: Activity
    chip: Chip
    bounds: Mapping[str, tuple[float, float]]
    split: Split

    def items(self) -> Iterator[Item]:
        yield from self._synapses()
        yield from self._somas()
        yield from self._messages()
        yield from self._rest()
        yield from self._learning()
        yield from self._powers()

    def _item(
        self, name: str, hardware: str, key: str, counts: Counts, assumption: str = "", kind: Kind = "dynamic"
    ) -> Iterator[Item]:
        """Yield the item, unless nothing was counted."""
        if counts.total > 0:
            yield Item(name, hardware, kind, key, counts, self._constant(key), assumption)

    def _constant(self, key: str) -> Quantity:
        absent = Quantity(None, "pJ", "not in the chip file", "unverified")
        return bounded(self.chip.energy.get(key, absent), key, self.bounds)

    def _has(self, key: str) -> bool:
        return key in self.chip.energy or key in self.bounds

    def counts(self, name: str) -> Counts:
        """Return a counter of the activity; zeros where it never counted."""
        count = self.activity.counts.get(name)
        if count is None:
            return self._zeros()
        return Counts(
            count.by_core.astype(np.float64),
            count.by_step.astype(np.float64),
            np.append(count.by_population.astype(np.float64), 0.0),
        )

    def _zeros(self) -> Counts:
        a = self.activity
        cores = self.split.core_share.shape[1]
        return Counts(np.zeros(cores), np.zeros(a.steps), np.zeros(len(a.populations) + 1))

    def _chip_wide(self, total: float) -> Counts:
        """Return a count that belongs to the chip as a whole, spread evenly over the steps."""
        zero, steps = self._zeros(), self.activity.steps
        core, population = zero.by_core.copy(), zero.by_population.copy()
        core[-1] = population[-1] = total
        return Counts(core, np.full(steps, total / max(1, steps)), population)

    def _synapses(self) -> Iterator[Item]:
        rest = self.counts("synaptic_events")
        for layout in ("dense", "conv"):
            key = f"synaptic_event_{layout}"
            if self._has(key):
                part = self.counts(f"synaptic_events_{layout}")
                rest = _minus(rest, part)
                yield from self._item(f"synaptic events, {layout}", "synapse", key, part)
        yield from self._by_units("synaptic events", "synapse", "synaptic_event", rest)
        if self._has("dendrite_update") or any("dendrite_update" in u for u in self.chip.unit_energy.values()):
            events = self.counts("synaptic_events")
            yield from self._by_units("dendrite updates", "dendrite", "dendrite_update", events)
        if self._has("synaptic_memory_read"):
            events = self.counts("synaptic_events")
            yield from self._item("synaptic memory reads", "synapse", "synaptic_memory_read", events)

    def _somas(self) -> Iterator[Item]:
        updates = self._part("neuron_updates", native=True)
        self._check_rest()
        if self._has("soma_access") or self._has("soma_update"):
            yield from self._by_units("soma access", "soma", "soma_access", updates)
            resting = self._part("neuron_updates_resting", native=True)
            yield from self._by_units("soma updates", "soma", "soma_update", _minus(updates, resting))
        else:
            active = self._part("neuron_updates_active", native=True)
            yield from self._item("neuron updates, active", "soma", "neuron_update_active", active)
            yield from self._item("neuron updates, inactive", "soma", "neuron_update_inactive", _minus(updates, active))
        for key in _OPS:
            name = f"neuron operations: {key.removeprefix('op_').replace('_', ' ')}"
            yield from self._item(name, "soma", key, self._part(key, native=False), _BY_OPS)
        reads = self._part("neuron_updates", native=False, times=self.split.reads)
        yield from self._item("neuron operations: parameter read", "soma", "op_state_read", reads, _BY_OPS)
        yield from self._by_units("spikes", "soma", "spike", self.counts("spikes"))

    def _by_units(self, name: str, hardware: str, key: str, counts: Counts) -> Iterator[Item]:
        """Yield an item for each unit of the cores that populations take, the chip's first without a name of its own.

        A unit's share is exact by population; its cores and steps are those of its populations' neurons, evenly.
        """
        units = self.split.unit_of.get(hardware, {})
        taken = sorted(set(units.values()) & {u for u, energies in self.chip.unit_energy.items() if key in energies})
        if not taken:
            yield from self._item(name, hardware, key, counts)
            return
        of = [
            units.get(p, "") if units.get(p) in taken else "" for p in self.activity.populations
        ]  # "": the chip's first
        for unit in ("", *taken):
            chosen = np.array([one == unit for one in of], bool)
            part = self._share(counts.by_population * np.append(chosen, not unit))
            if unit and part.total > 0:
                constant = self.chip.unit_energy[unit][key]
                yield Item(f"{name}, {unit}", hardware, "dynamic", key, part, constant)
            else:
                yield from self._item(name, hardware, key, part)

    def _share(self, population: Floats) -> Counts:
        """Return counts by population, spread over their cores by neurons and evenly over the steps."""
        total, steps = float(population.sum()), self.activity.steps
        spread = np.full(steps, total / max(1, steps))
        return Counts(population[:-1] @ self.split.core_share, spread, population)

    def _check_rest(self) -> None:
        if self.activity.total("neuron_updates_resting") and not (self._has("soma_update") and self.split.all_native):
            raise InputError(
                f"chip {self.chip.name!r}",
                "has no soma_access and soma_update apart for these neurons, so what rest without update costs is not known",
                "Compile the network without --read resting=free",
            )

    def _part(self, name: str, native: bool, times: Floats | None = None) -> Counts:
        """Return a counter of the populations that are native (or are not).

        A population's updates are spread over its cores by its neurons there, and evenly over the steps: exact where
        every neuron is updated at every step, as in the step loop of `simulator.function`.
        """
        whole = self.counts(name)
        if self.split.all_native:
            return whole if native else self._zeros()
        if not self.split.native.any() and times is None:
            return self._zeros() if native else whole
        chosen = self.split.native if native else ~self.split.native
        population = whole.by_population * np.append(chosen, False)
        if times is not None:
            population *= np.append(times, 0.0)
        return self._share(population)

    def _messages(self) -> Iterator[Item]:
        packets, to_host = self.counts("packets"), self.counts("host_packets_out")
        from_host = self.counts("host_packets_in")
        yield from self._item("packets sent", "axon", "packet_out", packets)
        received = _plus(_minus(packets, to_host), from_host)
        if "packets_received" in self.activity.counts:  # a packet of several leaves is received by each
            received = self.counts("packets_received")
        where = "listed at the core that sent them"
        if self._has("packet_in_own"):
            own = self.counts("packets_one_to_one")
            received = _minus(received, own)
            yield from self._item("packets received, synapses from one to one", "axon", "packet_in_own", own, where)
        yield from self._item("packets received", "axon", "packet_in", received, where)
        if self._has("packet_in_tile"):
            yield from self._item("packets within a tile", "router", "packet_in_tile", self.counts("packets_in_tile"))
        for hops, key, back, back_key in _WAYS:
            there = self.counts(f"hops_{hops}")
            if self._has(back_key):
                yield from self._item(f"hops {back}", "router", back_key, self.counts(f"hops_{back}"))
                there = _minus(there, self.counts(f"hops_{back}"))
            yield from self._item(f"hops {key.removeprefix('hop_').replace('_', '-')}", "router", key, there)
        yield from self._item("hops from chip to chip", "router", "hop_chip", self.counts("hops_chip"))
        yield from self._item("hops from board to board", "router", "hop_board", self.counts("hops_board"))
        yield from self._item("host packets", "host", "host_packet", _plus(from_host, to_host), kind="host")

    def _rest(self) -> Iterator[Item]:
        yield from self._item("random numbers", "random", "random_number", self.counts("random_numbers"))
        yield from self._item("state words reset", "memory", "state_reset", self.counts("state_resets"))
        yield from self._item(
            "tokens between neighbours, hops", "barrier", "sync_token_hop", self.counts("sync_token_hops")
        )
        by_neighbours = "sync_tokens" in self.activity.counts
        for key in ("barrier", "step"):
            if self._has(key) and not (key == "barrier" and by_neighbours):
                name = {"barrier": "barriers", "step": "steps"}[key]
                each = self._chip_wide(float(self.activity.steps * self.activity.chips))
                yield from self._item(name, "barrier", key, each)

    def _learning(self) -> Iterator[Item]:
        for counter in sorted(c for c in self.activity.counts if c.startswith("learn_")):
            counts = self.counts(counter)
            if counts.total > 0:
                key, constant = learning_constant(counter, self.chip, self.bounds)
                name = f"learning: {counter.removeprefix('learn_').replace('_', ' ')}"
                yield Item(name, "learning", "dynamic", key, counts, constant)

    def _powers(self) -> Iterator[Item]:
        time = self.activity.sim_time_ns
        if time is None:
            return
        powered = self._chip_wide(time * self.activity.chips)  # constants are of one chip
        yield from (
            self._item("static power", "static", "static_chip", powered, kind="static")
            if (self._has("static_chip"))
            else ()
        )
        if self._has("static_core"):
            used = self._chip_wide(time * self.activity.cores_used)
            yield from self._item("static power of cores in use", "static", "static_core", used, kind="static")
        if self._has("host_processor"):
            yield from self._item("host processor", "host", "host_processor", powered, kind="host")


_WAYS = (("ew", "hop_east_west", "west", "hop_west"), ("ns", "hop_north_south", "south", "hop_south"))
_BY_OPS = "the chip has no constant for this model: charged by its operation counts at digital op energies"


def _plus(a: Counts, b: Counts) -> Counts:
    return Counts(a.by_core + b.by_core, a.by_step + b.by_step, a.by_population + b.by_population)


def _minus(a: Counts, b: Counts) -> Counts:
    return Counts(a.by_core - b.by_core, a.by_step - b.by_step, a.by_population - b.by_population)


def _assumptions(items: tuple[Item, ...], activity: Activity, chip: Chip) -> Iterator[str]:
    yield from (i.assumption for i in items if i.assumption and i.assumption.startswith("the chip has no"))
    for quality in ("assumed", "unverified"):
        keys = sorted({i.key for i in items if i.constant.quality == quality and i.known})
        if keys:
            yield f"constants of quality {quality}: {', '.join(keys)}"
    unknown = [i.name for i in items if not i.known]
    if unknown:
        yield f"not in the sums, since no energy was ever published for them: {', '.join(unknown)}"
    if activity.sim_time_ns is None:
        yield "no timing engine ran, so static and host power are not in the sums"
    yield from chip.notes


def _checked(bounds: Mapping[str, tuple[float, float]], chip: Chip) -> Mapping[str, tuple[float, float]]:
    from simulator.chips.energy_keys import ENERGY_UNITS

    for key, (low, high) in bounds.items():
        if key not in ENERGY_UNITS:
            raise InputError(f"bound {key!r}", "is not an energy key", f"Known keys: {', '.join(ENERGY_UNITS)}")
        if not 0 <= low <= high or math.isinf(high):
            raise InputError(f"bound {key!r}", f"is {low}..{high}; it must be 0 <= low <= high", "Order its ends")
        known = chip.energy.get(key)
        if known is not None and known.value is not None:
            raise InputError(
                f"bound {key!r}",
                f"is for constants that are unknown; chip {chip.name!r} has {known.value:,g} {known.unit}",
                "Change it in a chip file of your own (`bimhw chips show NAME --yaml`)",
            )
    return bounds


def counters(values: Mapping[str, float], populations: tuple[str, ...] = ("network",)) -> dict[str, Count]:
    """Return counters of totals only, all on core 0, in one step, of the first population: for closed forms and estimates."""
    out = {}
    for name, value in values.items():
        one = np.zeros(len(populations), np.int64)
        one[0] = round(value)
        out[name] = Count(np.array([round(value), 0], np.int64), np.array([round(value)], np.int64), one)
    return out

"""Items of an energy report: a count, a sourced constant, their product; and the report that they add up to.

Energy [pJ] = count x constant; constants in pJ an event, or in mW over simulated ns (1 mW x 1 ns = 1 pJ).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from energy_models.spread import UNKNOWN, Spread, spread, spreads_by, weakest
from simulator.base.arrays import Floats
from simulator.base.errors import unknown_name
from simulator.base.shown import Shown
from simulator.chips.quantity import Quantity

Kind = Literal["dynamic", "static", "host"]
Grouping = Literal["item", "hardware", "kind", "core", "population", "step"]


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of an event, by three groupings with one total.

    Attributes:
        by_core: [cores + 1], the last entry is the host or the chip as a whole.
        by_step: [steps].
        by_population: [populations + 1], the last entry is the chip as a whole.
    """

    by_core: Floats
    by_step: Floats
    by_population: Floats

    @property
    def total(self) -> float:
        """The count."""
        return float(self.by_population.sum())


@dataclass(frozen=True, eq=False)
class Item:
    """One line of the report.

    Attributes:
        name: what is counted.
        hardware: unit of the hardware that pays: synapse, soma, axon, router, host, learning, memory, barrier, static.
        kind: dynamic (paid by activity), static (paid by time) or host.
        key: the constant's place in the chip file's energy section.
        counts: how often.
        constant: the chip's number; its value may be unknown.
        assumption: what the product takes for granted; empty if nothing.
    """

    name: str
    hardware: str
    kind: Kind
    key: str
    counts: Counts
    constant: Quantity
    assumption: str = ""

    @property
    def count(self) -> float:
        """Total count."""
        return self.counts.total

    @property
    def known(self) -> bool:
        """True if the constant is known (a count of 0 needs none)."""
        return self.constant.value is not None or self.count == 0

    @property
    def energy_pj(self) -> float | None:
        """Nominal energy; None where the constant is unknown."""
        if self.count == 0:
            return 0.0
        return None if self.constant.value is None else self.count * self.constant.value

    @property
    def low_pj(self) -> float:
        """Energy at the low end of the constant's stated range (the value where none is stated; 0 if unknown)."""
        c = self.constant
        return self.count * (c.low if c.low is not None else c.value if c.value is not None else 0.0)

    @property
    def high_pj(self) -> float | None:
        """Energy at the high end; None where nothing bounds it."""
        c = self.constant
        if self.count == 0:
            return 0.0
        high = c.high if c.high is not None else c.value
        return None if high is None else self.count * high

    def explain(self) -> str:
        """Return the arithmetic of this item's joules, with the source of its constant."""
        c = self.constant
        number = "unknown" if c.value is None else f"{c.value:g}"
        parts = [f"{self.name} ({self.hardware}): {self.count:,.0f} x {number} {c.unit}"]
        if c.unit == "mW":
            parts[0] = f"{self.name} ({self.hardware}): {self.count:,.1f} ns x {number} mW"
        parts[0] += " = unknown" if self.energy_pj is None else f" = {self.energy_pj:,.4f} pJ"
        high = "unbounded" if self.high_pj is None else f"{self.high_pj:,.4f} pJ"
        parts.append(f"  range: {self.low_pj:,.4f} pJ .. {high}")
        parts.append(f"  constant: $.energy.{self.key}, {c.quality}; {c.source}" + (f", {c.where}" if c.where else ""))
        parts += [f"  note: {text}" for text in (c.note, self.assumption) if text]
        return "\n".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        c = self.constant
        return {
            "name": self.name,
            "hardware": self.hardware,
            "kind": self.kind,
            "key": self.key,
            "count": self.count,
            "constant": c.value,
            "unit": c.unit,
            "source": c.source,
            "where": c.where,
            "quality": c.quality,
            "note": c.note,
            "assumption": self.assumption,
            "energy_pj": self.energy_pj,
            "low_pj": self.low_pj,
            "high_pj": self.high_pj,
        }


@dataclass(frozen=True, eq=False, repr=False)
class EnergyReport(Shown):
    """Cost of a run.

    Attributes:
        chip: name of the chip.
        items: all lines.
        populations: names; one more entry, "chip", in the grouping by population.
        steps, samples: of the run.
        synaptic_events, neuron_updates: totals, the denominators of the figures per operation.
        sim_time_ns: simulated time, or None where no timing ran.
        assumptions: what the report takes for granted.
    """

    chip: str
    items: tuple[Item, ...]
    populations: tuple[str, ...]
    steps: int
    samples: int
    synaptic_events: int
    neuron_updates: int
    sim_time_ns: float | None
    assumptions: tuple[str, ...]

    def item(self, name: str) -> Item:
        """Return the item of this name (or key).

        Raises:
            InputError: no such item.
        """
        for item in self.items:
            if name in (item.name, item.key):
                return item
        raise unknown_name("item", name, (i.name for i in self.items))

    def select(self, kind: Kind | None = None) -> tuple[Item, ...]:
        """Return items of one kind, or all."""
        return tuple(i for i in self.items if kind is None or i.kind == kind)

    def energy_pj(self, kind: Kind | None = None) -> float:
        """Sum the known nominal energies (of one kind)."""
        return float(sum(i.energy_pj or 0.0 for i in self.select(kind)))

    def low_pj(self, kind: Kind | None = None) -> float:
        """Sum at the low ends."""
        return float(sum(i.low_pj for i in self.select(kind)))

    def high_pj(self, kind: Kind | None = None) -> float:
        """Sum at the high ends, of the items that have one; `unbounded` names the others."""
        return float(sum(i.high_pj or 0.0 for i in self.select(kind)))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Items whose constant was never published: they are not in the nominal sums."""
        return tuple(i.name for i in self.items if not i.known)

    @property
    def prices_learning(self) -> bool:
        """False where operations of learning were counted, and none of them has a known energy."""
        learning = [i for i in self.items if i.hardware == "learning" and i.count]
        return not learning or any(i.energy_pj for i in learning)

    @property
    def unbounded(self) -> tuple[str, ...]:
        """Items that are not in the high sums either."""
        return tuple(i.name for i in self.items if i.high_pj is None)

    def by(self, grouping: Grouping) -> dict[str, float]:
        """Return known nominal energy [pJ] by item, unit of hardware, kind, core (numbers, then "chip"), population or step."""
        return {name: s.nominal for name, s in self.spread_by(grouping).items()}

    def spread_by(self, grouping: Grouping) -> dict[str, Spread]:
        """Return the energy [pJ] of each group with its range and its word; see `by`."""
        if grouping in ("core", "population", "step"):
            return self._by_array(grouping)
        label: Callable[[Item], str] = {
            "item": lambda i: i.name, "hardware": lambda i: i.hardware, "kind": lambda i: str(i.kind),
        }[grouping]  # fmt: skip
        groups: dict[str, list[Item]] = {}
        for item in self.items:
            groups.setdefault(label(item), []).append(item)
        return {name: spread(items) for name, items in groups.items()}

    def _by_array(self, grouping: Grouping) -> dict[str, Spread]:
        arrays = [getattr(i.counts, f"by_{grouping}") for i in self.items]
        names: Sequence[str] = [str(k) for k in range(arrays[0].size if arrays else 0)]
        if grouping == "core" and names:
            names = [*names[:-1], "chip"]
        if grouping == "population":
            names = [*self.populations, "chip"]
        return spreads_by(self.items, arrays, names)

    def spreads(self) -> dict[str, Spread]:
        """Return the energies among `figures`, of a sample, step and operation, each with its range and its word."""
        whole, dynamic = spread(self.items), spread(self.select("dynamic"))
        synapse, soma = (spread(i for i in self.items if i.hardware == unit) for unit in ("synapse", "soma"))
        updates, steps, uj = self.neuron_updates, self.steps * 1e3, self.samples * 1e6
        found = {
            "total_pj": whole, "dynamic_pj": dynamic, "static_pj": spread(self.select("static")),
            "host_pj": spread(self.select("host")),
            "total_pj_per_synop": whole.over(self.synaptic_events),
            "dynamic_pj_per_synop": dynamic.over(self.synaptic_events),
            "synapse_pj_per_synop": synapse.over(self.synaptic_events),
            "soma_pj_per_neuron_update": soma.over(updates), "dynamic_pj_per_neuron_update": dynamic.over(updates),
            "total_nj_per_step": whole.over(steps), "dynamic_nj_per_step": dynamic.over(steps),
            "total_uj_per_inference": whole.over(uj), "dynamic_uj_per_inference": dynamic.over(uj),
        }  # fmt: skip
        return {name: s for name, s in found.items() if s is not None}

    def figures(self) -> dict[str, float | None]:
        """Return energy per operation, step and sample (equation: sum of the items / the count)."""
        total, dynamic = self.energy_pj(), self.energy_pj("dynamic")
        soma = sum(i.energy_pj or 0.0 for i in self.items if i.hardware == "soma")
        synapse = sum(i.energy_pj or 0.0 for i in self.items if i.hardware == "synapse")
        return {
            "total_pj": total,
            "total_low_pj": self.low_pj(),
            "total_high_pj": self.high_pj(),
            "dynamic_pj": dynamic,
            "dynamic_low_pj": self.low_pj("dynamic"),
            "dynamic_high_pj": self.high_pj("dynamic"),
            "static_pj": self.energy_pj("static"),
            "host_pj": self.energy_pj("host"),
            "total_pj_per_synop": _per(total, self.synaptic_events),
            "dynamic_pj_per_synop": _per(dynamic, self.synaptic_events),
            "synapse_pj_per_synop": _per(synapse, self.synaptic_events),
            "soma_pj_per_neuron_update": _per(soma, self.neuron_updates),
            "dynamic_pj_per_neuron_update": _per(dynamic, self.neuron_updates),
            "total_nj_per_step": _per(total / 1e3, self.steps),
            "dynamic_nj_per_step": _per(dynamic / 1e3, self.steps),
            "total_uj_per_inference": _per(total / 1e6, self.samples),
            "dynamic_uj_per_inference": _per(dynamic / 1e6, self.samples),
            "sim_time_us_per_inference": None
            if self.sim_time_ns is None
            else _per(self.sim_time_ns / 1e3, self.samples),
            "energy_delay_product_js": None
            if self.sim_time_ns is None
            else _per(total * 1e-12 * self.sim_time_ns * 1e-9, self.samples**2),
        }

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "chip": self.chip,
            "steps": self.steps,
            "samples": self.samples,
            "synaptic_events": self.synaptic_events,
            "neuron_updates": self.neuron_updates,
            "sim_time_ns": self.sim_time_ns,
            "figures": self.figures(),
            "spreads": {name: s.as_json() for name, s in self.spreads().items()},
            "items": [i.as_json() for i in self.items],
            "by_hardware_pj": self.by("hardware"),
            "by_kind_pj": self.by("kind"),
            "by_population_pj": self.by("population"),
            "by_core_pj": self.by("core"),
            "spreads_by": {g: {name: s.as_json() for name, s in self.spread_by(g).items()} for g in _GROUPS_SHOWN},
            "unknown": list(self.unknown),
            "unbounded": list(self.unbounded),
            "assumptions": list(self.assumptions),
        }


_GROUPS_SHOWN: tuple[Grouping, ...] = ("hardware", "kind", "population", "core")


def time_spreads(report: EnergyReport, us: tuple[float, float, float] | None, word: str) -> dict[str, Spread]:
    """Return time and energy-delay product of a sample with their ranges and words; none without a range of the time.

    Args:
        report: of a run.
        us: low, nominal and high time of a sample.
        word: how far the time can be trusted.
    """
    total = spread(report.items).over(report.samples * 1e12)
    if us is None or total is None:
        return {}
    low, nominal, high = (t * 1e-6 for t in us)
    both = weakest((total.word, word)) if total.word != UNKNOWN else UNKNOWN
    product = Spread(total.low * low, total.nominal * nominal, total.high * high, both)
    ns = 1e3 * report.samples
    whole = Spread(us[0] * ns, us[1] * ns, us[2] * ns, word)
    return {"sim_time_ns": whole, "sim_time_us_per_inference": Spread(*us, word), "energy_delay_product_js": product}


def _per(value: float, count: float) -> float | None:
    return value / count if count else None


def bounded(quantity: Quantity, key: str, bounds: Mapping[str, tuple[float, float]]) -> Quantity:
    """Return a quantity with the user's bounds in the place of a missing range."""
    import msgspec

    if key not in bounds or quantity.value is not None:
        return quantity
    low, high = bounds[key]
    note = f"{quantity.note + '; ' if quantity.note else ''}bounds given by the user"
    return msgspec.structs.replace(quantity, low=low, high=high, note=note)

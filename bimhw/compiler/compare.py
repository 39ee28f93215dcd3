"""Differences that integers make: a compiled program beside its float network, population by population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mapping.float_run import record
from mapping.network import Network
from simulator.base.arrays import AnyInts, Floats
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import get
from simulator.program.activity import Activity
from simulator.program.entries import by_input, column_scales
from simulator.program.graph import Population
from simulator.program.meta import input_entry
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

_EQUAL = 1e-9


@dataclass(frozen=True)
class Difference:
    """One population on the samples' own steps (the chip's latency removed).

    Attributes:
        population: its name.
        differ, of: neuron-steps at which it sends something else than the float network, and how many there are.
        graded: it sends values, so that nearly all of them differ a little: look at rms_error.
        float_rate, rate: share of neuron-steps with a spike, float and on the chip.
        rms_error: root mean square of the difference over that of the float values (0 where both are silent).
    """

    population: str
    differ: int
    of: int
    graded: bool
    float_rate: float
    rate: float
    rms_error: float

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Comparison:
    """`compare`'s result.

    Attributes:
        populations: in logical order, inputs left out.
        sent: population -> values sent on the chip, float64 [B, T, n], on the samples' own steps.
        activity: counters of the program on all samples.
    """

    populations: tuple[Difference, ...]
    sent: dict[str, Floats]
    activity: Activity

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        rows = [d.to_json() for d in self.populations]
        totals = {"differ": sum(d.differ for d in self.populations), "of": sum(d.of for d in self.populations)}
        return {"populations": rows, "saturations": self.activity.total("saturations"), **totals}


def differences(
    program: Program,
    network: Network,
    payloads: AnyInts,
    trains: Sequence[SpikeTrain],
    seed: int = 0,
) -> tuple[tuple[Difference, ...], dict[str, Floats]]:
    """Compare what every population of a run sent with what the float network sends on the same inputs.

    Args:
        program: that ran.
        network: its float network.
        payloads: integer inputs [B, T, n_in].
        trains: spikes of the run, one train a sample.
        seed: of the run.

    Returns:
        A row a population, in logical order, inputs left out; and the values sent on the chip, float64 [B, T, n].
    """
    own = payloads.shape[1]
    names = {p.name: p.layer for p in network.populations}  # relay neurons of the mapping have no float twin
    on_chip = [p for p in program.populations if p.model != INPUT_MODEL and p.name in names]
    steps = own + max(names.values())
    scale = column_scales(input_entry(network.meta), network.populations)
    values = by_input(payloads.astype(np.float64) * scale, network.populations)
    shown = record(network, values, steps, [(p.name, "out") for p in on_chip], seed)
    first = program.first_ids()
    sent: dict[str, Floats] = {}
    rows = []
    for p in on_chip:
        unit = unit_of(p, program.facts.formats)
        dense = np.stack([train.to_dense(first[p.name], p.size) for train in trains])
        sent[p.name] = dense[:, p.layer : p.layer + own].astype(np.float64) * unit
        wanted = shown[p.name, "out"][:, names[p.name] : names[p.name] + own]
        rows.append(_difference(p, wanted, sent[p.name]))
    return tuple(rows), sent


def unit_of(p: Population, formats: dict[str, dict[str, int]]) -> float:
    """Return the value of payload 1: 1 for spikes and counts, the unit of the sent word where one is sent."""
    word, fires = get(p.model).traits.sends, p.params.get("fires")
    if not word or (fires is not None and np.all(fires == 1)):
        return 1.0
    return float(2.0 ** (int(np.max(p.params.get("sh_out", 0))) - formats[p.name].get(word, 0)))


def _difference(p: Population, wanted: Floats, got: Floats) -> Difference:
    power = float(np.sqrt(np.mean(wanted * wanted))) if wanted.size else 0.0
    error = float(np.sqrt(np.mean((got - wanted) ** 2))) if wanted.size else 0.0
    return Difference(
        p.name,
        int((np.abs(got - wanted) > _EQUAL).sum()),
        int(wanted.size),
        get(p.model).emits == "graded",
        float((wanted != 0).mean()) if wanted.size else 0.0,
        float((got != 0).mean()) if wanted.size else 0.0,
        error / power if power else error,
    )

"""Spikes and states as NIRData, the recording format of the NIR tools (`nir.write_data` stores it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simulator.base.arrays import I32
from simulator.base.errors import MissingExtraError
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def nir_data(
    program: Program, spikes: SpikeTrain, probes: Mapping[tuple[str, str], I32] | None = None, dt: float = 1.0
) -> Any:
    """Return a `nir.NIRGraphData`: for each population its spikes as events, and its probed states on a grid.

    Args:
        program: names and sizes of the populations.
        spikes: all events.
        probes: (population, state) -> [T, n].
        dt: time of a step.

    Raises:
        MissingExtraError: nir is not installed (extra ``nir``).
    """
    try:
        import nir
    except ImportError as error:
        raise MissingExtraError("nir", "nir", "NIRData") from error
    step = np.repeat(np.arange(spikes.steps), spikes.counts())
    payload = np.ones(spikes.ids.size) if spikes.payload is None else spikes.payload.astype(np.float64)
    nodes: dict[str, Any] = {}
    for population in program.populations:
        first = program.first_ids()[population.name]
        here = (spikes.ids >= first) & (spikes.ids < first + population.size)
        events = (spikes.ids[here][None] - first, step[here][None] * dt)
        t_max = spikes.steps * dt
        if spikes.payload is None:
            observed: dict[str, Any] = {"spikes": nir.EventData(*events, population.size, t_max)}
        else:
            observed = {"spikes": nir.ValuedEventData(*events, population.size, t_max, payload[here][None])}
        for (name, state), values in (probes or {}).items():
            if name == population.name:
                observed[state] = nir.TimeGriddedData(values[None].astype(np.float64), dt)
        nodes[population.name] = nir.NIRNodeData(observables=observed)
    return nir.NIRGraphData(nodes=nodes)

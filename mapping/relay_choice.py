"""The choice of relay neurons: which cores repeat a spike for which neuron; see `mapping.relay`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mapping.limits import WAYS_OUT
from mapping.placement import usable_cores
from mapping.usage import core_limits, state_bits, synapse_bits
from mapping.words import index_bits, neuron_bits
from simulator.base.arrays import I64
from simulator.base.errors import FitError
from simulator.chips.chip import Chip
from simulator.neurons.base import get
from simulator.program.axons import AxonTable, axon_table
from simulator.program.graph import Population
from simulator.program.program import HOST, Program

RELAY_WAY_OUT = "Reduce the number of cores that its neurons reach, or choose a chip with more axons per core"
_PAYLOAD = {"mul": 1, "fires": 0, "theta": 1, "v_min": -(2**23), "limit": 2**23 - 1}
# A spike makes the membrane 1 (loihi_cuba: 64), which is enough; nothing is kept for the next step.
_SPIKE: dict[str, Mapping[str, int]] = {
    "if": {"vth": 1},
    "lif": {"dv": 4096, "vth": 1},
    "loihi_cuba": {"du": 4095, "dv": 4096, "vth": 0},
}


@dataclass(frozen=True, eq=False)
class Relay:
    """One relay neuron: it lies on `core` and reaches the cores `serves` for neuron `source` (logical id)."""

    source: int
    core: int
    serves: tuple[int, ...]


def choose_relays(program: Program, chip: Chip) -> list[Relay]:
    """Choose relays that bring the axons of every core within its limit; the neurons that reach most cores first.

    Raises:
        FitError: no core has room for them.
    """
    axons = axon_table(program)
    room = _Room(program, chip, axons)
    relays: list[Relay] = []
    for core in np.nonzero(room.free < 0)[0].tolist():
        neurons = np.nonzero(program.core == core)[0]
        for v in neurons[np.argsort(-axons.fan_cores[neurons], kind="stable")].tolist():
            left = axons.dst[axons.ptr[v] : axons.ptr[v + 1]].tolist()
            while room.free[core] < 0 and len(left) > 1:
                at = room.best(core)
                take = min(len(left), 1 - int(room.free[core]), 0 if at < 0 else int(room.free[at]))
                if take < 2:  # a relay costs its source one entry itself
                    raise _no_room(program, chip, core, int(room.free[core]), len(relays))
                relays.append(Relay(v, at, tuple(left[-take:])))
                left = left[:-take]
                room.put(at, core, take)
        if room.free[core] < 0:
            raise _no_room(program, chip, core, int(room.free[core]), len(relays))
    return relays


def _no_room(program: Program, chip: Chip, core: int, free: int, relays: int) -> FitError:
    limit = chip.limit_of("out_axons_per_core", core) or 0.0
    first = program.first_ids()
    own = [p.name for p in program.populations if (program.core[first[p.name] :][: p.size] == core).any()]
    return FitError(
        f"core {core} ({', '.join(own)})",
        f"needs {limit - free:,.0f} out_axons, chip {chip.name!r} allows {limit:,.0f}, and after {relays} relay neurons no "
        "core has axons, neurons or memory to spare for another",
        WAYS_OUT["out_axons"],
    )


class _Room:
    """Room that the usable cores still have, while relays are put on them."""

    def __init__(self, program: Program, chip: Chip, axons: AxonTable) -> None:
        n, on = chip.topology.mesh_cores, program.core != HOST

        def left(name: str, used: I64, unit: int = 1) -> I64:
            limits = np.minimum(unit * core_limits(chip, f"{name}_per_core", n), np.iinfo(np.int64).max // 2)
            return np.asarray(limits.astype(np.int64) - used, np.int64)

        cores = program.core[on]
        self.free = left("out_axons", np.bincount(cores, axons.fan_cores[on], minlength=n).astype(np.int64))
        self.neurons = left("neurons", np.bincount(cores, minlength=n))
        self.arrivals = left("in_axons", np.bincount(axons.dst, minlength=n))
        synapses, states = synapse_bits(program, n), state_bits(program, n)
        self.synapses, self.state = left("synapse_bytes", synapses, 8), left("state_bytes", states, 8)
        self.memory = left("memory_bytes", synapses + states, 8)
        self.usable = np.zeros(n, bool)
        self.usable[usable_cores(chip.topology)] = True
        kind = max(neuron_bits(relay_population("r", chip, graded, 1, 1)) for graded in kinds_of_relays(chip))
        self.need = (index_bits(program.n_neurons) + max(chip.capabilities.weight_bits), kind + 200)

    def best(self, source: int) -> int:
        """Return the core with most free entries that can take a relay, or -1."""
        synapse, state = self.need
        ok = self.usable & (self.neurons > 0) & (self.arrivals > 0) & (self.synapses >= synapse) & (self.state >= state)
        ok &= self.memory >= synapse + state
        ok[source] = False
        return int(np.argmax(np.where(ok, self.free, -1))) if ok.any() else -1

    def put(self, at: int, source: int, serves: int) -> None:
        """Put a relay on core `at` that takes `serves` destinations from a neuron of core `source`."""
        self.free[at] -= serves
        self.free[source] += serves - 1
        self.neurons[at] -= 1
        self.arrivals[at] -= 1
        self.synapses[at] -= self.need[0]
        self.state[at] -= self.need[1]
        self.memory[at] -= sum(self.need)


def kinds_of_relays(chip: Chip) -> tuple[bool, ...]:
    """Return which kinds of relay a chip can have: of spikes (False), of payloads (True)."""
    return (False, True) if "*" in chip.capabilities.neuron_models else (False,)


def relay_population(name: str, chip: Chip, graded: bool, size: int, layer: int) -> Population:
    """Make neurons that send in each step what arrives in it, without memory.

    Raises:
        FitError: the chip has no neuron that can.
    """
    runs = chip.capabilities.neuron_models
    forms: dict[str, Mapping[str, int]] = {"leaky_graded": _PAYLOAD} if graded else _SPIKE
    model = next((m for m in forms if "*" in runs or m in runs), None)
    if model is None:
        raise FitError(
            f"population {name!r}", f"needs a neuron that relays, and chip {chip.name!r} has none", RELAY_WAY_OUT
        )
    words = get(model)
    values = {w.name: forms[model].get(w.name, words.defaults.get(w.name, 0)) for w in words.params}
    params = {k: np.asarray(v, np.int32) for k, v in values.items()}
    return Population(name, model, size, params, layer=layer)

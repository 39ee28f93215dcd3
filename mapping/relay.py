"""Relay neurons: a fan-out beyond the axon memory of a core, split over neurons of other cores that send a spike on.

An axon entry is one destination core of one neuron. Where the neurons of a core need more entries than it has, some of a
neuron's destination cores are handed to a relay on a core with entries to spare: the neuron sends it one packet, and the
relay repeats the spike (or the payload) one step later. The function stays the same by compensating delays. With S_p the
steps by which population p comes to lie later and r_q = 1 where projection q is (in part) relayed,

    delay_q  <-  delay_q + S_target - S_source - (1 on the relayed part) >= 0        S_input = 0

and the smallest such S are the longest paths over the projections, of length r_q - delay_q. In a loop the S cancel, so
what a loop's own delays cannot take is refused by name. A later population starts S steps later: its word ``wait`` says
so, or its state rests until its first input, which is checked by running it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mapping.blocks import pack_blocks, to_program
from mapping.limits import WAYS_OUT, check_core_count, check_limits
from mapping.network import Network
from mapping.placement import usable_cores
from mapping.usage import Resource, core_limits, state_bits, synapse_bits, usage
from mapping.words import index_bits, neuron_bits, stored_for
from simulator.base.errors import FitError
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.function import Simulation
from simulator.neurons.base import get
from simulator.program.axons import AxonTable, axon_table
from simulator.program.graph import Population, Projection
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
_PAYLOAD = {"mul": 1, "fires": 0, "theta": 1, "v_min": -(2**23), "limit": 2**23 - 1}


@dataclass(frozen=True, eq=False)
class Relay:
    """One relay neuron: it lies on `core` and reaches the cores `serves` for neuron `source` (logical id)."""

    source: int
    core: int
    serves: tuple[int, ...]


def map_with_relays(
    network: Network, chip: Chip, neurons_per_core: int | None = None
) -> tuple[Program, tuple[Resource, ...]]:
    """Contiguous blocks, with relays where the neurons of a core reach more cores than it has axons for.

    Raises:
        FitError: what does not fit for another reason, or what no relay can help, with the figures.
    """
    network = stored_for(network, chip)
    program, _ = pack_blocks(network, chip, neurons_per_core, axons=("in_axons",))
    check_core_count(program, chip)
    relays = choose_relays(program, chip)
    if relays:
        network, core = insert_relays(network, chip, program.core, relays)
        program = to_program(network, chip, core)
    resources = usage(program, chip)
    check_limits(program, chip, resources)
    return program, resources


def choose_relays(program: Program, chip: Chip) -> list[Relay]:
    """Relays that bring the axons of every core within its limit; the neurons that reach most cores first.

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
    """What the usable cores still have, while relays are put on them."""

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
        kind = max(neuron_bits(relay_population("r", chip, graded, 1, 1)) for graded in _kinds(chip))
        self.need = (index_bits(program.n_neurons) + max(chip.capabilities.weight_bits), kind + 200)

    def best(self, source: int) -> int:
        """The core with most free entries that can take a relay, or -1."""
        synapse, state = self.need
        ok = self.usable & (self.neurons > 0) & (self.arrivals > 0) & (self.synapses >= synapse) & (self.state >= state)
        ok &= self.memory >= synapse + state
        ok[source] = False
        return int(np.argmax(np.where(ok, self.free, -1))) if ok.any() else -1

    def put(self, at: int, source: int, serves: int) -> None:
        """A relay on core `at` that takes `serves` destinations from a neuron of core `source`."""
        self.free[at] -= serves
        self.free[source] += serves - 1
        self.neurons[at] -= 1
        self.arrivals[at] -= 1
        self.synapses[at] -= self.need[0]
        self.state[at] -= self.need[1]
        self.memory[at] -= sum(self.need)


def _kinds(chip: Chip) -> tuple[bool, ...]:
    return (False, True) if "*" in chip.capabilities.neuron_models else (False,)


def insert_relays(network: Network, chip: Chip, core: I32, relays: Sequence[Relay]) -> tuple[Network, I32]:
    """The network with relay populations behind all others (logical ids stay), and the core of every neuron.

    Args:
        network: integer stage.
        chip: whose neurons relay.
        core: int32 [N], of the network's neurons.
        relays: as `choose_relays` gives them.

    Raises:
        FitError: a projection or population whose function a relay would change, by name and reason.
    """
    first = Program("", "", network.populations, network.projections, core).first_ids()
    by_source: dict[str, list[Relay]] = {}
    for relay in relays:
        name = next(p.name for p in network.populations if first[p.name] <= relay.source < first[p.name] + p.size)
        by_source.setdefault(name, []).append(relay)
    split = {q.name: _split(network, q, first, core, by_source.get(q.source, [])) for q in network.projections}
    shifts = _shifts(network, {name for name, parts in split.items() if parts[1].n_synapses})
    populations = [_later(p, shifts[p.name]) for p in network.populations]
    projections: list[Projection] = []
    for q in network.projections:
        direct, relayed = split[q.name]
        slack = q.delay + shifts[q.target] - shifts[q.source]
        projections.append(_checked(replace(direct, delay=slack), chip))
        if relayed.n_synapses:
            projections.append(_checked(replace(relayed, delay=slack - 1), chip))
    for name, own in by_source.items():
        source = network.population(name)
        graded = _sends_payloads(source)
        if graded and True not in _kinds(chip):
            raise FitError(
                f"population {name!r}", f"sends payloads, and no neuron of chip {chip.name!r} relays them", _WAY_OUT
            )
        populations.append(relay_population(_relay_name(name), chip, graded, len(own), source.layer + shifts[name] + 1))
        projections.append(_feed(source, own, first[name], chip))
    where = np.array([r.core for own in by_source.values() for r in own], np.int32)
    meta = _meta(network, populations, shifts, by_source)
    return Network("integer", tuple(populations), tuple(projections), meta), np.concatenate([core, where])


_WAY_OUT = "Reduce the number of cores that its neurons reach, or choose a chip with more axons a core"


def _relay_name(source: str) -> str:
    return f"{source}.relay"


def _sends_payloads(p: Population) -> bool:
    model = get(p.model)
    several = model.traits.several
    counts = several is not None and bool((np.asarray(p.params.get(several[0], 0)) == several[1]).any())
    return model.emits == "graded" or counts


def relay_population(name: str, chip: Chip, graded: bool, size: int, layer: int) -> Population:
    """Neurons that send in each step what arrives in it, without memory.

    Raises:
        FitError: the chip has no neuron that can.
    """
    runs = chip.capabilities.neuron_models
    forms: dict[str, Mapping[str, int]] = {"leaky_graded": _PAYLOAD} if graded else _SPIKE
    model = next((m for m in forms if "*" in runs or m in runs), None)
    if model is None:
        raise FitError(f"population {name!r}", f"needs a neuron that relays, and chip {chip.name!r} has none", _WAY_OUT)
    words = get(model)
    values = {w.name: forms[model].get(w.name, words.defaults.get(w.name, 0)) for w in words.params}
    params = {k: np.asarray(v, np.int32) for k, v in values.items()}
    return Population(name, model, size, params, layer=layer)


# A spike makes the membrane 1 (loihi_cuba: 64), which is enough; nothing is kept for the next step.
_SPIKE: dict[str, Mapping[str, int]] = {
    "if": {"vth": 1},
    "lif": {"dv": 4096, "vth": 1},
    "loihi_cuba": {"du": 4095, "dv": 4096, "vth": 0},
}


def _feed(source: Population, own: Sequence[Relay], first: int, chip: Chip) -> Projection:
    """One synapse of weight 1 from each source to each of its relays."""
    rows = np.array([r.source - first for r in own])
    order = np.argsort(rows, kind="stable").astype(np.int32)
    ptr = np.zeros(source.size + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=source.size), out=ptr[1:])
    name, bits = _relay_name(source.name), min(chip.capabilities.weight_bits)
    return Projection(name, source.name, name, "in", ptr, order, np.ones(len(own), np.int8), weight_bits=bits)


def _split(
    network: Network, q: Projection, first: Mapping[str, int], core: I32, own: Sequence[Relay]
) -> tuple[Projection, Projection]:
    """The part of a projection that stays, and the one that its relays serve (by source: relay)."""
    at = core[first[q.target] : first[q.target] + network.population(q.target).size]
    stays = np.ones(q.n_synapses, bool)
    ptr, taken = np.zeros(len(own) + 1, np.int64), []
    for i, relay in enumerate(own):
        row = relay.source - first[q.source]
        synapses = np.arange(q.indptr[row], q.indptr[row + 1])
        mine = synapses[np.isin(at[q.indices[synapses]], relay.serves)]
        stays[mine] = False
        taken.append(mine)
        ptr[i + 1] = ptr[i] + mine.size
    if stays.all():
        empty = replace(q, indptr=ptr, indices=q.indices[:0], weights=q.weights[:0])
        return q, empty
    if q.plastic:
        raise FitError(f"projection {q.name!r}", "learns, and its fan-out would need relay neurons", _WAY_OUT)
    moved = np.concatenate(taken)
    layout: Literal["conv", "sparse"] = (
        "conv" if q.layout == "conv" else "sparse"
    )  # neither part of a full matrix is one
    kept = np.concatenate([np.zeros(1, np.int64), np.cumsum(stays)])[q.indptr]
    direct = replace(q, indptr=kept, indices=q.indices[stays], weights=q.weights[stays], layout=layout)
    relayed = replace(
        q,
        name=f"{q.name}.relayed",
        source=_relay_name(q.source),
        indptr=ptr,
        indices=q.indices[moved],
        weights=q.weights[moved],
        layout=layout,
    )
    return direct, relayed


def _shifts(network: Network, relayed: set[str]) -> dict[str, int]:
    """Steps by which each population comes to lie later: longest paths of length r - delay.

    Raises:
        FitError: a loop that has no step to give.
    """
    shift = {p.name: 0 for p in network.populations}
    inputs = {p.name for p in network.populations if p.model == INPUT_MODEL}
    for _ in range(len(network.populations) + 1):
        late = [q for q in network.projections if shift[q.target] < _least(q, shift, relayed)]
        for q in late:
            shift[q.target] = max(shift[q.target], _least(q, shift, relayed))
        if not late:
            return shift
    q = next(q for q in late if q.target not in inputs)
    raise FitError(
        f"projection {q.name!r}",
        "lies in a loop without a step to spare, so that none of its spikes can go through a relay neuron "
        f"(relayed: {', '.join(sorted(relayed))})",
        "Give the loop an extra delay of 1, or reduce the number of cores that its neurons reach",
    )


def _least(q: Projection, shift: Mapping[str, int], relayed: set[str]) -> int:
    return shift[q.source] + (q.name in relayed) - q.delay


def _later(p: Population, shift: int) -> Population:
    """The population that does everything `shift` steps later.

    Raises:
        FitError: it does not rest until then.
    """
    if shift == 0:
        return p
    moved = replace(p, layer=p.layer + shift)
    word = next((w for w in get(p.model).params if w.name == "wait"), None)
    if word is not None:
        wait = np.asarray(p.params.get("wait", 0)) + shift
        if wait.max() < 2**word.bits:
            return replace(moved, params={**p.params, "wait": wait.astype(np.int32)})
        raise FitError(
            f"population {p.name!r}", f"would wait {int(wait.max())} steps for its input, its word ends at {2**word.bits - 1}",
            _WAY_OUT,
        )  # fmt: skip
    if not rests(p, shift):
        raise FitError(
            f"population {p.name!r}",
            f"would start {shift} steps before its first input, because relay neurons come before it, and does not rest",
            "Use a neuron model that waits (leaky), take its constant input away, or reduce its sources' fan-out",
        )
    return moved


def rests(p: Population, steps: int) -> bool:
    """Return whether neurons without input stay as they begin, and silent; neurons that draw random numbers do not."""
    model = get(p.model)
    if model.ops.random or np.any(np.asarray(p.params.get(model.traits.noise, 0))):
        return False
    alone = Program("", "", (p,), (), np.zeros(p.size, np.int32))
    simulation = Simulation(alone, fast=False)
    before = [w.copy() for w in simulation.state.words]
    simulation.advance(SpikeTrain(np.zeros(steps + 1, np.int64), np.empty(0, np.int32)), steps)
    silent = not sum(ids.size for ids in simulation.record.ids)
    return silent and all((a == b).all() for a, b in zip(before, simulation.state.words, strict=True))


def _checked(q: Projection, chip: Chip) -> Projection:
    most = chip.capabilities.max_delay
    if q.delay > most:
        raise FitError(
            f"projection {q.name!r}",
            f"would need a delay of {q.delay} steps beside relay neurons, and chip {chip.name!r} delays at most {most}",
            _WAY_OUT,
        )
    return q


def _meta(
    network: Network,
    populations: Sequence[Population],
    shifts: Mapping[str, int],
    relays: Mapping[str, Sequence[Relay]],
) -> dict[str, Any]:
    """The network's facts with the output's latency and the steps of a sample moved along."""
    meta = dict(network.meta)
    output = dict(meta.get("output", {}))
    if "latency" in output:
        shift = shifts[output["population"]]
        output["latency"] += shift
        output["window"] = [t + shift for t in output["window"]]
        meta["output"] = output
    if "chip_steps" in meta:
        deepest = max(p.layer for p in network.populations)
        meta["chip_steps"] += max(p.layer for p in populations if p.name in shifts) - deepest
    meta["relays"] = {
        "neurons": sum(len(own) for own in relays.values()),
        "populations": [_relay_name(name) for name in relays],
        "later_steps": {name: shift for name, shift in shifts.items() if shift},
    }
    return meta


__all__ = ["Relay", "choose_relays", "insert_relays", "map_with_relays", "relay_population"]

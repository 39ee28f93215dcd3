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
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from mapping.blocks import pack_blocks, to_program
from mapping.limits import check_core_count, check_limits
from mapping.network import Network
from mapping.relay_choice import RELAY_WAY_OUT, Relay, choose_relays, kinds_of_relays, relay_population
from mapping.usage import Resource, usage
from mapping.words import stored_for
from simulator.base.arrays import I32
from simulator.base.errors import FitError
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.function import Simulation
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def map_with_relays(
    network: Network, chip: Chip, neurons_per_core: int | None = None
) -> tuple[Program, tuple[Resource, ...]]:
    """Map contiguous blocks, with relays where the neurons of a core reach more cores than it has axons for.

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


def insert_relays(network: Network, chip: Chip, core: I32, relays: Sequence[Relay]) -> tuple[Network, I32]:
    """Return the network with relay populations behind all others (logical ids stay), and the core of every neuron.

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
        if graded and True not in kinds_of_relays(chip):
            raise FitError(
                f"population {name!r}",
                f"sends payloads, and no neuron of chip {chip.name!r} relays them",
                RELAY_WAY_OUT,
            )
        populations.append(relay_population(_relay_name(name), chip, graded, len(own), source.layer + shifts[name] + 1))
        projections.append(_feed(source, own, first[name], chip))
    where = np.array([r.core for own in by_source.values() for r in own], np.int32)
    meta = _meta(network, populations, shifts, by_source)
    return Network("integer", tuple(populations), tuple(projections), meta), np.concatenate([core, where])


def _relay_name(source: str) -> str:
    return f"{source}.relay"


def _sends_payloads(p: Population) -> bool:
    model = get(p.model)
    several = model.traits.several
    counts = several is not None and bool((np.asarray(p.params.get(several[0], 0)) == several[1]).any())
    return model.emits == "graded" or counts


def _feed(source: Population, own: Sequence[Relay], first: int, chip: Chip) -> Projection:
    """Make one synapse of weight 1 from each source to each of its relays."""
    rows = np.array([r.source - first for r in own])
    order = np.argsort(rows, kind="stable").astype(np.int32)
    ptr = np.zeros(source.size + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=source.size), out=ptr[1:])
    name, bits = _relay_name(source.name), min(chip.capabilities.weight_bits)
    return Projection(name, source.name, name, "in", ptr, order, np.ones(len(own), np.int8), weight_bits=bits)


def _split(
    network: Network, q: Projection, first: Mapping[str, int], core: I32, own: Sequence[Relay]
) -> tuple[Projection, Projection]:
    """Return the part of a projection that stays, and the one that its relays serve (by source: relay)."""
    at = core[first[q.target] + q.first : first[q.target] + network.population(q.target).size]
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
        raise FitError(f"projection {q.name!r}", "learns, and its fan-out would need relay neurons", RELAY_WAY_OUT)
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
    """Return the extra latency of each population in steps: longest paths of length r - delay.

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
    """Return the population that does everything `shift` steps later.

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
            RELAY_WAY_OUT,
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
            RELAY_WAY_OUT,
        )
    return q


def _meta(
    network: Network,
    populations: Sequence[Population],
    shifts: Mapping[str, int],
    relays: Mapping[str, Sequence[Relay]],
) -> dict[str, Any]:
    """Return the network's facts with the output's latency and the steps of a sample moved along."""
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

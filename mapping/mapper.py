"""`map_network`: an integer network -> a program, well placed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mapping.blocks import map_blocks, need_of, rooms_of, to_program
from mapping.files import read_mapping
from mapping.hypergraph import Hypergraph, axon_hypergraph, remote_messages, traffic
from mapping.limits import check_core_count, check_limits
from mapping.network import Network
from mapping.partition import partition
from mapping.placement import chip_messages, crossing_of, hop_cost, place, usable_cores
from mapping.relay import map_with_relays
from mapping.usage import Resource, usage
from mapping.words import stored_for
from simulator.base.errors import FitError
from simulator.chips.chip import Chip
from simulator.program.program import HOST, Program

I32 = npt.NDArray[np.int32]
SLACK = 1.05  # a part may hold so much more than the average


@dataclass(frozen=True, eq=False)
class MappedNetwork:
    """A mapped network.

    Attributes:
        program: with the core of every neuron.
        resources: use of each resource by core.
        figures: JSON-able: method, cores, expected messages and hops a step of the result and of plain blocks.
    """

    program: Program
    resources: tuple[Resource, ...]
    figures: Mapping[str, object] = field(default_factory=dict)


def map_network(
    network: Network,
    chip: Chip,
    method: str = "auto",
    rates: Mapping[str, npt.NDArray[np.float64]] | None = None,
    neurons_per_core: int | None = None,
    seed: int = 0,
    relays: bool = True,
) -> MappedNetwork:
    """Map a network to the cores of a chip.

    Args:
        network: integer stage.
        chip: limits, mesh and broken cores.
        method: ``auto`` (the fewest messages x hops found), ``blocks`` (contiguous), ``builtin`` (auto without other
            packages), ``metis``, ``mtkahypar``, or the path of a saved mapping.
        rates: population -> messages a step of each neuron, as measured by calibration; all 1 where unknown.
        neurons_per_core: a smaller cap than the chip's, to spread the network.
        seed: the same seed gives the same mapping.
        relays: whether a network that does not fit for its fan-out may get relay neurons (`mapping.relay`).

    Raises:
        FitError: it does not fit.
        InputError: a mapping file that does not belong to the network.
        MissingExtraError: a partitioner that is not installed.
    """
    network = stored_for(network, chip)
    graph = axon_hypergraph(network, rates)
    if method not in ("auto", "blocks", "builtin", "metis", "mtkahypar"):
        return _finish(network, chip, graph, read_mapping(Path(method), network), {"method": "manual"})
    try:
        blocks, resources = map_blocks(network, chip, neurons_per_core)
    except FitError as error:
        if not relays:
            raise
        return _relayed(network, chip, rates, neurons_per_core, error)
    on_chip = blocks.core != HOST
    at, start = _dense(blocks.core[on_chip])
    if method == "blocks" or graph.n == 0:
        return MappedNetwork(blocks, resources, {"method": "blocks"} | _figures(graph, chip, blocks.core))
    try:
        core, how = _improve(network, chip, graph, start, at, seed, method)
        done = _finish(network, chip, graph, _whole(blocks.core, core), {"method": method} | how)
    except FitError as error:  # axons are not part of the search; blocks are halved until they fit
        note = f"kept contiguous blocks: {error}"
        return MappedNetwork(blocks, resources, {"method": "blocks", "note": note} | _figures(graph, chip, blocks.core))
    return done


def _relayed(
    network: Network,
    chip: Chip,
    rates: Mapping[str, npt.NDArray[np.float64]] | None,
    neurons_per_core: int | None,
    error: FitError,
) -> MappedNetwork:
    """Contiguous blocks with relay neurons; where they do not help either, the error of what failed first."""
    try:
        program, resources = map_with_relays(network, chip, neurons_per_core)
    except FitError as second:
        reason = error if second.problem == error.problem or "out_axons" not in str(error) + str(second) else second
        raise reason from None
    whole = Network("integer", program.populations, program.projections, program.meta)
    graph = axon_hypergraph(whole, None if rates is None else with_relay_rates(program, rates))
    facts: dict[str, object] = {"method": "blocks", "relays": dict(program.meta["relays"])}
    return MappedNetwork(program, resources, facts | _figures(graph, chip, program.core))


def with_relay_rates(
    program: Program, rates: Mapping[str, npt.NDArray[np.float64]]
) -> dict[str, npt.NDArray[np.float64]]:
    """Rates of the relays too: each sends what its source sends."""
    out = dict(rates)
    relays = program.meta.get("relays", {}).get("populations", ())
    for q in program.projections:
        if q.target in relays and q.source in out:
            own = np.zeros(program.population(q.target).size)
            own[q.indices] = np.repeat(out[q.source], np.diff(q.indptr))
            out[q.target] = own
    return out


def _improve(
    network: Network, chip: Chip, graph: Hypergraph, start: I32, at: I32, seed: int, method: str
) -> tuple[I32, dict[str, object]]:
    """Core of each vertex, and how it was found; `start` gives each its part, `at` each part its core."""
    k = at.size
    need = need_of(network)
    room = _room(network, chip, start, need, at)
    found = partition(graph, start, need, room, seed, method)
    flow = traffic(graph, found.part, k)
    allowed = _allowed(network, chip, found.part, need, k) if chip.core_limits else None
    core_of_part = place(
        flow, chip.topology, seed, crossing=crossing_of(chip), start=at if chip.core_limits else None, allowed=allowed
    )
    figures: dict[str, object] = {"start": found.start, "tried": found.tried}
    return core_of_part[found.part], figures


def _allowed(network: Network, chip: Chip, part: I32, need: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.bool_]:
    """Which part fits which usable core, bool [K, cores]."""
    used = np.zeros((k, need.shape[1]))
    np.add.at(used, part, need)
    rooms = rooms_of(network, chip, usable_cores(chip.topology))
    return np.asarray((used[:, None, :] <= rooms[None]).all(axis=2))


def _room(network: Network, chip: Chip, start: I32, need: npt.NDArray[np.float64], at: I32) -> npt.NDArray[np.float64]:
    """What each part may hold: the average and a little, never less than the blocks hold, never more than a core has."""
    k = at.size
    used = np.zeros((k, need.shape[1]))
    np.add.at(used, start, need)
    rooms = np.broadcast_to(rooms_of(network, chip, at), (k, need.shape[1])).copy()
    rooms[:, 0] = np.minimum(rooms[:, 0], max(SLACK * float(need[:, 0].sum()) / k, float(used[:, 0].max())))
    whole: npt.NDArray[np.float64] = np.maximum(rooms, used)
    return whole


def _dense(core: I32) -> tuple[I32, I32]:
    """The cores in use, int32 [K], and part numbers 0..K-1 in their order."""
    at, part = np.unique(core, return_inverse=True)
    return at.astype(np.int32), part.astype(np.int32)


def _whole(like: I32, core: I32) -> I32:
    out = like.copy()
    out[like != HOST] = core
    return out


def _finish(network: Network, chip: Chip, graph: Hypergraph, core: I32, how: dict[str, object]) -> MappedNetwork:
    program = to_program(network, chip, core)
    check_core_count(program, chip)
    resources = usage(program, chip)
    check_limits(program, chip, resources)
    return MappedNetwork(program, resources, how | _figures(graph, chip, core))


def _figures(graph: Hypergraph, chip: Chip, core: I32) -> dict[str, object]:
    own = core[core != HOST]
    cores, part = np.unique(own, return_inverse=True)
    flow = traffic(graph, part.astype(np.int32), cores.size)
    figures: dict[str, object] = {
        "cores": int(cores.size),
        "messages_per_step": remote_messages(graph, part.astype(np.int32), cores.size),
        "hops_per_step": hop_cost(flow, chip.topology, cores.astype(np.int32)),
        "usable_cores": int(usable_cores(chip.topology).size),
    }
    if chip.topology.chips > 1:
        figures["chips"] = int(np.unique(cores // chip.topology.chip_cores).size)
        figures["chip_messages_per_step"] = chip_messages(flow, chip.topology, cores.astype(np.int32))
    return figures

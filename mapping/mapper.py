"""`map_network`: an integer network -> a program, on as many cores as the objective wants, well placed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mapping.blocks import pack, to_program
from mapping.candidates import Candidate, choose, improved, ranged, settle, spreads
from mapping.files import read_mapping
from mapping.flow import flow_of
from mapping.hypergraph import Hypergraph, axon_hypergraph
from mapping.limits import check_core_count, check_limits
from mapping.network import Network
from mapping.objective import DEFAULT, OBJECTIVES, Judge, Score, cost
from mapping.placement import chip_messages, hop_cost
from mapping.problem import MappingProblem, Rates, make_problem
from mapping.relay import map_with_relays
from mapping.usage import Resource, usage
from simulator.base.arrays import I32, Floats
from simulator.base.errors import FitError, unknown_name
from simulator.chips.chip import Chip
from simulator.program.axons import axon_table
from simulator.program.program import HOST, Program
from simulator.program.shared import SharedProjection, unrolled_all
from simulator.program.spikes import SpikeTrain
from simulator.program.traffic import reach

METHODS = ("auto", "blocks", "builtin", "metis", "mtkahypar")


@dataclass(frozen=True, eq=False)
class MappedNetwork:
    """A mapped network.

    Attributes:
        program: with the core of every neuron.
        resources: use of each resource by core.
        figures: JSON-able: method, objective, cores, expected messages and hops a step, the judged figures of the result, of
            plain blocks and of what each other objective would have chosen.
    """

    program: Program
    resources: tuple[Resource, ...]
    figures: Mapping[str, object] = field(default_factory=dict)


def map_network(
    network: Network,
    chip: Chip,
    method: str = "auto",
    rates: Rates | None = None,
    neurons_per_core: int | None = None,
    seed: int = 0,
    relays: bool = True,
    objective: str = DEFAULT,
    spikes: SpikeTrain | None = None,
) -> MappedNetwork:
    """Map a network to the cores of a chip.

    Args:
        network: integer stage.
        chip: limits, mesh and broken cores.
        method: ``auto`` (blocks and refined parts on several numbers of cores, the best by the objective), ``blocks``
            (contiguous, packed tightly), ``builtin`` (auto without other packages), ``metis``, ``mtkahypar``, or the path of
            a saved mapping.
        rates: population -> messages a step of each neuron, as measured by calibration; all 1 where unknown.
        neurons_per_core: at most so many neurons on a core; the number of cores then follows from it.
        seed: the same seed gives the same mapping.
        relays: whether a network that does not fit for its fan-out may get relay neurons (`mapping.relay`).
        objective: ``time``, ``energy``, ``edp`` (their product), ``cores`` or ``messages`` (`mapping.objective`).
        spikes: events of some steps of the network, by which candidates are judged; drawn from the rates by default.

    Raises:
        FitError: it does not fit.
        InputError: an unknown objective, or a mapping file that does not belong to the network.
        MissingExtraError: a partitioner that is not installed.
    """
    check_objective(objective)
    problem = make_problem(network, chip, rates)
    if method not in METHODS:
        if not Path(method).suffix and not Path(method).exists():
            raise unknown_name("mapping", method, METHODS, more="or a mapping file")
        return _manual(problem, Path(method))
    try:
        blocks = Candidate("blocks", *_fitting(problem, neurons_per_core))
    except FitError as error:
        if not relays:
            raise
        return _relayed(network, chip, rates, neurons_per_core, error)
    if method == "blocks" or problem.n == 0 or _has_shared(network):
        return _mapped(problem, blocks, {"method": "blocks"})
    judge = Judge(problem, spikes, seed)
    layouts = spreads(problem, blocks, judge, objective, neurons_per_core)
    tried = [*layouts, *improved(problem, layouts, judge, objective, seed, method, neurons_per_core)]
    best, tried = settle(tried, objective, judge)
    how: dict[str, object] = {"method": method, "objective": objective, "layout": best.layout}
    return _mapped(problem, best, how | dict(best.found) | _alternatives(tried, best, blocks, judge))


def check_objective(objective: str) -> None:
    """Raise `InputError` for an objective that does not exist."""
    cost(Score(0, 0.0, 0.0, None, None), objective)


def _fitting(problem: MappingProblem, neurons_per_core: int | None) -> tuple[Program, tuple[Resource, ...]]:
    program, resources = pack(problem, neurons_per_core)
    check_limits(program, problem.chip, resources)
    check_core_count(program, problem.chip)
    return program, resources


def _alternatives(
    tried: list[Candidate], best: Candidate, blocks: Candidate, judge: Judge
) -> dict[str, object]:  # fmt: skip
    """Return the judged figures of the result, of tight blocks, and of the choice that each objective would have made."""
    plain = next((c for c in tried if c.program is blocks.program), None)
    chosen = {name: choose(tried, name) for name in OBJECTIVES}
    shown = {id(c): c for c in (best, plain, *chosen.values()) if c is not None}  # only these are timed at both ends
    figures = {key: ranged(c, judge).figures() for key, c in shown.items()}
    return {
        "judged": figures[id(best)],
        "blocks": None if plain is None else figures[id(plain)],
        "alternatives": {name: figures[id(c)] for name, c in chosen.items()},
    }


def _manual(problem: MappingProblem, path: Path) -> MappedNetwork:
    program = to_program(problem.network, problem.chip, read_mapping(path, problem.network))
    check_core_count(program, problem.chip)
    resources = usage(program, problem.chip)
    check_limits(program, problem.chip, resources)
    return _mapped(problem, Candidate("manual", program, resources), {"method": "manual"})


def _mapped(problem: MappingProblem, chosen: Candidate, how: dict[str, object]) -> MappedNetwork:
    if _has_shared(problem.network):  # a graph of single synapses would not fit the memory
        figures = how | _counted_figures(problem, chosen.program)
    else:
        figures = how | figures_of(problem.graph, problem.chip, chosen.program.core)
    return MappedNetwork(chosen.program, chosen.resources, figures)


def _has_shared(network: Network) -> bool:
    return any(isinstance(q, SharedProjection) for q in network.projections)


def _counted_figures(problem: MappingProblem, program: Program) -> dict[str, object]:
    """Return `figures_of` from the axons of a program."""
    axons, per_spike, rates = axon_table(program), reach(program, problem.chip.topology), problem.rates or {}
    rate = np.concatenate([rates.get(p.name, np.ones(p.size)) for p in program.populations])
    source = np.repeat(np.arange(rate.size), axons.fan_cores)
    hops = per_spike.hops_ew + per_spike.hops_ns + per_spike.hops_chip + per_spike.hops_board
    return {
        "cores": program.cores_used,
        "messages_per_step": float(rate[source] @ (axons.dst != program.core[source])),
        "hops_per_step": float(rate @ hops),
        "usable_cores": problem.chip.n_cores,
    }


def _relayed(
    network: Network,
    chip: Chip,
    rates: Rates | None,
    neurons_per_core: int | None,
    error: FitError,
) -> MappedNetwork:
    """Map contiguous blocks with relay neurons; where they do not help either, raise the error of what failed first."""
    network = replace(network, projections=unrolled_all(network.projections))
    try:
        program, resources = map_with_relays(network, chip, neurons_per_core)
    except FitError as second:
        reason = error if second.problem == error.problem or "out_axons" not in str(error) + str(second) else second
        raise reason from None
    whole = Network("integer", program.populations, program.projections, program.meta)
    graph = axon_hypergraph(whole, None if rates is None else with_relay_rates(program, rates))
    facts: dict[str, object] = {"method": "blocks", "relays": dict(program.meta["relays"])}
    return MappedNetwork(program, resources, facts | figures_of(graph, chip, program.core))


def with_relay_rates(program: Program, rates: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the rates of the relays too: each sends what its source sends."""
    out = dict(rates)
    relays = program.facts.relays.populations
    for q in program.projections:
        if q.target in relays and q.source in out:
            own = np.zeros(program.population(q.target).size)
            own[q.targets] = np.repeat(out[q.source], np.diff(q.indptr))
            out[q.target] = own
    return out


def figures_of(graph: Hypergraph, chip: Chip, core: I32) -> dict[str, object]:
    """Return cores, and the messages and hops that the rates lead to expect."""
    own = core[core != HOST]
    cores, part = np.unique(own, return_inverse=True)
    flow = flow_of(graph, part.astype(np.int32), cores.size)
    figures: dict[str, object] = {
        "cores": int(cores.size),
        "messages_per_step": flow.leaving,
        "hops_per_step": hop_cost(flow, chip.topology, cores.astype(np.int32)),
        "usable_cores": chip.n_cores,
    }
    if chip.topology.chips > 1:
        figures["chips"] = int(np.unique(cores // chip.topology.chip_cores).size)
        figures["chip_messages_per_step"] = chip_messages(flow, chip.topology, cores.astype(np.int32))
    return figures

"""Candidates of a mapping: contiguous blocks on several numbers of cores, and refined parts of the best of them.

A ladder of caps on neurons per core spreads the network over more and more cores. Every layout of small networks is judged as
it is; of large ones a closed form ranks the ladder first (`mapping.estimate`). The best few are refined and placed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from mapping.blocks import pack, to_program
from mapping.estimate import estimate
from mapping.flow import flow_of
from mapping.hypergraph import remote_messages
from mapping.limits import check_core_count, check_limits
from mapping.objective import Judge, Score, cost
from mapping.partition import cut, partition
from mapping.placement import crossings, place
from mapping.problem import MappingProblem, used_by_parts
from mapping.refine import Kinds
from mapping.usage import Resource, usage
from simulator.base.arrays import I32, Bools, Floats
from simulator.base.errors import FitError
from simulator.program.program import HOST, Program

SLACK = 1.05  # a part may hold so much more than the average
RUNGS = 8  # of the ladder of numbers of cores
_SMALL, _MIDDLE = 300_000, 2_000_000  # pins up to which 3 or 2 layouts are refined; of larger networks 1
_STRIDE = 7  # one net in so many ranks numbers of cores
LARGE = 4_000_000  # pins from which layouts are ranked by the closed form and not by judging each


@dataclass(frozen=True, eq=False)
class Candidate:
    """A layout, and what it costs.

    Attributes:
        layout: ``blocks``, ``refined`` or ``manual``.
        program, resources: mapped, within the chip's limits.
        score: None where it was not judged.
        found: JSON-able, how the parts were found.
    """

    layout: str
    program: Program
    resources: tuple[Resource, ...]
    score: Score | None = None
    found: Mapping[str, object] = field(default_factory=dict)

    def figures(self) -> dict[str, object]:
        """Return judged figures as plain values."""
        plain: dict[str, object] = {"layout": self.layout}
        if self.score is not None:
            plain.update(self.score.as_json())
        return plain


def ranged(candidate: Candidate, judge: Judge) -> Candidate:
    """Return a judged candidate with both ends of its time."""
    score = candidate.score
    return candidate if score is None else replace(candidate, score=judge.ranged(candidate.program, score))


def choose(candidates: Iterable[Candidate], objective: str) -> Candidate:
    """Choose the judged candidate of least cost; the first of equal ones."""
    judged = [c for c in candidates if c.score is not None]
    return min(judged, key=lambda c: cost(c.score, objective) if c.score is not None else ())


def settle(candidates: list[Candidate], objective: str, judge: Judge) -> tuple[Candidate, list[Candidate]]:
    """Choose the candidate of least cost, none of whose figures is a bound; return it and all candidates.

    Where a lower bound is the least cost, that candidate is judged by the engine and the choice made anew: a candidate whose
    bound is beaten cannot win.
    """
    known = list(candidates)
    while True:
        best = choose(known, objective)
        if best.score is None or not best.score.bound:
            return best, known
        known[known.index(best)] = replace(best, score=judge(best.program))


def spreads(
    problem: MappingProblem, tight: Candidate, judge: Judge, objective: str, neurons_per_core: int | None
) -> list[Candidate]:
    """Spread blocks on several numbers of cores, tight ones first, judged; of large networks the tight ones and one start more.

    Args:
        problem: network and chip.
        tight: blocks as dense as the limits allow.
        judge: of the candidates.
        objective: by which large networks are ranked before any is judged.
        neurons_per_core: of the user; then there is nothing to spread.
    """
    large = problem.graph.pins.size > LARGE
    out = [replace(tight, score=judge(tight.program, bound=large))]
    seen = {tight.program.core.tobytes()}
    shares = (False, True) if np.unique(problem.population).size > 1 else (False,)  # one population shares with none
    dense = _packed(problem, neurons_per_core, share=True) if len(shares) > 1 else None
    counts = [] if neurons_per_core is not None else ladder(problem, dense or tight)
    if large:
        counts = sorted(counts, key=lambda k: cost(estimate(problem, k, _messages_on(problem, k)), objective))[:1]
        dense = dense if objective == "cores" else None
    caps = [-(-problem.n // k) for k in counts]
    for found in [dense, *(_packed(problem, cap, share) for cap in caps for share in shares)]:
        if found is not None and found.program.core.tobytes() not in seen:
            seen.add(found.program.core.tobytes())
            out.append(found)
    return out if large else [out[0], *_judged(out[1:], judge)]


def _judged(candidates: Sequence[Candidate], judge: Judge) -> list[Candidate]:
    """Score candidates, results in order; they are independent, so threads share them."""
    with ThreadPoolExecutor(max(1, min(len(candidates), os.cpu_count() or 1))) as pool:
        scores = pool.map(judge, [c.program for c in candidates])
        return [replace(c, score=s) for c, s in zip(candidates, scores, strict=True)]


def ladder(problem: MappingProblem, dense: Candidate) -> list[int]:
    """Return the numbers of cores to try, from those of the densest blocks to all of the chip, at equal ratios."""
    least = int(np.unique(dense.program.core[dense.program.core != HOST]).size)
    most = max(least, min(problem.chip.n_cores, problem.n))
    return sorted({round(k) for k in np.geomspace(least, most, RUNGS)})


def _messages_on(problem: MappingProblem, k: int) -> float:
    """Return messages a step on k even parts of the neurons' own order or of that by clusters, whichever has fewer."""
    need, room = np.ones((problem.n, 1)), np.ones((k, 1))
    orders = (np.arange(problem.n), problem.order)
    return min(remote_messages(problem.graph, cut(order, need, room), k, _STRIDE) for order in orders)


def _packed(problem: MappingProblem, cap: int | None, share: bool) -> Candidate | None:
    """Return the blocks of at most `cap` neurons; None where the limits do not allow them."""
    try:
        program, resources = pack(problem, cap, share=share)
        check_limits(program, problem.chip, resources)
        check_core_count(program, problem.chip)
    except FitError:
        return None
    return Candidate("blocks", program, resources)


def improved(
    problem: MappingProblem,
    layouts: Sequence[Candidate],
    judge: Judge,
    objective: str,
    seed: int,
    method: str,
    neurons_per_core: int | None = None,
) -> list[Candidate]:
    """Refine and place the layouts that cost least, and judge the results.

    Args:
        problem: network and chip.
        layouts: judged blocks.
        judge, objective: of the candidates.
        seed: of partition and placement.
        method: of the second start, as in `mapping.partition.partition`.
        neurons_per_core: cap that parts obey too.
    """
    pins = problem.graph.pins.size
    times = 3 if pins <= _SMALL else 2 if pins <= _MIDDLE else 1
    ranked = sorted(layouts, key=lambda c: cost(c.score, objective) if c.score is not None else ())
    if pins > LARGE:  # the number of cores was chosen with structure in mind, which blocks do not show
        ranked = list(reversed(layouts))
    out = []
    for layout in ranked[:times]:
        try:
            found = _improve(problem, layout.program, seed, method, neurons_per_core)
        except FitError:  # axons are not part of the search; the blocks stand
            continue
        out.append(replace(found, score=judge(found.program)))
    return out


def _improve(problem: MappingProblem, blocks: Program, seed: int, method: str, cap: int | None) -> Candidate:
    on_chip = blocks.core != HOST
    at, inverse = np.unique(blocks.core[on_chip], return_inverse=True)
    start = inverse.astype(np.int32)
    chip, k = problem.chip, at.size
    room = _room(problem, start, at, cap)
    kinds = Kinds(problem.population, problem.shared)
    order = problem.order if problem.graph.pins.size > LARGE else None
    found = partition(problem.graph, start, problem.need, room, seed, method, kinds, order)
    flow = flow_of(problem.graph, found.part, k)
    allowed = _allowed(problem, found.part, k) if chip.core_limits else None
    core_of_part = place(
        flow, chip.topology, seed, crossing=crossings(chip), start=at if chip.core_limits else None, allowed=allowed
    )
    core = blocks.core.copy()
    core[on_chip] = core_of_part[found.part]
    program = to_program(problem.network, chip, core)
    check_core_count(program, chip)
    resources = usage(program, chip)
    check_limits(program, chip, resources)
    return Candidate("refined", program, resources, None, {"start": found.start, "tried": found.tried})


def _room(problem: MappingProblem, start: I32, at: I32, cap: int | None) -> Floats:
    """Return each part's room: the average and a little, never less than the blocks hold, never more than a core has."""
    k = at.size
    used = used_by_parts(problem, start, k)
    rooms = problem.rooms[np.searchsorted(problem.cores, at)].copy()
    even = max(SLACK * problem.n / k, float(used[:, 0].max()))
    rooms[:, 0] = np.minimum(rooms[:, 0], even if cap is None else min(even, cap))
    whole: Floats = np.maximum(rooms, used)
    return whole


def _allowed(problem: MappingProblem, part: I32, k: int) -> Bools:
    """Return which part fits which usable core, bool [K, cores]."""
    used = used_by_parts(problem, part, k)
    return np.asarray((used[:, None, :] <= problem.rooms[None]).all(axis=2))

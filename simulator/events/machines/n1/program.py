"""A compiled program on one Catalyst N1 core: the same spikes as the step engines, with the hardware's cycles and losses.

The populations' neurons follow one another in the core; inputs are summed by the host, since the core overwrites them.
"""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import I64
from simulator.base.errors import FitError
from simulator.base.names import INPUT_MODEL
from simulator.events.machines.n1 import state as s
from simulator.events.machines.n1.run import CoreRun, run_core
from simulator.events.machines.n1.state import Options, program_core
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.shared import unrolled
from simulator.program.spikes import SpikeTrain

_IDS = {
    "threshold": s.THRESHOLD, "leak": s.LEAK, "rest": s.REST, "refractory": s.REFRACTORY, "v_min": s.V_MIN, "v_max": s.V_MAX,
    "dv": s.DV, "du": s.DU,
}  # fmt: skip
MODELS = ("n1_lif", "n1_cuba")
DECAYS = 1 << 9  # bit of the refractory parameter
WORD = 1 << 15


def run_program(program: Program, inputs: SpikeTrain, steps: int, neurons: int = 128) -> CoreRun:
    """Run a program on one core of Catalyst N1.

    Args:
        program: populations `n1_lif` and `n1_cuba` behind inputs, binary spikes.
        inputs: events of the input populations.
        steps: how many.
        neurons: of the core; each costs its cycles, used or not.

    Returns:
        The run; its neurons count from 0 over the populations that are no inputs, in their order.

    Raises:
        FitError: another model, too many neurons, a current or delay beyond its word, or CUBA neurons with and without
            `scale_u`, which is a switch of the whole core.
    """
    cells = [p for p in program.populations if p.model != INPUT_MODEL]
    first = dict(zip([p.name for p in cells], np.cumsum([0, *[p.size for p in cells]]).tolist(), strict=False))
    if sum(p.size for p in cells) > neurons:
        raise FitError("program", f"has {sum(p.size for p in cells)} neurons; the core has {neurons}", "Use fewer")
    params = [row for p in cells for row in _params(p, first[p.name])]
    idle = [(i, s.THRESHOLD, (1 << 23) - 1) for i in range(sum(p.size for p in cells), neurons)]
    within = [unrolled(q) for q in program.projections if q.source in first]
    pool, index, delay = _synapses(within, first, neurons)
    core = program_core(neurons, np.array(params + idle), pool, delay, index, np.zeros((0, 2), np.int64))
    options = Options(scale_u=_scale_u(cells))
    return run_core(core, options, steps, _external(program, inputs, steps, first), np.zeros((0, 2), np.int64))


def _words(p: Population) -> dict[str, I64]:
    defaults = get(p.model).defaults
    names = [w.name for w in get(p.model).params]
    return {k: np.broadcast_to(np.asarray(p.params.get(k, defaults.get(k, 0)), np.int64), p.size) for k in names}


def _params(p: Population, first: int) -> list[tuple[int, int, int]]:
    if p.model not in MODELS:
        raise FitError(f"population {p.name!r}", f"is of model {p.model!r}", f"The core runs: {', '.join(MODELS)}")
    words = _words(p)
    if p.model == "n1_cuba":
        words["refractory"] = words["refractory"] | np.where(words["decays"] != 0, DECAYS, 0)
        bias = (words["bias_mant"] << 3 | words["bias_exp"]) & 0xFFFF
        if bool(((words["dv"] == 0) & (words["du"] == 0) & (bias == 0)).any()):
            raise FitError(
                f"population {p.name!r}", "has neurons without decay and bias", "The core takes them for n1_lif"
            )
    rows = [(first + i, _IDS[k], int(v)) for k, values in words.items() if k in _IDS for i, v in enumerate(values)]
    return rows + ([(first + i, s.BIAS, int(v)) for i, v in enumerate(bias)] if p.model == "n1_cuba" else [])


def _scale_u(cells: list[Population]) -> int:
    values = {int(v) for p in cells if p.model == "n1_cuba" for v in _words(p)["scale_u"]}
    if len(values) > 1:
        raise FitError("program", "has neurons with scale_u 0 and 1", "It is a switch of the whole core: choose one")
    return values.pop() if values else 0


def _synapses(projections: list[Projection], first: dict[str, int], neurons: int) -> tuple[I64, I64, I64]:
    """Return pool, index and delay tables, the synapses of each neuron together."""
    rows: list[list[tuple[int, int, int]]] = [[] for _ in range(neurons)]
    for q in projections:
        if not 0 <= q.delay < s.SLOTS:
            raise FitError(f"projection {q.name!r}", f"has a delay of {q.delay}; the core delays by 0..{s.SLOTS - 1}")
        weights, targets = _currents(q), q.targets
        for i in range(q.indptr.size - 1):
            for j in range(int(q.indptr[i]), int(q.indptr[i + 1])):
                rows[first[q.source] + i].append((first[q.target] + int(targets[j]), int(weights[j]), q.delay))
    pool: list[tuple[int, ...]] = []
    index: list[tuple[int, ...]] = []
    delay: list[tuple[int, int]] = []
    for source, row in enumerate(rows):
        if row:
            index.append((source, len(pool), len(row), 0))
        for target, weight, late in row:
            if late:
                delay.append((len(pool), late))
            pool.append((len(pool), source, target, weight, 0))
    return (
        np.array(pool, np.int64).reshape(-1, 5),
        np.array(index, np.int64).reshape(-1, 4),
        np.array(delay, np.int64).reshape(-1, 2),
    )


def _currents(q: Projection) -> I64:
    weights = q.weights.astype(np.int64) << q.exponent
    if weights.size and not -WORD <= int(weights.min()) <= int(weights.max()) < WORD:
        raise FitError(
            f"projection {q.name!r}", "has currents beyond 16 bits", "Use fewer weight bits or a smaller exponent"
        )
    return np.asarray(weights, np.int64)


def _external(program: Program, inputs: SpikeTrain, steps: int, first: dict[str, int]) -> I64:
    """Sum what the inputs send to each neuron in each step: (step, neuron, value)."""
    total = sum(p.size for p in program.populations if p.name in first)
    sums, ids = np.zeros((steps + 1, total), np.int64), program.first_ids()
    for q in program.projections:
        if q.source in first:
            continue
        weights, targets = _currents(q), q.targets
        begin, n = ids[q.source], q.indptr.size - 1
        for t in range(min(inputs.steps, steps)):
            here = inputs.ids[int(inputs.ptr[t]) : int(inputs.ptr[t + 1])]
            for i in here[(here >= begin) & (here < begin + n)] - begin:
                row = slice(int(q.indptr[i]), int(q.indptr[i + 1]))
                sums[min(t + 1 + q.delay, steps), first[q.target] + targets[row]] += weights[row]
    step, neuron = np.nonzero(sums[:steps])
    values = sums[step, neuron]
    if values.size and not -WORD <= int(values.min()) <= int(values.max()) < WORD:
        raise FitError("inputs", "sum to a current beyond 16 bits in a step", "Use smaller weights")
    return np.column_stack([step, neuron, values])

"""Learning that was not simulated: its operations and its time, counted from the spikes of a run of inference.

The operations of each form follow the learner of `simulator.plasticity` step by step and core by core: what it does depends on
the network, the mapping and the events, which a run of inference knows. Only what depends on errors is not known before one
learns: which neurons an error reaches, and which of their weights change. These shares have a low, a nominal and a high value.

A core's learning phase takes ``learn_synapse`` of the chip file for each synaptic word that it reads, changes and writes
(docs/timing.md); the timing engine runs once more with these phases, so the static energy of learning is charged too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bimhw.compiler.readback import check_rule
from bimhw.costs.counted_work import LearningCounter, Share, Shares, whole
from bimhw.costs.plan import CHIP_FORMS, SHARED_FORMS, ChipForm, LearningPlan, Shape
from simulator.base.arrays import I64, Floats
from simulator.base.errors import FitError
from simulator.chips.chip import Chip
from simulator.function.counting import Counter, Tally
from simulator.plasticity.config import learn_config
from simulator.plasticity.layers.net import filled, learning_net
from simulator.program.activity import Activity, Count
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.run import run_timing

__all__ = ["CHIP_FORMS", "ChipForm", "CountedLearning", "LearningPlan", "count_learning", "count_learnt", "forms_of"]

NONE, ALL = Share(0.0, 0.0, 0.0, 0.0), Share(1.0, 1.0, 1.0, 1.0)
# Spikes of neurons that learn, over those of inference: 1.03 to 1.19 in the tests.
FEW_SPIKES, MANY_SPIKES = 0.75, 1.5
LOW, HIGH = Shares(NONE, NONE, spikes=FEW_SPIKES), Shares(ALL, ALL, True, spikes=MANY_SPIKES)
# Nominal: three nets while they learn digits; a readout's error words are hardly ever 0.
NOMINAL = Shares(Share(0.7, 0.75, 0.7, 1.0), Share(1.0, 1.0, 0.5, 1.0))


@dataclass(frozen=True, eq=False)
class CountedLearning:
    """Counters and time of learning a run's samples, inference included, at the low, nominal and high shares.

    Attributes:
        plan: what was counted.
        activities: (low, nominal, high).
        updates: weight updates of the readout a sample.
        timed: the chip file has a time for a synaptic word of learning, and the run was timed.
        stored: the program with every synapse that learning may fill.
        spikes, samples: events and number of the samples that were counted, in the learner's steps.
        touched: synaptic words touched by step of these samples and core, at each of the shares.
        pilot: samples that were learnt to correct the count; 0: none, and the plan is `fast`; None: none is needed.
    """

    plan: LearningPlan
    activities: tuple[Activity, Activity, Activity]
    updates: float
    timed: bool
    stored: Program
    spikes: SpikeTrain
    samples: int
    touched: tuple[I64, I64, I64]
    pilot: int | None = None


def forms_of(program: Program) -> tuple[ChipForm, ...]:
    """Return the forms of learning that can be counted: all of a net of BIM-D layers and one readout, fewer with S6 layers.

    None of a network whose layers gradient rules on the chip refuse (learnt delays, residual stacks).
    """
    try:
        check_rule(program, "rtrl")
        net = learning_net(program)
    except FitError:
        return ()
    return SHARED_FORMS if any(layer.states for layer in net.layers) else CHIP_FORMS


def count_learning(
    program: Program, spikes: SpikeTrain, activity: Activity, chip: Chip, plan: LearningPlan, every_step: bool = False
) -> CountedLearning:
    """Count what learning from the samples of a run would do and take, beside its inference.

    Args:
        program: what ran, with BIM-D or S6 layers and one readout.
        spikes: all events of the run, inputs included.
        activity: its counters.
        chip: whose times are used.
        plan: form and its parameters.
        every_step: the readout decides at every step (a text), not only in its window.

    Raises:
        FitError: a network that does not learn on the chip.
    """
    net = learning_net(program)
    stored = filled(program, net)
    shape = Shape.of(program, net, spikes, activity, every_step)
    few = shape.chosen(spikes)
    counters = [LearningCounter(stored, net, shape, few, chip, plan, s) for s in (LOW, NOMINAL, HIGH)]
    absent, learning = _traffic_of_absent(program, stored, chip, few), _traffic_of_learners(stored, chip, few)
    return _counted(counters, activity, chip, absent, learning)


def count_learnt(
    program: Program, spikes: SpikeTrain, activity: Activity, chip: Chip, every_step: bool = False
) -> CountedLearning:
    """Count a run that learnt from its own spikes, and from its own shares of what errors decide.

    The counts then rest on nothing that learning changes, so they are the learner's own, found another way.

    Args:
        program: what the run began with or came to.
        spikes, activity, chip, every_step: as in `count_learning`.

    Raises:
        FitError: a network that does not learn on the chip, or a rule that is not counted.
    """
    config, net = learn_config(program.learning), learning_net(program)
    plain = config.rule == "rtrl" and config.accumulate == 1 and config.skip_zero and not config.prune_target
    if config.form not in forms_of(program) or not plain:
        raise FitError("learning", f"by rule {config.rule!r}, form {config.form!r} is not counted", "Simulate it")
    plan = LearningPlan(config.form, config.block, config.history, config.every)
    stored = filled(program, net)
    shape = Shape.of(stored, net, spikes, activity, every_step)
    few = shape.chosen(spikes)
    scale = activity.samples / shape.samples
    most = LearningCounter(stored, net, shape, few, chip, plan, Shares(ALL, ALL)).book.by_population
    own = _own_shares(stored, activity, most, scale)
    counter = LearningCounter(stored, net, shape, few, chip, plan, Shares(ALL, ALL, False, own))
    inference = {name: c for name, c in activity.counts.items() if not name.startswith("learn_")}
    time = None if activity.sim_time_ns is None or chip.timing is None else _time(stored, chip, few, None) * scale
    return _counted([counter] * 3, replace(activity, counts=inference, sim_time_ns=time), chip, {})


def _own_shares(
    program: Program, activity: Activity, most: Mapping[str, Floats], scale: float
) -> dict[str, Share]:  # fmt: skip
    """Divide what a run that learnt did in each population by the most that errors could have made it do."""

    def share(kind: str, k: int) -> float:
        name = f"learn_{kind}"
        if name not in most or not most[name][k]:
            return 1.0
        did = activity.counts[name].by_population[k] if name in activity.counts else 0
        return float(did / (most[name][k] * scale))

    own = {}
    for k, p in enumerate(program.populations):
        errors = min(share("weight_mac", k), share("error_messages", k))
        reached = share("random", k)
        each = [share(kind, k) / max(reached, 1e-12) for kind in ("weight_updates", "neuron_word_updates")]
        own[p.name] = Share(errors, reached, *each)
    return own


def _counted(
    counters: list[LearningCounter], activity: Activity, chip: Chip, more: dict[str, Count],
    learning: Mapping[str, float] | None = None,
) -> CountedLearning:  # fmt: skip
    first = counters[0]
    shape, few, stored, plan = first.shape, first.spikes, first.program, first.plan
    base_ns = _time(stored, chip, few, None) if activity.sim_time_ns is not None and chip.timing is not None else None
    scale = activity.samples / shape.samples
    runs = [_with_spikes(_activity(c, activity, scale, base_ns, chip, more), learning or {}, c) for c in counters]
    word = chip.timing.learn_synapse if chip.timing is not None else None
    timed = base_ns is not None and word is not None and word.value is not None
    low, nominal, high = (_words(c) for c in counters)
    return CountedLearning(
        plan, (runs[0], runs[1], runs[2]), shape.updates(plan), timed, stored, few, shape.samples, (low, nominal, high)
    )


def _words(counter: LearningCounter) -> I64:
    return np.rint(counter.book.touched[:, : counter.book.cores]).astype(np.int64)


def _traffic_of_absent(program: Program, stored: Program, chip: Chip, few: SpikeTrain) -> dict[str, Count]:
    """Count what spikes meet at synapses that are absent in the program and stored, as 0, where it learns."""
    if sum(p.weights.size for p in stored.projections) == sum(p.weights.size for p in program.projections):
        return {}
    zero, none = np.zeros(few.steps, np.int64), np.zeros(program.n_neurons, np.int64)
    full, own = (
        Counter(p, chip.topology).activity(few, Tally(none, zero, none, zero)).counts for p in (stored, program)
    )
    pairs = {name: (_arrays(c), _arrays(own[name])) for name, c in full.items() if name in own}
    alone = {name: c for name, c in full.items() if name not in own}
    return alone | {name: Count(*(a - b for a, b in zip(*two, strict=True))) for name, two in pairs.items()}


def _traffic_of_learners(program: Program, chip: Chip, few: SpikeTrain) -> dict[str, float]:
    """Return the part of each counter of spikes that belongs to spikes of neurons that learn: the inputs' stay as they are."""
    zero, none = np.zeros(few.steps, np.int64), np.zeros(program.n_neurons, np.int64)
    counter, idle = Counter(program, chip.topology), Tally(none, zero, none, zero)
    driven = np.concatenate([np.full(p.size, p.role == "input") for p in program.populations])[few.ids]
    running = np.append(0, np.cumsum(driven))[few.ptr]
    payload = None if few.payload is None else few.payload[driven]
    inputs = counter.activity(SpikeTrain(running, few.ids[driven], payload), idle)
    return {n: 1.0 - inputs.total(n) / c.total for n, c in counter.activity(few, idle).counts.items() if c.total}


def _with_spikes(activity: Activity, learning: Mapping[str, float], counter: LearningCounter) -> Activity:
    """Return a run whose neurons that learn spike as often as the counter's shares say."""
    more = counter.shares.spikes - 1.0
    if not more:
        return activity
    factors = {name: 1.0 + more * part for name, part in learning.items()}
    counts = {
        name: Count(*(_scaled(a, factors.get(name, 1.0), a.size) for a in _arrays(c)))
        for name, c in activity.counts.items()
    }
    return replace(activity, counts=counts)


def _time(program: Program, chip: Chip, spikes: SpikeTrain, touched: I64 | None) -> float:
    return run_timing(program, chip, spikes, learn_synapses=touched).sim_time_ns


def _activity(
    counter: LearningCounter, activity: Activity, scale: float, base_ns: float | None, chip: Chip, more: dict[str, Count]
) -> Activity:  # fmt: skip
    """Return the inference of the whole run with its few extra steps, and learning scaled from the samples counted."""
    shape = counter.shape
    counts = {name: _longer(name, c, shape) for name, c in activity.counts.items()}
    steps = activity.samples * shape.learn_steps
    for name, count in counter.book.counts().items():
        counts[name] = Count(*(_scaled(a, scale, n) for a, n in zip(_arrays(count), _sizes(count, steps), strict=True)))
    for name, count in more.items():
        if count.total:
            both = [_scaled(a, scale, n) for a, n in zip(_arrays(count), _sizes(count, steps), strict=True)]
            counts[name] = (
                Count(*(a + b for a, b in zip(_arrays(counts[name]), both, strict=True)))
                if name in counts
                else Count(*both)
            )
    time = activity.sim_time_ns
    if base_ns is not None and time is not None:
        own_steps = activity.steps / shape.learn_steps / activity.samples  # the extra steps are in base_ns already
        time += (_time(counter.program, chip, counter.spikes, _words(counter)) - base_ns * own_steps) * scale
    return replace(activity, counts=counts, steps=steps, sim_time_ns=time)


def _arrays(count: Count) -> tuple[I64, I64, I64]:
    return count.by_core, count.by_step, count.by_population


def _sizes(count: Count, steps: int) -> tuple[int, int, int]:
    return count.by_core.size, steps, count.by_population.size


def _scaled(values: I64, scale: float, size: int) -> I64:
    """Multiply; a longer grouping (the steps of a run of which the first were counted) repeats what is known of it."""
    if values.size != size:
        return whole(np.resize(values.astype(np.float64), size) * (scale * values.size / size))
    return whole(values * scale)


def _longer(name: str, count: Count, shape: Shape) -> Count:
    """Extend a counter of inference to the learner's steps: updates of all neurons in the extra ones, no events."""
    extra = shape.learn_steps - shape.chip_steps
    by_step = count.by_step.reshape(-1, shape.chip_steps) if count.by_step.size % shape.chip_steps == 0 else None
    if by_step is None or not extra:
        return count
    each = name == "neuron_updates" or name.startswith("op_")
    tail = np.repeat(by_step[:, -1:] if each else np.zeros((by_step.shape[0], 1), np.int64), extra, axis=1)
    factor = (shape.learn_steps / shape.chip_steps) if each else 1.0
    return Count(
        whole(count.by_core * factor),
        np.concatenate([by_step, tail], axis=1).ravel(),
        whole(count.by_population * factor),
    )

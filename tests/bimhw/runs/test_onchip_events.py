"""The learner inside the event-driven engine against function first and compiled timing: weights, spikes, every stamp."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.compiler.pipeline import compile
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.chips.quantity import Quantity
from simulator.events.learning import EventLearner
from simulator.plasticity import LearnConfig, Learner, calibrate, learn_config, prepare, program_of
from simulator.plasticity.learn import activity
from simulator.plasticity.timing import time_learning
from simulator.program.program import HOST, Program

M, C, T = 4, 3, 8
NETS = (
    ("delta", (5,), False, (0,), 0),
    ("exp", (4, 3), True, (0,), 0),
    ("alpha", (6,), False, (0, 2), 0),
    ("alpha", (3, 4), True, (0,), 0),
    ("exp", (4, 3), True, (0, 1), 2),  # s6 with two states
)


def samples(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 9, (n, T, M)) * (rng.random((n, T, M)) < 0.6)
    labels = np.where(rng.random((n, T)) < 0.6, rng.integers(0, C, (n, 1)), -1).astype(np.int64)
    return x, labels


@cache
def compiled(net: int) -> Program:
    psp, hidden, dense, delays, states = NETS[net]
    kind = {"kind": "s6", "n_states": states} if states else {}
    config = BimConfig(
        n_in=M, hidden=hidden, n_out=C, psp=psp, input_scale=1 / 16, dense_readout=dense, input_delays=delays, **kind
    )
    return compile(BimNet(config, net), "loihi2", calibration=samples(net, 20)[0]).program


@cache
def ready(net: int, options: tuple[tuple[str, object], ...]) -> Program:
    """Return a program, prepared and calibrated, with weights large enough to fire and to err."""
    program = compiled(net)
    rng = np.random.default_rng(net)
    sizes = {p.name: p.size for p in program.populations}
    floats = {q.name: rng.normal(0, 1.5, (sizes[q.source], sizes[q.target])) for q in program.projections}
    config = LearnConfig(state_bits=20, lr=0.05, **dict(options))  # type: ignore[arg-type]
    x, labels = samples(100 + net, 6)
    return calibrate(prepare(program, config, floats), list(x), list(labels), config)


def on_cores(program: Program, seed: int, n_cores: int, together: bool) -> Program:
    rng = np.random.default_rng(seed)
    core = rng.integers(0, n_cores, program.n_neurons).astype(np.int32)
    if together:
        core.sort()
    core[: program.populations[0].size] = HOST
    return replace(program, core=core)


def uneven(seed: int) -> Chip:
    """Return a corner of Loihi 2 with other buffers and a learning time, so that phases of cores overlap differently."""
    chip = load_chip("loihi2")
    corner = msgspec.structs.replace(
        chip.topology, width=3, height=2, cores_per_router=2, usable_cores=12, host_port=(seed % 3, 0)
    )
    rng = np.random.default_rng(seed)
    values = {"port_slots": 1 + seed % 3, "core_slots": 1 + seed % 2, "learn_synapse": float(rng.integers(0, 9))}
    of = {k: msgspec.structs.replace(getattr(chip.timing, k), value=float(v)) for k, v in values.items()}
    return msgspec.structs.replace(chip, topology=corner, timing=msgspec.structs.replace(chip.timing, **of))


kinds = st.fixed_dictionaries(
    {
        "rule": st.sampled_from(["rtrl", "rtrl", "hybrid", "stdp", "frozen"]),
        "form": st.sampled_from(["dense", "seq", "tr", "blk"]),
        "optimiser": st.sampled_from(["rms", "sgd"]),
        "credit": st.sampled_from(["filt-win", "direct"]),
        "weight_bits": st.sampled_from([8, 16]),
    }
)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, len(NETS) - 1), kinds, st.integers(1, 9), st.booleans())
def test_weights_spikes_and_stamps_equal_function_first_then_compiled(seed, net, kind, n_cores, together):
    if NETS[net][4]:
        kind["form"] = "tr" if kind["form"] in ("dense", "tr") else "seq"
    if kind["form"] == "dense":
        kind["trace_rounding"] = "stochastic" if seed % 3 else "nearest"
    options = kind | {"lam": 0.6, "block": 3, "history": 3, "error_at": "core" if seed % 2 else "host"}
    program = on_cores(ready(net, tuple(sorted(options.items()))), seed, n_cores, together)
    check_equal(program, uneven(seed), seed, 2)


def check_equal(program: Program, chip: Chip, seed: int, n: int) -> tuple[Learner, EventLearner]:
    config = learn_config(program.learning)
    first, events = Learner(program, config, seed, timed=True), EventLearner(program, config, chip, seed)
    everything = range(n * first.chip_steps(T))
    events.engine.keep = everything
    for x, y in zip(*samples(seed, n), strict=True):
        a, b = first.sample(x, y), events.sample(x, y)
        assert (a.loss, a.spikes) == (b.loss, b.spikes)
        assert np.array_equal(a.scores, b.scores)
    assert program_of(first).sha256() == program_of(events).sha256()
    assert first.counts.totals() == events.counts.totals()
    one, other = activity(first), activity(events)
    for name, count in one.counts.items():
        for by in ("by_core", "by_step", "by_population"):
            assert np.array_equal(getattr(count, by), getattr(other.counts[name], by)), name
    when, times = time_learning(first, chip, keep=everything), events.timing()
    for name in ("step_ticks", "messages", "soma_busy_ticks", "synapse_busy_ticks", "soma_stall_ticks"):
        assert np.array_equal(getattr(when, name), getattr(times, name)), name
    for t in everything:
        assert np.array_equal(when.steps[t][1].stamps, times.steps[t][1].stamps)
        assert np.array_equal(when.steps[t][1].soma_end, times.steps[t][1].soma_end)
    return first, events


@pytest.fixture(scope="module")
def split() -> Program:
    """Two layers on seven cores, STDP and gradient, updates at every labelled step."""
    options = {"rule": "hybrid", "lam": 0.6, "form": "dense"}
    return on_cores(ready(3, tuple(sorted(options.items()))), 1, 7, False)


def test_the_learning_phase_takes_the_words_that_were_touched(split) -> None:  # type: ignore[no-untyped-def]
    """Something is learnt, on several cores, and each step is longer by what the busiest cores' words take, no less."""
    chip = uneven(4)
    first, _ = check_equal(split, chip, 4, 2)
    assert first.counts.total("learn_weight_updates") > 100
    assert any(
        not np.array_equal(a.weights, b.weights)
        for a, b in zip(split.projections, program_of(first).projections, strict=True)
    )
    counts = activity(first).counts
    steps = range(first.steps_done)
    sizes = [p.size for p in split.populations]
    touched = first.counts.touched(steps, split.core, sizes, 12)
    assert (touched.sum(axis=0) > 0).sum() >= 5
    words = ("trace_rmw", "events", "stdp_events", "weight_updates")
    total = sum(counts[f"learn_{name}"].by_step for name in words if f"learn_{name}" in counts)
    assert np.array_equal(touched.sum(axis=1), total)
    per_word = round(chip.timing.learn_synapse.value / chip.timing.tick.value)
    at_once = msgspec.structs.replace(chip.timing, learn_synapse=Quantity(0.0, "ns", "test", "assumed"))
    free = msgspec.structs.replace(chip, timing=at_once)
    longer = time_learning(first, chip).step_ticks - time_learning(first, free).step_ticks
    most = touched.max(axis=1)
    assert (longer <= per_word * most).all()
    assert (longer[most > 0] > 0).any()
    alone = np.count_nonzero(touched, axis=1) == 0
    assert (longer[alone] == 0).all()


def test_all_engines_time_learning_alike(split) -> None:  # type: ignore[no-untyped-def]
    chip, first = uneven(3), Learner(split, learn_config(split.learning), 0, timed=True)
    for x, y in zip(*samples(0, 1), strict=True):
        first.sample(x, y)
    part = range(5, 8)
    runs = [time_learning(first, chip, part, engine=e).step_ticks for e in ("compiled", "simpy", "clocked")]
    assert all(np.array_equal(a, b) for a, b in itertools.pairwise(runs))
    assert (time_learning(first, chip, part, engine="bound").step_ticks <= runs[0]).all()
    assert np.array_equal(time_learning(first, chip).step_ticks[5:8], runs[0])


def test_what_is_learnt_event_by_event_does_not_depend_on_the_mapping(split) -> None:  # type: ignore[no-untyped-def]
    results = []
    for program in (split, on_cores(split, 2, 2, True)):
        learner = EventLearner(program, learn_config(program.learning), load_chip("loihi2"), 5)
        for x, y in zip(*samples(2, 2), strict=True):
            learner.sample(x, y)
        results.append(program_of(learner).projections)
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a.weights, b.weights), a.name


def test_bad_input_is_named(split) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="wide"):
        EventLearner(split, LearnConfig(words="wide"), load_chip("loihi2"))
    with pytest.raises(InputError, match="timed=True"):
        time_learning(Learner(split, learn_config(split.learning)), load_chip("loihi2"), range(1))
    with pytest.raises(InputError, match="barrier"):
        EventLearner(split, learn_config(split.learning), load_chip("loihi2"), sync="tick", period_ns=1e5)

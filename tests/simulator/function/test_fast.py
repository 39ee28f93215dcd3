"""The fast loop against the general one, which has its own oracle, and against a plain-Python loop of the format's rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.function import Simulation
from simulator.function.counting import Counter
from simulator.function.fast import NARROW_FROM, plain
from simulator.function.layout import lay_out
from simulator.function.run import finish
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def _program(rng: np.random.Generator, sizes: list[int], n_inputs: int, top: int, dv: int, strict: int) -> Program:
    vth, populations = int(rng.integers(0, 200 * top)), []
    for k, n in enumerate(sizes):
        params = {
            "dv": np.array(dv), "vth": np.array(max(vth, 1)), "strict": np.array(strict),
            "bias": rng.integers(-9 * top, 25 * top, n), "v_init": rng.integers(-99 * top, 99 * top, n),
        }  # fmt: skip
        populations.append(Population(f"p{k}", *(("input", n) if k < n_inputs else ("lif", n, params))))
    projections = []
    for k in range(int(rng.integers(1, 6))):
        a, b = int(rng.integers(0, len(sizes))), int(rng.integers(n_inputs, len(sizes)))
        matrix = rng.integers(-top, top + 1, (sizes[b], sizes[a])).astype(np.int8 if top < 128 else np.int32)
        matrix[rng.random(matrix.shape) < 0.4] = 0
        projections.append(Projection(f"q{k}", f"p{a}", f"p{b}", "in", *dense_to_csr(matrix), exponent=3))
    return Program("", "", tuple(populations), tuple(projections), np.zeros(sum(sizes), np.int32))


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([9, 127, 3000]), st.sampled_from([1, 64, 512, 4096]), st.integers(0, 1)
)
def test_fast_equals_general(seed: int, top: int, dv: int, strict: int) -> None:
    assume(dv > 1 or top < 10)  # with a slow decay and large weights V is not bounded tightly enough
    rng = np.random.default_rng(seed)
    n_inputs = int(rng.integers(0, 3))
    sizes = [int(n) for n in rng.integers(1, 150, n_inputs + int(rng.integers(1, 4)))]
    program = _program(rng, sizes, n_inputs, top, dv, strict)
    n_in = sum(sizes[:n_inputs])
    inputs = SpikeTrain.from_dense((rng.random((20, n_in)) < 0.3).astype(np.int32))
    fast, general = (Simulation(program, graded_inputs=False, fast=f) for f in (True, False))
    assert fast.fast_form is not None
    assert general.fast_form is None
    for steps in (7, 0, 18):  # the second part runs beyond the end of its inputs
        fast.advance(inputs, steps)
        general.advance(inputs, steps)
    counter = Counter(program)
    a, b = finish(fast, counter), finish(general, counter)
    assert a.spikes.spike_hash() == b.spikes.spike_hash()
    for k in range(len(sizes)):
        assert (a.state.words[k] == b.state.words[k]).all()
        assert (a.state.rings[k] == b.state.rings[k]).all()
    assert a.activity.counts.keys() == b.activity.counts.keys()
    for name, count in a.activity.counts.items():
        for part in ("by_core", "by_step", "by_population"):
            assert (getattr(count, part) == getattr(b.activity.counts[name], part)).all()


def test_both_synapse_forms_and_both_sum_types_are_used() -> None:
    rng = np.random.default_rng(2)
    middle = np.int16 if NARROW_FROM < 9000 else np.int32  # by the processor; results are the same
    for n, target, sums in ((100, np.uint16, np.int32), (9000, np.uint16, middle), (70_000, np.uint32, np.int16)):
        targets = np.concatenate([np.sort(rng.choice(n, 40, replace=False)) for _ in range(50)])
        csr = (np.arange(51) * 40, targets.astype(np.int32), rng.integers(-128, 128, 2000).astype(np.int8))
        params = {"dv": np.array(512), "vth": np.array(900), "bias": rng.integers(0, 300, n)}
        populations = (Population("in", "input", 50), Population("lif", "lif", n, params))
        q = (Projection("q", "in", "lif", "in", *csr, exponent=2),)
        program = Program("", "", populations, q, np.zeros(n + 50, np.int32))
        form = plain(lay_out(program, graded_inputs=False))
        assert form is not None
        assert (form.target.dtype, form.rule.sum_type) == (target, sums)
        inputs = SpikeTrain.from_dense((rng.random((6, 50)) < 0.5).astype(np.int32))
        runs = [Simulation(program, graded_inputs=False, fast=f) for f in (True, False)]
        for r in runs:
            r.advance(inputs, 8)
        assert np.concatenate(runs[0].record.ids).tolist() == np.concatenate(runs[1].record.ids).tolist()
        assert (runs[0].state.words[1] == runs[1].state.words[1]).all()


@pytest.mark.parametrize("kind", ["one array", "two arrays", "two populations", "out of order", "two projections"])
def test_large_networks_run_on_their_own_arrays_where_they_can(kind: str) -> None:
    rng = np.random.default_rng(3)
    n, rows = 70_000, 90  # 50 inputs, 40 LIF neurons that send
    targets = np.concatenate([np.sort(rng.choice(n - 1, 20, replace=False)) for _ in range(rows)]).astype(np.int32)
    weights = rng.integers(-128, 128, targets.size).astype(np.int8)
    if kind == "two arrays":
        own = [(targets[:1000].copy(), weights[:1000].copy()), (targets[1000:].copy(), weights[1000:].copy())]
    else:
        own = [(targets[:1000], weights[:1000]), (targets[1000:], weights[1000:])]
    split = kind == "two populations"
    sizes = [("in", 50), ("lif", n - 1)] + [("more", 1)] * split
    params = {"dv": np.array(512), "vth": np.array(900)}
    populations = tuple(
        Population(name, "input", size)
        if name == "in"
        else Population(name, "lif", size, params | {"bias": np.arange(size) % 300})
        for name, size in sizes
    )
    own_ptr = np.concatenate([np.arange(41) * 20, np.full(n - 1 - 40, 800)])
    qs = [
        Projection("a", "in", "lif", "in", np.arange(51) * 20, *own[0], exponent=2),
        Projection("b", "lif", "lif", "in", own_ptr, *own[1], exponent=2),
    ]
    if kind == "two projections":
        qs.append(
            Projection(
                "c", "in", "lif", "in", np.arange(51), targets[1800 - 50 :].copy() * 0, weights[:50].copy(), exponent=2
            )
        )
    if kind == "out of order":
        qs.reverse()
    program = Program("", "", populations, tuple(qs), np.zeros(sum(size for _, size in sizes), np.int32))
    form = plain(lay_out(program, graded_inputs=False))
    assert form is not None
    assert (form.target.dtype, form.weight.dtype, form.synapse_bytes) == (np.uint32, np.int8, 5 * form.target.size)
    assert np.shares_memory(form.target, targets) == (kind in ("one array", "out of order"))
    inputs = SpikeTrain.from_dense((rng.random((6, 50)) < 0.5).astype(np.int32))
    runs = [Simulation(program, graded_inputs=False, fast=f) for f in (True, False)]
    for r in runs:
        r.advance(inputs, 8)
    assert np.concatenate(runs[0].record.ids).tolist() == np.concatenate(runs[1].record.ids).tolist()
    assert (runs[0].state.words[1] == runs[1].state.words[1]).all()
    assert runs[0].record.counts[-1] > 0


@pytest.mark.parametrize(
    "change",
    [
        {"refractory": np.array(1)}, {"soft": np.array(1)}, {"v_reset": np.array(-3)}, {"dv": np.array(0)},
        {"dv": np.array(600)}, {"vth": np.array([5] * 9 + [6])}, {"vth": np.array(-5)}, {"bias": np.array(2**29)},
        {"strict": np.arange(10) % 2},
    ],
)  # fmt: skip
def test_programs_outside_the_rule_take_the_general_loop(change: dict[str, np.ndarray]) -> None:
    params = {"dv": np.array(512), "vth": np.array(20), **change}
    q = Projection("q", "a", "a", "in", *dense_to_csr(np.eye(10, dtype=np.int8)))
    program = Program("", "", (Population("a", "lif", 10, params),), (q,), np.zeros(10, np.int32))
    assert plain(lay_out(program)) is None


def test_hooks_and_changed_weights_take_the_general_loop() -> None:
    q = Projection("q", "a", "a", "in", *dense_to_csr(np.eye(3, dtype=np.int8)))
    params = {"dv": np.array(512), "vth": np.array(20), "bias": np.array(21)}
    program = Program("", "", (Population("a", "lif", 3, params),), (q,), np.zeros(3, np.int32))
    silent = SpikeTrain(np.zeros(1, np.int64), np.empty(0, np.int32))
    simulation, seen = Simulation(program), []
    simulation.step_hooks.append(lambda s: seen.append(s.events[0].tolist()))
    simulation.advance(silent, 2)
    assert seen == [[0, 1, 2], [0, 1, 2]]
    changed = Simulation(program)
    changed.weights("q")[:] = -100
    changed.advance(silent, 2)
    assert list(changed.record.counts) == [3, 0]


def test_without_compiled_code_there_is_no_fast_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    program = _program(np.random.default_rng(1), [5, 40], 1, 9, 512, 0)
    assert plain(lay_out(program, graded_inputs=False)) is not None
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    assert plain(lay_out(program, graded_inputs=False)) is None

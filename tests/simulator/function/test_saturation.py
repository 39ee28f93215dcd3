"""Whose values left their word: by neuron, hence by core under any mapping, against a plain-Python loop."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.base.errors import SaturationError
from simulator.chips.load import load_chip
from simulator.events.run import run_events
from simulator.function import run
from simulator.neurons.base import NeuronModel, UpdateOps, Word, register
from simulator.program.faults import Faults
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def _send(acc, state, params, table, out, lo, hi, step, seed, first_id) -> int:  # type: ignore[no-untyped-def]
    out[lo:hi] = params[0, lo:hi]
    return 0


register(NeuronModel("saturation-test", ("in",), (), (Word("sends", 32),), _send, None, UpdateOps(), emits="graded"))
TOP = 2**31 - 1
N_IN, N, STEPS, CORES = 6, 40, 12, 5


def _case(seed: int) -> tuple[Program, SpikeTrain]:
    """Graded inputs whose sums leave 32 bits now and then, onto LIF neurons near the end of their word."""
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random((N, N_IN)) < 0.5, rng.integers(-127, 128, (N, N_IN)), 0).astype(np.int8)
    params = {
        "dv": np.array(64), "vth": np.array(TOP), "strict": np.array(1), "bias": rng.integers(-(2**29), 2**29, N),
        "v_init": rng.integers(-(2**30), 2**30, N),
    }  # fmt: skip
    populations = (Population("in", "input", N_IN, role="input"), Population("lif", "lif", N, params))
    q = Projection("q", "in", "lif", "in", *dense_to_csr(weights), exponent=4)
    core = np.concatenate([np.zeros(N_IN), rng.integers(0, CORES, N)]).astype(np.int32)
    payload = np.where(rng.random((STEPS, N_IN)) < 0.5, rng.integers(-(2**22), 2**22, (STEPS, N_IN)), 0)
    return Program("", "", populations, (q,), core), SpikeTrain.from_dense(payload.astype(np.int32))


def _plainly(program: Program, inputs: SpikeTrain) -> np.ndarray:
    """Saturated values [steps, neurons]."""
    dense, p = inputs.to_dense(0, N_IN), program.projections[0]
    params, v = program.populations[1].params, [int(x) for x in program.populations[1].params["v_init"]]
    out = np.zeros((STEPS, N), int)
    for t in range(STEPS):
        sums = [0] * N
        for row in range(N_IN if t else 0):
            for j in range(p.indptr[row], p.indptr[row + 1]):
                sums[p.indices[j]] += int(p.weights[j]) * int(dense[t - 1, row]) << p.exponent
        for i in range(N):
            if abs(sums[i]) > TOP:
                out[t, i] += 1
                sums[i] = TOP if sums[i] > 0 else -TOP
            kept = v[i] * (4096 - 64)
            x = (kept // 4096 if kept >= 0 else -(-kept // 4096)) + sums[i] + int(params["bias"][i])
            if abs(x) > TOP:
                out[t, i] += 1
                x = TOP if x > 0 else -TOP
            v[i] = x
    return out


@pytest.mark.parametrize("seed", range(6))
def test_saturations_by_core_step_and_population(seed: int) -> None:
    program, inputs = _case(seed)
    want = _plainly(program, inputs)
    assert want.any(axis=0).sum() > 3
    assert want.min() == 0
    count = run(program, inputs, STEPS).activity.counts["saturations"]
    by_core = np.bincount(program.core[N_IN:], want.sum(axis=0), minlength=CORES).astype(int)
    assert count.by_core.tolist() == [*by_core, 0]
    assert count.by_step.tolist() == want.sum(axis=1).tolist()
    assert count.by_population.tolist() == [0, want.sum()]


def test_the_event_driven_engine_counts_the_same() -> None:
    program, inputs = _case(3)
    chip = load_chip("generic")
    function = run(program, inputs, STEPS, topology=chip.topology).activity.counts["saturations"]
    events = run_events(program, chip, inputs, STEPS)[0].activity.counts["saturations"]
    for part in ("by_core", "by_step", "by_population"):
        assert getattr(events, part).tolist() == getattr(function, part).tolist()
    assert function.total > 0


def test_a_strict_run_says_where() -> None:
    program, inputs = _case(1)
    want = _plainly(program, inputs)
    step = int(np.argmax(want.any(axis=1)))
    worst = int(np.argmax(want[step]))
    place = rf"saturated {want[step].sum()} values in step {step} \(most of them in neuron {N_IN + worst} on core "
    with pytest.raises(SaturationError, match=place + str(program.core[N_IN + worst])):
        run(program, inputs, STEPS, strict=True)
    with pytest.raises(SaturationError, match=f"in step {step} "):
        run_events(program, load_chip("generic"), inputs, STEPS, strict=True)


def test_clipped_payloads_are_counted_at_their_neuron() -> None:
    params = {"sends": np.array([0, 2**24, -(2**24), 5], np.int32)}
    populations = (Population("in", "input", 1, role="input"), Population("p", "saturation-test", 4, params))
    q = Projection("q", "in", "p", "in", *dense_to_csr(np.ones((4, 1), np.int8)))
    program = Program("", "", populations, (q,), np.array([0, 0, 1, 2, 2], np.int32))
    count = run(program, SpikeTrain.from_dense(np.zeros((3, 1), np.int32)), 3).activity.counts["saturations"]
    assert count.by_core.tolist() == [0, 3, 3, 0]


def test_dead_cores_do_not_saturate() -> None:
    program, inputs = _case(2)
    want = _plainly(program, inputs).sum(axis=0)
    alive = program.core[N_IN:] != 2
    assert want[~alive].any()
    count = run(program, inputs, STEPS, faults=Faults(dead_cores=(2,))).activity.counts["saturations"]
    assert count.by_core[:-1].tolist() == np.bincount(program.core[N_IN:], want * alive, minlength=CORES).tolist()

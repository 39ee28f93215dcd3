"""Asynchronous operation: times by hand, counts that no order can change, and order that changes spikes."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.events.asynchronous import run_free
from simulator.program.graph import Population, Projection
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain


def if_program(weights: list[np.ndarray], vth: int, core: list[int], soft: int = 1, model: str = "if") -> Program:
    """Build inputs -> layers of IF neurons; weights[k] is [source, target]."""
    params = {"vth": np.array(vth, np.int32), "soft": np.array(soft, np.int32)}
    if model == "lif":
        params |= {"dv": np.array(512, np.int32), "v_init": np.array(100, np.int32)}
    sizes = [weights[0].shape[0], *(w.shape[1] for w in weights)]
    populations = [Population("p0", "input", sizes[0], role="input")]
    populations += [Population(f"p{k}", model, n, params) for k, n in enumerate(sizes[1:], 1)]
    projections = []
    for k, w in enumerate(weights):
        indptr = np.concatenate([[0], np.cumsum((w != 0).sum(1))]).astype(np.int64)
        values = w[w != 0].astype(np.int8)
        projections.append(
            Projection(f"q{k}", f"p{k}", f"p{k + 1}", "in", indptr, np.nonzero(w)[1].astype(np.int32), values)
        )
    return Program("test", "0", tuple(populations), tuple(projections), np.array(core, np.int32))


def train(rows: list[list[int]]) -> SpikeTrain:
    ptr = np.cumsum([0] + [len(r) for r in rows]).astype(np.int64)
    return SpikeTrain(ptr, np.array([i for r in rows for i in r], np.int32))


def test_a_chain_by_hand(make_chip) -> None:  # type: ignore[no-untyped-def]
    """Host (0,0) -> core 4 at (1,0) -> core 0 at (0,0); ticks of the test chip, one synapse a packet."""
    program = if_program([np.array([[5]]), np.array([[5]])], 5, [HOST, 4, 0])
    run = run_free(program, make_chip(), train([[0], [], [0]]), 1000.0)
    service, update, out, hop, local, enqueue, tail = 198, 97 + 300, 51, 41, 12, 5, 1
    first = enqueue + hop + local + tail + service + update
    second = first + out + enqueue + hop + local + tail + service + update
    assert run.ids.tolist() == [0, 1, 2, 0, 1, 2]
    assert run.ticks.tolist() == [0, first, second, 20000, 20000 + first, 20000 + second]
    assert (run.messages, run.updates) == (4, 8)  # each spike is followed by one update without input
    assert run.end == 20000 + second
    one = [[first - 300 - 97, 1, 1], [first, 1, 0], [second - 300 - 97, 2, 1], [second, 2, 0]]
    assert sorted(run.updated[:, 1].tolist()) == [1, 1, 1, 1, 2, 2, 2, 2]
    assert run.updated[:, 2].sum() == 4  # those with input
    starts = [[t, i, a] for t, i, a in run.updated.tolist() if a and t < 20000]
    assert starts == [row for row in one if row[2]]


@pytest.mark.parametrize("seed", range(6))
def test_counts_that_no_order_can_change(make_chip, seed: int) -> None:  # type: ignore[no-untyped-def]
    """Positive weights and soft reset: a neuron fires floor(all that came / threshold) times, whatever the order."""
    rng = np.random.default_rng(seed)
    weights = [rng.integers(0, 9, (8, 12)), rng.integers(0, 9, (12, 5))]
    core = [HOST] * 8 + rng.integers(0, 12, 17).tolist()
    inputs = train([np.flatnonzero(rng.random(8) < 0.5).tolist() for _ in range(12)])
    for period in (1.0, 500.0, 1e5):
        run = run_free(if_program(weights, 20, core), make_chip(), inputs, period)
        counts = np.bincount(run.ids, minlength=25)
        hidden = counts[:8] @ weights[0] // 20
        np.testing.assert_array_equal(counts[8:20], hidden)
        np.testing.assert_array_equal(counts[20:], hidden @ weights[1] // 20)


def test_the_order_of_arrival_decides(make_chip) -> None:  # type: ignore[no-untyped-def]
    """Excitation before inhibition fires, after it does not; the mapping decides which comes first."""
    weights = [np.array([[5, 0], [0, 5]]), np.array([[6], [-6]])]
    inputs = train([[0, 1]])
    excitation_near = if_program(weights, 5, [2, 11, 2, 11, 0])
    inhibition_near = if_program(weights, 5, [11, 2, 11, 2, 0])
    assert 4 in run_free(excitation_near, make_chip(), inputs, 100.0).ids
    assert 4 not in run_free(inhibition_near, make_chip(), inputs, 100.0).ids


def test_what_cannot_run_freely_is_refused(make_chip) -> None:  # type: ignore[no-untyped-def]
    chip, weights = make_chip(), [np.array([[5]])]
    with pytest.raises(InputError, match="'lif' does not rest"):
        run_free(if_program(weights, 500, [HOST, 0], model="lif"), chip, train([[0]]), 1.0)
    with pytest.raises(InputError, match="'if' does not rest"):
        run_free(if_program(weights, 0, [HOST, 0]), chip, train([[0]]), 1.0)
    with pytest.raises(InputError, match="period_ns"):
        run_free(if_program(weights, 5, [HOST, 0]), chip, train([[0]]), 0.0)

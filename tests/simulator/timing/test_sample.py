"""Sampled timing: unbiased, its interval holds what it says, and it times few steps."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.program.spikes import SpikeTrain
from simulator.timing.plan import make_plan
from simulator.timing.run import run_timing
from simulator.timing.sample import draw, estimate, sample_timing, strata_of, work_of


def bursty(n: int, steps: int, seed: int) -> SpikeTrain:
    """Activity that rises and falls by a factor of ten."""
    rng = np.random.default_rng(seed)
    rate = 0.05 * np.exp(1.2 * np.sin(np.arange(steps) / 17)) * rng.gamma(4, 0.25, steps)
    return SpikeTrain.from_dense((rng.random((steps, n)) < np.minimum(rate, 0.9)[:, None]).astype(np.int8))


def test_the_interval_contains_the_exact_mean(make_chip, make_program) -> None:  # type: ignore[no-untyped-def]
    """200 draws of 120 of 1,500 steps at 95 %: 190 expected; below 183 the chance is 0.001."""
    chip, program = make_chip(), make_program(1, 12)
    spikes = bursty(program.n_neurons, 1500, 0)
    exact = run_timing(program, chip, spikes)
    strata = strata_of(work_of(make_plan(program, chip), spikes), 120)
    inside, means, widths = 0, [], []
    for seed in range(200):
        mean, half = estimate(exact.step_ticks, strata, draw(strata, 120, seed))
        inside += abs(mean - exact.step_ticks.mean()) <= half
        means.append(mean)
        widths.append(half)
    assert inside >= 183
    error = np.mean(means) / exact.step_ticks.mean() - 1
    assert abs(error) < 3 * np.std(means) / np.sqrt(200) / exact.step_ticks.mean()
    simple = 1.97 * exact.step_ticks.std() / np.sqrt(120)
    assert np.mean(widths) < 0.7 * simple  # strata pay


@pytest.mark.parametrize("engine", ["compiled", "clocked"])
def test_sampled_steps_are_those_of_the_whole_run(make_chip, make_program, engine) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(), make_program(2, 12)
    spikes = bursty(program.n_neurons, 300, 1)
    exact = run_timing(program, chip, spikes)
    timed, sample = sample_timing(program, chip, spikes, 0.2, engine, seed=3)
    np.testing.assert_array_equal(timed.step_ticks[sample.steps], exact.step_ticks[sample.steps])
    np.testing.assert_array_equal(timed.messages, exact.messages)
    assert 55 <= sample.steps.size <= 65
    assert sample.of_steps == timed.step_ticks.size == 300
    assert timed.step_ticks.sum() / 300 == pytest.approx(sample.mean_ticks, abs=0.5)
    assert abs(sample.mean_ticks - exact.step_ticks.mean()) < 2 * sample.half_width_ticks
    np.testing.assert_allclose(timed.synapse_busy_ticks.sum(), exact.synapse_busy_ticks.sum(), rtol=0.2)


def test_learning_phases_belong_to_their_steps(make_chip, make_program) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(), make_program(2, 12)
    spikes = bursty(program.n_neurons, 200, 1)
    learn = np.random.default_rng(0).integers(0, 50, (200, make_plan(program, chip).mesh.n_cores))
    exact = run_timing(program, chip, spikes, learn_synapses=learn)
    timed, sample = sample_timing(program, chip, spikes, 0.3, learn_synapses=learn)
    np.testing.assert_array_equal(timed.step_ticks[sample.steps], exact.step_ticks[sample.steps])


def test_a_whole_sample_is_exact_and_short_runs_are_timed_whole(make_chip, make_program) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(), make_program(3, 12)
    for steps, share in ((30, 0.01), (120, 1.0)):
        spikes = bursty(program.n_neurons, steps, 2)
        timed, sample = sample_timing(program, chip, spikes, share)
        np.testing.assert_array_equal(timed.step_ticks, run_timing(program, chip, spikes).step_ticks)
        assert sample.half_width_ticks == 0.0


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_shares_that_are_none_are_refused(make_chip, make_program, share: float) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="must be above 0 and at most 1"):
        sample_timing(make_program(1, 12), make_chip(), bursty(58, 50, 0), share)

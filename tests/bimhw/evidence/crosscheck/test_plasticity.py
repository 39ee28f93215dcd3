"""STDP and hybrid weights: ours, Brian2's and the double sum over spike pairs agree, and faults are seen."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.cli.main import cli
from bimhw.evidence.crosscheck.plasticity import (
    RULES,
    TOLERANCE,
    LearningCheck,
    Pairing,
    Rule,
    brian_weights,
    compare_weights,
    cross_check_learning,
    our_weights,
    random_pairing,
)
from bimhw.learning.rules.stdp import StdpSettings, StdpTraces
from simulator.base.arrays import Floats
from simulator.base.errors import InputError

pytest.importorskip("brian2", reason="needs the extra brian2")


def _double_sum(p: Pairing) -> Floats:
    """Last weights without bounds, all pairs: the window summed over spike pairs."""
    lags = np.arange(len(p.post))[:, None] - np.arange(len(p.pre))  # post - pre
    omega = np.einsum("ih,ij,jm->hm", p.post, p.stdp.window(lags), p.pre, optimize=True)
    return p.start - p.eta * (p.lam * p.signal.sum(0) - (1 - p.lam) * p.kappa * omega)


@pytest.mark.parametrize("rule", RULES)
def test_thousand_steps_equal_brian2(rule: Rule) -> None:
    check = compare_weights(random_pairing(rule, seed=7))
    assert check.equal, check
    assert (check.steps, check.synapses) == (1000, 48)
    assert check.ties > 100  # the tie rule was put to the test
    assert check.moved > 0.1
    assert 0 < check.at_bound < 0.9  # and the bound


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.sampled_from(RULES))
def test_any_size_and_seed_equals_brian2(seed: int, n_pre: int, n_post: int, rule: Rule) -> None:
    assert compare_weights(random_pairing(rule, seed, 60, n_pre, n_post)).difference <= TOLERANCE


@pytest.mark.parametrize("rule", ["stdp", "hybrid"])
def test_without_bounds_both_are_the_double_sum(rule: Rule) -> None:
    p = replace(random_pairing(rule, 3, 300, 4, 3), w_max=1e6)
    expected = _double_sum(p)
    np.testing.assert_allclose(our_weights(p)[-1], expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(brian_weights(p)[-1], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("pairing", "factor"), [("all", 1 + np.exp(-0.5)), ("nearest", 1.0)])
def test_a_tie_potentiates_in_both(pairing: Any, factor: float) -> None:
    """Pre spikes at steps 0 and 1, post at 1: the tie counts A+, never A-."""
    stdp = StdpSettings(a_plus=1.0, a_minus=1.0, tau_plus=2.0, tau_minus=2.0, pairing=pairing)
    pre, post = np.array([[1.0], [1.0], [0.0]]), np.array([[0.0], [1.0], [0.0]])
    p = Pairing("tie", stdp, 0.0, 1.0, 0.1, 10.0, pre, post, np.zeros((3, 1, 1)), np.zeros((1, 1)))
    for weights in (our_weights(p), brian_weights(p)):
        np.testing.assert_allclose(weights[:, 0, 0], [0, 0.1 * factor, 0.1 * factor], rtol=0, atol=1e-15)


def test_lambda_one_is_bounded_descent() -> None:
    p = replace(random_pairing("hybrid", 5, 80, 3, 2), lam=1.0, eta=0.2)
    expected, w = [], p.start
    for g in p.signal:
        w = np.clip(w - 0.2 * g, -p.w_max, p.w_max)
        expected.append(w)
    np.testing.assert_allclose(brian_weights(p), expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(our_weights(p), expected, rtol=0, atol=1e-13)


def test_a_wrong_decay_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    pairing = random_pairing("stdp", 2, 100)
    old = StdpTraces.__init__

    def slower(self: StdpTraces, *args: Any) -> None:
        old(self, *args)
        self._decays = (self._decays[0] * (1 + 1e-6), self._decays[1])

    assert compare_weights(pairing).equal
    monkeypatch.setattr(StdpTraces, "__init__", slower)
    assert not compare_weights(pairing).equal


def test_command_and_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    import bimhw.evidence.crosscheck.plasticity as plasticity

    found: list[LearningCheck] = []

    def kept(**options: Any) -> list[LearningCheck]:
        found.extend(cross_check_learning(**options))
        return found

    monkeypatch.setattr(plasticity, "cross_check_learning", kept)
    arguments = ["crosscheck-learning", "--steps", "40", "--pre", "2", "--post", "3", "--seed", "4"]
    done = CliRunner().invoke(cli, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["equal"]
    assert [r["rule"] for r in printed["runs"]] == list(RULES)
    assert all(r["synapses"] == 6 and r["steps"] == 40 for r in printed["runs"])
    wrong = [replace(c, difference=1e-8) for c in found]
    monkeypatch.setattr(plasticity, "cross_check_learning", lambda **options: wrong)
    assert CliRunner().invoke(cli, arguments).exit_code == 1
    with pytest.raises(InputError, match="hebb"):
        random_pairing("hebb")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="steps"):
        random_pairing("stdp", steps=0)

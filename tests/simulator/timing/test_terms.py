"""The terms of a step: none exceeds what the engine takes, and the one that is made costly binds."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.chips.quantity import Quantity
from simulator.timing.run import run_timing
from simulator.timing.terms import CHANGES, TERMS, step_terms


@pytest.mark.parametrize("seed", range(4))
def test_no_term_exceeds_the_step(make_chip, make_program, make_spikes, seed: int) -> None:  # type: ignore[no-untyped-def]
    chip, program = make_chip(), make_program(seed, 12)
    spikes = make_spikes(seed, 30, program.n_neurons, 0.2)
    terms = step_terms(program, chip, spikes)
    np.testing.assert_array_equal(terms.step_ns, run_timing(program, chip, spikes).step_time_ns)
    assert (terms.ns.max(axis=1) <= terms.step_ns - terms.barrier_ns + len(TERMS) * 0.1).all()
    assert (terms.ns[:, 0] > 0).all()
    assert sum(r["binds_steps"] for r in terms.rows()) == pytest.approx(1.0)
    assert {r["term"] for r in terms.rows()} == set(CHANGES)


@pytest.mark.parametrize(
    ("constant", "term"),
    [
        ("neuron_update_inactive", "neurons"),
        ("axon_out", "packets out"),
        ("message_in", "packets in"),
        ("synapse", "synapses"),
        ("barrier", "barrier"),
    ],
)
def test_what_is_made_costly_binds(make_chip, make_program, make_spikes, constant: str, term: str) -> None:  # type: ignore[no-untyped-def]
    slow = Quantity(100_000.0, "ns", "test", "assumed")
    changed = {constant: slow} | ({"neuron_update_active": slow} if term == "neurons" else {})
    chip, program = make_chip(**changed), make_program(1, 12)
    terms = step_terms(program, chip, make_spikes(1, 20, program.n_neurons, 0.3))
    assert terms.rows()[0]["term"] == term

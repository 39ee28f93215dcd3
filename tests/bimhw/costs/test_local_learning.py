"""Local rules of leaky networks on the chip: each row against the sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bimhw.costs.learning import LearningPrice, learning_forms
from simulator.chips.load import load_chip
from simulator.plasticity.operations import LOCAL_RULES
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import HOST, Program

M, H1, H2, C = 6, 10, 8, 3
CHIP = load_chip("loihi2")
MUL, ADD, READ, WRITE, LUT, STDP = 1.4, 1.2, 3.7, 3.9, 3.7, 120.0  # pJ, nominal constants of loihi2
K = 16


def program(model: str = "leaky", recurrent: bool = False) -> Program:
    populations = (
        Population("input", "input", M, role="input"),
        Population("layer1", model, H1, {}, layer=1),
        Population("layer2", model, H2, {}, layer=2),
        Population("readout", "readout_li", C, {}, layer=3, role="output"),
    )
    pairs = [("input", "layer1"), ("layer1", "layer2"), ("layer2", "readout")] + [("layer1", "layer1")] * recurrent
    size = {p.name: p.size for p in populations}
    projections = tuple(
        Projection(f"{a}.{b}", a, b, "in", *dense_to_csr(np.ones((size[b], size[a]), np.int8))) for a, b in pairs
    )
    core = np.concatenate([np.full(M, HOST), np.arange(H1) // 5, np.full(H2 + C, 2)]).astype(np.int32)
    return Program(CHIP.name, CHIP.sha256(), populations, projections, core, meta={"kind": "leaky"})


def rows(of: Program) -> dict[str, dict[str, float]]:
    return {r["rule"]: r for r in learning_forms(of, CHIP, {}, 2.0, LearningPrice(block=K))}


def test_a_row_is_the_sum_of_its_operations() -> None:
    found = rows(program())
    assert set(found) == set(LOCAL_RULES)
    mac, word, s = MUL + ADD, READ + WRITE, M * H1 + H1 * H2
    written = STDP * (s + H2 * C)
    readout = H2 * (word + mac)
    # docs/rules.md: e-prop keeps M + H M words, M + 2 H M MACs a step, H M + H C at a label in either layer
    step = readout + (M + H1 + s) * word + (M + H1 + 2 * s) * mac + (H1 + H2) * LUT
    label = written + (H2 * C + s + (H1 + H2) * C) * mac
    assert found["e-prop"]["step_nj"] == pytest.approx(step / 1e3, rel=1e-9)
    assert found["e-prop"]["update_nj"] == pytest.approx(label / 1e3, rel=1e-9)
    assert found["e-prop"]["nj"] == pytest.approx((step + label / K) / 1e3, rel=1e-9)
    assert found["e-prop"]["times_inference"] == pytest.approx((step + label / K) / 1e3 / 2.0, rel=1e-9)
    # ottt keeps M words and M MACs a step; at a label H M + H + H C on top, H M + H + H' H below
    assert found["ottt"]["step_nj"] == pytest.approx((readout + (M + H1) * (word + mac)) / 1e3, rel=1e-9)
    label = written + (H2 * C + s + H1 + H2 + H2 * C + H2 * H1) * mac + (H1 + H2) * LUT
    assert found["ottt"]["update_nj"] == pytest.approx(label / 1e3, rel=1e-9)


def test_the_delta_rule_pays_for_the_readout_alone() -> None:
    found = rows(program())["delta"]
    assert found["step_nj"] == pytest.approx(H2 * (READ + WRITE + MUL + ADD) / 1e3, rel=1e-9)
    assert found["update_nj"] == pytest.approx(H2 * C * (MUL + ADD + STDP) / 1e3, rel=1e-9)


def test_rules_that_are_not_defined_for_a_network_have_no_row() -> None:
    assert set(rows(program(recurrent=True))) == {"delta", "e-prop", "s-tllr", "etlp"}
    assert set(rows(program("adaptive_lif"))) == {"delta", "e-prop", "ostl", "otpe", "etlp"}
    assert set(rows(program("adaptive_lif", recurrent=True))) == {"delta", "e-prop", "etlp"}

"""Products in Lava's fixed-point arithmetic, where its Python is named: the accumulators of random rules are equal.

    python3.10 -m venv LAVA && LAVA/bin/pip install lava-nc
    BIMHW_LAVA_PYTHON=LAVA/bin/python pytest tests/simulator/plasticity/test_lava.py

Lava needs Python 3.10, so it runs in a process of its own. Its random numbers are not ours: weights are compared after its
accumulators were rounded as ours are. It shifts products of more than 15 bits to the right before they are summed, as the
chip does; such rules are left out here, and ours keeps their bits.
"""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest

from simulator.plasticity.rules.product_text import parse_rule
from simulator.plasticity.rules.products import Products, apply_products

LAVA = os.environ.get("BIMHW_LAVA_PYTHON", "")
ACCUMULATE = """
import json, sys
import numpy as np
from lava.magma.core.learning.learning_rule import Loihi2FLearningRule
from lava.magma.core.learning.learning_rule_applier import LearningRuleApplierBitApprox

out = []
for case in json.load(sys.stdin):
    rule = Loihi2FLearningRule(dw=case["rule"], x1_impulse=16, x1_tau=4, y1_impulse=16, y1_tau=4, t_epoch=1)
    w = np.array(case["w"], dtype=np.int32)
    given = {"shape": w.shape, "u": 1, "weights": w, "x0": np.array(case["x0"])[None, :], "y0": np.array(case["y0"])[:, None]}
    for gate in ("x0", "y0", "u"):
        given["x1_" + gate] = np.array(case["x1"], dtype=np.int32)[None, :]
        given["y1_" + gate] = np.array(case["y1"], dtype=np.int32)[:, None]
    a = LearningRuleApplierBitApprox(rule.dw).apply(w << 7, **given)
    out.append(np.asarray(a).tolist())
print(json.dumps(out))
"""


def random_rule(rng: np.random.Generator) -> str:
    """Return products whose factors and scale take at most 15 bits: a gate and a trace, or a gate and the weight."""
    text = ""
    for _ in range(rng.integers(1, 4)):
        gate = str(rng.choice(["x0", "y0"]))
        factor = str(rng.choice(["x1", "y1", "w"] if gate == "y0" else ["y1", "w"]))
        scale = f"{rng.integers(1, 8)}*2^{rng.integers(-7, -1)}" if rng.random() < 0.7 else f"2^-{rng.integers(1, 8)}"
        text += f" {rng.choice(['+', '-'])} {scale}*{gate}*{factor}"
    return text.strip().removeprefix("+ ")


@pytest.mark.skipif(not LAVA, reason="lava-nc needs Python 3.10: name one that has it in BIMHW_LAVA_PYTHON")
def test_weights_are_those_of_lavas_accumulators() -> None:
    rng, cases = np.random.default_rng(0), []
    for _ in range(60):
        cases.append({
            "rule": random_rule(rng), "w": rng.integers(-100, 100, (3, 4)).tolist(),
            "x0": rng.integers(0, 2, 4).tolist(), "y0": rng.integers(0, 2, 3).tolist(),
            "x1": rng.integers(0, 128, 4).tolist(), "y1": rng.integers(0, 128, 3).tolist(),
        })  # fmt: skip
    done = subprocess.run(
        [LAVA, "-c", ACCUMULATE], input=json.dumps(cases), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    changed = 0
    for case, accumulated in zip(cases, json.loads(done.stdout.splitlines()[-1]), strict=True):
        theirs = np.clip((np.array(accumulated) + 64) >> 7, -256, 254).T.reshape(-1)  # ours are by source
        w = np.array(case["w"], np.int32).T.reshape(-1).copy()
        before = w.copy()
        pre, post = np.zeros((3, 4), np.int32), np.zeros((4, 3), np.int32)
        pre[:2], post[:2] = [case["x0"], case["x1"]], [case["y0"], case["y1"]]
        rule = Products.of(parse_rule(case["rule"]))
        apply_products(
            np.arange(0, 13, 3), np.tile(np.arange(3, dtype=np.int32), 4), w, w, np.zeros(12, np.int32), pre, post,
            np.zeros(12, np.int32), np.zeros((10, 3), np.int32), rule.factors, rule.scale, rule.unit, -256, 254,
            np.array([0, 0, 0], np.uint64), True,
        )  # fmt: skip
        assert w.tolist() == theirs.tolist(), case["rule"]
        changed += int((w != before).sum())
    assert changed > 100

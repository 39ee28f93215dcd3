"""Rules as text: the grammar, and the integers of a rule against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.base.random import STREAM_TRACE, random_word
from simulator.plasticity.rules.loihi import Trace, trace_step
from simulator.plasticity.rules.product_text import VARIABLES, RuleError, parse_rule
from simulator.plasticity.rules.products import Products, apply_products, graded_trace_step
from simulator.plasticity.rules.rule_file import read_rules, rules_from, shipped_rules

FORMS = ("V + C", "C + V", "C - V", "-V + C", "-C + V", "sgn")
rounding = st.sampled_from(["stochastic", "nearest", "unbiased"])
factor = st.tuples(st.sampled_from(VARIABLES), st.integers(-4, 4), st.sampled_from(FORMS))
product = st.tuples(st.integers(1, 7), st.integers(-24, 2), st.lists(factor, min_size=1, max_size=2), st.booleans())


def written(products: list[tuple[int, int, list[tuple[str, int, str]], bool]]) -> str:
    out = ""
    for mantissa, exponent, factors, minus in products:
        parts = [
            str(mantissa) if mantissa % 2 else f"({mantissa})",
            f"2^{exponent}" if exponent % 2 else f"2**({exponent})",
        ]
        parts += [_text(*each) for each in factors]
        out += (" - " if minus else " + ") + " * ".join(parts)
    return out


def _text(v: str, c: int, form: str) -> str:
    if form == "sgn":
        return f"sgn({v} {'-' if c < 0 else '+'} {abs(c)})"
    if form == "V + C":
        return v if c == 0 else f"({v} {'+' if c > 0 else '-'} {abs(c)})"
    if form == "-V + C":
        return f"(-{v} {'-' if c < 0 else '+'} {abs(c)})"
    return f"({'-' * (form[0] == '-')}{abs(c)} {form[-3]} {v})"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(product, min_size=1, max_size=3), rounding, st.sampled_from("wtd"))
def test_a_rule_equals_its_text_in_exact_fractions(seed, products, rounding, of) -> None:
    rule = Products.of(parse_rule(written(products)))
    rng = np.random.default_rng(seed)
    low, high = {"w": (-128, 127), "t": (-256, 255), "d": (0, 62)}[of]
    indptr, indices = np.array([0, 2, 2, 5]), np.array([0, 3, 1, 2, 3], np.int32)
    w, t = rng.integers(-128, 128, 5).astype(np.int8), rng.integers(-256, 256, 5).astype(np.int32)
    pre, post = rng.integers(-127, 128, (3, 3)).astype(np.int32), rng.integers(0, 128, (4, 4)).astype(np.int32)
    pre[0], post[0], u = rng.integers(0, 2, 3), rng.integers(0, 2, 4), rng.integers(-128, 128, (10, 4)).astype(np.int32)
    d = rng.integers(0, 63, 5).astype(np.int32)
    words, old = {"w": w, "t": t, "d": d}, {"w": w.copy(), "t": t.copy(), "d": d.copy()}
    key = np.array([seed, 5, 77], np.uint64)
    z = words[of]
    apply_products(
        indptr, indices, z, w, t, pre, post, d, u, rule.factors, rule.scale, rule.unit, low, high, key,
        rounding == "nearest", rounding == "unbiased",
    )  # fmt: skip
    at = 0
    for j in range(3):
        for i in indices[indptr[j] : indptr[j + 1]]:
            values = dict(
                zip(VARIABLES, [*pre[:, j], *post[:, i], *(old[n][at] for n in "wtd"), *u[:, i]], strict=True)
            )
            word = int(random_word(seed, 5, (j << 32) | int(i), 77))
            drawn = Fraction(word >> 7, 2**25) if rounding == "unbiased" else Fraction(1)
            r = 64 if rounding == "nearest" else word & 127
            assert z[at] == _plain(products, values, int(old[of][at]), low, high, r, drawn)
            at += 1
    assert all(np.array_equal(words[n], old[n]) for n in "wtd" if n != of), "the other variables stay"


def _plain(products, values, z: int, low: int, high: int, r: int, drawn: Fraction) -> int:
    dz = Fraction(0)
    for mantissa, exponent, factors, minus in products:
        term = Fraction(-mantissa if minus else mantissa) * Fraction(2) ** exponent
        for name, c, form in factors:
            v = int(values[name])
            term *= {
                "V + C": v + c, "C + V": abs(c) + v, "C - V": abs(c) - v, "-V + C": c - v,
                "-C + V": v - abs(c), "sgn": (v + c > 0) - (v + c < 0),
            }[form]  # fmt: skip
        dz += term
    if dz == 0:
        return z
    whole = math.floor(dz * 128)
    a = max(low << 7, min(high << 7, (z << 7) + whole + (drawn < dz * 128 - whole)))
    return max(low, min(high, (a + r) >> 7))


def test_small_steps_fall_by_the_floor_and_keep_their_mean_where_all_bits_are_drawn() -> None:
    """Steps of +-2^-10 by turns: the floor drops the rising ones; in the mean nothing is left where all bits are drawn."""
    rule, n = Products.of(parse_rule("2^-10*u1")), 4000
    indptr, indices, none = np.array([0, n]), np.arange(n, dtype=np.int32), np.zeros((4, n), np.int32)
    u = np.zeros((10, n), np.int32)
    ends = {}
    for unbiased in (False, True):
        w, zero = np.zeros(n, np.int8), np.zeros(n, np.int32)
        for epoch in range(200):
            u[1], key = 1 if epoch % 2 else -1, np.array([3, epoch, 77], np.uint64)
            apply_products(
                indptr, indices, w, w, zero, none[:3, :1], none, zero, u, *rule, -128, 127, key, False, unbiased
            )
        ends[unbiased] = float(w.mean())
    assert ends[False] == pytest.approx(-100 / 128, abs=0.07)
    assert abs(ends[True]) < 0.05


def test_a_trace_of_binary_spikes_is_that_of_the_learning_engine() -> None:
    trace, rng = Trace(40.3, 5), np.random.default_rng(0)
    x, y = np.zeros(9, np.int32), np.zeros(9, np.int32)
    for step in range(40):
        fired = rng.random(9) < 0.3
        key = np.array([3, step], np.uint64)
        graded_trace_step(x, fired.astype(np.int32) * 16, 4, trace.decay_word, trace.impulse_word, key, 7, 1)
        trace_step(y, fired, trace.decay_word, trace.impulse_word, 3, step, 7, 1)
        assert x.tolist() == y.tolist()
    assert STREAM_TRACE


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("2^-4*x1*y0 - 2^-4*z1*x0", 18, "'z1' is no variable"),
        ("2^-4*x1 y0", 8, "'y0' stands where"),
        ("3^-2*x1", 0, "is no scale"),
        ("9*x1", 0, "scale 9 is too wide"),
        ("x1*y1*y2*y3*w", 0, "the product is too wide"),
        ("2^30*x0", 0, "exponent 30 is too wide"),
        ("x1*(y1+300)", 3, "constant 300 is too wide"),
        ("x1*%", 3, "'%' belongs to no rule"),
        ("x1*", 3, "the end"),
        ("(x1*y1)", 3, "stands where )"),
        ("x0*(y1", 6, "the end"),
        ("x0*(3 - 4)", 6, "'-' stands where )"),
        ("x0*(200 - y1)", 3, "constant 200 is too wide"),
        ("x0*sgn*w", 6, "stands where ("),
        ("x0*sgn(w*t)", 8, "stands where )"),
        ("x0*(-2", 6, "the end"),
        ("x0*()", 4, "')' is no variable"),
        ("x0*y0)", 5, "')' closes no bracket"),
        ("2^(3*x0", 4, "stands where )"),
        ("x0*" + "9" * 5000, 3, "5000 digits"),
        ("x0*(y1 + " + "9" * 20 + ")", 9, "20 digits"),
        ("2^" + "9" * 4400, 2, "4400 digits"),
        ("\u0662*x0", 0, "belongs to no rule"),
        ("2\u207b\u00b2*x0", 1, "belongs to no rule"),
        ("x0 \u2212 y0", 3, "belongs to no rule"),
        ("x\u2081*y0", 0, "is no variable"),
    ],
)
def test_a_fault_is_said_with_its_place(text: str, at: int, said: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rule(text)
    assert said in str(caught.value)
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("text", "plain"),
    [  # as Lava's STDPLoihi and RewardModulatedSTDP, its tutorials and the papers of Loihi write them
        ("1 * (-2) * x0 * y1 +1 * 2 * y0 * x1", "-2*x0*y1 + 2*y0*x1"),
        ("2**-2 * x1 * y0 - 2**-2 * y1 * x0", "2^-2*x1*y0 - 2^-2*y1*x0"),
        ("(2^-3)*x0*y1", "2^-3*x0*y1"),
        ("-u0*t*2^-4", "-2^-4*u0*t"),
        ("u0 * t * y2 ", "u0*t*y2"),
        ("2^-6*x0*(127 - w)", "-2^-6*x0*(w - 127)"),
        ("2^-4*u4*sgn(w)", "2^-4*sgn(w)*u4"),
        ("+(2 + x1)*y0", "(x1 + 2)*y0"),
    ],
)
def test_rules_are_read_as_they_are_written_elsewhere(text: str, plain: str) -> None:
    found, expected = parse_rule(text), parse_rule(plain)
    assert [t.mantissa * 2.0**t.exponent for t in found] == [t.mantissa * 2.0**t.exponent for t in expected]
    assert [set(t.factors) for t in found] == [set(t.factors) for t in expected]


def test_a_third_factor_may_stand_in_the_place_of_a_trace() -> None:
    text = """name: r-stdp
rules:
  - traces: {x1: {impulse: 16, tau: 4}, y1: {impulse: 16, tau: 4}}
    factors: {y2: {of: reward}}
    dt: (-2)*x0*y1 + 2*y0*x1 - u0*t*2^-2
    dw: " u0 * t * y2 "
"""
    (rule,) = rules_from(text, "r.yaml").rules
    (same,) = rules_from(text.replace("y2", "u9"), "r.yaml").rules
    assert rule.factors == same.factors
    assert all(np.array_equal(a, b) for a, b in zip(rule.dw, same.dw, strict=True))
    for old, new, said in (("y2:", "y1:", "y1 is a trace here"), ("y2:", "x2:", "'x2' is no third factor")):
        with pytest.raises(InputError, match=f"line 4, column 15: .*{said}"):
            rules_from(text.replace(old, new), "r.yaml")


GOOD = """name: mine
rules:
  - projections: hidden
    traces: {x1: {impulse: 16, tau: 4}}
    dw: 2^-4*x1*y0
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "said"),
    [
        ("x1*y0", "x1*yo", 5, 17, "'yo' is no variable"),
        ("dw: 2^-4*x1*y0", 'dw: "2^-4*x1*q"', 5, 18, "'q' is no variable"),
        ("dw: 2^-4*x1*y0", "dw: >\n      2^-4*x1\n      *y9", 7, 8, "'y9' is no variable"),
        ("dw:", "dz:", 5, 9, "is no field"),
        ("tau: 4", "tau: -4", 4, 14, "tau"),
        ("tau: 4", "tau: four", 4, 37, "float"),
        ("x1: {", "x4: {", 4, 14, "is no trace"),
        ("x1*y0", "y1*y0", 5, 9, "no constants"),
        ("name: mine", "name: mine\nepoch: 64", 2, 8, "6-bit"),
        ("dw: 2^-4*x1*y0", "dd: x1*dd", 5, 12, "'dd' is no variable"),
        ("2^-4", "2^-99", 5, 9, "exponent -99 is too wide"),
        ("2^-4", "2^x", 5, 11, "stands where an integer"),
        ("2^-4", "2^-4.5", 5, 13, "belongs to no rule"),
        ("2^-4", "0.5", 5, 10, "belongs to no rule"),
        ("x1*y0", "x1*y0 - - x0", 5, 22, "stands where a factor"),
        ("x1*y0", "x1*y1*w*w*w", 5, 9, "product is too wide"),
        ("x1*y0", "x1*t", 5, 9, "which no dt changes"),
        ("x1*y0", "x1*y0" + " + x1*y0" * 64, 5, 526, "more than 64 products"),
        ("dw:", "dt:", 3, 5, "no dw or dd turns into weight"),
        ("    dw", "    traces: {}\n    dw", 5, 5, "found duplicate key"),
        ("    dw", "\tdw", 5, 1, "is not YAML"),
        ("4}}", "4}", 5, 5, "is not YAML"),
        (GOOD, "# nothing", 1, 1, "is empty"),
        ("x1*y0", "x1*\0y0", 5, 17, "control character"),
        ("name: mine\n", "", 1, 1, "missing required field `name`"),
        ("name: mine", "name: mine\nepoch: often", 2, 8, "Expected `int`"),
        ("name: mine", "name: mine\nrounding: up", 2, 11, "Invalid enum value 'up'"),
        ("hidden", "[]", 3, 5, "are none"),
        ("hidden", "7", 3, 18, "Expected `str | array`"),
        ("    dw", "    factors: {u1: {of: eror}}\n    dw", 5, 24, "Invalid enum value 'eror'"),
        ("    dw", "    factors: {u1: {off: error}}\n    dw", 5, 25, "Fields here: of, tau, at, population, neuron"),
        ("    dw", "    factors: {u12: {of: error}}\n    dw", 5, 15, "no third factor"),
        ("    dw", "    factors: {u1: {of: reward}}\n    dw", 5, 15, "u1: is read by no product"),
        ("traces: {", "traces: {y3: {impulse: 1, tau: 2}, ", 4, 14, "y3: is read by no product"),
        ("x1*y0", "x1*u2\n    factors: {u2: {of: slope, at: end}}", 6, 15, "comes in every step"),
        ("    dw", "    factors: {u1: {of: spikes}}\n    dw", 5, 15, "spikes of no population"),
        ("    dw", "    factors: {u1: {of: error, neuron: 1}}\n    dw", 5, 15, "a neuron of no population"),
        ("    dw", "    factors: {u1: {of: spikes, population: a, neuron: -1}}\n    dw", 5, 55, "Expected `int` >= 0"),
        ("x1*y0", "x1*u10", 5, 17, "'u10' is no variable"),
        ("2^-4*x1*y0", "sgn(5 x1)", 5, 15, r"stands where \+ or -"),
        ("2^-4*x1*y0", "x1**2", 5, 11, r"'\*\*' stands where"),
        ("2^-4*x1*y0", "__import__('os')", 5, 20, "belongs to no rule"),
        ("2^-4*x1*y0", "x1*(y0*2)", 5, 15, "stands where \\) should"),
        ("dw: 2^-4*x1*y0", "dd: 2^-4*x1*y0*t", 5, 9, "which no dt changes"),
        ("hidden", "[hidden, 3]", 3, 27, "Expected `str`, got `int`"),
        ("impulse: 16", "impulse: .nan", 4, 14, "has the impulse nan"),
        ("{impulse", "{impuls", 4, 27, "Fields here: impulse, tau"),
        ("name: mine", "name: mine\nsign: plus", 2, 7, "It is one of: mixed, excitatory, inhibitory"),
        ("dw: 2^-4*x1*y0", 'dw: "2^-4 \\\n      *q0"', 6, 8, "'q0' is no variable"),
        ("dw: 2^-4*x1*y0", 'dw: "2^-4\\u002ax1*q0"', 5, 23, "'q0' is no variable"),
    ],
)
def test_a_fault_in_a_file_has_line_and_column(old: str, new: str, line: int, column: int, said: str) -> None:
    assert rules_from(GOOD, "r.yaml").file.name == "mine"
    with pytest.raises(InputError, match=said) as caught:
        rules_from(GOOD.replace(old, new, 1), "r.yaml")
    assert f"r.yaml, line {line}, column {column}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("0.25*x1*y0", "Write 2^-2 for 0.25"),
        ("x1*y0/4", "Write *2^-2 for /4"),
        ("2^{-2}*x1", "Write 2^-2 or"),
        ("x1*y0>>2", "for >>2"),
        ("x1^2*y0", "Write x1*x1"),
        ("X1*y0", "Write x1"),
        ("x_1*y0", "Write x1"),
        ("sign(w)*x0", "Write sgn"),
        ("2^-4*r1*x1*y0", "factors: {u1: {of: reward}}"),
        ("2^-2*(x1*y0 - y1*x0)", "write products out"),
        ("x0*(y1 + y2)", "write products out"),
        ("x0 \u2212 y0", "for a minus sign"),
    ],
)
def test_what_is_written_otherwise_elsewhere_has_its_way_out(text: str, way_out: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rule(text)
    assert way_out in caught.value.way_out


@pytest.mark.parametrize(
    "text", ["dw = 2^-4*x1*y0", "dw= 2^-4*x1*y0", "'dw = 2^-4*x1*y0'", ">\n      dw =\n      2^-4*x1*y0"]
)
def test_a_rule_may_begin_as_an_equation(text: str) -> None:
    (plain,), (found,) = (rules_from(each, "r.yaml").rules for each in (GOOD, GOOD.replace("2^-4*x1*y0", text)))
    assert all(np.array_equal(a, b) for a, b in zip(plain.dw, found.dw, strict=True))
    with pytest.raises(InputError, match="'q0' is no variable") as caught:
        rules_from(GOOD.replace("2^-4*x1*y0", text.replace("y0", "q0")), "r.yaml")
    lines = GOOD.replace("2^-4*x1*y0", text.replace("y0", "q0")).splitlines()
    line = next(k for k, each in enumerate(lines, 1) if "q0" in each)
    assert f"line {line}, column {lines[line - 1].index('q0') + 1}" in str(caught.value)
    with pytest.raises(InputError, match=r"line 5, column 9: .*gives the change dt"):
        rules_from(GOOD.replace("2^-4*x1*y0", "dt = x1*y0"), "r.yaml")


SHIPPED = {
    "delta", "prototype", "r-stdp", "tempotron", "sdsp", "e-prop", "e-prop-alif", "ottt", "ostl", "s-tllr", "etlp", "decolle",
}  # fmt: skip


def test_the_shipped_rules_are_read() -> None:
    assert set(shipped_rules()) == SHIPPED
    for name in shipped_rules():
        assert read_rules(name).file.about
    with pytest.raises(InputError, match="does not exist"):
        read_rules("nothing")

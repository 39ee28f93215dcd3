"""Sum-of-products rules as text: ``2^-4*x1*y0 - 2^-4*y1*x0``, read by a small grammar and applied in exact integers.

Grammar::

    rule    = [sign] product { sign product };            sign = "+" | "-"
    product = factor { "*" factor }
    factor  = integer [ "^" [ "-" ] integer ] | variable | "(" variable sign integer ")"

Variables: x0, x1, x2 (source: spike of the epoch, traces), y0, y1, y2, y3 (target), w (weight), t (tag), d (delay),
u1 to u9 (third factors that the rule names; else 1 every 2^k epochs), u0 (1 in every epoch).

    dz = sum_i S_i 2^(e_i) prod_j (V_ij + C_ij)           S: 4 bits signed
    a  = (z << 7) + floor(dz 2^7)                         saturated to the word of z with 7 more bits
    z  <- floor(a / 2^7 + r)                              r uniform in [0, 1), or 1/2: nearest; clipped, never wrapped
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from simulator.base.random import STREAM_TRACE, random_word

Ints = npt.NDArray[np.integer]
VARIABLES: Final = ("x0", "x1", "x2", "y0", "y1", "y2", "y3", "w", "t", "d", *(f"u{k}" for k in range(10)))
FRACTION: Final = 7  # bits below the word of a variable in which a step is summed
PRODUCT_BITS: Final = 32  # of a product before it is summed, its 7 fractional bits and its sign included
MANTISSA: Final = (-8, 7)
MOST_EXPONENT: Final = 24
MOST_PRODUCTS: Final = 64  # of a rule: their sum stays far from 64 bits
STREAM_PRODUCTS: Final = STREAM_TRACE + 128
# Largest magnitude of each variable; w, t and u are words of 9 and 8 bits.
LARGEST: Final = {"x0": 1, "y0": 1, "w": 256, "t": 256, "d": 63, "u0": 1}
_TRACE_LARGEST, _FACTOR_LARGEST = 127, 128
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)|(?P<mark>\*\*|[-+*^()]))")


class RuleError(ValueError):
    """A rule text that is wrong, and at which character (from 0).

    Args:
        at: where.
        problem: what is wrong.
        way_out: what is right.
    """

    def __init__(self, at: int, problem: str, way_out: str) -> None:
        super().__init__(problem)
        self.at, self.problem, self.way_out = at, problem, way_out


class Factor(NamedTuple):
    """V + C; V is a place in `VARIABLES`, -1 for none (the constant alone)."""

    variable: int
    constant: int


@dataclass(frozen=True)
class Term:
    """S 2^e prod (V + C)."""

    mantissa: int
    exponent: int
    factors: tuple[Factor, ...]

    @property
    def largest(self) -> int:
        """Largest magnitude of S prod (V + C)."""
        size = abs(self.mantissa)
        for variable, constant in self.factors:
            name = VARIABLES[variable]
            bound = LARGEST.get(name, _FACTOR_LARGEST if name[0] == "u" else _TRACE_LARGEST)
            size *= bound + abs(constant)
        return size


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse_rule(text: str) -> tuple[Term, ...]:
    """Return the products of a rule.

    Raises:
        RuleError: not in the grammar, an unknown variable, a scale or a product too wide for its word.
    """
    return _Parser(text).rule()


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, text: str) -> None:
        self.tokens: list[_Token] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                start = at + len(text[at:]) - len(text[at:].lstrip())
                raise RuleError(
                    start, f"{text[start]!r} belongs to no rule", "Rules have + - * ^ ( ), integers, variables"
                )
            kind = str(found.lastgroup)
            self.tokens.append(_Token(kind, found[kind], found.start(kind)))
            at = found.end()
        self.tokens.append(_Token("end", "the end", len(text)))
        self.k = 0

    @property
    def now(self) -> _Token:
        return self.tokens[self.k]

    def take(self, *marks: str) -> str | None:
        """Take the token if it is one of these marks."""
        if self.now.kind == "mark" and self.now.text in marks:
            self.k += 1
            return self.tokens[self.k - 1].text
        return None

    def rule(self) -> tuple[Term, ...]:
        sign = self.take("+", "-") or "+"
        terms = [self.product(sign)]
        while (mark := self.take("+", "-")) is not None:
            if len(terms) == MOST_PRODUCTS:
                raise RuleError(self.now.at, f"the rule has more than {MOST_PRODUCTS} products", "Write fewer")
            terms.append(self.product(mark))
        if self.now.kind != "end":
            raise RuleError(self.now.at, f"{self.now.text!r} stands where + - or * should", "Write products with *")
        return tuple(terms)

    def product(self, sign: str) -> Term:
        start, scale, factors = self.now.at, [1 if sign == "+" else -1, 0], list[Factor]()
        self.factor(scale, factors)
        while self.take("*"):
            self.factor(scale, factors)
        return _term(start, scale[0], scale[1], tuple(factors))

    def factor(self, scale: list[int], factors: list[Factor]) -> None:
        token = self.now
        if token.kind == "number":
            self.k += 1
            self.number(token, scale)
        elif token.kind == "name":
            factors.append(Factor(self.variable(), 0))
        elif self.take("("):
            variable = self.variable()
            mark = self.take("+", "-")
            constant = self.integer() if mark else 0
            if not self.take(")"):
                raise RuleError(self.now.at, f"{self.now.text!r} stands where ) should", "Write (variable + integer)")
            if constant > 127:
                raise RuleError(token.at, f"the constant {constant} is too wide, an 8-bit signed word", "At most 127")
            factors.append(Factor(variable, -constant if mark == "-" else constant))
        else:
            raise RuleError(token.at, f"{token.text!r} stands where a factor should", "Write an integer or a variable")

    def number(self, token: _Token, scale: list[int]) -> None:
        if self.take("^", "**") is None:
            scale[0] *= int(token.text)
            return
        minus = self.take("-")
        power = self.integer()
        if token.text != "2":
            raise RuleError(token.at, f"{token.text}^{power} is no scale", "Scales are integers times powers of 2")
        scale[1] += -power if minus else power

    def integer(self) -> int:
        token = self.now
        if token.kind != "number":
            raise RuleError(token.at, f"{token.text!r} stands where an integer should", "Write digits")
        self.k += 1
        return int(token.text[:9])

    def variable(self) -> int:
        token = self.now
        if token.kind != "name" or token.text not in VARIABLES:
            raise RuleError(token.at, f"{token.text!r} is no variable", f"Variables: {', '.join(VARIABLES)}")
        self.k += 1
        return VARIABLES.index(token.text)


def _term(at: int, mantissa: int, exponent: int, factors: tuple[Factor, ...]) -> Term:
    while mantissa and mantissa % 2 == 0 and not MANTISSA[0] <= mantissa <= MANTISSA[1]:
        mantissa, exponent = mantissa // 2, exponent + 1
    if not MANTISSA[0] <= mantissa <= MANTISSA[1]:
        raise RuleError(at, f"the scale {mantissa} is too wide, a 4-bit signed word", "Use -8 to 7 times a power of 2")
    if abs(exponent) > MOST_EXPONENT:
        raise RuleError(at, f"the exponent {exponent} is too wide", f"It is -{MOST_EXPONENT} to {MOST_EXPONENT}")
    term = Term(mantissa, exponent, factors)
    bits = (term.largest << max(0, exponent + FRACTION)).bit_length() + 1
    if exponent + FRACTION < 0:
        bits = max(1, (term.largest >> -(exponent + FRACTION)).bit_length() + 1)
    if bits > PRODUCT_BITS or term.largest.bit_length() >= PRODUCT_BITS:
        raise RuleError(at, f"the product is too wide: up to {bits} bits of {PRODUCT_BITS}", "Take fewer factors")
    return term


class Products(NamedTuple):
    """A rule as arrays: factors [terms, most factors, 2] (variable -1: none), scales in units of 2^unit, the unit."""

    factors: npt.NDArray[np.int64]
    scale: npt.NDArray[np.int64]
    unit: int

    @classmethod
    def of(cls, terms: Sequence[Term]) -> Products:
        """Return the arrays of a rule; no terms: it changes nothing."""
        most = max((len(t.factors) for t in terms), default=0)
        factors = np.full((len(terms), most, 2), -1, np.int64)
        for k, term in enumerate(terms):
            for f, factor in enumerate(term.factors):
                factors[k, f] = factor
        unit = min((t.exponent for t in terms), default=0)
        return cls(factors, np.array([t.mantissa << (t.exponent - unit) for t in terms], np.int64), unit)

    def names(self) -> set[str]:
        """Return the variables that occur."""
        return {VARIABLES[v] for v in self.factors[:, :, 0].reshape(-1).tolist() if v >= 0}


@numba.njit(cache=True, nogil=True)
def graded_trace_step(
    x: Ints, sent: Ints, shift: int, decay: int, impulse: int, key: Ints, first_id: int, kind: int
) -> None:
    """Do one step of a trace of n neurons (int32 [n], in place): `loihi.trace_step`, each spike by its payload.

    Args:
        x: trace values, -127 to 127.
        sent: int32 [n], payloads of the step, 0 for none.
        shift: a payload of 2^shift counts as one spike.
        decay, impulse: `Trace.decay_word`, `Trace.impulse_word`.
        key: uint64 (seed, step) of the random numbers.
        first_id, kind: as in `loihi.trace_step`.
    """
    seed, step = key[0], key[1]
    for i in range(x.size):
        r = random_word(seed, step, first_id + i, STREAM_TRACE + 512 * kind)
        value = (int(x[i]) * decay + int(np.int64(r & np.uint64(0xFFFF)))) >> 16
        if sent[i] != 0:
            value += (((impulse * int(sent[i])) >> shift) + int(np.int64((r >> np.uint64(16)) & np.uint64(0xFF)))) >> 8
        x[i] = min(max(value, -127), 127)


@numba.njit(cache=True, nogil=True)
def apply_products(
    indptr: Ints, indices: Ints, z: Ints, w: Ints, t: Ints, pre: Ints, post: Ints, d: Ints, u: Ints, factors: Ints,
    scale: Ints, unit: int, low: int, high: int, key: Ints, nearest: bool,
) -> int:  # fmt: skip
    """Apply a rule to every stored synapse; return how many changed.

    Args:
        indptr, indices: CSR by source.
        z: the variable that changes, integer [nnz]; `w`, `t` or `d` itself.
        w, t, d: weights, tags and delays [nnz].
        pre, post: int32 [3, M], [4, H].
        u: int32 [10, H].
        factors, scale, unit: see `Products`.
        low, high: bounds of z.
        key: uint64 (seed, epoch, stream).
        nearest: round to nearest instead of at random.
    """
    changed = 0
    seed, epoch, stream = key[0], key[1], key[2]
    shift = unit + FRACTION
    for j in range(indptr.size - 1):
        for at in range(indptr[j], indptr[j + 1]):
            i = indices[at]
            total = 0
            for k in range(scale.size):
                product = scale[k]
                for f in range(factors.shape[1]):
                    v, c = factors[k, f, 0], factors[k, f, 1]
                    if v < 0 or product == 0:
                        break
                    if v < 3:
                        value = int(pre[v, j])
                    elif v < 7:
                        value = int(post[v - 3, i])
                    elif v == 7:
                        value = int(w[at])
                    elif v == 8:
                        value = int(t[at])
                    elif v == 9:
                        value = int(d[at])
                    else:
                        value = int(u[v - 10, i])
                    product *= value + c
                total += product
            if total == 0:
                continue
            step = total << shift if shift >= 0 else total >> -shift
            a = (int(z[at]) << FRACTION) + step
            a = min(max(a, low << FRACTION), high << FRACTION)
            r = 64
            if not nearest:
                place = np.uint64(j) << np.uint64(32) | np.uint64(i)
                r = int(np.int64(random_word(seed, epoch, place, stream) & np.uint64(127)))
            new = min(max((a + r) >> FRACTION, low), high)
            changed += new != z[at]
            z[at] = new
    return changed

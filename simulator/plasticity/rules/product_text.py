"""Sum-of-products rules as text: ``2^-4*x1*y0 - 2^-4*y1*x0``, read by a small grammar.

Grammar::

    rule    = [sign] product { sign product };            sign = "+" | "-"
    product = factor { "*" factor }
    factor  = scale | variable | [ "sgn" ] "(" bracket ")"
    scale   = integer [ "^" power ];                      power = [sign] integer | "(" [sign] integer ")"
    bracket = [sign] variable [ sign integer ] | [sign] integer sign variable | [sign] scale

`sgn` is -1, 0 or 1; ** is ^. Variables: x0, x1, x2 (source: spike of the epoch, traces), y0, y1, y2, y3 (target), w (weight),
t (tag), d (delay), u1 to u9 (third factors that the rule names; else 1 every 2^k epochs), u0 (1 in every epoch).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

VARIABLES: Final = ("x0", "x1", "x2", "y0", "y1", "y2", "y3", "w", "t", "d", *(f"u{k}" for k in range(10)))
FRACTION: Final = 7  # bits below the word of a variable in which a step is summed
PRODUCT_BITS: Final = 32  # of a product before it is summed, its 7 fractional bits and its sign included
MANTISSA: Final = (-8, 7)
MOST_EXPONENT: Final = 24
MOST_PRODUCTS: Final = 64  # of a rule: their sum stays far from 64 bits
# Largest magnitude of each variable; w, t and u are words of 9 and 8 bits.
LARGEST: Final = {"x0": 1, "y0": 1, "w": 256, "t": 256, "d": 63, "u0": 1}
_TRACE_LARGEST, _FACTOR_LARGEST = 127, 128
_TOKEN = re.compile(r"\s*(?:(?P<number>[0-9]+)|(?P<name>[A-Za-z_]\w*)|(?P<mark>\*\*|[-+*^()]))")
_MOST_DIGITS: Final = 9  # of an integer, far beyond any word
_KNOWN: Final = "Rules have + - * ^ ( ), integers, variables"
# What is written otherwise elsewhere, by its first character.
_ELSEWHERE: Final = {
    ".": "Write 2^-2 for 0.25",
    "/": "Write *2^-2 for /4",
    "{": "Write 2^-2 or 2^(-2)",
    ">": "Write *2^-2 for >>2",
    "<": "Write *2^2 for <<2",
    "[": "Write x1 for x[1]",
    "\u2212": "Write - for a minus sign",
}
_WRITE_OUT: Final = "A bracket holds a variable and an integer; write products out: x1*y0 - x1*y1 for x1*(y0 - y1)"


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
    """V + C, or its sign; V is a place in `VARIABLES`."""

    variable: int
    constant: int
    sgn: bool = False


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
        for variable, constant, sgn in self.factors:
            if sgn:
                continue
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
                way_out = _ELSEWHERE.get(text[start], _KNOWN)
                raise RuleError(start, f"{text[start]!r} belongs to no rule", way_out)
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
        if self.now.text == ")":
            raise RuleError(self.now.at, "')' closes no bracket", "Leave it out, or open one")
        if self.now.kind != "end":
            power = self.now.text in ("^", "**")
            way_out = "Write x1*x1 for x1^2" if power else "Write products with *"
            raise RuleError(self.now.at, f"{self.now.text!r} stands where + - or * should", way_out)
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
            self.number(scale)
        elif token.text == "sgn" and token.kind == "name":
            self.k += 1
            if not self.take("("):
                raise RuleError(self.now.at, f"{self.now.text!r} stands where ( should", "Write sgn(variable)")
            factors.append(self.bracket(scale)._replace(sgn=True))
        elif token.kind == "name":
            factors.append(Factor(self.variable(), 0))
        elif self.take("("):
            if self._scale_alone():
                scale[0] *= -1 if self.take("+", "-") == "-" else 1
                self.number(scale)
                self.close("Write (integer) or (variable + integer)")
            else:
                factors.append(self.bracket(scale))
        else:
            raise RuleError(token.at, f"{token.text!r} stands where a factor should", "Write an integer or a variable")

    def _scale_alone(self) -> bool:
        """Return whether a bracket holds a scale, as Lava writes negative ones: (-2), (2^-3)."""
        tokens = self.tokens[self.k + (self.now.text in ("+", "-")) :][:3]
        return tokens[0].kind == "number" and not (tokens[1].text in ("+", "-") and tokens[2].kind == "name")

    def bracket(self, scale: list[int]) -> Factor:
        """Read V, V + C, V - C, C + V or C - V, or with a sign before, after ( up to its )."""
        first, minus = self.now, self.take("+", "-") == "-"
        if self.now.kind == "number":
            constant = self.integer() * (-1 if minus else 1)
            mark = self.take("+", "-")
            if mark is None:
                raise RuleError(
                    self.now.at, f"{self.now.text!r} stands where + or - should", "Write (integer + variable)"
                )
            variable, minus = self.variable(), mark == "-"
            constant = -constant if minus else constant
        else:
            variable, mark = self.variable(), self.take("+", "-")
            constant = self.integer() if mark else 0
            constant = -constant if (mark == "-") != minus else constant
        if minus:  # C - V = -(V - C)
            scale[0] = -scale[0]
        self.close(_WRITE_OUT)
        if abs(constant) > 127:
            raise RuleError(
                first.at - 1, f"the constant {abs(constant)} is too wide, an 8-bit signed word", "At most 127"
            )
        return Factor(variable, constant)

    def close(self, way_out: str) -> None:
        """Take a closing bracket."""
        if not self.take(")"):
            raise RuleError(self.now.at, f"{self.now.text!r} stands where ) should", way_out)

    def number(self, scale: list[int]) -> None:
        token, base = self.now, self.integer()
        if self.take("^", "**") is None:
            scale[0] *= base
            return
        opened, minus = self.take("("), self.take("-", "+") == "-"
        power = self.integer()
        if opened:
            self.close("Write 2^-3 or 2^(-3)")
        if token.text != "2":
            raise RuleError(token.at, f"{token.text}^{power} is no scale", "Scales are integers times powers of 2")
        scale[1] += -power if minus else power

    def integer(self) -> int:
        token = self.now
        if token.kind != "number":
            way_out = _WRITE_OUT if token.kind == "name" else "Write digits"
            raise RuleError(token.at, f"{token.text!r} stands where an integer should", way_out)
        self.k += 1
        if len(token.text) > _MOST_DIGITS:
            raise RuleError(token.at, f"an integer of {len(token.text)} digits fits no word", "Use powers of 2")
        return int(token.text)

    def variable(self) -> int:
        token = self.now
        if token.kind != "name" or token.text not in VARIABLES:
            raise RuleError(token.at, f"{token.text!r} is no variable", _instead_of(token.text))
        self.k += 1
        return VARIABLES.index(token.text)


def _instead_of(name: str) -> str:
    """Return what to write for a name that is no variable."""
    plain = name.lower().replace("_", "")
    if plain in VARIABLES:
        return f"Write {plain}"
    if plain in ("sign", "signum"):
        return "Write sgn(variable)"
    if re.fullmatch(r"r\d?|reward", plain):
        return "A reward is a third factor: write u1, and factors: {u1: {of: reward}}"
    return f"Variables: {', '.join(VARIABLES)}"


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

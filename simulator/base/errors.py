"""Errors that a person can act on: each names the object, the value, the rule and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from simulator.base.text import printable

MOST_WHERE, MOST_PROBLEM, MOST_WAY_OUT = 300, 700, 700  # characters shown


class BimhwError(Exception):
    """An error of the user's input or environment; the command line prints it alone and exits with code 2.

    Args:
        where: the object at fault, with its path in the user's file where there is one
            (``loihi9.yaml: $.timing.hop_east``, ``population 'hidden'``).
        problem: the value found and the rule it breaks.
        way_out: what the user can do about it.
    """

    def __init__(self, where: str, problem: str, way_out: str = "") -> None:
        self.where, self.problem, self.way_out = where, problem, way_out
        super().__init__(where, problem, way_out)  # so that SimPy and other processes can make it again from its `args`

    def __str__(self) -> str:
        where, problem = printable(self.where, MOST_WHERE), printable(self.problem, MOST_PROBLEM)
        return f"{where}: {problem}" + (f". {printable(self.way_out, MOST_WAY_OUT)}" if self.way_out else "")

    def to_dict(self) -> dict[str, str]:
        """Return the three parts by name, as ``--json`` prints them."""
        parts = (
            ("where", self.where, MOST_WHERE),
            ("problem", self.problem, MOST_PROBLEM),
            ("way_out", self.way_out, MOST_WAY_OUT),
        )
        return {"kind": type(self).__name__} | {name: printable(text, most) for name, text, most in parts}


class UnjudgedWarning(UserWarning):
    """A test set cannot judge a model: it is trained, and no figure of it is given."""


class UncheckedWarning(UserWarning):
    """A file without a content hash, written before there was one, was read: a change in it would go unseen."""


class InputError(BimhwError):
    """A file, an argument or a value is not what it must be."""


def check_values(where: str, rules: Iterable[tuple[str, object, bool, str]], way_out: str = "") -> None:
    """Raise `InputError` on the first value that breaks a rule.

    Args:
        where: what stands before a name in the message, as in ``task cue: ``.
        rules: name of a value, the value, whether it keeps the rule, the rule in words.
        way_out: of all; by default to give another value.
    """
    for name, value, ok, rule in rules:
        if not ok:
            raise InputError(f"{where}{name}", f"is {value!r}, {rule}", way_out or f"Give another {name}")


def check_fields(where: str, owner: object, rules: Iterable[tuple[str, bool, str]], way_out: str = "") -> None:
    """Raise `InputError` on the first field of `owner` that breaks a rule: its name, whether it keeps the rule, the rule."""
    check_values(where, ((name, getattr(owner, name), ok, rule) for name, ok, rule in rules), way_out)


def unknown_name(kind: str, name: object, known: Iterable[str], *, listed: str = "", more: str = "") -> InputError:
    """Return the error for a name that no list holds, with the nearest names first.

    Args:
        kind: kind of the object, as in ``chip``; ``learning: rule`` names its owner too.
        name: the name given.
        known: valid names.
        listed: heading of the list; by default the plural of `kind`.
        more: what else would be valid, as in ``or the path of a YAML file``.
    """
    names = list(known)
    of_lower = {n.lower(): n for n in reversed(names)}  # of two that differ in case alone, the first
    near = [of_lower[n] for n in difflib.get_close_matches(str(name).lower(), of_lower, 3, 0.65)]
    near = near or _akin(str(name), names)[:3]
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    heading = listed or f"{kind.rpartition(': ')[2]}s".capitalize()
    way_out = f"{hint}{heading}: {', '.join(names)}" + (f"; {more}" if more else "")
    return InputError(f"{kind} {name!r}", "is not known", way_out)


def _akin(given: str, names: Sequence[str]) -> list[str]:
    """Return the names with a word that begins like one of the given name, the nearest first."""
    kinship = {n: _kinship(given, n) for n in names}
    return sorted((n for n in names if kinship[n]), key=lambda n: -kinship[n])


def _kinship(given: str, known: str) -> float:
    """Return how near the nearest words of two names are that begin alike, as ``synapse`` and ``synaptic events``; 0: none."""
    words = [(a, b) for a in given.lower().split() for b in known.lower().split()]
    alike = [(a, b) for a, b in words if _shared_start(a, b) >= max(4, 0.6 * max(len(a), len(b)))]
    return max((difflib.SequenceMatcher(None, a, b).ratio() for a, b in alike), default=0.0)


def _shared_start(a: str, b: str) -> int:
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class FitError(BimhwError):
    """A model does not fit the chip, or needs what the chip does not have."""


class SaturationError(BimhwError):
    """A value left its word in a run that asked for that to be an error (``strict``)."""


class MissingExtraError(BimhwError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, needed_for: str) -> None:
        super().__init__(needed_for, f"needs the package {package!r}", f"Install it with: pip install 'bimhw[{extra}]'")
        self.args = package, extra, needed_for

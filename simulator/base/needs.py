"""Options that act only beside another: given without it, command and function refuse them instead of ignoring them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import NamedTuple, ParamSpec, TypeVar

from simulator.base.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


class Need(NamedTuple):
    """Options that act only where `of` does.

    Attributes:
        options: the options, such as ``--chip``.
        of: the option or argument that they belong to.
        values: of it, with which they act; none: it is given at all.
        absent: they act only where it is *not* given.
        why: of an absence, ends the message.
    """

    options: tuple[str, ...]
    of: str
    values: tuple[str, ...] = ()
    absent: bool = False
    why: str = ""

    def broken(self, given: Collection[str], value: object, spell: Callable[[str], str]) -> tuple[str, str, str] | None:
        """Return the first option that is ignored, the rule, and the way out; None if there is none.

        Args:
            given: options that the user gave.
            value: of `of`.
            spell: how the user writes an option.
        """
        ours = [o for o in self.options if o in given]
        if not ours:
            return None
        of = spell(self.of)
        if self.absent:
            broken, rule, way_out = self.of in given, f"is ignored with {of} ({self.why})", "leave it out"
        elif self.values:
            broken, rule, way_out = (
                str(value) not in self.values,
                f"belongs to {of} {' or '.join(self.values)}",
                "leave it out",
            )
        else:
            broken, rule, way_out = self.of not in given, f"belongs to {of}", "give that too, or leave it out"
        return (spell(ours[0]), rule, way_out) if broken else None


_RANDOM = "random spikes are the input without it"
_LAYER = "--rule counts one layer of leaky neurons"
_TIMED = ("compiled", "simpy", "clocked", "bound")

_OF_PILOT = Need(("--task", "--data", "--task-option", "--encode", "--data-option"), "--pilot")

# full name of a command -> what its options need; tests/bimhw/cli/test_needs.py walks all
NEEDS: dict[str, tuple[Need, ...]] = {
    "bench": (Need(("--objective",), "--mapping", ("auto",)), Need(("--timing-sample",), "--engine", _TIMED)),
    "chips show": (Need(("--json",), "--yaml", absent=True, why="--yaml prints the file itself"),),
    "codesign": (_OF_PILOT,),
    "convert": (Need(("--threshold",), "--code", ("sigma-delta",)),),
    "crosscheck": (
        Need(("--target",), "--against", ("brian2",)),
        Need(("--rate",), "--task", absent=True, why=_RANDOM),
        Need(("--rate",), "--data", absent=True, why=_RANDOM),
    ),
    "energy": (
        Need(
            ("--explain", "--gpu", "--scan", "--copies", "--measure", "--block", "--lookback", "--pilot"),
            "--by", absent=True, why="--by prints one grouping",
        ),
        _OF_PILOT,
    ),
    "forgetting": (
        Need(("--samples",), "--keep", ("replay",)),
        Need(("--strength",), "--keep", ("consolidate", "metaplastic")),
    ),
    "learn": (Need(("--force",), "--run"),),
    "learning-cost": (
        Need(("--states",), "--kind", ("s6",)),
        Need(("--kind", "--psp", "--steps", "--rate", "--seed", "--plot", "--stream"), "--rule", absent=True, why=_LAYER),
    ),
    "nir run": (
        Need(("--encode", "--data-option"), "--data"),
        Need(("--samples", "--steps", "--rate"), "--data", absent=True, why=_RANDOM),
        Need(("--engine", "--force"), "--output"),
    ),
    "results": (
        Need(
            ("--table", "--row", "--data", "--seeds", "--minutes", "--dask", "--device"),
            "--report-only", absent=True, why="it trains nothing and writes the whole page",
        ),
    ),
    "serve": (Need(("--port",), "--list", absent=True, why="--list serves nothing"),),
    "simulate": (
        Need(("--trace-window", "--trace-cores"), "--trace"),
        Need(("--checkpoint-every",), "--checkpoint"),
        Need(("--timing-sample",), "--engine", _TIMED),
    ),
    "stdp-window": (Need(("--epochs", "--seed"), "--trained"),),
    "train": (
        Need(("--steps", "--report-every"), "--stream"),
        Need(("--resume",), "--checkpoint"),
    ),
    "verify": (Need(("--chip",), "--model"), Need(("--encode", "--data-option"), "--data")),
}  # fmt: skip

_PARAMETERS = {"--table": "tables", "--row": "rows"}  # of functions, that are not named as the option is


def parameter(option: str) -> str:
    """Return the name of an option as a function's parameter."""
    return _PARAMETERS.get(option, option.lstrip("-").replace("-", "_"))


def refuses_ignored(command: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator for the function of a command: it refuses what the command refuses.

    A parameter counts as given where its value differs from its default.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        defaults = {name: p.default for name, p in signature.parameters.items()}
        needs = [n for n in NEEDS[command] if parameter(n.of) in defaults]

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            given = {name for name, value in bound.arguments.items() if differs(value, defaults[name])}
            bound.apply_defaults()
            for need in needs:
                _refuse(need, given, bound.arguments)
            return function(*args, **kwargs)

        return run

    return decorated


def _refuse(need: Need, given: Collection[str], values: Mapping[str, object]) -> None:
    options = [o for o in (*need.options, need.of) if parameter(o) in given]
    broken = need.broken(options, values[parameter(need.of)], parameter)
    if broken is not None:
        option, rule, way_out = broken
        raise InputError(f"argument {option}", rule, way_out.capitalize())


def differs(value: object, default: object) -> bool:
    """Return whether an argument's value says something that its default does not."""
    if value is None or value is default or value is False:
        return False
    if isinstance(value, tuple | list | dict) and not value:
        return False
    return not (isinstance(value, str | int | float | range | tuple | list) and value == default)

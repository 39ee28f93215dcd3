"""Options that act only beside another option: given without it, they are refused instead of ignored."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

import click
from click.core import ParameterSource


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


_RANDOM = "random spikes are the input without it"
_LAYER = "--rule counts one layer of leaky neurons"
_TIMED = ("compiled", "simpy", "clocked", "bound")

# full name of a command -> what its options need; tests/bimhw/cli/test_needs.py walks all
NEEDS: dict[str, tuple[Need, ...]] = {
    "bench": (Need(("--objective",), "--mapping", ("auto",)), Need(("--timing-sample",), "--engine", _TIMED)),
    "chips show": (Need(("--json",), "--yaml", absent=True, why="--yaml prints the file itself"),),
    "convert": (Need(("--threshold",), "--code", ("sigma-delta",)),),
    "crosscheck": (
        Need(("--target",), "--against", ("brian2",)),
        Need(("--rate",), "--task", absent=True, why=_RANDOM),
        Need(("--rate",), "--data", absent=True, why=_RANDOM),
    ),
    "energy": (
        Need(("--explain", "--gpu", "--scan", "--copies", "--measure"), "--by", absent=True, why="--by prints one grouping"),
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
    "train": (Need(("--steps", "--report-every"), "--stream"), Need(("--resume",), "--checkpoint")),
    "verify": (Need(("--chip",), "--model"), Need(("--encode", "--data-option"), "--data")),
}  # fmt: skip


def refusing(callback: Callable[..., object], needs: tuple[Need, ...]) -> Callable[..., object]:
    """Return the callback of a command that first refuses options without what they belong to."""

    @wraps(callback)
    def run(*args: object, **kwargs: object) -> object:
        context = click.get_current_context()
        for need in needs:
            _check(context, need)
        return callback(*args, **kwargs)

    run.refuses = True  # type: ignore[attr-defined]
    return run


def _check(context: click.Context, need: Need) -> None:
    given = [o for o in need.options if _given(context, o)]
    if not given:
        return
    there, option = _given(context, need.of), given[0]
    if need.absent:
        if there:
            raise click.UsageError(f"{option} is ignored with {need.of} ({need.why}): leave it out", context)
    elif need.values:
        if str(context.params[_named(context, need.of)]) not in need.values:
            raise click.UsageError(f"{option} belongs to {need.of} {' or '.join(need.values)}: leave it out", context)
    elif not there:
        raise click.UsageError(f"{option} belongs to {need.of}: give that too, or leave it out", context)


def _named(context: click.Context, option: str) -> str:
    """Return the name of an option's value."""
    return next(p.name for p in context.command.params if option in p.opts and p.name is not None)


def _given(context: click.Context, option: str) -> bool:
    """Return whether the user gave an option."""
    name = _named(context, option)
    source = context.get_parameter_source(name)
    value = context.params[name]
    by_user = source not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    return by_user and value is not None and value is not False and value != ()

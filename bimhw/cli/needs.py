"""Refuse an option of the command line that another one, or its absence, makes idle (`simulator.base.needs`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import click
from click.core import ParameterSource

from simulator.base.needs import Need


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
    given = [o for o in (*need.options, need.of) if _given(context, o)]
    broken = need.broken(given, context.params[_named(context, need.of)], str)
    if broken is not None:
        option, rule, way_out = broken
        raise click.UsageError(f"{option} {rule}: {way_out}", context)


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

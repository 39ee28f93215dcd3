"""Settings that only some values of other settings read: given beside others, they are refused instead of ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from simulator.base.errors import InputError

S = TypeVar("S")


class Heed(NamedTuple, Generic[S]):
    """Settings and when they are read.

    Attributes:
        names: of the settings.
        owner: what they belong to, as the message says it.
        read: whether these settings read them.
    """

    names: tuple[str, ...]
    owner: str
    read: Callable[[S], bool]


def refuse_unheeded(table: Sequence[Heed[S]], given: Iterable[str], *settings: S) -> None:
    """Raise `InputError` for the first name given that none of the settings reads."""
    for name in given:
        for heed in table:
            if name in heed.names and not any(heed.read(s) for s in settings):
                raise InputError(
                    f"option {name!r}", f"belongs to {heed.owner}, and would be ignored here", "Leave it out"
                )

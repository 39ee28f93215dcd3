"""Registry of front ends: which reader turns a model, in a file or in memory, into a `Network`.

Add a front end by one file in `bimhw/frontends/kinds/`: it registers a `FrontEnd` when it is imported. Every command that
takes a model (compile, fit, crosscheck, sweep) then takes the new kind. A kind outside this folder calls `register` itself.

    class MyOptions(msgspec.Struct, frozen=True, kw_only=True):
        dt: float | None = None

    def read(model: object, options: MyOptions) -> Network: ...      # import heavy packages here, not above

    register(FrontEnd("mine", ".mine files", MyOptions, read, suffixes=(".mine",)))

`read` gets a `Path` (the file exists) or the object that `accepts` took. It returns a float network, or an integer network,
which is mapped as it is. An integer network may bring its own input spikes (`Network.inputs`) and mapping (`Network.core`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from bimhw.tasks.dataset import Dataset
from mapping.network import Network
from simulator.base.errors import InputError
from simulator.base.found import import_all
from simulator.base.misplaced import check_no_run_folder, check_readable_kind
from simulator.chips.chip import Chip

Options = TypeVar("Options", bound=msgspec.Struct)


class NoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a front end that has none."""


def _no_object(model: object) -> bool:
    return False


@dataclass(frozen=True)
class FrontEnd(Generic[Options]):
    """One kind of model.

    Attributes:
        name: short and unique; a second front end of the same name replaces the first.
        what: plural noun for messages, such as ``.nir files``.
        options: msgspec struct of reading options, each with a default.
        read: model (a path or an accepted object) and options -> network.
        suffixes: of the files it reads, with the dot.
        accepts: whether it reads this object in memory; must not import heavy packages.
        rank: a higher rank is asked first where several accept one object.
        outline: model and options -> float network whose projections are counted, not unrolled
            (`mapping.patterned`), where unrolling would take much memory, else None.
        of_chip: chip -> options that it speaks for, where they are not given.
        settle: model, options and recorded data -> the options that the recorded outputs speak for, and notes.
    """

    name: str
    what: str
    options: type[Options]
    read: Callable[[Any, Options], Network]
    suffixes: tuple[str, ...] = ()
    accepts: Callable[[object], bool] = _no_object
    rank: int = 0
    outline: Callable[[Any, Options], Network | None] | None = None
    of_chip: Callable[[Chip], Mapping[str, object]] | None = None
    settle: Callable[[Any, Options, Dataset], tuple[Options, tuple[str, ...]]] | None = None


AnyFrontEnd = FrontEnd[Any]
_FRONT_ENDS: dict[str, AnyFrontEnd] = {}


def register(front_end: AnyFrontEnd) -> AnyFrontEnd:
    """Make a front end known by its name."""
    _FRONT_ENDS[front_end.name] = front_end
    return front_end


def front_ends() -> tuple[AnyFrontEnd, ...]:
    """Return all front ends, those asked first first."""
    import_all("bimhw.frontends.kinds")
    return tuple(sorted(_FRONT_ENDS.values(), key=lambda f: (-f.rank, f.name)))


def suffixes() -> tuple[str, ...]:
    """Return the suffixes of all model files, in order."""
    return tuple(sorted(s for f in front_ends() for s in f.suffixes))


def front_end_of(model: object) -> AnyFrontEnd:
    """Return the front end that reads a model.

    Raises:
        InputError: an unknown suffix, or an object that no front end accepts.
    """
    if isinstance(model, str | Path):
        suffix = Path(model).suffix
        for front_end in front_ends():
            if suffix in front_end.suffixes:
                return front_end
        check_no_run_folder(model)
        check_readable_kind(Path(model))
        raise InputError(str(model), f"has the unknown suffix {suffix!r}", f"Models end in {', '.join(suffixes())}")
    for front_end in front_ends():
        if front_end.accepts(model):
            return front_end
    known = "; ".join(f.what for f in front_ends())
    raise InputError(f"model of type {type(model).__name__!r}", "is not known", f"Known: {known}")


def options_for(front_end: FrontEnd[Options], given: Mapping[str, object]) -> Options:
    """Return the options struct from values by name; None is not given.

    Raises:
        InputError: an option that this front end does not have, or a value of another type.
    """
    values = {name: value for name, value in given.items() if value is not None}
    for name in values:
        if name not in front_end.options.__struct_fields__:
            owners = [f.what for f in front_ends() if name in f.options.__struct_fields__]
            problem = f"is for {' and '.join(owners)} only" if owners else "is not known"
            raise InputError(f"option {name}", problem, "Leave it out")
    try:
        return msgspec.convert(values, front_end.options)
    except msgspec.ValidationError as error:
        raise InputError(f"options of {front_end.what}", f"are wrong: {error}", "Correct the value") from error

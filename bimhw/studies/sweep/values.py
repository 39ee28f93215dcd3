"""Values of a sweep's axes, checked before the first point is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bimhw.compiler.options import CompileOptions
from mapping.mapper import METHODS
from mapping.objective import OBJECTIVES
from simulator.base.errors import InputError, unknown_name
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.chips.quantity import Quantity
from simulator.chips.rules import check_chip

COMPILE_AXES = ("bits", "state_bits", "per_row", "free_scales")
SECTIONS = (
    "timing",
    "energy",
    "limits",
    "topology",
)  # of a chip file; an axis names one of their numbers: timing.synapse
MESH = ("width", "height", "cores_per_router", "usable_cores")  # of the topology


def check_values(axes: Mapping[str, tuple[object, ...]]) -> None:
    """Raise `InputError` for a value that no point can have; one that some points cannot have is their failure."""
    for value in axes.get("cores", ()):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError("axis 'cores'", f"has the value {value!r}; neurons per core must be at least 1")
    for value in axes.get("copies", ()):
        if value != "max" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError("axis 'copies'", f"has the value {value!r}", "Give numbers from 1 on, or max")
    for value in axes.get("seed", ()):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
            raise InputError(
                "axis 'seed'",
                f"has the value {value!r}",
                "Give integers from 0 to 2^32 - 1, separated by commas: 0,1,2",
            )
    for axis in ("per_row", "free_scales"):
        if not all(isinstance(v, bool) for v in axes.get(axis, ())):
            raise InputError(f"axis {axis!r}", f"has the values {list(axes[axis])}", "Give true,false")
    for axis in ("supply", "node"):
        if any(isinstance(v, bool) or not isinstance(v, int | float) or v <= 0 for v in axes.get(axis, ())):
            raise InputError(f"axis {axis!r}", f"has the values {list(axes[axis])}", "Give numbers above 0")
    for axis in ("bits", "state_bits"):
        for value in axes.get(axis, ()):
            try:
                msgspec.convert({axis: value}, CompileOptions)
            except msgspec.ValidationError as error:
                raise InputError(f"axis {axis!r}", f"has the value {value!r}", "Give integers") from error
    for value in axes.get("objective", ()):
        if value not in OBJECTIVES:
            raise unknown_name("objective", value, OBJECTIVES)
    for value in axes.get("mapping", ()):
        if value not in METHODS and not Path(str(value)).is_file():
            raise unknown_name("mapping", value, METHODS, more="or a mapping file")
    _check_chips(axes)


def _check_chips(axes: Mapping[str, tuple[object, ...]]) -> None:
    """Raise `InputError` for a chip that cannot be loaded, and for a number that none of the chips has."""
    chips = [load_chip(str(name)) for name in axes.get("chip", ("loihi2",))]
    for axis in (a for a in axes if a.split(".")[0] in SECTIONS):
        for value in axes[axis]:
            refused = [_refusal(chip, axis, value) for chip in chips]
            if all(refused) and refused[0] is not None:
                raise refused[0]


def _refusal(chip: Chip, axis: str, value: object) -> InputError | None:
    try:
        with_number(chip, axis, value)
    except InputError as error:
        return error
    return None


def with_number(chip: Chip, path: str, value: object) -> Chip:
    """Return a chip with another value of one number, named by its path (``timing.synapse``).

    Raises:
        InputError: the chip has no such number, or the value is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"axis {path!r}", f"has the value {value!r}, which is no number", "Give numbers")
    section, _, name = path.partition(".")
    if section == "topology":
        return _with_mesh(chip, path, name, value)
    home = getattr(chip, section)
    old = home.get(name) if isinstance(home, dict) else getattr(home, name, None)
    if not isinstance(old, Quantity):
        raise InputError(f"axis {path!r}", f"is not a number of chip {chip.name!r}", "See `bimhw chips show NAME`")
    new = msgspec.structs.replace(
        old, value=float(value), low=None, high=None, quality="assumed", note="set by a sweep"
    )
    if isinstance(home, dict):
        return msgspec.structs.replace(chip, **{section: home | {name: new}})
    return msgspec.structs.replace(chip, **{section: msgspec.structs.replace(home, **{name: new})})


def _with_mesh(chip: Chip, path: str, name: str, value: float) -> Chip:
    """Return a chip with another mesh. One whose file uses every core of its mesh uses every core of the new one."""
    if name not in MESH:
        raise unknown_name("axis", path, [f"topology.{m}" for m in MESH], listed="Numbers of the topology")
    if not isinstance(value, int) or value < 1:
        raise InputError(f"axis {path!r}", f"has the value {value!r}", "Give integers from 1 on")
    old = chip.topology
    mesh = msgspec.structs.replace(old, **{name: value})
    if name != "usable_cores":
        cores, before = (t.width * t.height * t.cores_per_router for t in (mesh, old))
        usable = cores if old.usable_cores == before else min(old.usable_cores, cores)
        mesh = msgspec.structs.replace(mesh, usable_cores=usable)
    new = msgspec.structs.replace(chip, topology=mesh)
    check_chip(new, f"axis {path!r} with the value {value}")
    return new

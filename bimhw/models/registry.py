"""Registry of model families: which networks one set of commands trains, saves, compiles and simulates. Needs no torch.

Add a family by one file in `bimhw/models/families/`: it registers a `ModelFamily` when it is imported. A family outside this
folder calls `register` itself::

    class MyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
        family: Literal["mine"] = "mine"
        n_in: int
        ...

    register(ModelFamily("mine", "my networks", MyConfig, network, build, check=by_shapes(parameter_shapes)))

The config's ``family`` stands in every model file and chooses the family that reads it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import numpy as np

from bimhw.models.config_rules import without_later_fields
from bimhw.models.net_config import NetConfig as NetConfig
from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.base.found import import_all
from simulator.base.reading import boundary, parse_json

if TYPE_CHECKING:
    from torch import nn

    from bimhw.models.training import Training
    from mapping.network import Network

Arrays = Mapping[str, Array]
Shapes = Mapping[str, tuple[int, ...]]
DEFAULT: Final = "bim"
_VERSION = "Was it written by another version?"
T = TypeVar("T")


@dataclass(frozen=True)
class ModelFamily:
    """One family of models. Heavy packages are imported inside its functions.

    Attributes:
        name: value of the config's field ``family``.
        what: plural noun for messages.
        config: msgspec struct with a field ``family``; see `NetConfig` where tasks train it.
        network: config and checked arrays -> float network, which the compiler takes.
        build: config, seed and initial scales (None: the default) -> torch module with seeded weights.
        check: config, arrays and file -> nothing; raises `InputError` for arrays that are not the config's.
        load: config and checked arrays -> torch module; default: `build`, then its ``load_state_dict``.
        training: what `bimhw train` needs; None: this family is trained elsewhere.
    """

    name: str
    what: str
    config: type[msgspec.Struct]
    network: Callable[[Any, Arrays], Network]
    build: Callable[[Any, int, Any], nn.Module]
    check: Callable[[Any, Arrays, str], None]
    load: Callable[[Any, Arrays], nn.Module] | None = None
    training: Callable[[], Training] | None = None

    def load_module(self, config: Any, arrays: Arrays) -> nn.Module:
        """Return a torch module with these weights."""
        if self.load is not None:
            return self.load(config, arrays)
        module = self.build(config, 0, None)
        load_arrays_into(module, arrays)
        return module


_FAMILIES: dict[str, ModelFamily] = {}


def register(family: ModelFamily) -> ModelFamily:
    """Make a family known by its name; a second one of the same name replaces the first."""
    _FAMILIES[family.name] = family
    return family


def families() -> tuple[ModelFamily, ...]:
    """Return all families, by name."""
    import_all("bimhw.models.families")
    return tuple(sorted(_FAMILIES.values(), key=lambda f: f.name))


def family_named(name: object, where: str) -> ModelFamily:
    """Return a family by its name.

    Raises:
        InputError: no family has this name.
    """
    known = {family.name: family for family in families()}
    if not isinstance(name, str) or name not in known:
        raise InputError(where, f"is of the unknown family {name!r}", f"Families: {', '.join(known)}")
    return known[name]


def family_of(config: object) -> ModelFamily:
    """Return the family of a config.

    Raises:
        InputError: a value that is no family's config.
    """
    for family in families():
        if isinstance(config, family.config):
            return family
    raise InputError(f"config {type(config).__name__}", "belongs to no family of models", "Register its family")


def trainable(name: str | None) -> tuple[ModelFamily, Training]:
    """Return a family by name (None: BIM) and what training needs of it.

    Raises:
        InputError: an unknown family, or one that is trained elsewhere.
    """
    able = {f.name: f for f in families() if f.training is not None}
    family = able.get(name or DEFAULT)
    if family is None or family.training is None:
        raise InputError(f"family {name!r}", "is not trained by this command", f"Families: {', '.join(able)}")
    return family, family.training()


def family_in(content: object, where: str) -> ModelFamily:
    """Return the family that a config names, as JSON text or a plain dict; one without ``family`` is BIM's.

    Raises:
        InputError: no JSON, or an unknown family.
    """
    value = _parsed(content, where)
    return family_named(value.get("family", DEFAULT) if isinstance(value, dict) else DEFAULT, f"{where}: config")


def config_from(content: object, where: str) -> Any:
    """Return the config of a model of any family from JSON text or a plain dict.

    Raises:
        InputError: unknown or missing fields, wrong types or values, or an unknown family.
    """
    value = _parsed(content, where)
    family = family_in(value, where)
    with boundary(f"{where}: config", f"a config of {family.what}", _VERSION):
        return msgspec.convert(value, family.config)


def config_to_json(config: object) -> str:
    """Return a config as JSON text, keys in a fixed order; see `without_later_fields`."""
    return msgspec.json.encode(without_later_fields(msgspec.to_builtins(config)), order="sorted").decode()


def by_shapes(shapes: Callable[[Any], Shapes], masks: Callable[[Any], Shapes] | None = None) -> Callable[..., None]:
    """Return the check of a family whose arrays have the shapes that its config tells.

    Args:
        shapes: config -> names and shapes of all parameters, as in the module's ``state_dict``.
        masks: config -> names and shapes of the synapse masks (bool) that a file may hold as well.
    """

    def check(config: Any, arrays: Arrays, where: str) -> None:
        needed = shapes(config)
        allowed = {**needed, **(masks(config) if masks else {})}
        missing, extra = sorted(set(needed) - set(arrays)), sorted(set(arrays) - set(allowed))
        if missing or extra:
            way_out = "Its config and its weights belong to different networks"
            raise InputError(where, _difference(missing, extra), way_out)
        for name, array in arrays.items():
            _check_array(name, array, allowed[name], where)

    return check


def load_arrays_into(module: nn.Module, arrays: Arrays) -> None:
    """Copy arrays into a module by their names."""
    import torch

    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})


def later(place: str) -> Callable[..., Any]:
    """Return a function that imports ``module:function`` when it is called, and calls it.

    A family lies on the ground floor; its front end and its training do not.
    """
    module, name = place.split(":")
    return lambda *args: getattr(importlib.import_module(module), name)(*args)


def _parsed(content: object, where: str) -> object:
    return parse_json(content, f"{where}: config", _VERSION) if isinstance(content, str | bytes) else content


def _difference(missing: list[str], extra: list[str]) -> str:
    parts = [f"{what} {', '.join(names[:4])}" for what, names in (("lacks", missing), ("has unknown", extra)) if names]
    return " and ".join(parts)


def _check_array(name: str, array: Array, shape: tuple[int, ...], where: str) -> None:
    place = f"{where}: {name}"
    if array.shape != shape:
        raise InputError(place, f"has shape {array.shape}, the config asks for {shape}", "Retrain or fix the config")
    if ".mask_" in name:
        if array.dtype != np.bool_:
            raise InputError(place, f"has type {array.dtype}, a mask must be bool")
    elif array.dtype not in (np.float32, np.float64):
        raise InputError(place, f"has type {array.dtype}, weights must be float32 or float64")
    elif not np.isfinite(array).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(place, f"holds {array[bad]} at index {bad}", "Training diverged: lower the learning rate")

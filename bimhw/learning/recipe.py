"""Settings for a run from a preset and the options that differ from it."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from bimhw.learning.presets import PRESETS, Preset, default_preset
from bimhw.learning.train import TrainSettings
from bimhw.models.config import BimConfig
from bimhw.models.net import Init
from bimhw.tasks.base import Task
from simulator.errors import InputError


class Recipe(msgspec.Struct, frozen=True):
    """All that `bimhw.learning.train.train` needs beside the task."""

    config: BimConfig
    settings: TrainSettings
    init: Init


def recipe(task: Task, preset: str | Preset | None = None, seed: int = 0, **options: Any) -> Recipe:
    """A preset fitted to a task, with options of the config, the training or the initial weights changed.

    Args:
        task: gives the ends of the network.
        preset: a name of `bimhw.learning.presets.PRESETS`, a `Preset`, or None for the task's own.
        seed: of everything random.
        options: fields of `BimConfig`, `TrainSettings` or `Init`; None leaves a field as it is. ``hidden`` and ``delays``
            may be texts such as ``"64,64"``.

    Raises:
        InputError: an unknown option or a value out of its range.
    """
    base = default_preset(task.name) if preset is None else _preset(preset)
    given = {k: v for k, v in options.items() if v is not None}
    for text, name in (("hidden", "hidden"), ("delays", "input_delays")):
        if text in given:
            given[name] = integers(text, given.pop(text))
    parts = {"config": dict(base.config), "settings": dict(base.settings), "init": dict(base.init)}
    fields = {
        "config": BimConfig.__struct_fields__,
        "settings": TrainSettings.__struct_fields__,
        "init": Init.__struct_fields__,
    }
    for name, value in given.items():
        home = next((part for part, names in fields.items() if name in names), None)
        if home is None:
            raise InputError(f"option {name!r}", "is not known", "See BimConfig, TrainSettings and Init")
        parts[home][name] = value
    ends = {"n_in": task.n_in, "n_out": task.n_classes, "input_scale": task.input_scale}
    config = _build(BimConfig, {"hidden": (64,)} | parts["config"] | ends)
    settings = _build(TrainSettings, parts["settings"] | {"seed": seed})
    return Recipe(config, settings, _build(Init, parts["init"]))


def _preset(preset: str | Preset) -> Preset:
    if isinstance(preset, Preset):
        return preset
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r}", "is not known", f"Presets: {', '.join(PRESETS)}")
    return PRESETS[preset]


def _build(kind: type[Any], values: dict[str, Any]) -> Any:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise InputError(kind.__name__, str(error), _allowed(kind, str(error))) from error


def _allowed(kind: type[Any], message: str) -> str:
    """The values of the enumeration that the message's path names."""
    for field in msgspec.structs.fields(kind):
        if message.endswith(f"`$.{field.name}`") and get_args(field.type):
            return f"{field.name} is one of: {', '.join(str(a) for a in get_args(field.type))}"
    return "Correct the option"


def integers(name: str, value: Any) -> tuple[int, ...]:
    """A tuple of integers from a text such as ``64,64``, an integer or a sequence."""
    if not isinstance(value, str):
        return (value,) if isinstance(value, int) else tuple(value)
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise InputError(f"option {name}", f"is {value!r}", "Give integers between commas, e.g. 64,64") from error

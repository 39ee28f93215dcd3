"""Settings for a run from a preset and the options that differ from it."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import msgspec

from bimhw.learning.rules.registry import learning_rule, rule_and_form
from bimhw.learning.train import TrainSettings
from bimhw.models.registry import trainable
from bimhw.models.training import Preset, Training
from bimhw.tasks.base import Task
from simulator.base.errors import InputError, unknown_name


class Recipe(msgspec.Struct, frozen=True):
    """Everything that `bimhw.learning.train.train` needs beside the task."""

    config: Any  # of the family
    settings: TrainSettings
    init: msgspec.Struct  # scales of the initial weights


def recipe(
    task: Task, preset: str | Preset | None = None, seed: int = 0, family: str | None = None, **options: Any
) -> Recipe:
    """Return a preset fitted to a task, with options of the config, the training or the initial weights changed.

    Args:
        task: gives the ends of the network.
        preset: a name of `bimhw.learning.presets.PRESETS`, a `Preset`, or None for the task's own.
        seed: of everything random.
        family: of models; None: that of the rule, or BIM.
        options: fields of `BimConfig` (`PSpikeConfig`), `TrainSettings` or `Init` (`PSpikeInit`); None leaves a field as it is.
            ``hidden`` and ``delays`` may be texts such as ``"64,64"``.

    Raises:
        InputError: an unknown option or a value out of its range.
    """
    named = options.get("rule")
    of, training = trainable(
        family or (learning_rule(rule_and_form(named, "")[0]).family if isinstance(named, str) else None)
    )
    kinds = _Kinds(of.config, TrainSettings, training.init)
    base = _preset(preset, task.name, training)
    given = {k: v for k, v in options.items() if v is not None}
    for text, name in (("hidden", "hidden"), ("delays", "input_delays")):
        if text in given:
            given[name] = integers(text, given.pop(text))
    parts = {"config": dict(base.config), "settings": dict(base.settings), "init": dict(base.init)}
    fields = {part: kind.__struct_fields__ for part, kind in kinds._asdict().items()}
    for name, value in given.items():
        home = next((part for part, names in fields.items() if name in names), None)
        if home is None:
            raise unknown_name("option", name, (n for names in fields.values() for n in names))
        parts[home][name] = value
    ends = {"n_in": task.n_in, "n_out": task.n_classes, "input_scale": task.input_scale}
    if "steps" in fields["config"]:
        ends["steps"] = task.steps
    config = _build(kinds.config, {"hidden": (64,)} | parts["config"] | ends)
    settings = _build(TrainSettings, parts["settings"] | {"seed": seed})
    return Recipe(config, settings, _build(kinds.init, parts["init"]))


class _Kinds(NamedTuple):
    """Parts of a family's recipe."""

    config: type[msgspec.Struct]
    settings: type[msgspec.Struct]
    init: type[msgspec.Struct]


def _preset(preset: str | Preset | None, task: str, training: Training) -> Preset:
    if isinstance(preset, Preset):
        return preset
    name = training.preset_of(task) if preset is None else preset
    if name not in training.presets:
        raise unknown_name("preset", name, training.presets)
    return training.presets[name]


def _build(kind: type[Any], values: dict[str, Any]) -> Any:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise InputError(kind.__name__, str(error), _allowed(kind, str(error))) from error


def _allowed(kind: type[msgspec.Struct], message: str) -> str:
    """Return the values of the enumeration that the message's path names."""
    for field in msgspec.structs.fields(kind):
        if message.endswith(f"`$.{field.name}`") and get_args(field.type):
            return f"{field.name} is one of: {', '.join(str(a) for a in get_args(field.type))}"
    return "Correct the option"


def integers(name: str, value: Any) -> tuple[int, ...]:
    """Return a tuple of integers from a text such as ``64,64``, an integer or a sequence."""
    try:
        if isinstance(value, str):
            return tuple(map(int, value.split(",")))
        return tuple(map(operator.index, value if isinstance(value, Sequence) else (value,)))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"option {name}", f"is {value!r}", "Give integers separated by commas, such as 64,64"
        ) from error

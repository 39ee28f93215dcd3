"""`bimhw train lm`: the options of the command as settings of a language model."""

from __future__ import annotations

from typing import Any

from bimhw.learning.language import LanguageSettings, language_config
from bimhw.models.config import BimConfig
from bimhw.tasks.text import Corpus
from simulator.errors import InputError

# options of `bimhw train` -> fields of `LanguageSettings`
_SETTINGS = {
    "rule": "rule",
    "epochs": "passes",
    "batch": "streams",
    "lr": "lr",
    "lr_end": "lr_end",
    "window": "window",
    "block": "block",
    "lookback": "lookback",
    "symbols": "symbols",
}


def language_recipe(corpus: Corpus, seed: int = 0, **options: Any) -> tuple[BimConfig, LanguageSettings]:
    """Network and training for a text; a membrane readout (k_membrane 0) learns slower, the default is the level's recipe.

    Args:
        corpus: gives the ends of the network.
        seed: of the initial weights.
        options: fields of `BimConfig` and `LanguageSettings`; ``epochs`` are passes, ``batch`` streams; None: not given.

    Raises:
        InputError: an option that a text does not have, or a value out of its range.
    """
    given = {k: v for k, v in options.items() if v is not None}
    config, settings = {}, {}
    for name, value in given.items():
        if name == "preset":
            raise InputError("option 'preset'", "does not exist for a text", "Give the options themselves")
        if name in _SETTINGS:
            settings[_SETTINGS[name]] = value
        elif name in BimConfig.__struct_fields__ or name == "delays":
            config["input_delays" if name == "delays" else name] = _integers(value) if name in _LISTS else value
        else:
            raise InputError(f"option {name!r}", "does not exist for a text", f"There are: {', '.join(_SETTINGS)}")
    return language_config(corpus, **config), LanguageSettings(seed=seed, **settings)


_LISTS = ("hidden", "delays", "input_delays")


def _integers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, str):
        return (value,) if isinstance(value, int) else tuple(value)
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise InputError("option", f"{value!r} is not a list of integers", "Write for example 64,64") from error

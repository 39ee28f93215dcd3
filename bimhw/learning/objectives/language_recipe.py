"""`bimhw train lm`: the options of the command as settings of a language model."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from bimhw.learning.objectives.language import LANGUAGE_INIT, LanguageSettings, language_config
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import Init
from bimhw.tasks.sources.text import Corpus
from simulator.base.errors import InputError

# Tested settings by name; rates of docs/results.md. The default (no preset) is the trial's recipe: 1 x 128, rule rtrl, k_o .5.
PRESETS: dict[str, dict[str, Any]] = {
    # online: an update every four symbols, over the last sixteen; a third of the time of rtrl (which likes 32 streams)
    "online": {"form": "tr", "block": 4, "lookback": 12, "k_o": 0.2},
    # the strongest: two layers by truncated BPTT, binary spikes between them, the membrane of the upper one read too
    "deep": {
        "hidden": "128,128",
        "readout": "membrane",
        "dense_readout": True,
        "k_o": 0.5,
        "detach_reset": False,
        "gain_in": 3.0,
        "rule": "tbptt",
        "window": 16,
        "epochs": 3,
        "lr": 0.01,
    },
}


class TextRecipe(NamedTuple):
    """All that `bimhw.learning.objectives.language.train_language` needs beside the text."""

    config: BimConfig
    settings: LanguageSettings
    init: Init


def language_recipe(corpus: Corpus, seed: int = 0, **options: Any) -> TextRecipe:
    """Return network, training and initial weights for a text.

    Args:
        corpus: gives the ends of the network.
        seed: of the initial weights.
        options: ``preset``, a name of `PRESETS`; fields of `BimConfig`, `LanguageSettings` and `Init`; ``epochs`` are passes,
            ``batch`` streams; None: not given.

    Raises:
        InputError: an option that a text does not have, or a value out of its range.
    """
    given = {k: v for k, v in options.items() if v is not None}
    preset = given.pop("preset", None)
    if preset is not None and preset not in PRESETS:
        raise InputError(f"preset {preset!r}", "does not exist for a text", f"Presets: {', '.join(PRESETS)}")
    config, settings, init = {}, {}, {}
    for name, value in (PRESETS.get(preset, {}) | given).items():
        if name in Init.__struct_fields__:
            init[name] = value
        elif name in LanguageSettings.__struct_fields__:
            settings[name] = value
        elif name in BimConfig.__struct_fields__ or name == "delays":
            config["input_delays" if name == "delays" else name] = _integers(value) if name in _LISTS else value
        else:
            raise InputError(
                f"option {name!r}",
                "does not exist for a text",
                f"There are: {', '.join(LanguageSettings.__struct_fields__)}",
            )
    scales = msgspec.structs.replace(LANGUAGE_INIT, **init)
    return TextRecipe(language_config(corpus, **config), LanguageSettings(seed=seed, **settings), scales)


_LISTS = ("hidden", "delays", "input_delays")


def _integers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, str):
        return (value,) if isinstance(value, int) else tuple(value)
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise InputError("option", f"{value!r} is not a list of integers", "Write for example 64,64") from error

"""`bimhw train lm`: the options of the command as settings of a language model."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from bimhw.learning.objectives.language import (
    LANGUAGE_INIT,
    WORDS_INIT,
    LanguageSettings,
    language_config,
    words_config,
)
from bimhw.learning.recipe import integers
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import Init
from bimhw.models.words.config import WordsConfig
from bimhw.tasks.sources.text import Corpus
from simulator.base.errors import InputError

# Tested settings by name; rates of docs/results.md. The default (no preset) is the trial's recipe: 1 x 128, rule rtrl, k_o .5.
PRESETS: dict[str, dict[str, Any]] = {
    # online: an update every four symbols, over the last sixteen; a third of the time of rtrl (which likes 32 streams)
    "online": {"form": "tr", "block": 4, "lookback": 12, "k_o": 0.2},
    # words, unless a rule or form is given: all of the window's gradient reaches the embedding
    "words": {"form": "tr", "block": 4, "lookback": 12},
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
    """Everything that `bimhw.learning.objectives.language.train_language` needs beside the text."""

    config: BimConfig | WordsConfig
    settings: LanguageSettings
    init: Init


def language_recipe(corpus: Corpus, seed: int = 0, **options: Any) -> TextRecipe:
    """Return network, training and initial weights for a text.

    Args:
        corpus: gives the ends of the network.
        seed: of the initial weights.
        options: ``preset``, a name of `PRESETS`; fields of `BimConfig`, `LanguageSettings` and `Init`; ``epochs`` are passes,
            ``batch`` streams; of words ``embedding`` and ``shortlist`` (`words_config`); None: not given.

    Raises:
        InputError: an option that a text does not have, or a value out of its range.
    """
    given = {k: v for k, v in options.items() if v is not None}
    preset = given.pop("preset", None)
    if preset is not None and preset not in PRESETS:
        raise InputError(f"preset {preset!r}", "does not exist for a text", f"Presets: {', '.join(PRESETS)}")
    config, settings, init = {}, {}, {}
    if corpus.words and preset is None and not {"rule", "form"} & given.keys():
        preset = "words"
    for name, value in (PRESETS.get(preset, {}) | given).items():
        if name in Init.__struct_fields__:
            init[name] = value
        elif name in LanguageSettings.__struct_fields__:
            settings[name] = value
        elif corpus.words and name in ("embedding", "shortlist"):
            config[name] = value
        elif name in BimConfig.__struct_fields__ or name == "delays":
            config["input_delays" if name == "delays" else name] = integers(name, value) if name in _LISTS else value
        else:
            raise InputError(
                f"option {name!r}",
                "does not exist for a text",
                f"There are: {', '.join(LanguageSettings.__struct_fields__)}",
            )
    scales = msgspec.structs.replace(WORDS_INIT if corpus.words else LANGUAGE_INIT, **init)
    make = words_config if corpus.words else language_config
    return TextRecipe(make(corpus, **config), LanguageSettings(seed=seed, **settings), scales)


_LISTS = ("hidden", "delays", "input_delays")

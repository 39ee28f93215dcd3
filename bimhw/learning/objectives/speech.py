"""Speech with transcripts, judged by the word error rate: connected digits and LibriSpeech (`bimhw train` on both).

Connected digits: `bimhw.learning.objectives.ctc`, or online by a label at every step
(`bimhw.learning.objectives.ctc_online`). LibriSpeech: two log-mel
frames of 12.5 ms are a step, z-scored on the training utterances and rounded to 1/16; characters by CTC (which is BPTT: it needs
the whole utterance before its first gradient), best path or ``beam``, words at the spaces. Batches hold
utterances of similar length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from torch import nn

from bimhw.learning.checkpoints import Checkpoint, Saved
from bimhw.learning.heeded import check_heeded
from bimhw.learning.loop import Progress
from bimhw.learning.objectives import ctc
from bimhw.learning.objectives.beam import Beam, NGram
from bimhw.learning.objectives.ctc import (
    CtcResult,
    CtcSettings,
    StringBatches,
    decode,
    fit_ctc,
    string_sets,
    strings_by_autograd,
)
from bimhw.learning.objectives.ctc_online import fit_online
from bimhw.learning.objectives.scoring import Forward, bim_forward
from bimhw.learning.objectives.utterances import Kept, Spelt, first_pass, shuffled
from bimhw.learning.recipe import integers
from bimhw.learning.rules.registry import learning_rule
from bimhw.learning.threads import torch_threads
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.registry import config_to_json
from bimhw.tasks.checks import say_unjudged
from bimhw.tasks.metrics import word_errors
from bimhw.tasks.sources.fsdd import SpokenDigits
from bimhw.tasks.sources.librispeech import FRONT, SYMBOLS
from bimhw.tasks.sources.sequences import INPUT_SCALE
from bimhw.tasks.sources.transcripts import Transcribed
from simulator.base.errors import InputError

_BLANK = len(SYMBOLS)  # of characters
CHARACTERS = _BLANK + 1
INPUTS = 2 * FRONT.bands  # of a step


@dataclass(frozen=True, eq=False)
class SpeechResult:
    """A trained network with its word errors."""

    model: BimNet
    rule: str
    settings: CtcSettings
    result: CtcResult
    rates: tuple[float, ...]
    threads: int = 1
    not_judged: str = ""

    def summary(self) -> dict[str, Any]:
        """Return JSON-able facts of the run; no figure of test strings that cannot judge it."""
        errors = self.result.errors
        counted: dict[str, float] = {
            "word_error_rate": errors.rate,
            "substitutions": errors.substitutions,
            "deletions": errors.deletions,
            "insertions": errors.insertions,
        }
        return {
            "config": msgspec.to_builtins(self.model.config),
            "settings": msgspec.to_builtins(self.settings),
            **(dict.fromkeys(counted) if self.not_judged else counted),
            "test_words": errors.words,
            "spike_rates": list(self.rates),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "updates": self.result.updates,
            "sequences": self.result.strings,
            "train_seconds": self.result.seconds,
            "threads": self.threads,
            "not_judged": self.not_judged,
        }


# Connected digits, by rule: chosen on strings of the validation recordings.
_LABELLED: dict[str, Any] = {"k_o": 0.5, "smooth": 4}
DIGITS: dict[str, dict[str, Any]] = {
    "bptt": {**_LABELLED, "loss": "steps", "epochs": 16, "batch": 16},
    "rtrl": {**_LABELLED, "epochs": 6, "lr": 0.004},
    "frozen": {**_LABELLED, "epochs": 6, "lr": 0.004},
}


def train_speech(
    data: SpokenDigits | Transcribed,
    seed: int = 0,
    tuning: bool = False,
    threads: int = 1,
    saved: Saved | None = None,
    progress: Progress = lambda _: None,
    **options: Any,
) -> SpeechResult:
    """Train a BIM network on connected digits or on transcribed utterances.

    Args:
        data: the recordings.
        seed: of weights, drawn strings and order.
        tuning: judge by the validation recordings.
        threads: of torch; another number may sum in another order.
        saved: the checkpoint, where there is to be one.
        progress: called with the number of strings done since the last call.
        options: ``rule``, fields of `CtcSettings` and `BimConfig`. Connected digits: ``bptt`` (a label at every step, default),
            any online rule (likewise), ``ctc``; utterances: ``ctc``, or ``frozen``, that of the readout alone.

    Raises:
        InputError: an option that is not known or out of its range, broken recordings, a diverged training.
    """
    config, settings = speech_plan(data, seed, **options)
    way = Way(config, settings, saved, progress)
    if isinstance(data, SpokenDigits):
        with torch_threads(threads):
            return replace(_digits(data, way, tuning), threads=threads)
    if settings.rule not in ("ctc", "frozen") or settings.loss != "ctc":
        raise InputError(
            f"rule {settings.rule!r}",
            "needs to know where each symbol is spoken",
            "Transcripts are learnt by ctc; frozen trains the readout alone",
        )
    with torch_threads(threads):
        return replace(_characters(data.for_tuning() if tuning else data, way), threads=threads)


def speech_plan(data: SpokenDigits | Transcribed, seed: int = 0, **options: Any) -> tuple[dict[str, Any], CtcSettings]:
    """Return the fields of the network's config but for its ends, and the settings; arguments as of `train_speech`."""
    given = {k: v for k, v in options.items() if v is not None}
    for text, name in (("hidden", "hidden"), ("delays", "input_delays")):
        if text in given:
            given[name] = integers(text, given.pop(text))
    rule = given.pop("rule", "bptt" if isinstance(data, SpokenDigits) else "ctc")
    given = DIGITS.get(rule, {}) | given if isinstance(data, SpokenDigits) else given
    config: dict[str, Any] = {"hidden": (128,), "psp": "delta", "input_scale": INPUT_SCALE}
    config |= {name: given.pop(name) for name in BimConfig.__struct_fields__ if name in given}
    unknown = sorted(set(given) - set(CtcSettings.__struct_fields__))
    if unknown:
        raise InputError(
            f"option {unknown[0]!r}", "does not exist for speech with transcripts", "See CtcSettings and BimConfig"
        )
    settings = CtcSettings(seed=seed, rule=rule, **given)
    check_heeded(options, settings)
    if settings.beam and isinstance(data, SpokenDigits):
        raise InputError(
            "training setting beam", "is for characters, and digits have no language model", "Leave it out"
        )
    return config, settings


def strings_to_learn(data: SpokenDigits | Transcribed, options: Mapping[str, Any]) -> int:
    """Return the strings that a training with these options sees, for its progress."""
    rule = options.get("rule") or ("bptt" if isinstance(data, SpokenDigits) else "ctc")
    given = (DIGITS.get(rule, {}) if isinstance(data, SpokenDigits) else {}) | {k: v for k, v in options.items() if v}
    settings = CtcSettings(**{k: given[k] for k in ("epochs", "strings") if k in given})
    return settings.epochs * (settings.strings if isinstance(data, SpokenDigits) else len(data.train))


class Way(NamedTuple):
    """Settings of a network's training: its config but for the ends, settings, checkpoint, progress."""

    config: dict[str, Any]
    settings: CtcSettings
    saved: Saved | None
    progress: Progress

    def net(self, n_in: int, n_out: int) -> BimNet:
        """Return the network with its initial weights."""
        return BimNet(BimConfig(n_in=n_in, n_out=n_out, **self.config), self.settings.seed)

    def checkpoint(self, data: str, net: BimNet) -> Checkpoint | None:
        """Return where the run is kept."""
        return self.saved and self.saved.open("bimhw.train/2", data, config_to_json(net.config), self.settings)


def _digits(data: SpokenDigits, way: Way, tuning: bool) -> SpeechResult:
    settings = way.settings
    sets = string_sets(data, settings, tuning)
    net = way.net(sets.n_in, ctc.SYMBOLS)
    checkpoint = way.checkpoint("connected-digits", net)
    rates: list[Any] = []
    forward = bim_forward(net, rates)
    if learning_rule(settings.rule).online:
        result = fit_online(net, sets, settings, checkpoint, way.progress)
        forward(torch.from_numpy(sets.test.inputs[0])[:, None], None)
    else:
        result = fit_ctc(net, forward, sets, settings, checkpoint, way.progress)
    return SpeechResult(net, settings.rule, settings, result, tuple(float(r) for r in np.atleast_1d(rates[-1])))


def _characters(data: Transcribed, way: Way) -> SpeechResult:
    net = way.net(INPUTS, CHARACTERS)
    say_unjudged(data.unjudged, f"{data.name}: the test part")
    frozen = way.settings.rule == "frozen"
    for parameter in net.layers.parameters():
        parameter.requires_grad_(not frozen)
    rates: list[Any] = []
    checkpoint = way.checkpoint("librispeech", net)
    result = fit_characters(net, bim_forward(net, rates), data, way.settings, checkpoint, way.progress)
    net.requires_grad_(True)
    shown = tuple(float(r) for r in np.atleast_1d(rates[-1]))
    return SpeechResult(net, way.settings.rule, way.settings, result, shown, not_judged=data.unjudged)


def fit_characters(
    net: nn.Module,
    forward: Forward,
    data: Transcribed,
    settings: CtcSettings,
    checkpoint: Checkpoint | None = None,
    progress: Progress = lambda _: None,
) -> CtcResult:
    """Train a model on transcribed utterances by CTC and count its word errors: best path, words at the spaces.

    Args:
        net: what is trained.
        forward: inputs [T, B, `INPUTS`] -> logits [T, B, `CHARACTERS`], the last symbol the blank.
        data: the utterances.
        settings: the training.
        checkpoint: where the run is kept.
        progress: called with the number of utterances done since the last call.

    Raises:
        InputError: an utterance too short for its transcript, or the loss is no longer finite.
    """
    (scale, lengths), kept = first_pass(data.train), Kept()
    symbols = [np.array(u.symbols(), np.int64) for u in data.train]
    total = settings.epochs * math.ceil(len(symbols) / settings.batch)
    source = StringBatches(shuffled(data.train, scale, kept, symbols, lengths, settings), settings, _BLANK)
    loop = strings_by_autograd(net, forward, source, settings, total)
    loop.run(settings.epochs, progress, checkpoint)
    beam = None
    if settings.beam:
        model = NGram([u.symbols() for u in data.train], _BLANK, settings.order)
        beam = Beam(settings.beam, model, settings.lm_weight, settings.bonus)
    found = decode(forward, Spelt(data.test, scale), settings.smooth, blank=_BLANK, beam=beam)
    texts = ["".join(SYMBOLS[i] for i in path) for path in found]
    errors = word_errors([u.text for u in data.test], texts)
    seconds = sum(e.seconds for e in loop.history)
    return CtcResult(errors, loop.method.updates, settings.epochs * len(symbols), seconds)

"""Connected digits learned online: at every step the cross-entropy with the digit that has been heard, else with the blank.

CTC needs the whole string before its first gradient. Where the digits' places are known, as in strings put together from
single recordings, a forward rule can learn at every step instead (`bimhw.learning.objectives.ctc.step_labels`).
Decoding: the mean of the last few steps' log-probabilities (causal), then the best path.
"""

from __future__ import annotations

import msgspec

from bimhw.learning.checkpoints import Checkpoint
from bimhw.learning.loop import Loop, Progress
from bimhw.learning.methods import ByRule
from bimhw.learning.objectives.classes import EachStep
from bimhw.learning.objectives.ctc import CtcResult, CtcSettings, StringBatches, StringSets, string_result
from bimhw.learning.objectives.scoring import bim_forward
from bimhw.learning.rules.registry import learning_rule, rules
from bimhw.learning.updater import Updater, updates_of
from bimhw.models.bim.net import BimNet
from simulator.base.errors import InputError


def fit_online(
    net: BimNet,
    sets: StringSets,
    settings: CtcSettings,
    checkpoint: Checkpoint | None = None,
    progress: Progress = lambda _: None,
) -> CtcResult:
    """Train a BIM network by a forward rule, a label at every step, and count its word errors.

    Args:
        net: trained in place.
        sets: the strings.
        settings: the training; its rule is an online one.
        checkpoint: where the run is kept.
        progress: called with the number of strings done since the last call.

    Raises:
        InputError: a rule that is not online, or the loss is no longer finite.
    """
    if not learning_rule(settings.rule).online:
        known = ", ".join(name for name, rule in rules().items() if rule.online)
        raise InputError(f"rule {settings.rule!r}", "is not online", f"Rules: {known}")
    source = StringBatches(sets.epoch(by_step=True), msgspec.structs.replace(settings, loss="steps"))
    lengths = [
        max(len(x) for x in part.inputs[first : first + settings.batch])
        for part in sets.train
        for first in range(0, len(part.inputs), settings.batch)
    ]
    updater = Updater(net, settings, sum(updates_of(settings, [True] * n) for n in lengths))
    loop = Loop(ByRule(updater, EachStep()), source, settings.lr)
    loop.run(settings.epochs, progress, checkpoint)
    return string_result(loop, bim_forward(net), sets, settings)

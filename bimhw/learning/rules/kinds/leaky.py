"""The local rules by name, registered for `bimhw train --family leaky --rule NAME`; docs/rules.md has their equations."""

from __future__ import annotations

from typing import Final

from bimhw.learning.forms.learner import Learner
from bimhw.learning.local_rules.learner import LocalLearner, LocalRule
from bimhw.learning.rules.registry import LearnerSettings, LearningRule, register_rule
from bimhw.models.leaky.config import FAMILY
from bimhw.models.leaky.net import LeakyNet
from bimhw.models.nets import Net
from simulator.base.errors import InputError
from simulator.plasticity.operations import LOCAL_RULES

SOURCES: Final = {
    "delta": "the readout alone, Widrow and Hoff 1960",
    "e-prop": "Bellec et al. 2020",
    "ottt": "Xiao et al. 2022",
    "ostl": "Bohnstingl et al. 2022",
    "otpe": "Summe et al. 2023",
    "s-tllr": "Apolinario and Roy 2025",
    "etlp": "Quintana et al. 2024",
    "decolle": "Kaiser et al. 2020",
}
RULES: Final = tuple(LocalRule(name, SOURCES[name], *pair) for name, pair in LOCAL_RULES.items())


def _registered(rule: LocalRule) -> LearningRule:
    def make(net: Net, settings: LearnerSettings, batch: int) -> Learner:
        if not isinstance(net, LeakyNet):
            raise InputError(f"rule {rule.name!r}", "is for leaky networks", "Train with --family leaky")
        return LocalLearner(net, rule, batch, settings.seed)

    return LearningRule(
        rule.name, f"local rule of leaky networks ({rule.source})", make=make, family=FAMILY, settings=()
    )


for _rule in RULES:
    register_rule(_registered(_rule))

"""The learning rules by name, each as a `Learner`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bimhw.learning.forms.blk import BlockLearner
from bimhw.learning.forms.credit import Credit
from bimhw.learning.forms.lazy import LazyLearner
from bimhw.learning.forms.learner import Learner
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.seq import SweepCredit, SweepLearner
from bimhw.learning.rules.homeostasis import Homeostasis
from bimhw.models.bim.net import BimNet
from simulator.base.errors import InputError

Rule = Literal["rtrl", "seq", "tr", "blk", "lazy", "hybrid", "stdp", "bptt", "frozen"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class LearnerSettings:
    """What `make_learner` needs: the rule and its numbers (K and L of tr and blk, the learning rate of lazy)."""

    rule: Rule
    credit: SweepCredit = "filt-win"
    seed: int = 0
    block: int = 16
    lookback: int = 32
    lr: float = 0.0
    homeostasis: Homeostasis | None = None


def make_learner(net: BimNet, settings: LearnerSettings, batch: int) -> Learner:
    """The online learner of a rule (``bptt`` has none: autograd does it).

    Raises:
        InputError: the rule does not exist for this network or credit rule.
    """
    s, h = settings, settings.homeostasis
    if s.rule == "seq":
        credit = s.credit if net.config.n_layers > 1 else "exact"  # one layer: all rules are exact
        return SweepLearner(net, batch, credit, s.seed, homeostasis=h)
    if s.rule == "tr":
        return SweepLearner(net, batch, s.credit, s.seed, s.block, s.lookback, h)
    if s.rule == "blk":
        return BlockLearner(net, batch, s.credit, s.seed, s.block, h)
    if s.rule == "lazy":
        return LazyLearner(net, s.lr, s.credit, s.seed)
    if s.rule == "frozen":
        return RtrlLearner(net, batch, seed=s.seed, frozen=True)
    return RtrlLearner(net, batch, _without_sweep(s.credit), s.seed, homeostasis=h)


def _without_sweep(credit: SweepCredit) -> Credit:
    if credit == "exact":
        raise InputError("credit rule 'exact'", "needs a history to sweep back over", "Take rule seq or bptt")
    return credit

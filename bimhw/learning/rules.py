"""The learning rules by name, each as a `Learner`."""

from __future__ import annotations

from typing import Literal, get_args

from bimhw.learning.blk import BlockLearner
from bimhw.learning.credit import Credit
from bimhw.learning.lazy import LazyLearner
from bimhw.learning.learner import Learner
from bimhw.learning.rtrl import RtrlLearner
from bimhw.learning.seq import SweepCredit, SweepLearner
from bimhw.models.net import BimNet
from simulator.errors import InputError

Rule = Literal["rtrl", "seq", "tr", "blk", "lazy", "hybrid", "stdp", "bptt", "frozen"]
RULES: tuple[Rule, ...] = get_args(Rule)


def make_learner(
    rule: Rule,
    net: BimNet,
    batch: int,
    credit: SweepCredit,
    seed: int,
    block: int = 16,
    lookback: int = 32,
    lr: float = 0.0,
) -> Learner:
    """The online learner of a rule (``bptt`` has none: autograd does it).

    Raises:
        InputError: the rule does not exist for this network or credit rule.
    """
    if rule == "seq":
        return SweepLearner(net, batch, credit, seed)
    if rule == "tr":
        return SweepLearner(net, batch, credit, seed, block, lookback)
    if rule == "blk":
        return BlockLearner(net, batch, credit, seed, block)
    if rule == "lazy":
        return LazyLearner(net, lr)
    if rule == "frozen":
        return RtrlLearner(net, batch, seed=seed, frozen=True)
    return RtrlLearner(net, batch, _without_sweep(credit), seed)


def _without_sweep(credit: SweepCredit) -> Credit:
    if credit == "exact":
        raise InputError("credit rule 'exact'", "needs a history to sweep back over", "Take rule seq or bptt")
    return credit

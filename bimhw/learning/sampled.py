"""What training does differently for each family: how inputs go through the network with gradients, and what is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable

from torch import Tensor

from bimhw.learning.forms.bptt import run_compiled
from bimhw.learning.rules.registry import learning_rule
from bimhw.learning.settings import TrainSettings
from bimhw.models.bim.net import BimNet
from bimhw.models.families import AnyConfig
from bimhw.models.nets import AnyRun, Net
from bimhw.models.spikessm.config import PSpikeConfig
from bimhw.models.spikessm.net import Draws, PSpikeNet, PSpikeRun
from simulator.base.errors import InputError
from simulator.base.random import STREAM_TRAINING


def check_settings(config: AnyConfig, settings: TrainSettings) -> None:
    """Raise `InputError` where a family cannot be trained so."""
    only = learning_rule(settings.rule).only
    if only:
        raise InputError(f"rule {settings.rule!r}", f"is for {only}", "Take rule bptt")
    if not isinstance(config, PSpikeConfig):
        return
    if settings.rule != "bptt":
        raise InputError(
            f"rule {settings.rule!r}", f"is for BIM; the family {config.family} is trained by bptt", "Leave --rule out"
        )
    if settings.prune:
        raise InputError(
            "training setting prune", f"is for BIM; the family {config.family} has no masks", "Set it to 0"
        )


def train_form(net: Net, seed: int) -> Callable[[Tensor], AnyRun]:
    """What takes a batch of training inputs through a network of any family, with gradients."""
    return functools.partial(run_compiled, net) if isinstance(net, BimNet) else SampledForm(net, seed)


class SampledForm:
    """Numbers the training sequences in the order in which they are seen, so that no two draw the same random numbers.

    Args:
        net: the network.
        seed: key of the numbers, in a stream of their own: an evaluation draws others.
    """

    def __init__(self, net: PSpikeNet, seed: int) -> None:
        self.net, self.seed, self.seen = net, seed, 0

    def __call__(self, x: Tensor) -> PSpikeRun:
        """Inputs [T, B, n_in] through the network."""
        draws = Draws(self.seed, self.seen, STREAM_TRAINING)
        self.seen += x.shape[1]
        return self.net.run(x, draws)

"""Networks of any family as torch modules."""

from __future__ import annotations

from torch import Tensor

from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, Init, Run
from bimhw.models.families import AnyConfig
from bimhw.models.spikessm.config import PSpikeConfig
from bimhw.models.spikessm.net import Draws, PSpikeInit, PSpikeNet, PSpikeRun
from simulator.base.errors import InputError

Net = BimNet | PSpikeNet
AnyInit = Init | PSpikeInit
AnyRun = Run | PSpikeRun


def build(config: AnyConfig, seed: int = 0, init: AnyInit | None = None) -> Net:
    """A network of the config's family with seeded weights.

    Raises:
        InputError: initial weights of the other family.
    """
    if isinstance(config, BimConfig) and (init is None or isinstance(init, Init)):
        return BimNet(config, seed, init)
    if isinstance(config, PSpikeConfig) and (init is None or isinstance(init, PSpikeInit)):
        return PSpikeNet(config, seed, init)
    raise InputError("initial weights", f"{type(init).__name__} does not belong to {type(config).__name__}")


def run_samples(net: Net, x: Tensor, first: int = 0, seed: int = 0) -> AnyRun:
    """Inputs [T, B, n_in] of the samples `first`, `first` + 1 ... through a network; neurons that fire at random draw what they
    draw on the chip when it runs all samples with this seed."""
    return net.run(x, Draws(seed, first)) if isinstance(net, PSpikeNet) else net.run(x)


def as_bim(net: Net, what: str) -> BimNet:
    """The network, for what exists for BIM alone.

    Raises:
        InputError: a network of another family.
    """
    if not isinstance(net, BimNet):
        raise InputError(what, f"is for BIM networks, and this one is of the family {net.config.family!r}")
    return net

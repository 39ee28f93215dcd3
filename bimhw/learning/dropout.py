"""Dropout of the readout's features (Srivastava et al. 2014): one mask a sequence, for all its steps (Gal & Ghahramani 2016)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bimhw.learning.objectives.scoring import Carried, Forward
from bimhw.learning.settings import TrainSettings
from bimhw.models.bim.net import as_bim
from bimhw.models.nets import Net
from simulator.base.random import STREAM_TRAINING


def dropped(net: nn.Module, forward: Forward, settings: TrainSettings) -> Forward:
    """Return `forward` for training with the settings' dropout; a baseline's readout has the same name.

    Raises:
        InputError: there is some, and the network is of a family other than BIM's.
    """
    if not settings.dropout:
        return forward
    readout = as_bim(net, "dropout").readout if isinstance(net, Net) else net.get_submodule("readout")
    return Dropped(readout, forward, settings.dropout, settings.seed)


class Dropped:
    """Forward pass whose readout sees a feature with probability 1 - share, then divided by that; see `Forward`.

    Args:
        readout: is as before after each call.
        forward: takes inputs [T, B, M] through the network.
        share: of the features that are silent in a sequence.
        seed: of the masks.
    """

    def __init__(self, readout: nn.Module, forward: Forward, share: float, seed: int) -> None:
        self.readout, self.forward, self.share, self.seed = readout, forward, share, seed
        self.seen = 0  # sequences that have drawn

    def __call__(self, x: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        """Take inputs through, with a new mask for each sequence."""
        hook = self.readout.register_forward_pre_hook(self._mask)
        try:
            return self.forward(x, state)
        finally:
            hook.remove()

    def _mask(self, readout: nn.Module, given: tuple[Tensor]) -> Tensor:
        shape = given[0].shape[-2:]
        keep = np.random.default_rng((self.seed, STREAM_TRAINING, self.seen)).random(shape) >= self.share
        self.seen += shape[0]
        return given[0] * (torch.from_numpy(keep).to(given[0]) / (1 - self.share))

"""BIM and spiking layers as ordinary torch modules: for `torch.nn.Sequential`, for one's own forward, offline and online.

All modules take a whole sequence [T, B, ...] and start from rest, so that `torch.nn.Linear` and friends fit between them::

    net = torch.nn.Sequential(nn.BIM(16, 64), nn.BIM(64, 64, output="filtered"), torch.nn.Linear(64, 10))
    loss = criterion(net(x)[-1], y); loss.backward()          # BPTT, any loss, any optimiser
    program = bimhw.compile(net).program                      # the same network in a chip's integers

`BIM.observe` takes one step and gives an output whose ``backward`` fills ``.grad`` by exact forward traces (RTRL).
"""

from __future__ import annotations

from bimhw.models.spikessm.module import PSpikeSSM
from bimhw.models.stack import Filter, Residual
from bimhw.nn.bim import BIM
from bimhw.nn.files import load, save
from bimhw.nn.neurons import IF, LI, LIF, CubaLIF

__all__ = ["BIM", "IF", "LI", "LIF", "CubaLIF", "Filter", "PSpikeSSM", "Residual", "load", "save"]

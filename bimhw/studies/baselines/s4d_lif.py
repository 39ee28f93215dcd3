"""S4D with leaky integrate-and-fire neurons: P-SpikeSSM's layers with a threshold in the place of the random draw.

    V(t) = k V(t-1) + y(t),  s = [V >= 1],  V <- V - s        y: the diagonal state space of `bimhw.models.spikessm.net`

k = sigmoid of a learnt value, one a neuron; fast-sigmoid surrogate. The readout is the mean over the steps so far.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bimhw.models.spikessm.config import PSpikeConfig
from bimhw.models.spikessm.net import PSpikeInit, PSpikeLayer
from bimhw.studies.baselines.sequencer import Sequencer, spike


class S4dLif(Sequencer):
    """Two layers of S4D state spaces (8 complex modes a channel) and LIF neurons around a residual stream; see the module."""

    carries = False

    def __init__(self, n_in: int, n_out: int, hidden: int, states: int = 8) -> None:
        super().__init__()
        config = PSpikeConfig(n_in=n_in, hidden=(hidden, hidden), n_out=n_out, n_states=states, clamp=4.0)
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, (1,))))
        self.encoder, self.readout = nn.Linear(n_in, hidden), nn.Linear(hidden, n_out)
        self.layers = nn.ModuleList(PSpikeLayer(config, PSpikeInit(rate=0.5), generator) for _ in config.hidden)
        self.leaks = nn.ParameterList(nn.Parameter(torch.full((hidden,), 2.0)) for _ in config.hidden)  # k = .88

    def forward(self, x: Tensor, state: object = None) -> tuple[Tensor, object]:
        """See `Sequencer`."""
        stream, sent = self.encoder(x), []
        for layer, leak in zip(self.layers, self.leaks, strict=True):
            assert isinstance(layer, PSpikeLayer)
            k, v, spikes = torch.sigmoid(leak), torch.zeros_like(stream[0]), []
            for y in layer.logits(stream):
                v = k * v + y
                s = spike(v - 1.0)
                v = v - s.detach()
                spikes.append(s)
            sent.append(torch.stack(spikes))
            stream = layer.fuse(stream, sent[-1])
        self.spikes = torch.cat(sent, -1)
        counted = torch.arange(1, len(x) + 1, dtype=x.dtype, device=x.device)[:, None, None]
        return self.readout(stream).cumsum(0) / counted, None

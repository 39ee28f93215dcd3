"""Small nets and samples of the tests of on-chip learning, and their gradients by autograd."""

from __future__ import annotations

import numpy as np
import torch

from bimhw.frontends.bim import bim_network
from bimhw.models.bim.net import BimNet
from simulator.program.program import HOST, Program

M, T, C = 4, 14, 3  # inputs, steps, classes


def float_program(net: BimNet) -> Program:
    arrays = {k: v.detach().numpy() for k, v in net.state_dict().items()}
    network = bim_network(net.config, arrays)
    core = np.concatenate([np.full(p.size, HOST if p.role == "input" else 0, np.int32) for p in network.populations])
    return Program("", "", network.populations, network.projections, core, meta=network.meta)


def disturb(net: BimNet, seed: int) -> BimNet:
    """Return the net in double precision, its biases and readout moved away from where they begin."""
    net, generator = net.double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.startswith("readout") or ".b_" in name:
                p.add_(torch.randn(p.shape, generator=generator, dtype=torch.double) * 0.4)
    return net


def sample(seed: int):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 5, (T, M)) * (rng.random((T, M)) < 0.6) / 4
    labels = np.where(rng.random(T) < 0.6, rng.integers(0, C), -1).astype(np.int64)
    labels[-1] = 1
    return x, labels


def autograd(net: BimNet, x, labels):
    net.zero_grad()
    logits = net(torch.from_numpy(x)[:, None])[:, 0]
    on = torch.from_numpy(labels >= 0)
    torch.nn.functional.cross_entropy(logits[on], torch.from_numpy(labels)[on], reduction="sum").backward()
    return {n: p.grad.numpy() for n, p in net.named_parameters() if p.grad is not None}, logits.detach().numpy()

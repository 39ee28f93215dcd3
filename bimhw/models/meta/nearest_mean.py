"""Fit the readout ``lz76``: the nearest class mean of the trains' phrases, as a linear readout.

A train's class is that of the nearest mean complexity. Over several neurons, c their phrases and m_k the mean of class k::

    argmin_k |c - m_k|^2  =  argmax_k ((m_k - g) . c - (|m_k|^2 - |g|^2) / 2)       for any g

so that W_o = m - g and b_o = -(|m|^2 - |g|^2) / 2: integers in, an ordinary readout on the chip. g is the mean of all m_k: the
weights then hold the differences of the classes alone, and few bits store them well. Source: `simulator.neurons.lz76`.
"""

from __future__ import annotations

import msgspec
import numpy as np
import torch

from bimhw.models.meta.complexity import phrases
from bimhw.models.meta.net import MetaNet
from simulator.base.arrays import I64, AnyInts, Bools
from simulator.base.errors import InputError


def complexity_readout(net: MetaNet, x: AnyInts, y: I64, decision: Bools) -> MetaNet:
    """Return the network with the readout ``lz76``, fitted to samples: its hidden layers stay as they are.

    Args:
        net: a network of either readout.
        x: payloads [n, T, n_in].
        y: classes [n].
        decision: [T], the steps whose mean decides, as in a task.

    Raises:
        InputError: a class without a sample, or a train longer than the readout holds.
    """
    if x.shape[1] > net.config.longest:
        raise InputError("train", f"has {x.shape[1]} steps, the readout holds {net.config.longest}", "Raise `longest`")
    missing = sorted(set(range(net.config.n_out)) - set(y.tolist()))
    if missing:
        raise InputError("class", f"{missing[0]} has no sample", "Give samples of every class")
    out = MetaNet(msgspec.structs.replace(net.config, readout="lz76"))
    out.load_state_dict(net.state_dict())
    weight, bias = out.readout.get_parameter("weight"), out.readout.get_parameter("bias")
    with torch.no_grad():
        inputs = torch.from_numpy(x.swapaxes(0, 1) * out.config.input_scale).to(weight)
        top = (
            out.run_samples(inputs).spikes[-1].numpy() > 0
        )  # the spikes that the new network loses, not those of `net`
        seen = phrases(top)[decision].mean(0)
        means = np.stack([seen[y == k].mean(0) for k in range(out.config.n_out)])
        middle = means.mean(0)
        weight.copy_(torch.from_numpy(means - middle))
        bias.copy_(torch.from_numpy(-((means**2).sum(1) - (middle**2).sum()) / 2))
    return out

"""All windows of a stretch of a stream by TR in one compiled loop; what fills no window is learnt step by step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bimhw.learning.forms.counts import swept
from bimhw.learning.forms.history import newest
from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.forms.sweep_kernels import PSP_CODE
from bimhw.learning.forms.traces import kernel_constants
from bimhw.learning.forms.window_kernels import learn_windows as learn_all
from bimhw.learning.forms.windows import Layout, Ring
from bimhw.learning.methods import Clock
from bimhw.learning.optim import A_LOG_LIMIT
from bimhw.learning.updater import Updater
from bimhw.models.bim.cell import LayerState
from bimhw.models.bim.loops import call_kernel
from bimhw.models.bim.net import NetState
from simulator.base.arrays import Floats


def learn_windows(updater: Updater, learner: SweepLearner, clock: Clock, x: Tensor, y: Tensor) -> Floats:
    """Learn whole windows, steps x [T, B, M] with classes y [T, B]; return the loss of each step."""
    assert learner.block is not None
    net, config, old, windows = learner.net, learner.net.config, learner.state.layers[0], len(x) // learner.block
    words = [t.contiguous().view(-1).clone() for t in (old.x, old.r, old.i, old.v, old.ref, old.f)]
    ring, counted = Ring(learner, x.shape[1]), np.zeros(2, np.int64)
    losses, rates = np.zeros(len(x)), np.zeros(windows)
    for window in range(windows):
        clock.steps += learner.block
        rates[window] = updater.lr
    inputs = (t.contiguous().numpy() for t in (x, y, learner.state.taps))
    flags = (config.reset == "hard", config.detach_reset, config.surrogate == "triangle", config.reads_membrane(0))
    with _Vectors(updater, learner) as (vectors, sizes):
        call_kernel(
            learn_all,
            *inputs,
            np.array(config.input_delays),
            ring.words.numpy(),
            ring.inputs.numpy(),
            ring.kept,
            (learner.block, learner.lookback),
            words[0].numpy(),
            tuple(t.numpy() for t in words[1:]),
            tuple(v.numpy() for v in vectors),
            sizes,
            config.learn_a_log,
            (*updater.optimiser.betas, updater.optimiser.eps, updater.optimiser.count),
            rates,
            A_LOG_LIMIT,
            kernel_constants(net.layer(0)),
            PSP_CODE[config.psp],
            flags,
            config.refractory,
            losses,
            counted,
        )
    updater.optimiser.count += windows
    updater.updates += windows
    x_, r, i, v, ref, f = (t.view(v.shape) for t, v in zip(words, (old.x, *old[1:5], old.f), strict=True))
    _, taps = net.delayed(x, learner.state.taps)
    learner.state = NetState((LayerState(x_, r, i, v, ref, old.a, f, old.line),), taps)
    learner.counts += swept(config, int(counted[0]), x.shape[1], int(counted[1]))
    _hand_back(learner, ring, ring.kept + len(x))
    return losses


def _hand_back(learner: SweepLearner, ring: Ring, seen: int) -> None:
    """Give the learner its newest step and the history that its next window looks back to."""
    u, record = ring.newest(seen, 1)
    learner.inputs, learner.records = [u[0]], [newest(record)]
    learner.histories = [ring.history(seen, min(seen, learner.lookback))]


class _Vectors:
    """Values, gradient and both moments in the layout of the loop, which are written back at the end."""

    def __init__(self, updater: Updater, learner: SweepLearner) -> None:
        self.layout = Layout.of(updater.parameters, learner.net)
        self.kept = (updater.parameters.values, updater.optimiser.first, updater.optimiser.second)

    def __enter__(self) -> tuple[list[Tensor], tuple[int, int]]:
        values, first, second = (self.layout.packed(v, fixed=i == 0) for i, v in enumerate(self.kept))
        self.packed = (values, first, second)
        return [values, torch.zeros_like(values), first, second], self.layout.sizes

    def __exit__(self, *_: object) -> None:
        for vector, packed in zip(self.kept, self.packed, strict=True):
            self.layout.unpack(packed, vector)

"""Whole stretches of a stream at once, where online learning is one compiled loop; else None, and steps are taken one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bimhw.learning.forms.learner import Learner, softmax_error
from bimhw.learning.forms.packed import WORDS, PackedTraces
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.methods import Clock
from bimhw.learning.optim import A_LOG_LIMIT
from bimhw.learning.updater import Updater
from bimhw.models.bim.cell import LayerState
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.events import few_events
from bimhw.models.bim.loops import Words, call_kernel, takes_loops
from bimhw.models.bim.net import NetState


def _of(*names: str) -> tuple[str, ...]:
    return tuple(f"layers.0.{name}" for name in names)


# vectors and matrices of parameters in the order of the kernels
_ORDER = {
    "diag": (_of("b_in", "b_delta", "a_log", "b_c", "d"), (*_of("w_in", "w_delta", "w_c"), "readout.weight")),
    "s6": (
        _of("b_in", "b_delta", "b_b", "b_c", "d"),
        (*_of("w_in", "w_delta", "w_b", "w_c"), "readout.weight", *_of("a_log")),
    ),
}


def learn_stretch(updater: Updater, learner: Learner, clock: Clock, x: Tensor, y: Tensor) -> float | None:
    """Learn steps x [T, B, M] with classes y [T, B]; return the mean loss, None where the loop does not serve."""
    if not isinstance(learner, RtrlLearner) or not _serves(updater, learner, x, y):
        return None
    traces, optimiser, config, old = learner.traces[0], updater.optimiser, learner.net.config, learner.state.layers[0]
    assert isinstance(traces, PackedTraces)
    words = [t.contiguous().view(-1).clone() for t in (old.x, old.r, old.i, old.v, old.ref, old.f)]
    losses, rates = np.zeros(len(x)), np.zeros(len(x))
    for t in range(len(x)):
        clock.steps += 1
        rates[t] = updater.lr
    inputs = (t.contiguous().numpy() for t in (x, y, learner.state.taps))
    kernel, options = _kernel(config)
    call_kernel(
        kernel,
        *inputs,
        np.array(config.input_delays),
        traces.arrays,
        words[0].numpy(),
        _arrays(words[1:]),
        *_parameters(updater, learner),
        (*optimiser.betas, optimiser.eps, optimiser.count),
        rates,
        A_LOG_LIMIT,
        traces.constants,
        (config.reset == "hard", config.detach_reset, config.surrogate == "triangle", config.reads_membrane(0)),
        config.refractory,
        (0,) * WORDS[config.psp],
        losses,
        *options,
    )
    optimiser.count += len(x)
    updater.updates += len(x)
    x_, r, i, v, ref, f = (t.view(v.shape) for t, v in zip(words, (old.x, *old[1:5], old.f), strict=True))
    _, taps = learner.net.delayed(x, learner.state.taps)
    learner.state = NetState((LayerState(x_, r, i, v, ref, old.a, f, old.line),), taps)
    return float(losses.mean())


def _kernel(config: BimConfig) -> tuple[Any, tuple[bool, ...]]:
    """Return the loop of a kind of layer and what it takes beside the others' arguments."""
    if config.kind == "s6":
        from bimhw.learning.forms.stretch_s6_kernels import learn_stretch_s6

        return learn_stretch_s6, (config.discretisation == "zoh",)
    from bimhw.learning.forms.stretch_kernels import learn_stretch as learn_stretch_diag

    return learn_stretch_diag, ()


def _parameters(updater: Updater, learner: RtrlLearner) -> tuple[Any, ...]:
    """Return parameters, where their gradients go, and the vectors of which both are parts, in the order of the kernel."""
    layer, readout, vector, optimiser = learner.net.layer(0), learner.net.readout, updater.parameters, updater.optimiser
    g = torch.zeros_like(vector.values)
    spaces = dict(zip(vector.names, torch.split(g, [s.numel() for s in vector.shapes]), strict=True))
    vectors_of, matrices = _ORDER[learner.net.config.kind]
    named = {f"layers.0.{n}": p.detach() for n, p in layer.named_parameters()} | {
        "readout.weight": readout.weight.detach()
    }
    own, weights, bias = {n: named[n] for n in vectors_of}, {n: named[n] for n in matrices}, readout.bias.detach()

    def gradients(given: dict[str, Tensor]) -> Words:  # that of A_log goes nowhere where it is fixed
        return _arrays(spaces[n].view(p.shape) if n in spaces else torch.zeros_like(p) for n, p in given.items())

    (to_bias,) = gradients({"readout.bias": bias})
    vectors = _arrays((vector.values, g, optimiser.first, optimiser.second))
    return (
        _arrays(own.values()),
        _arrays(weights.values()),
        bias.numpy(),
        gradients(own),
        gradients(weights),
        to_bias,
        vectors,
    )


def _arrays(tensors: Iterable[Tensor]) -> Words:
    return tuple(t.numpy() for t in tensors)


def _serves(updater: Updater, learner: RtrlLearner, x: Tensor, y: Tensor) -> bool:
    """Return whether these steps are what the compiled loop knows: plain RTRL."""
    return bool(learner.traces) and isinstance(learner.traces[0], PackedTraces) and is_plain(updater, learner, x, y)


def is_plain(updater: Updater, learner: RtrlLearner | SweepLearner, x: Tensor, y: Tensor) -> bool:
    """Return whether compiled loops over many steps know these: one layer on few events, plain Adam."""
    if learner.net.config.channel_delays:
        return False
    changes = (updater.hybrid, updater.pruning, updater.plasticity, updater.moves, updater.homeostasis)
    plain = all(change is None for change in changes) and not updater.parameters.slow
    plain &= updater.optimiser.name == "adam" and not updater.settings.clip and learner.net.config.n_layers == 1
    plain &= learner.loss_of is softmax_error and not learner.sends_below
    masked = any(name.startswith("mask_") for name in learner.net.layer(0)._buffers)
    return plain and not masked and y.ndim == 2 and takes_loops(x) and few_events(x)

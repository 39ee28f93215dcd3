"""Functions of torch that change no spike, or no order of scores: how their results came about."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import Tensor

from bimhw.frontends.frameworks.expression import Args, Expr, Kwargs
from bimhw.frontends.frameworks.trace import Trace


def rectified(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Expr | None:
    """Read relu and clamp of spikes, which change none."""
    source = trace.of(args[0])
    spikes = source
    while spikes is not None and spikes.op in ("same", "flatten", "merge", "part", "pick"):
        spikes = spikes.args[0]
    sent = spikes is not None and spikes.op == "spike" and trace.cells[str(spikes.what)].theta is not None
    return source if sent and torch.equal(out, args[0]) else None


def relu(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Expr | None:
    """Read relu, which changes no spike and rectifies other values."""
    source = trace.of(args[0])
    if source is None or source.shape != tuple(out.shape):
        return None
    layer = re.match(r"layer '(.+)' ", trace.inside[-1]) if trace.inside else None
    name = f"{layer[1]}.relu" if layer else "relu"
    return rectified(trace, args, kwargs, out) or Expr("relu", (source,), source.axes, source.shape, name)


def ordered(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Expr | None:
    """Read a softmax of scores, which keeps their order: an answer is what it is made of."""
    source = trace.of(args[0])
    return source and Expr(
        "order", (replace(source, value=args[0]),), source.axes, source.shape, ("softmax", *trace.inside[-1:])
    )

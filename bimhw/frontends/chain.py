"""The layers of a torch module in the order of its forward: a `torch.nn.Sequential`, or any forward that is a chain of layers."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import fx, nn

from bimhw.models.stack import Residual
from bimhw.models.tensors import unwrapped
from simulator.base.errors import FitError

_WAY_OUT = (
    "In forward, call layers one after the other, or x + layer(x), and return the last one's result; a mean over time "
    "belongs to the loss. Or use torch.nn.Sequential, or export the network to NIR"
)
Layers = Iterator[tuple[str, nn.Module]]


def flat_layers(module: nn.Module, prefix: str = "") -> Layers:
    """Yield the layers in order with their dotted names; Dropout and Identity do nothing and are left out.

    A forward of its own is followed by `torch.fx`, which runs it once without numbers.

    Raises:
        FitError: no layers, or a forward that is not a chain of layers, by the first operation that breaks it.
    """
    module = unwrapped(module)
    if isinstance(module, nn.Sequential):
        children: Layers = iter(module.named_children())
    elif _is_layer(module):
        raise _no_chain(module, prefix, "is one layer, not a sequence of layers")
    else:
        children = _chain(module, prefix)
    for name, wrapped in children:
        full, layer = f"{prefix}{name}", unwrapped(wrapped)
        if isinstance(layer, nn.Sequential) or not _is_layer(layer):
            yield from flat_layers(layer, f"{full}.")
        elif not isinstance(layer, nn.Identity | nn.Dropout):
            yield full, layer


def _is_layer(module: nn.Module) -> bool:
    """Return whether a module is torch's or ours, or derives from one of ours; other forwards are followed."""
    own = any(cls.__module__.startswith("bimhw.") for cls in type(module).__mro__)
    return (own or type(module).__module__.startswith("torch.nn")) and not isinstance(module, nn.Sequential)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return _is_layer(m) or unwrapped(m) is not m


def _chain(module: nn.Module, prefix: str) -> Layers:
    try:
        nodes = list(_Tracer().trace(module).nodes)
    except Exception as error:  # whatever the user's forward or fx raises
        line = str(error).strip().split("\n")[0][:120]
        raise _no_chain(module, prefix, f"has a forward that cannot be followed ({line})") from error
    last: fx.Node | None = None
    seen: set[Any] = set()
    around = _residuals(nodes)
    within = {each for _, branch in around.values() for each in branch}
    for node in nodes:
        if node.op == "placeholder" and (last is None or not node.users):
            last = last or node
            continue
        if node in within and node.target not in seen:
            seen.add(node.target)
            continue
        if node in around and around[node][0] is last:
            branch = [str(each.target) for each in around[node][1]]
            yield branch[0], Residual(*(module.get_submodule(target) for target in branch))
            last = node
            continue
        given = node.args[:1] == (last,) and not node.kwargs and len(node.args) == 1
        if node.op == "output" and given:
            return
        if node.op != "call_module" or not given or node.target in seen:
            if last is not None and last.op == "call_module":
                _check_no_rnn(module.get_submodule(str(last.target)), f"{prefix}{last.target}")
            raise _no_chain(module, prefix, f"has a forward that is no chain of layers: {_what(node, seen)}")
        seen.add(node.target)
        yield str(node.target), module.get_submodule(str(node.target))
        last = node


def _residuals(nodes: list[fx.Node]) -> dict[fx.Node, tuple[fx.Node, list[fx.Node]]]:
    """Return each sum x + layers(x): what it adds up is x, and the layers in order, which nothing else reads."""
    found = {}
    for node in nodes:
        added = node.target in (operator.add, operator.iadd, torch.add) or (node.op, node.target) == (
            "call_method",
            "add",
        )
        if not added or len(node.args) != 2 or node.kwargs or not all(isinstance(a, fx.Node) for a in node.args):
            continue
        p, q = cast(tuple[fx.Node, fx.Node], node.args)
        for start, end in ((p, q), (q, p)):
            branch, at, read = list[fx.Node](), end, node
            while at is not start and at.op == "call_module" and len(at.args) == 1 and list(at.users) == [read]:
                branch.insert(0, at)
                at, read = cast(fx.Node, at.args[0]), at
            if at is start and branch:
                found[node] = start, branch
    return found


def _check_no_rnn(layer: nn.Module, name: str) -> None:
    """Raise `FitError` on a recurrent layer of torch: its result is a tuple, so that a forward with it is no chain."""
    if isinstance(layer, nn.RNNBase):
        way_out = "Train with a BIM layer or a spiking neuron in its place"
        raise FitError(f"layer {name!r} ({type(layer).__name__})", "has no form on a chip", way_out)


def _what(node: fx.Node, seen: set[Any]) -> str:
    if node.op == "call_module":
        return f"layer {node.target!r} " + (
            "is called twice" if node.target in seen else "does not read the one before"
        )
    if node.op == "output":
        return "it does not return what its last layer gives"
    return f"{getattr(node.target, '__name__', node.target)!r} ({node.op.replace('_', ' ')})"


def _no_chain(module: nn.Module, prefix: str, problem: str) -> FitError:
    name = type(module).__name__
    return FitError(f"module {prefix.rstrip('.') or name!r} ({name})", problem, _WAY_OUT)

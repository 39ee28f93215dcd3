"""The layers of a torch module in the order of its forward: a `torch.nn.Sequential`, or any forward that is a chain of layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import fx, nn

from bimhw.models.tensors import unwrapped
from simulator.base.errors import FitError

_WAY_OUT = (
    "In forward, call layers one after the other and return the last one's result; a mean over time belongs to "
    "the loss. Or use torch.nn.Sequential, or export the network to NIR"
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
    for node in nodes:
        if node.op == "placeholder" and (last is None or not node.users):
            last = last or node
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

"""Meaning of torch's functions between the layers: function name -> how the result came about."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bimhw.frontends.frameworks.affine import affine
from bimhw.frontends.frameworks.expression import LEADING, Args, Expr, Kwargs, Nest, common_axes
from bimhw.frontends.frameworks.functional import layer_of
from bimhw.frontends.frameworks.spikewise import ordered, rectified, relu
from bimhw.frontends.frameworks.trace import Trace

_SAME = {
    "detach", "clone", "contiguous", "to", "float", "double", "cpu", "requires_grad_", "type", "type_as", "detach_",
    "dropout", "alias", "data",
}  # fmt: skip
_SHAPES = {"view", "reshape", "flatten", "unsqueeze", "squeeze", "unflatten", "view_as", "reshape_as"}
_IGNORED = {
    "size", "dim", "__get__", "numel", "ndimension", "is_floating_point", "__len__", "stride", "__hash__", "__set__",
}  # fmt: skip


def note(trace: Trace, func: Callable[..., Any], args: Args, kwargs: Kwargs, out: Nest) -> None:
    """Note the result of one call."""
    name = getattr(func, "__name__", "") or str(func)
    plain = name.strip("_")
    if name in _IGNORED or plain.endswith("like"):
        return
    if plain == "setitem":
        _written(trace, args)
        return
    handler = _HANDLERS.get(plain)
    sources = [e for a in _flat(args) if (e := trace.of(a)) is not None]
    if not sources:
        return
    made = _layer(trace, plain, args, kwargs, out) if handler is None else handler(trace, args, kwargs, out)
    if made is True:
        return
    ones = _flat(out)
    found = [made] * len(ones) if isinstance(made, Expr) else affine(trace, func, args, kwargs, out)
    for k, one in enumerate(ones):
        unknown = Expr("unknown", tuple(sources), sources[0].axes, tuple(one.shape), (plain, *trace.inside[-1:]))
        trace.keep(one, unknown if found is None else found[k])


def _flat(value: Nest) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [t for v in value for t in _flat(v)]
    return []


def _layer(trace: Trace, name: str, args: Args, kwargs: Kwargs, out: Nest) -> Expr | None:
    """Read a layer in the form of a function, on one traced value."""
    source = trace.of(args[0]) if args else None
    made = None if source is None or not isinstance(out, Tensor) else layer_of(name, args, kwargs)
    if source is None or made is None or any(trace.of(t) is not None for t in _flat(args[1:])):
        return None
    key = (name, *(_content(v) for v in (*args[1:], *kwargs.values())))
    return Expr("layer", (source,), source.axes, tuple(out.shape), trace.function_layer(name, key, made))


def _content(value: Nest) -> object:
    """Return a value that equal arguments share: a forward may make its weight anew in every step (w.t(), w * mask)."""
    if not isinstance(value, Tensor):
        return str(value)
    return tuple(value.shape), hash(value.detach().cpu().contiguous().numpy().tobytes())


Made = Expr | bool | None  # how a result came about; True: noted already; None: not known
Handler = Callable[["Trace", Args, Kwargs, Nest], Made]


def _same(trace: Trace, args: Args, kwargs: Kwargs, out: Nest) -> Made:
    source = trace.of(args[0])
    return source if isinstance(out, Tensor) else True


def _reshaped(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    source = trace.of(args[0])
    assert source is not None
    return reshape(source, tuple(out.shape))


def reshape(source: Expr, shape: tuple[int, ...]) -> Expr | None:
    """Return a value with another shape: its features regrouped, or batch and time merged or parted."""
    axes, n = source.axes, LEADING.get(source.axes, 1)
    if axes == "?":
        return Expr("same", (source,), "?", shape)
    if shape[:n] == source.shape[:n] and axes != "merged":
        regrouped = shape[n:] != source.shape[n:]
        return Expr("flatten" if regrouped else "same", (source,), axes, shape)
    if n == 2 and shape and shape[0] == math.prod(source.shape[:2]):
        return Expr("merge", (source,), "merged", shape, (axes, source.shape[:2]))
    origin = merged_from(source) if axes == "merged" else None
    if axes == "merged" and origin is not None and shape[:2] == origin[1] and shape[2:] == source.shape[1:]:
        return Expr("part", (source,), origin[0], shape)
    if axes == "merged" and shape and shape[0] == source.shape[0]:
        return Expr("flatten", (source,), axes, shape)
    return None


def merged_from(expr: Expr) -> Any:
    """Return (axes, sizes) that a merged value was made of, or None."""
    while expr.op != "merge" and expr.args:
        expr = expr.args[0]
    return expr.what if expr.op == "merge" else None


def _item(trace: Trace, args: Args, kwargs: Kwargs, out: Nest) -> Made:
    """Read x[t], x[:, t], x[..., t] of a sequence."""
    source, index = trace.of(args[0]), args[1]
    if source is None:
        return None
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in index:
        at = index.index(Ellipsis)
        fill = (slice(None),) * (len(source.shape) - len(index) + 1)
        index = (*index[:at], *fill, *index[at + 1 :])
    picked = [k for k, i in enumerate(index) if not (isinstance(i, slice) and i == slice(None))]
    if len(picked) != 1 or not isinstance(index[picked[0]], int):
        return None
    return _step(trace, source, picked[0], int(index[picked[0]]), tuple(out.shape))


def _select(trace: Trace, args: Args, kwargs: Kwargs, out: Nest) -> Made:
    source = trace.of(args[0])
    dim, index = (*args[1:], *kwargs.values())[:2]
    return None if source is None else _step(trace, source, int(dim), int(index), tuple(out.shape))


def _step(trace: Trace, source: Expr, axis: int, index: int, shape: tuple[int, ...]) -> Expr | None:
    """Return one step of a sequence."""
    axis %= len(source.shape)
    index %= source.shape[axis]
    if source.op == "stack":
        return source.args[index] if axis == {"TB": 0, "BT": 1}[source.axes] else None
    if source.axes == "?" and source.op == "input" and trace.time_axes.get(source.what, axis) == axis:
        trace.time_axes[source.what] = axis
        return Expr("input", (), "B", shape, source.what, index)
    if source.axes in ("TB", "BT") and axis == {"TB": 0, "BT": 1}[source.axes]:
        return Expr("pick", (source,), "B", shape, None, index)
    return None


def _unbound(trace: Trace, args: Args, kwargs: Kwargs, out: Nest) -> Made:
    """Read an iteration over a sequence."""
    source = trace.of(args[0])
    axis = int(args[1] if len(args) > 1 else kwargs.get("dim", 0))
    for index, one in enumerate(out):
        made = None if source is None else _step(trace, source, axis, index, tuple(one.shape))
        if made is None:
            return None
        trace.keep(one, made)
    return True


def _stacked(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    parts = [trace.of(a) for a in args[0]]
    axis = int(args[1] if len(args) > 1 else kwargs.get("dim", 0)) % out.ndim
    if axis > 1 or any(p is None or p.axes != "B" for p in parts):
        return None
    steps = tuple(p for p in parts if p is not None)
    return Expr("stack", steps, "TB" if axis == 0 else "BT", tuple(out.shape), value=out)


def _written(trace: Trace, args: Args) -> None:
    """Read buffer[t] = value: a sequence that is filled step by step."""
    target, index, value = args
    source = trace.of(value)
    if source is None:
        return
    index = index if isinstance(index, tuple) else (index,)
    picked = [k for k, i in enumerate(index) if isinstance(i, int)]
    before = trace.of(target)
    parts = before.args if before is not None and before.op == "stack" else ()
    if len(picked) == 1 and picked[0] < 2 and index[picked[0]] == len(parts) and source.axes == "B":
        axes = "TB" if picked[0] == 0 else "BT"
        trace.keep(target, Expr("stack", (*parts, source), axes, tuple(target.shape), value=target))
    else:
        trace.keep(target, Expr("unknown", (source,), "B", tuple(target.shape), ("setitem",)))


def _factor(trace: Trace, value: Nest) -> Nest:
    """Return a constant factor, or None where it is a traced tensor."""
    return None if trace.of(value) is not None else value


def _sum_of(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor, sign: float = 1.0) -> Made:
    parts = []
    axes = common_axes([e for a in args[:2] if (e := trace.of(a)) is not None])
    if axes is None:
        return None
    for k, a in enumerate(args[:2]):
        expr = trace.of(a)
        turned = k > 0 and sign != 1
        if expr is None:
            expr, turned = Expr("const", (), axes, tuple(getattr(a, "shape", ())), -a if turned else a), False
        if expr.axes not in (axes, "?") or (expr.op != "const" and expr.shape != tuple(out.shape)):
            return None
        parts.append(Expr("scale", (expr,), axes, expr.shape, -1.0) if turned else expr)
    return Expr("add", tuple(parts), axes, tuple(out.shape), value=out)


def _copied(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    source = trace.of(args[1])
    return source if source is not None and source.shape == tuple(out.shape) else None


def _difference(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    return _sum_of(trace, args, kwargs, out, -1.0)


def _turned(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    return _sum_of(trace, (args[1], args[0]), kwargs, out, -1.0)


def _scaled(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    first, second = args[0], args[1]
    if trace.of(first) is None:
        first, second = second, first
    source, factor = trace.of(first), _factor(trace, second)
    if source is None or source.shape != tuple(out.shape):
        return None
    if factor is None:
        other = trace.of(second)
        if other is None or (other.axes, other.shape) != (source.axes, source.shape):
            return None
        return Expr("both", (source, other), source.axes, source.shape, ("mul", *trace.inside[-1:]))
    return Expr("scale", (source,), source.axes, source.shape, factor)


def _divided(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    source = trace.of(args[0])
    factor = _factor(trace, args[1])
    if source is None or factor is None or kwargs.get("rounding_mode"):
        return None
    return Expr("scale", (source,), source.axes, source.shape, 1.0 / factor)


def _negated(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    source = trace.of(args[0])
    return None if source is None else Expr("scale", (source,), source.axes, source.shape, -1.0)


def _over_time(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor, how: str) -> Expr | None:
    """Read a sum, mean or maximum over time."""
    source = trace.of(args[0])
    dim = args[1] if len(args) > 1 else kwargs.get("dim")
    if isinstance(dim, tuple | list) and len(dim) == 1:
        dim = dim[0]
    if source is None or not isinstance(dim, int):
        return None
    if source.axes in ("TB", "BT") and dim % len(source.shape) == {"TB": 0, "BT": 1}[source.axes]:
        return Expr("over_time", (source,), "B", tuple(out.shape), how, value=out)
    return None


def _reduced(how: str) -> Handler:
    """Return the reader of a sum or mean over time."""

    def handler(trace: Trace, args: Args, kwargs: Kwargs, out: Nest) -> Made:
        return _over_time(trace, args, kwargs, out, how) if isinstance(out, Tensor) else None

    return handler


def _largest(trace: Trace, args: Args, kwargs: Kwargs, out: Nest) -> Made:
    """Read the maximum over time; torch.max gives (values, indices)."""
    values = out if isinstance(out, Tensor) else out[0]
    made = _over_time(trace, args, kwargs, values, "max")
    if made is None:
        return None
    trace.keep(values, made)
    return True


def _held(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    """Hold a value of one step that a forward repeats along an axis of time which it makes itself."""
    source, value = trace.of(args[0]), args[0]
    if not trace.still or source is None or source.axes == "?":
        return None
    axis = {"TB": 0, "BT": 1}.get(source.axes)
    if axis is not None:  # of length 1 until it is repeated
        value = value.select(axis, 0)
    elif source.axes == "B" and value.ndim == out.ndim and value.shape[1] == 1:
        value, source = value[:, 0], Expr("flatten", (source,), "B", (value.shape[0], *value.shape[2:]))
    for axes, time in (("TB", 0), ("BT", 1)):
        rest = (*out.shape[:time], *out.shape[time + 1 :])
        if rest == tuple(value.shape) and torch.equal(out, value.unsqueeze(time).expand_as(out)):
            return Expr("same", (source,), axes, tuple(out.shape))
    return None


def _unsqueezed(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    dim = args[1] if len(args) > 1 else kwargs.get("dim")
    made = _held(trace, args, kwargs, out) if dim == 0 else None
    return made or _reshaped(trace, args, kwargs, out)


def _swapped(trace: Trace, args: Args, kwargs: Kwargs, out: Tensor) -> Made:
    """Time and batch change places."""
    source = trace.of(args[0])
    if source is None or source.axes not in ("TB", "BT"):
        return None
    if tuple(out.shape) != (source.shape[1], source.shape[0], *source.shape[2:]):
        return None
    other = {"TB": "BT", "BT": "TB"}[source.axes]
    if source.op == "stack":
        return Expr("stack", source.args, other, tuple(out.shape), value=out)
    return Expr("same", (source,), other, tuple(out.shape), value=out)


_HANDLERS: dict[str, Handler] = {
    **dict.fromkeys((n.strip("_") for n in _SAME), _same),
    **dict.fromkeys(_SHAPES, _reshaped),
    "getitem": _item,
    "select": _select,
    "unbind": _unbound,
    "iter": lambda *_: True,
    "copy": _copied,
    "stack": _stacked,
    **dict.fromkeys(("add", "iadd", "radd"), _sum_of),
    **dict.fromkeys(("sub", "isub"), _difference),
    **dict.fromkeys(("rsub",), _turned),
    **dict.fromkeys(("mul", "imul", "rmul", "multiply"), _scaled),
    **dict.fromkeys(("div", "truediv", "true_divide", "itruediv", "idiv"), _divided),
    **dict.fromkeys(("neg", "negative"), _negated),
    **dict.fromkeys(("softmax", "log_softmax"), ordered),
    "relu": relu,
    **dict.fromkeys(("clamp", "clip", "clamp_min", "hardtanh", "relu6"), rectified),
    **{how: _reduced(how) for how in ("sum", "mean")},
    **dict.fromkeys(("max", "amax"), _largest),
    **dict.fromkeys(("repeat", "expand", "tile"), _held),
    "unsqueeze": _unsqueezed,
    **dict.fromkeys(("permute", "transpose", "swapaxes", "movedim"), _swapped),
}

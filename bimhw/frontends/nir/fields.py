"""The fields of each NIR primitive: which there are, what they must be, and the checks of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from simulator.base.arrays import Floats
from simulator.base.errors import InputError

_REQUIRED = object()


def _array(value: Any, where: str, unbounded: bool = False) -> Floats:
    """Return a float64 array; infinite values are allowed where `unbounded`."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise InputError(where, "is no array of numbers", "Export it again") from None
    if array.dtype.kind not in "fiub":
        raise InputError(where, f"is of type {array.dtype}, not numbers")
    array = array.astype(np.float64)
    wrong = np.isnan(array) if unbounded else ~np.isfinite(array)
    if wrong.any():
        bad = int(wrong.sum())
        raise InputError(where, f"has {bad} of {array.size} values that are NaN or infinite", "Export it again")
    return array


def _shape(value: Any, where: str) -> tuple[int, ...]:
    array = _array(value, where).reshape(-1)
    if (array != np.round(array)).any() or (array < 1).any() or array.size > 8 or np.prod(array) > 2**31:
        raise InputError(where, f"is {array.tolist()[:10]}, not a shape of positive sizes")
    return tuple(int(v) for v in array)


def _input_shape(value: Any, where: str) -> tuple[int, ...]:
    """Return a shape that exporters also fill with zeros or leave out: () where it tells nothing."""
    array = np.asarray(value, dtype=object).reshape(-1)
    if array.size == 0 or any(v is None or v == 0 for v in array):
        return ()
    return _shape(value, where)


def _ints(least: int) -> Callable[[Any, str], tuple[int, ...]]:
    """Check for one or two integers >= `least`."""

    def read(value: Any, where: str) -> tuple[int, ...]:
        array = _array(value, where).reshape(-1)
        if array.size not in (1, 2) or (array != np.round(array)).any() or (array < least).any():
            raise InputError(where, f"is {array.tolist()}, not one or two integers >= {least}")
        return tuple(int(v) for v in array)

    return read


def _padding(value: Any, where: str) -> tuple[int, ...] | str:
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise InputError(where, f"is {value!r}", "Use 'same', 'valid' or numbers")
        return value
    return _ints(0)(value, where)


def _dim(value: Any, where: str) -> int:
    array = _array(value, where).reshape(-1)
    if array.size != 1 or array[0] != np.round(array[0]):
        raise InputError(where, f"is {array.tolist()}, not one integer")
    return int(array[0])


def _matrix(value: Any, where: str) -> Floats:
    array = _array(value, where)
    if array.ndim < 2:
        raise InputError(where, f"has shape {array.shape}, not (..., outputs, inputs)")
    return array


def _kernel(ndim: int) -> Callable[[Any, str], Floats]:
    def read(value: Any, where: str) -> Floats:
        array = _array(value, where)
        if array.ndim != ndim or array.size == 0:
            raise InputError(where, f"has shape {array.shape}, not {ndim} sizes (outputs, inputs / groups, kernel)")
        return array

    return read


def _gain(value: Any, where: str) -> Floats:
    return _array(value, where, unbounded=True)


def _positive(value: Any, where: str) -> Floats:
    """Return time constants; an infinite one is a state that does not decay, as exporters write it for beta = 1."""
    array = _array(value, where, unbounded=True)
    if (array <= 0).any():
        raise InputError(where, f"is {float(array.min()):g}; a time constant must be > 0", "Export it again")
    return array


def _not_negative(value: Any, where: str) -> Floats:
    array = _array(value, where)
    if (array < 0).any():
        raise InputError(where, f"is {float(array.min()):g}; a delay must be >= 0")
    return array


Reader = Callable[[Any, str], Any]
_CONV: dict[str, tuple[Reader, Any]] = {
    "stride": (_ints(1), 1),
    "padding": (_padding, 0),
    "dilation": (_ints(1), 1),
    "groups": (_ints(1), 1),
    "bias": (_array, 0.0),
    "input_shape": (_input_shape, ()),
}
_POOL: dict[str, tuple[Reader, Any]] = {
    "kernel_size": (_ints(1), _REQUIRED),
    "stride": (_ints(1), _REQUIRED),
    "padding": (_ints(0), 0),
}
_LEAK: dict[str, tuple[Reader, Any]] = {"r": (_gain, _REQUIRED), "v_leak": (_array, _REQUIRED)}
_FIRE: dict[str, tuple[Reader, Any]] = {"v_threshold": (_array, _REQUIRED), "v_reset": (_array, 0.0)}
_CUBA: dict[str, tuple[Reader, Any]] = {
    "tau_syn": (_positive, _REQUIRED),
    "tau_mem": (_positive, _REQUIRED),
    "w_in": (_gain, 1.0),
}
# primitive -> field -> (reader, default); see the table of NIR's primitives in docs/frontends.md
PRIMITIVES: dict[str, dict[str, tuple[Reader, Any]]] = {
    "Input": {"shape": (_shape, _REQUIRED)},
    "Output": {"shape": (_input_shape, ())},
    "Linear": {"weight": (_matrix, _REQUIRED)},
    "Affine": {"weight": (_matrix, _REQUIRED), "bias": (_array, _REQUIRED)},
    "Scale": {"scale": (_array, _REQUIRED)},
    "Conv1d": {"weight": (_kernel(3), _REQUIRED), **_CONV},
    "Conv2d": {"weight": (_kernel(4), _REQUIRED), **_CONV},
    "SumPool2d": _POOL,
    "AvgPool2d": _POOL,
    "Flatten": {
        "start_dim": (_dim, 1),
        "end_dim": (_dim, -1),
        "input_type": (_input_shape, ()),
        "shape": (_input_shape, ()),  # of a reshape: not NIR's, but of the modules that are read from Python
    },
    "Delay": {"delay": (_not_negative, _REQUIRED)},
    "Threshold": {"threshold": (_array, _REQUIRED)},
    "I": {"r": (_array, _REQUIRED)},
    "LI": {"tau": (_positive, _REQUIRED), **_LEAK},
    "IF": {"r": (_array, _REQUIRED), **_FIRE},
    "LIF": {"tau": (_positive, _REQUIRED), **_LEAK, **_FIRE},
    "CubaLI": {**_CUBA, **_LEAK},
    "CubaLIF": {**_CUBA, **_LEAK, **_FIRE},
}
_BESIDE = ("type", "metadata", "version", "input_type", "output_type")


def read_fields(raw: Mapping[str, Any], where: str, notes: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the primitive and the checked fields of a node; fields that NIR does not have are noted and ignored.

    Raises:
        InputError: unknown primitive, missing field, or a value that breaks its rule.
    """
    kind = raw["type"]
    if kind not in PRIMITIVES:
        raise InputError(where, f"is of the unknown type {kind!r}", f"Known: {', '.join(PRIMITIVES)}")
    known = PRIMITIVES[kind]
    out: dict[str, Any] = {}
    for name, (read, default) in known.items():
        if name not in raw and default is _REQUIRED:
            raise InputError(f"{where} ({kind})", f"has no field {name!r}", f"It has {sorted(raw)}; export it again")
        out[name] = read(raw.get(name, default), f"{where} ({kind}): {name}")
    unknown = sorted(k for k in raw if k not in known and k not in _BESIDE)
    if unknown:
        notes.append(f"{where} ({kind}) has fields that NIR does not define, ignored: {', '.join(unknown)}")
    if "bias" in known:
        _check_bias(out, where)
    for gain, tau in (("r", "tau" if "tau" in out else "tau_mem"), ("w_in", "tau_syn")):
        if gain in out and tau in out:
            _check_gain(out[gain], out[tau], f"{where} ({kind}): {gain}", tau)
    return kind, out


def _check_gain(gain: Floats, tau: Floats, where: str, name: str) -> None:
    """Raise `InputError` unless a gain is one number a neuron, and infinite only with its time constant.

    A w_in over a vector of neurons may be a matrix [neurons, inputs], which the reader makes a Linear of.
    """
    if gain.ndim > 1 and gain.ndim > tau.ndim:
        if name == "tau_syn" and gain.shape[:-1] == (tau.size,) and np.isfinite(gain).all():
            return
        raise InputError(
            where,
            f"is a matrix of shape {list(gain.shape)}; the {name} of {list(tau.shape)} neurons takes one number each",
            "Put it into a Linear node before the neuron",
        )
    try:
        wrong = np.isinf(gain) & ~(np.isinf(tau) & (gain > 0))
    except ValueError:  # of different shapes: the graph's shapes say so, by both names
        wrong = np.isinf(gain) & ~np.isinf(tau).all()
    if wrong.any():
        raise InputError(where, f"has {int(wrong.sum())} infinite values where {name} is finite", "Export it again")


def _check_bias(fields: dict[str, Any], where: str) -> None:
    weight, bias = fields["weight"], fields["bias"]
    conv = "stride" in fields
    wanted = weight.shape[:1] if conv else weight.shape[:-1]
    if bias.size == 1:
        fields["bias"] = np.full(wanted, float(bias.reshape(-1)[0]))
    elif bias.shape != wanted:
        raise InputError(f"{where}: bias", f"has shape {bias.shape}, needs {wanted} to fit the weight {weight.shape}")

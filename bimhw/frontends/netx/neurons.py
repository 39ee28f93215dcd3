"""Neurons of a netx layer: CUBA-LIF and sigma-delta, in the integers of Lava's fixed-point models.

CUBA-LIF is `simulator.neurons.loihi_cuba` with vth = vThMant, du = iDecay - 1, dv = vDecay and the layer's bias.

Sigma-delta (SDNN) is `simulator.neurons.sigma_delta` with relu: sums, activation and threshold in 2^-12 of a weight times a
value, payloads in 2^-6, rounded down. An input layer of them (Lava's Delta) has no relu; the changes of its values arrive.
With ``sigma_output`` a layer sends nothing, and its sum is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bimhw.frontends.netx.layers import AGAIN, Layer, Shape, numbers
from simulator.base.arrays import I64, AnyInts
from simulator.base.errors import InputError

SUM_BITS = 12  # fractional bits of a sigma-delta neuron's sum and activation (spike_exp + state_exp)
PAYLOAD_BITS = 6  # of its payload
_LIMIT = 2**23 - 1  # Lava's states have 24 bits


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons of a layer on a chip.

    Attributes:
        model, params: neuron model and its integers.
        formats: state -> fractional bits, for the host.
        output: state that is read where the layer is the last; None: what it sends.
    """

    model: str
    params: Mapping[str, AnyInts]
    formats: Mapping[str, int]
    output: str | None = None


def neurons_of(layer: Layer, shape: Shape, where: str, is_input: bool = False) -> Neurons:
    """Return the neurons of a layer.

    Raises:
        InputError: a type that is not read, or a field that is missing or does not fit the layer.
    """
    neuron = layer.get("neuron")
    if not isinstance(neuron, dict):
        raise InputError(where, "has no neuron", AGAIN)
    kind = str(neuron.get("type", "CUBA-LIF"))
    if kind not in _KINDS:
        way = f"Read are {', '.join(_KINDS)}; resonate-and-fire layers can be built as a bimhw.Network"
        raise InputError(f"{where}: neuron", f"is of type {kind!r}", way)
    return _KINDS[kind](layer, neuron, shape, where, is_input)


def spread(value: I64, shape: Shape, where: str) -> I64:
    """Return the values of all neurons from one for each, or one for each channel."""
    size = int(np.prod(shape))
    if value.size not in (size, shape[0]):
        raise InputError(where, f"has {value.size} values for {size} neurons in {shape[0]} channels", AGAIN)
    return value if value.size == size else np.repeat(value, size // shape[0])


def is_sigma_delta(layer: Layer) -> bool:
    """Return whether the neurons of a layer are sigma-delta."""
    neuron = layer.get("neuron")
    return isinstance(neuron, dict) and str(neuron.get("type")) == "SDNN"


def _row(fields: Layer, key: str, shape: Shape, where: str) -> I64:
    """Return a row of one value for all, or one a neuron or a channel."""
    value = numbers(fields, key, where).reshape(-1)
    return value[0] if value.size == 1 else spread(value, shape, f"{where}: {key}")


def _bias(layer: Layer, shape: Shape, where: str) -> I64:
    return np.asarray(_row(layer, "bias", shape, where) if "bias" in layer else 0)


def _cuba(layer: Layer, neuron: Layer, shape: Shape, where: str, is_input: bool) -> Neurons:
    if np.any(np.asarray(neuron.get("gradedSpike", 0))):
        raise InputError(
            f"{where}: neuron", "sends graded spikes, which CUBA-LIF here does not", "Export binary spikes"
        )
    params = {
        "du": _row(neuron, "iDecay", shape, where) - 1, "dv": _row(neuron, "vDecay", shape, where),
        "vth": _row(neuron, "vThMant", shape, where), "bias_exp": np.asarray(6), "bias_mant": _bias(layer, shape, where),
    }  # fmt: skip
    return Neurons("loihi_cuba", {k: np.asarray(v, np.int32) for k, v in params.items()}, {})


def _sigma_delta(layer: Layer, neuron: Layer, shape: Shape, where: str, is_input: bool) -> Neurons:
    activation = _text(neuron.get("activation", "relu"))
    if activation != "relu" and not is_input:
        way = "lava-dl's netx runs every sigma-delta layer with relu: export one"
        raise InputError(f"{where}: neuron", f"has the activation {activation!r}", way)
    formats = {"sent": SUM_BITS, "sigma": SUM_BITS}
    if "sigma_output" in neuron:
        if "bias" in layer:
            raise InputError(where, "has a bias on a sigma output, which Lava's Sigma has not", "Export without it")
        silent = {"mul": 0, "sh": 0, "vth": 1, "relu": 0, "limit": _LIMIT}
        return Neurons("sigma_delta", {k: np.asarray(v, np.int32) for k, v in silent.items()}, formats, "sigma")
    fine = {
        "vth": _row(neuron, "vThMant", shape, where) << SUM_BITS,
        "bias": _bias(layer, shape, where).astype(np.int64) << SUM_BITS,
    }
    for name, value in fine.items():
        if (np.abs(value) > _LIMIT).any():
            most = f"{_LIMIT >> SUM_BITS:,} is the most"
            raise InputError(
                f"{where}: {name}", f"reaches {int(np.abs(value).max()) >> SUM_BITS:,}; {most}", "Rescale it"
            )
    shift = -SUM_BITS if is_input else 0
    plain = {"mul": 1, "sh": shift, "relu": int(not is_input), "limit": _LIMIT, "sh_out": SUM_BITS - PAYLOAD_BITS}
    return Neurons("sigma_delta", {k: np.asarray(v, np.int32) for k, v in {**fine, **plain}.items()}, formats)


def _text(value: object) -> str:
    held = value.item() if isinstance(value, np.ndarray | np.generic) else value
    return (held.decode(errors="replace") if isinstance(held, bytes) else str(held)).lower()


_KINDS: Mapping[str, Callable[[Layer, Layer, Shape, str, bool], Neurons]] = {
    "CUBA": _cuba, "LOIHI": _cuba, "CUBA-LIF": _cuba, "SDNN": _sigma_delta,
}  # fmt: skip

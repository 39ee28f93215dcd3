"""Activations of straight pieces as sums of ReLUs: y = start + sum of factor relu(sign x + shift) over its knees.

==============================  ===========================================
clip to a..b (ReLU6, Hardtanh)  a + relu(x - a) - relu(x - b)
at least a; at most b           a + relu(x - a); b - relu(b - x)
LeakyReLU, PReLU of slope s     relu(x) - s relu(-x)
Hardsigmoid                     relu(x + 3) / 6 - relu(x - 3) / 6
==============================  ===========================================
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from bimhw.frontends.frameworks.expression import Args, Kwargs

ACTIVATIONS = (nn.ReLU, nn.Hardtanh, nn.LeakyReLU, nn.PReLU, nn.Hardsigmoid)  # nn.ReLU6 is a Hardtanh
WAY = "Use ReLU, ReLU6, Hardtanh, clamp, LeakyReLU, PReLU or Hardsigmoid, and train the network on with it"
_NAMES = {
    "hardtanh": ("input", "min_val", "max_val", "inplace"),
    "relu": ("input", "inplace"),
    "relu6": ("input", "inplace"),
    "hardsigmoid": ("input", "inplace"),
    "leaky_relu": ("input", "negative_slope", "inplace"),
    "prelu": ("input", "weight"),
    "clamp": ("input", "min", "max"),
    "clip": ("input", "min", "max"),
    "clamp_min": ("input", "min"),
    "clamp_max": ("input", "max"),
}


@dataclass(frozen=True, eq=False)
class Knee:
    """One ReLU: factor relu(sign x + shift)."""

    factor: float | Tensor = 1.0
    sign: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True, eq=False)
class Pieces:
    """An activation.

    Attributes:
        knees: its ReLUs; one of ReLU6 and other clips from 0 on, where `most` is given.
        start: constant.
        most: upper bound of a clip from 0 on.
        inplace: writes into its argument.
    """

    knees: tuple[Knee, ...]
    start: float = 0.0
    most: float | None = None
    inplace: bool = False


def is_activation(module: nn.Module) -> bool:
    """Return whether a module is one of torch's activations."""
    return type(module).__module__ == "torch.nn.modules.activation"


def pieces(name: str, args: Args, kwargs: Kwargs) -> Pieces | None:
    """Return the pieces of a call of a function of torch, or None where it is no such activation."""
    plain = name.rstrip("_")
    if plain not in _NAMES:
        return None
    given = dict(zip(_NAMES[plain], args, strict=False)) | dict(kwargs)
    if isinstance(given["input"], nn.Parameter):
        return None
    inplace = name.endswith("_") or bool(given.get("inplace"))
    if plain == "hardsigmoid":
        return Pieces((Knee(1 / 6, shift=3.0), Knee(-1 / 6, shift=-3.0)), inplace=inplace)
    if plain == "leaky_relu":
        return Pieces((Knee(), Knee(-float(given.get("negative_slope", 0.01)), -1.0)), inplace=inplace)
    if plain == "prelu":
        weight, x = given["weight"], given["input"]
        shaped = weight.reshape(-1, *(1,) * (x.ndim - 2)) if weight.numel() > 1 else weight
        return Pieces((Knee(), Knee(-shaped, -1.0)))
    least, most = _bounds(plain, given)
    if isinstance(least, Tensor) or isinstance(most, Tensor):
        return None
    return _clip(least, most, inplace)


def _bounds(plain: str, given: Kwargs) -> tuple[float | Tensor | None, float | Tensor | None]:
    if plain == "relu":
        return 0.0, None
    if plain == "relu6":
        return 0.0, 6.0
    if plain == "hardtanh":
        return given.get("min_val", -1.0), given.get("max_val", 1.0)
    return given.get("min"), given.get("max")


def _clip(least: float | None, most: float | None, inplace: bool) -> Pieces | None:
    if least is None:
        return None if most is None else Pieces((Knee(-1.0, -1.0, float(most)),), float(most), inplace=inplace)
    if most is None:
        return Pieces((Knee(shift=-float(least)),), float(least), inplace=inplace)
    knees = (Knee(shift=-float(least)), Knee(-1.0, shift=-float(most)))
    return Pieces(knees, float(least), float(most) if least == 0 else None, inplace)

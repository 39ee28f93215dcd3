"""Initial values of a BIM network's parameters."""

from __future__ import annotations

import math

import msgspec
import torch
from torch import Tensor

from bimhw.models.bim.config import BimConfig
from bimhw.models.config_rules import check_types
from bimhw.models.orthogonal import Start
from simulator.base.errors import check_fields


class Init(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Initial weights: N(0, (gain/sqrt(M))^2) per port; Delta log-uniform in [delta_min, delta_max].

    mixing: W_in between layers as above (``normal``), or gain_in times orthogonal (`bimhw.models.orthogonal.orthogonal_start`).
    ``complex`` layers: omega uniform in [0, omega_max] (radians a step), C_re = 1, C_im ~ N(0, 1), 0 without rotation.
    Learnable delays: uniform in [0, delay_start D]; 0: no delay at first.
    """

    gain_in: float = 3.0
    gain_delta: float = 0.5
    gain_c: float = 0.3
    delta_min: float = 0.02
    delta_max: float = 0.5
    omega_max: float = 0.3
    delay_start: float = 1.0
    mixing: Start = "normal"

    def __post_init__(self) -> None:
        where = "initial weights: "
        check_types(self, where)
        finite = ("gain_in", "gain_delta", "gain_c", "omega_max")
        rules = [(name, math.isfinite(getattr(self, name)), "must be finite") for name in finite]
        rules += [
            ("delay_start", 0 <= self.delay_start <= 1, "must be in [0, 1]"),
            ("delta_min", 0 < self.delta_min < math.inf, "must be positive"),
            ("delta_max", self.delta_min <= self.delta_max < math.inf, "must not be below delta_min"),
        ]
        check_fields(where, self, rules)


def initial(name: str, shape: tuple[int, ...], init: Init, generator: torch.Generator) -> Tensor:
    """Return the first value of a parameter that is no weight of a port."""
    if name == "b_delta":
        low, high = math.log(init.delta_min), math.log(init.delta_max)
        delta = torch.exp(low + (high - low) * torch.rand(shape, generator=generator))
        return torch.log(torch.expm1(delta))
    if name == "a_log" and len(shape) == 2:  # s6: A_n = -n (S4D-real, as Mamba)
        return torch.log(torch.arange(1, shape[1] + 1, dtype=torch.float32)).expand(shape).clone()
    if name == "omega":
        return init.omega_max * torch.rand(shape, generator=generator)
    if name == "c_im":
        return torch.randn(shape, generator=generator)
    return torch.ones(shape) if name in _ONES else torch.zeros(shape)


_ONES = ("d", "b_b", "b_c", "c_re", "norm_gain", "norm_var")


def is_trained(name: str, config: BimConfig) -> bool:
    """Return whether a parameter is trained."""
    if name in ("omega", "c_im"):
        return config.rotate
    if name == "delay":
        return config.learn_delays
    return name != "a_log" or config.learn_a_log

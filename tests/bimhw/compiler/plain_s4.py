"""The neurons of P-SpikeSSM's authors in plain numpy int64, from their equations; `draw` gives the random words of the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

# g(a) = a (1 - Phi(a)) in 1/2^16, in the middle of each of 1,024 entries over [0, 4)
TABLE = np.array([round(65536 * (a := (k + 0.5) / 256) * 0.5 * math.erfc(a / math.sqrt(2))) for k in range(1024)])
NAMES = ("p_sampler", "gelu_fuse", "readout_mean", "p_s4_n")


def nearest(value: Any, right: Any) -> Any:
    """Round value / 2^right, halves up."""
    down = np.maximum(right, 0)
    return np.where(right > 0, (2 * value + 2**down) // 2 ** (down + 1), value * 2 ** np.maximum(-right, 0))


def floor(value: Any, right: Any) -> Any:
    """Return floor(value / 2^right)."""
    return value * 2 ** np.maximum(-right, 0) // 2 ** np.maximum(right, 0)


def gelu(x: Any) -> Any:
    """GELU with 16 fractional bits."""
    return np.where(x > 0, x, 0) - TABLE[np.minimum(abs(x) // 256, 1023)]


def states_of(model: str) -> list[str]:
    """Return the state words that start at 0."""
    if model.startswith("p_s4_n"):
        return [f"{part}{m}" for m in range(int(model[6:])) for part in ("re", "im")]
    return {"gelu_fuse": ["r"], "readout_mean": ["y"]}.get(model, [])


def step(model: str, p: Any, acc: Any, s: Any, clip: Callable[[Any, Any], Any], draw: Callable[[], Any]) -> Any:
    """Do one step; return what the neurons send."""
    if model.startswith("p_s4_n"):
        return _state_space(p, acc["in"], s, clip, draw)
    if model == "readout_mean":
        s["y"] = s["y"] + nearest(acc["in"] * p["mul"], p["sh"]) + p["b"]
        return np.zeros_like(s["y"])
    f = floor(acc["in"] * p["mul"], p["sh"]) + p["b"]
    f = np.where(p["gelu"] == 1, gelu(f), f)
    if model == "gelu_fuse":
        s["r"] = clip(nearest(f, p["sh_r"]) + floor(acc["res"] * p["mul_res"], p["sh_res"]), p["limit"])
        return s["r"]
    return _spike(f, p, draw)


def _spike(value: Any, p: Any, draw: Callable[[], Any]) -> Any:
    return (draw() // 65536 < nearest(value * p["gain"], p["sh_gain"]) + p["shift"]).astype(np.int64)


def _state_space(p: Any, spikes: Any, s: Any, clip: Callable[[Any, Any], Any], draw: Callable[[], Any]) -> Any:
    modes, y = range(len(s) // 2), np.zeros_like(spikes)
    v = sum(p[f"qr{m}"] * s[f"re{m}"] - p[f"qi{m}"] * s[f"im{m}"] for m in modes)
    v = nearest(v, p["sh_v"])
    for m in modes:
        re, im, er, ei = s[f"re{m}"], s[f"im{m}"], p[f"er{m}"], p[f"ei{m}"]
        turned = nearest(er * re - ei * im, 22), nearest(er * im + ei * re, 22)
        kept = [clip(t - nearest(p[f"p{k}{m}"] * v, p["sh_p"]) + p[f"b{k}{m}"] * spikes, p["limit"])
                for t, k in zip(turned, "ri", strict=True)]  # fmt: skip
        s[f"re{m}"], s[f"im{m}"] = kept
        y = y + p[f"cr{m}"] * kept[0] - p[f"ci{m}"] * kept[1]
    return _spike(gelu(nearest(y, p["sh_c"]) + p["D"] * spikes), p, draw)

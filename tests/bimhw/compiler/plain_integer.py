"""A program as plain numpy int64, batched, without cores, kernels or engines: the oracle of the simulator."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.base.random import random_word
from simulator.program.program import Program
from tests.bimhw.compiler import plain_s4


def shift(value: Any, right: Any) -> Any:
    return np.where(right >= 0, value >> np.maximum(right, 0), value << np.maximum(-right, 0))


class Saturating:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, value: Any, limit: Any) -> Any:
        kept = np.clip(value, -limit - 1, limit)
        self.count += int((kept != value).sum())
        return kept


def bim_step(
    p: dict[str, Any], table: Any, acc: dict[str, Any], s: dict[str, Any], clip: Saturating, model: str
) -> Any:
    z, d, c = (shift(acc[k] * p[f"mul_{k}"], p[f"sh_{k}"]) + p[f"b_{k}"] for k in "zdc")
    z, c = clip(z, p["limit"]), clip(c, p["limit"])
    abar = table[p["lut"] + np.clip((d >> 8) + 128, 0, 255)]
    s["x"] = z + ((abar * (s["x"] - z)) >> 16)
    q = clip(shift(c * s["x"], p["sh_cx"]) + shift(p["D"] * z, p["sh_dz"]), p["limit"])
    return membrane_step(p, q, s, clip, model)


def complex_step(
    p: dict[str, Any], table: Any, acc: dict[str, Any], s: dict[str, Any], clip: Saturating, model: str
) -> Any:
    z, d, c = (shift(acc[k] * p[f"mul_{k}"], p[f"sh_{k}"]) + p[f"b_{k}"] for k in "zdc")
    z, c = clip(z, p["limit"]), clip(c, p["limit"])
    entry = p["lut"] + np.clip((d >> 8) + 128, 0, 255)
    abar, gain, re, im = table[entry], table[entry + 256], s["re"], s["im"]
    turned = (p["turn_cos"] * re - p["turn_sin"] * im) >> 15, (p["turn_sin"] * re + p["turn_cos"] * im) >> 15
    s["re"] = clip(((abar * turned[0]) >> 16) + shift(gain * z, p["sh_gz"]), p["limit"])
    s["im"] = clip((abar * turned[1]) >> 16, p["limit"])
    y = clip(shift(p["c_re"] * s["re"] - p["c_im"] * s["im"], p["sh_y"]), p["limit"])
    q = clip(shift(c * y, p["sh_cy"]) + shift(p["D"] * z, p["sh_dz"]) + p["b_q"], p["limit"])
    return membrane_step(p, q, s, clip, model)


def s6_step(
    p: dict[str, Any], tables: dict[str, Any], acc: dict[str, Any], s: dict[str, Any], clip: Saturating, model: str
) -> Any:
    z = clip(shift(acc["z"] * p["mul_z"], p["sh_z"]) + p["b_z"], p["limit"])
    d = shift(acc["d"] * p["mul_d"], p["sh_d"]) + p["b_d"]
    entry = np.clip((d >> 7) + 256, 0, 511)
    u = clip(shift(tables["delta"][entry] * z, p["sh_u"]), p["limit"])
    total = np.zeros_like(z)
    for n in range(sum(k.startswith("x") for k in s)):
        b = clip(shift(acc[f"b{n}"] * p["mul_b"], p["sh_b"]), p["limit"])
        c = clip(shift(acc[f"c{n}"] * p["mul_c"], p["sh_c"]), p["limit"])
        at = np.clip(((tables["log"][entry] + p[f"l{n}"]) >> 6) + 384, 0, 511)
        drive = (tables["phi"][at] * u) >> 16 if "_zoh_" in model else u
        s[f"x{n}"] = clip(((tables["decay"][at] * s[f"x{n}"]) >> 16) + shift(b * drive, p["sh_bu"]), p["limit"])
        total = total + c * s[f"x{n}"]
    q = clip(shift(total, p["sh_cx"]) + shift(p["D"] * z, p["sh_dz"]), p["limit"])
    return membrane_step(p, q, s, clip, model)


def membrane_step(p: dict[str, Any], q: Any, s: dict[str, Any], clip: Saturating, model: str) -> Any:
    v = (p["kap"] * s["V"]) >> 15
    jump = shift(p["gain"] * q, p["sh_q"])
    if "_delta" in model:
        v = v + jump
    elif "_exp" in model:
        now = clip(s["I"] + jump, p["limit"])
        v = v + shift(p["p_vi"] * now, p["sh_iv"])
        s["I"] = (p["rho"] * now) >> 15
    else:
        rr = clip(s["r"] + jump, p["limit"])
        v = v + shift(p["p_vi"] * s["I"], p["sh_iv"]) + shift(p["p_vr"] * rr, p["sh_rv"])
        s["I"] = clip(shift(p["b"] * rr, p["sh_ri"]) + ((p["rho"] * s["I"]) >> 15), p["limit"])
        s["r"] = (p["rho"] * rr) >> 15
    free = s["ref"] == 0
    threshold = p["theta"] + s.get("A", 0)
    spike = (free & (v >= threshold)).astype(np.int64)
    out = clip(shift(v, p["sh_out"]), 32767) if p["graded"].any() else spike
    left = np.where(p["hard"] == 1, v * free * (1 - spike), v - spike * threshold)
    if "A" in s:
        s["A"] = np.clip(((p["rho_a"] * s["A"]) >> 15) + spike * p["beta"], -p["limit"] - 1, p["limit"])
    s["V"] = clip(left, p["limit"])
    s["ref"] = np.where(spike == 1, p["n_ref"], np.maximum(s["ref"] - 1, 0))
    return out


def leaky_step(p: dict[str, Any], acc: dict[str, Any], s: dict[str, Any], clip: Saturating) -> Any:
    """Written from the equations of simulator.neurons.leaky, with rounding as floor(x + 1/2)."""

    def symmetric(value: Any) -> Any:
        kept = np.clip(value, -p["limit"], p["limit"])
        clip.count += int((kept != value).sum())
        return kept

    def keep(value: Any, factor: Any) -> Any:
        return (value * factor + 2**15) // 2**16

    scaled = acc["in"] * p["mul"]
    down = np.maximum(p["sh"], 0)
    arrived = np.where(p["sh"] > 0, (2 * scaled + 2**down) // 2 ** (down + 1), scaled * 2 ** np.maximum(-p["sh"], 0))
    last, v = s["last"], s["v"]
    v = np.where((p["reset"] == 4) & (last > 0), p["v_reset"], v)
    x = keep(v, p["keep"]) + p["bias"]
    if "keep_u" in p:
        s["u"] = symmetric(keep(s["u"], p["keep_u"]) + arrived + p["bias_u"])
        x = x + s["u"]
    else:
        x = x + arrived
    x = np.where((p["reset"] == 3) & (last > 0), p["v_reset"], x)
    x = symmetric(np.where(p["reset"] == 2, x - p["theta"] * last, x))
    if not p["fires"].any():
        s["v"] = np.maximum(x, p["v_min"])
        return clip(shift(s["v"], p["sh_out"]), 32767)
    seen = np.where((p["reset"] == 6) & (s["v"] > p["theta"]), x - p["theta"], x)
    over = np.where(p["cmp"] == 1, seen >= p["theta"], seen > p["theta"]).astype(np.int64)
    z = np.where(p["cmp"] == 2, np.where(seen > 0, seen // np.maximum(p["theta"], 1), 0), over)
    subtracts = (p["reset"] == 1) | (p["reset"] == 6)
    after = np.where((p["reset"] == 0) & (z > 0), p["v_reset"], np.where(subtracts, x - p["theta"] * z, x))
    s["v"], s["last"] = np.maximum(np.clip(after, -p["limit"], p["limit"]), p["v_min"]), z
    return z


def readout_step(p: dict[str, Any], acc: dict[str, Any], s: dict[str, Any], clip: Saturating) -> Any:
    drive = shift(acc["in"] * p["mul"], p["sh"]) + p["b"]
    s["y"] = clip(s["y"] + ((p["m"] * (drive - s["y"])) >> 15), p["limit"])
    return np.zeros_like(s["y"])


def readout_two_step(p: dict[str, Any], acc: dict[str, Any], s: dict[str, Any], clip: Saturating) -> None:
    drive = shift(acc["in"] * p["mul"], p["sh"]) + p["b"], shift(acc["membrane"] * p["mul_v"], p["sh_v"])
    for word, m, value in (("f", p["m"], drive[0]), ("g", p["m_v"], drive[1])):
        s[word] = clip(s[word] + ((m * (value - s[word])) >> 15), p["limit"])
    s["y"] = clip(s["f"] + s["g"], p["limit"])


def p_ssm_step(p: dict[str, Any], table: Any, acc: Any, s: dict[str, Any], clip: Saturating, words: Any) -> Any:
    """Spikes of P-SpikeSSM neurons for the random words of this step."""

    def nearest(value: Any, right: Any) -> Any:
        return np.where(right > 0, (value + (1 << np.maximum(right - 1, 0))) >> np.maximum(right, 0), value)

    u = shift(acc * p["mul"], p["sh"])
    total = np.zeros_like(u)
    for n in range(sum(k.startswith("re") for k in s)):
        re, im = s[f"re{n}"], s[f"im{n}"]
        lr, li = p[f"lr{n}"], p[f"li{n}"]
        s[f"re{n}"] = clip(nearest(lr * re - li * im, 22) + nearest(p[f"g{n}"] * u, p["sh_g"]), p["limit"])
        s[f"im{n}"] = clip(nearest(lr * im + li * re, 22), p["limit"])
        total = total + p[f"cr{n}"] * s[f"re{n}"] - p[f"ci{n}"] * s[f"im{n}"]
    y = nearest(total, p["sh_c"]) + nearest(p["D"] * u, p["sh_d"]) + p["b"]
    return (words // 65536 < table[np.clip(y // 1024 + 512, 0, 1023)]).astype(np.int64)


def fuse_step(p: dict[str, Any], acc: dict[str, Any], s: dict[str, Any]) -> Any:
    """Return the clamped sum."""
    both = sum(shift(acc[port] * p[f"mul_{port}"], p[f"sh_{port}"]) for port in ("in", "res"))
    s["r"] = np.clip(both + p["b"], -p["kappa"], p["kappa"])
    return s["r"]


def run_plain(program: Program, payloads: Any, steps: int, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Run payloads [B, T, n_in]; return outputs and readout states by population, int64 [B, steps, n], and the saturations."""
    batch = len(payloads)
    clip = Saturating()
    out = {p.name: np.zeros((batch, steps, p.size), np.int64) for p in program.populations}
    states: dict[str, Any] = {p.name: [] for p in program.populations}
    params = {p.name: {k: np.asarray(v, np.int64) for k, v in p.params.items()} for p in program.populations}
    state: dict[str, dict[str, Any]] = {}
    dense = []
    for q in program.projections:
        n_target = program.population(q.target).size
        matrix = np.zeros((q.indptr.size - 1, n_target), np.int64)
        for row in range(q.indptr.size - 1):
            for k in range(int(q.indptr[row]), int(q.indptr[row + 1])):
                matrix[row, q.indices[k]] += int(q.weights[k]) << q.exponent
        dense.append(matrix)
    for p in program.populations:
        words = ["x", "r", "I", "V", "ref"] + (["A"] if "adaptive" in p.model else [])
        if p.model.startswith("s6_") and p.model != "s6_project":
            words = [f"x{n}" for n in range(int(p.model.split("_")[3][1:]))] + words[1:]
        words = ["re", "im", *words[1:]] if p.model.startswith("bim_complex") else words
        state[p.name] = {w: np.zeros((batch, p.size), np.int64) for w in words}
        if p.model.startswith("leaky"):
            zero = np.zeros((batch, p.size), np.int64)
            state[p.name] = {"u": zero, "v": zero + params[p.name]["v_init"], "last": zero}
        if p.model.startswith(plain_s4.NAMES):
            state[p.name] = {w: np.zeros((batch, p.size), np.int64) for w in plain_s4.states_of(p.model)}
        if p.model == "clamp_fuse":
            state[p.name] = {"r": np.zeros((batch, p.size), np.int64)}
        if p.model.startswith("p_ssm_n"):
            modes = [f"{part}{n}" for n in range(int(p.model[7:])) for part in ("re", "im")]
            state[p.name] = {w: np.zeros((batch, p.size), np.int64) for w in modes}
        if p.model.startswith("readout_li"):
            start = np.broadcast_to(params[p.name]["b"], (batch, p.size)).astype(np.int64)
            state[p.name] = {"y": start}
            if p.model.endswith("_two"):
                state[p.name] |= {"f": start, "g": np.zeros((batch, p.size), np.int64)}
    for t in range(steps):
        for p in program.populations:
            if p.model == "input":
                if t < payloads.shape[1]:
                    out[p.name][:, t] = payloads[:, t]
                continue
            if t < p.layer:
                states[p.name].append({k: v.copy() for k, v in state[p.name].items()})
                continue
            ports = ("z", "d", "c", "in", "membrane", "res", *(f"{w}{n}" for w in "bc" for n in range(64)))
            acc: dict[str, Any] = {k: np.zeros((batch, p.size), np.int64) for k in ports}
            for q, matrix in zip(program.projections, dense, strict=True):
                if q.target == p.name and t - 1 - q.delay >= 0:
                    acc[q.port] += out[q.source][:, t - 1 - q.delay] @ matrix

            def draw(p: Any = p, t: int = t) -> Any:
                first = program.first_ids()[p.name]
                return np.array(
                    [[int(random_word(seed, b * steps + t, first + i, 0)) for i in range(p.size)] for b in range(batch)]
                )

            if p.model.startswith(plain_s4.NAMES):
                out[p.name][:, t] = plain_s4.step(p.model, params[p.name], acc, state[p.name], clip, draw)
            elif p.model == "readout_li_two":
                readout_two_step(params[p.name], acc, state[p.name], clip)
            elif p.model == "readout_li":
                readout_step(params[p.name], acc, state[p.name], clip)
            elif p.model.startswith("leaky"):
                out[p.name][:, t] = leaky_step(params[p.name], acc, state[p.name], clip)
            elif p.model == "clamp_fuse":
                out[p.name][:, t] = fuse_step(params[p.name], acc, state[p.name])
            elif p.model.startswith("p_ssm_n"):
                table = np.asarray(p.tables["p"], np.int64)
                spikes = p_ssm_step(params[p.name], table, acc["in"], state[p.name], clip, draw())
                out[p.name][:, t] = spikes
            elif p.model == "s6_project":
                q = params[p.name]
                value = clip(shift(acc["in"] * q["mul"], q["sh"]) + q["b"], q["limit"])
                out[p.name][:, t] = value
            elif p.model.startswith("s6_"):
                tables = {k: np.asarray(v, np.int64) for k, v in p.tables.items()}
                out[p.name][:, t] = s6_step(params[p.name], tables, acc, state[p.name], clip, p.model)
            else:
                table = np.asarray(p.tables["decay"], np.int64)
                step_of = complex_step if p.model.startswith("bim_complex") else bim_step
                out[p.name][:, t] = step_of(params[p.name], table, acc, state[p.name], clip, p.model)
            states[p.name].append({k: v.copy() for k, v in state[p.name].items()})
    return out, states, clip.count

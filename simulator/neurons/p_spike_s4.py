"""P-SpikeSSM as its authors define it: clamped sampler, rank-one state space of N = 2 M modes, GELU.

Float equations of step t, w = floor(word / 2^16) / 2^16 uniform and counter-based as in `simulator.neurons.p_spike_ssm`::

    p_sampler      f = in + b, or GELU(in + b) where gelu = 1
                   z = [w < gain f + shift]                     probability clamp(gain f + shift, 0, 1)
    p_s4_n<M>      v = sum_m Re(q_m h_m)
                   h_m <- e_m h_m - p_m v + b_m in              Abar = diag(e) - p q*, from DPLR by the bilinear rule
                   y = sum_m Re(c_m h_m) + D in
                   s = [w < gain GELU(y) + shift]
    gelu_fuse      r = f + res, f as above; sends r in every step
    readout_mean   y <- y + in + b                              weights and b over the steps of a sequence: the mean

Batch norm and affine are the ``gain`` and ``shift`` of the next sampler: its threshold. No state sees its own spike.

Integer form: every product is an int64 shifted right to nearest; f, y of the sampler and shift have 16 fractional bits, e has
22, the modes (24 bits), v, q, p, c binary points of their own. in of ``p_s4`` counts spikes, so b_m and D are added, not
multiplied. GELU(x) = max(x, 0) - g(|x|), g(a) = a Phi(-a), from a table of 1,024 entries over [0, 4): at most .001 off.
Each M up to 32 exists.

Source: Bal & Sengupta 2025 (ICLR, arXiv:2406.02923) and its public code; DPLR: Gu, Goel & Re 2022 (arXiv:2111.00396).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numba as nb
import numpy as np

from simulator.base.arrays import I32, Floats
from simulator.base.random import STREAM_NEURON, random_word
from simulator.neurons.base import FloatStep, NeuronModel, Traits, UpdateOps, Word, register, register_family
from simulator.neurons.membrane import clip, nearest, shift, waits

MOST_MODES = 32
POLE_FRAC = 22  # binary point of e
Y_FRAC = 16
GELU_ENTRIES = 1024
GELU_FRAC = 8  # an entry spans 2^-8
MODE_BITS = 24
_LOWERING = "bimhw.compiler.lower.spikessm_s4"
SAMPLER, FUSE, MEAN = "p_sampler", "gelu_fuse", "readout_mean"
MODE_PARAMS = ("er", "ei", "qr", "qi", "pr", "pi", "br", "bi", "cr", "ci")

_WAIT = Word("wait", 6, signed=False, meaning="steps before the first update: the neuron's layer")
_LEFT = Word("wait", 6, signed=False, meaning="steps left before the first update")
_AFFINE = (
    Word("gain", 16, meaning="mantissa of the gain"),
    Word("sh_gain", 6, meaning="right shift of gain times value to 16 fractional bits"),
    Word("shift", 32, meaning="added to the scaled value, 16 fractional bits"),
)
_INPUT = (
    Word("mul", 16, meaning="scale of the accumulator before its shift (1 for power-of-two scales)"),
    Word("sh", 6, meaning="right shift from the accumulator to the binary point of f"),
    Word("b", 32, meaning="bias, binary point of f"),
)
_GELU = Word("gelu", 1, signed=False, meaning="1: f = GELU(in + b), 0: f = in + b")


def gelu_table() -> I32:
    """Return table ``gelu``, int32 [1024]: a Phi(-a) at the middle of each entry, in 1/2^16."""
    from scipy.special import ndtr

    a = (np.arange(GELU_ENTRIES) + 0.5) / 2**GELU_FRAC
    return np.asarray(np.rint(2**Y_FRAC * a * ndtr(-a)), np.int32)


def gelu(x: Floats) -> Floats:
    """Return x Phi(x)."""
    from scipy.special import ndtr

    return np.asarray(x * ndtr(x), np.float64)


@nb.njit(cache=True, nogil=True)
def gelu_fixed(x, table):  # type: ignore[no-untyped-def]
    """GELU of a value with 16 fractional bits."""
    entry = min(abs(x) >> np.int64(Y_FRAC - GELU_FRAC), np.int64(GELU_ENTRIES - 1))
    return max(x, np.int64(0)) - np.int64(table[entry])


@nb.njit(cache=True, nogil=True)
def _drawn(value, gain, right, added, seed, step, neuron):  # type: ignore[no-untyped-def]
    """Return the spike of a neuron whose probability is gain value + added."""
    chance = nearest(np.int64(gain) * value, np.int64(right)) + np.int64(added)
    return 1 if np.int64(random_word(seed, step, neuron, STREAM_NEURON)) >> np.int64(16) < chance else 0


@nb.njit(cache=True, nogil=True)
def sampler_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run ``p_sampler``; parameters mul, sh, b, gelu, gain, sh_gain, shift, wait."""
    for i in range(lo, hi):
        if waits(0, state, out, i):
            continue
        f = shift(np.int64(acc[0, i]) * params[0, i], np.int64(params[1, i])) + params[2, i]
        if params[3, i]:
            f = gelu_fixed(f, table)
        out[i] = _drawn(f, params[4, i], params[5, i], params[6, i], seed, step, first_id + i)
    return 0


@nb.njit(cache=True, nogil=True)
def s4_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run ``p_s4_n<M>``; states re0, im0, re1, ... wait."""
    saturated, n_modes = np.int64(0), (state.shape[0] - 1) // 2
    for i in range(lo, hi):
        if waits(2 * n_modes, state, out, i):
            continue
        p, spikes = params[:, i], np.int64(acc[0, i])
        limit, total = np.int64(p[5]), np.int64(0)
        for m in range(n_modes):
            row = 9 + 10 * m
            total += np.int64(p[row + 2]) * state[2 * m, i] - np.int64(p[row + 3]) * state[2 * m + 1, i]
        v, total = nearest(total, np.int64(p[6])), np.int64(0)
        for m in range(n_modes):
            row = 9 + 10 * m
            er, ei, pr, pi = np.int64(p[row]), np.int64(p[row + 1]), np.int64(p[row + 4]), np.int64(p[row + 5])
            re, im = np.int64(state[2 * m, i]), np.int64(state[2 * m + 1, i])
            re1 = (
                nearest(er * re - ei * im, np.int64(POLE_FRAC)) - nearest(pr * v, np.int64(p[7])) + p[row + 6] * spikes
            )
            im1 = (
                nearest(er * im + ei * re, np.int64(POLE_FRAC)) - nearest(pi * v, np.int64(p[7])) + p[row + 7] * spikes
            )
            re, im = clip(re1, limit), clip(im1, limit)
            saturated += np.int64(re != re1) + np.int64(im != im1)
            state[2 * m, i], state[2 * m + 1, i] = re, im
            total += np.int64(p[row + 8]) * re - np.int64(p[row + 9]) * im
        y = nearest(total, np.int64(p[8])) + p[0] * spikes
        out[i] = _drawn(gelu_fixed(y, table), p[1], p[2], p[3], seed, step, first_id + i)
    return saturated


@nb.njit(cache=True, nogil=True)
def fuse_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run ``gelu_fuse``; states r, wait; parameters mul, sh, b, gelu, mul_res, sh_res, sh_r, limit, wait."""
    saturated = np.int64(0)
    for i in range(lo, hi):
        if waits(1, state, out, i):
            continue
        f = shift(np.int64(acc[0, i]) * params[0, i], np.int64(params[1, i])) + params[2, i]
        if params[3, i]:
            f = gelu_fixed(f, table)
        value = nearest(f, np.int64(params[6, i])) + shift(np.int64(acc[1, i]) * params[4, i], np.int64(params[5, i]))
        r = clip(value, np.int64(params[7, i]))
        saturated += np.int64(r != value)
        state[0, i] = out[i] = r
    return saturated


@nb.njit(cache=True, nogil=True)
def mean_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run ``readout_mean``; states y, wait; parameters mul, sh, b, wait."""
    saturated = np.int64(0)
    for i in range(lo, hi):
        if waits(1, state, out, i):
            continue
        drive = nearest(np.int64(acc[0, i]) * params[0, i], np.int64(params[1, i])) + params[2, i]
        y0 = np.int64(state[0, i]) + drive
        y = clip(y0, np.int64(2**31 - 1))
        saturated += np.int64(y != y0)
        state[0, i] = y
        out[i] = 0
    return saturated


def _float_input(acc: dict[str, Floats], params: Mapping[str, Floats]) -> Floats:
    x = acc["in"] + params["b"]
    return np.where(params["gelu"] > 0, gelu(x), x)


def float_sampler(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Floats]) -> Floats:
    """Run the float twin of ``p_sampler``."""
    f = _float_input(acc, params)
    u = params["gain"] * f + params["shift"]
    state.update(f=f, p=np.clip(u, 0, 1))
    return np.asarray(state["uniform"] < u, np.float64)


def float_fuse(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Floats]) -> Floats:
    """Run the float twin of ``gelu_fuse``."""
    state["r"] = _float_input(acc, params) + acc["res"]
    return state["r"]


def float_mean(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Floats]) -> Floats:
    """Run the float twin of ``readout_mean``."""
    state["y"] = state["y"] + acc["in"] + params["b"]
    return np.zeros_like(state["y"])


def _float_s4(modes: int) -> FloatStep:
    def step(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Floats]) -> Floats:
        u, y = acc["in"], params["D"] * acc["in"]
        v = sum(params[f"qr{m}"] * state[f"re{m}"] - params[f"qi{m}"] * state[f"im{m}"] for m in range(modes))
        for m in range(modes):
            er, ei, _, _, pr, pi, br, bi, cr, ci = (params[f"{name}{m}"] for name in MODE_PARAMS)
            re, im = state[f"re{m}"], state[f"im{m}"]
            re, im = er * re - ei * im - pr * v + br * u, er * im + ei * re - pi * v + bi * u
            y = y + cr * re - ci * im
            state.update({f"re{m}": re, f"im{m}": im})
        chance = params["gain"] * gelu(y) + params["shift"]
        state.update(v=np.asarray(v), y=y, p=np.clip(chance, 0, 1))
        return np.asarray(state["uniform"] < chance, np.float64)

    return step


def model_name(modes: int) -> str:
    """Name of the model with so many complex modes: ``p_s4_n8`` ..."""
    return f"p_s4_n{modes}"


_NAME = re.compile(r"p_s4_n([1-9][0-9]*)")


def modes_of(name: str) -> int:
    """Return M of a model of this family; 0 for any other model."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


_S4_SHARED = (
    Word("D", 32, meaning="direct weight, 16 fractional bits"),
    *_AFFINE,
    _WAIT,
    Word("limit", 24, signed=False, meaning="largest value of a mode, 2^23 - 1"),
    Word("sh_v", 6, meaning="right shift of sum q h to the binary point of v"),
    Word("sh_p", 6, meaning="right shift of p v to the binary point of h"),
    Word("sh_c", 6, meaning="right shift of sum c h to 16 fractional bits"),
)


def _model(name: str) -> NeuronModel | None:
    """Return the model of this name, None where the name is none of the family."""
    modes = modes_of(name)
    if not 1 <= modes <= MOST_MODES:
        return None
    what = {"e": "diagonal of Abar", "q": "weight in v", "p": "weight of v", "b": "input gain", "c": "output weight"}
    words = tuple(
        Word(f"{kind}{m}", MODE_BITS, meaning=f"{what[kind[0]]}, {'real' if kind[1] == 'r' else 'imag.'}, mode {m}")
        for m in range(modes)
        for kind in MODE_PARAMS
    )
    states = tuple(Word(f"{part}{m}", MODE_BITS) for m in range(modes) for part in ("re", "im"))
    return NeuronModel(
        name,
        ("in",),
        (*states, _LEFT),
        _S4_SHARED + words,
        s4_kernel,
        _float_s4(modes),
        # a mode: 2 products of v, 4 of the rotation, 2 of p v, 2 of the output; b is added at a spike
        UpdateOps(mul=10 * modes + 1, add=10 * modes + 3, lut=1, state_read=4 * modes, state_write=2 * modes, random=1),
        tables=("gelu",),
        table_entries={"gelu": GELU_ENTRIES},
        float_states=tuple(w.name for w in states),
        initial={"wait": "wait"},
        fires="with probability clamp(gain GELU(y) + shift, 0, 1)",
        draws=True,
        parallel=True,
        family="p_s4",
        traits=Traits(modes=modes),
        lowering=_LOWERING,
    )


register(
    NeuronModel(
        SAMPLER,
        ("in",),
        (_LEFT,),
        (*_INPUT, _GELU, *_AFFINE, _WAIT),
        sampler_kernel,
        float_sampler,
        UpdateOps(mul=1, add=3, lut=1, random=1),
        tables=("gelu",),
        table_entries={"gelu": GELU_ENTRIES},
        initial={"wait": "wait"},
        fires="with probability clamp(gain f + shift, 0, 1)",
        draws=True,
        parallel=True,
        traits=Traits(serves=True),
        lowering=_LOWERING,
    )
)
register(
    NeuronModel(
        FUSE,
        ("in", "res"),
        (Word("r", 16), _LEFT),
        (
            *_INPUT,
            _GELU,
            Word("mul_res", 16, meaning="scale of the accumulator of port res before its shift"),
            Word("sh_res", 6, meaning="right shift from accumulator res to the binary point of r"),
            Word("sh_r", 6, meaning="right shift from 16 fractional bits to the binary point of r"),
            Word("limit", 16, signed=False, meaning="largest value of r"),
            _WAIT,
        ),
        fuse_kernel,
        float_fuse,
        UpdateOps(add=3, lut=1, state_write=1),
        emits="graded",
        tables=("gelu",),
        table_entries={"gelu": GELU_ENTRIES},
        float_states=("r",),
        initial={"wait": "wait"},
        fires="sends r in every step",
        parallel=True,
        traits=Traits(sends="r", serves=True),
        lowering=_LOWERING,
    )
)
register(
    NeuronModel(
        MEAN,
        ("in",),
        (Word("y", 32, meaning="summed score"), _LEFT),
        (*_INPUT, _WAIT),
        mean_kernel,
        float_mean,
        UpdateOps(add=2, state_read=1, state_write=1),
        emits="none",
        float_states=("y",),
        initial={"wait": "wait"},
        fires="never",
        parallel=True,
        brian2="y = y + acc_in + b",
        family="readout_li",
        traits=Traits(membrane="y"),
        lowering=_LOWERING,
    )
)
register_family(_model, ("p_s4_n2",))

"""P-SpikeSSM: a stochastic neuron behind a linear state space with N complex modes, and the clamped sum of a residual stream.

Float equations of ``p_ssm_n<N>`` in step t, from the value u at its port (that of its ``clamp_fuse`` neuron)::

    h_n <- lambda_n h_n + gamma_n u        lambda_n = lr_n + i li_n,  |lambda_n| < 1
    y = sum_n Re(c_n h_n) + D u + b        c_n = cr_n + i ci_n
    s = [w < sigmoid(y)]                   w = floor(word / 2^16) / 2^16, uniform on 65,536 values

where word is Philox's of (seed, step, logical id, stream 0): the same under every mapping, and the same in the float engine
and in the torch module (`bimhw.models.spikessm.net`). Nothing of the state depends on the neuron's own spikes.

``clamp_fuse`` sends, in every step, the residual stream with what the spikes of a layer add to it::

    r = clamp(in + res + b, -kappa, kappa)

Integer form of ``p_ssm_n<N>``: u has the binary point of the sender, lambda and gamma 22 fractional bits, h_n and c_n binary
points of their own, y 16; every product is an int64 shifted right with rounding to nearest: a slow mode adds many small
values, and a floor would add half a unit of the last place to each. h_n has 24 bits whatever the width of other states and
saturates, counted. p = table_p[clip(floor(64 y) + 512, 0, 1023)] / 2^16, the value at the middle of the entry; fires if
word >> 16 is below it. Each N up to 32 exists. `clamp_fuse` sends 16 signed bits; the clamp is no saturation.

Source: P-SpikeSSM (Bal & Sengupta 2024, arXiv:2406.02923) by its public description; what that leaves open is decided here
and in docs/p-spikessm.md. gamma_n = sqrt(1 - |lambda_n|^2): Orvieto et al. 2023, arXiv:2303.06349.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numba as nb
import numpy as np

from simulator.base.arrays import I32, Floats
from simulator.base.random import STREAM_NEURON, random_word
from simulator.neurons.base import FloatStep, NeuronModel, Traits, UpdateOps, Word, register, register_family
from simulator.neurons.membrane import clip, nearest, shift, waits

MOST_STATES = 32
POLE_FRAC = 22  # binary point of lambda and gamma
Y_FRAC = 16
TABLE_FRAC = 6  # an entry of the table spans 2^-6 of y
TABLE_ENTRIES = 1024
PROBABILITY_ONE = 2**16
MODE_BITS = 24
CLAMP_FUSE = "clamp_fuse"

_SHARED = (
    Word("b", 24, meaning="bias of y, 16 fractional bits"),
    Word("D", 24, meaning="direct weight, binary point of c"),
    Word("mul", 16, meaning="scale of the accumulator before its shift (1 for power-of-two scales)"),
    Word("sh", 6, meaning="right shift from the accumulator to the binary point of u (negative: left)"),
    Word("sh_g", 6, meaning="right shift of gamma u to the binary point of h"),
    Word("sh_c", 6, meaning="right shift of c h to the binary point of y"),
    Word("sh_d", 6, meaning="right shift of D u to the binary point of y"),
    Word("limit", 24, signed=False, meaning="largest value of a mode, 2^23 - 1"),
    Word("wait", 6, signed=False, meaning="steps before the first update: the neuron's layer"),
)
B, D, MUL, SH, SH_G, SH_C, SH_D, LIMIT, WAIT, MODES = range(10)
MODE_PARAMS = ("lr", "li", "g", "cr", "ci")  # of each mode, one after another behind the shared words


def probability_table() -> I32:
    """Return table ``p``, int32 [1024]: the logistic function at the middle of each entry, in 1/2^16."""
    y = (np.arange(TABLE_ENTRIES) - TABLE_ENTRIES // 2 + 0.5) / 2**TABLE_FRAC
    return np.asarray(np.rint(PROBABILITY_ONE / (1 + np.exp(-y))), np.int32)


@nb.njit(cache=True, nogil=True)
def p_ssm_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run the integer kernel; states re0, im0, re1, ... wait."""
    saturated, n_modes = np.int64(0), (state.shape[0] - 1) // 2
    for i in range(lo, hi):
        if waits(2 * n_modes, state, out, i):
            continue
        p = params[:, i]
        limit = np.int64(p[LIMIT])
        u = shift(np.int64(acc[0, i]) * p[MUL], np.int64(p[SH]))
        total = np.int64(0)
        for n in range(n_modes):
            row = MODES + 5 * n
            lr, li, g = np.int64(p[row]), np.int64(p[row + 1]), np.int64(p[row + 2])
            re, im = np.int64(state[2 * n, i]), np.int64(state[2 * n + 1, i])
            re1 = nearest(lr * re - li * im, np.int64(POLE_FRAC)) + nearest(g * u, np.int64(p[SH_G]))
            im1 = nearest(lr * im + li * re, np.int64(POLE_FRAC))
            re, im = clip(re1, limit), clip(im1, limit)
            saturated += np.int64(re != re1) + np.int64(im != im1)
            state[2 * n, i], state[2 * n + 1, i] = re, im
            total += p[row + 3] * re - p[row + 4] * im
        y = nearest(total, np.int64(p[SH_C])) + nearest(np.int64(p[D]) * u, np.int64(p[SH_D])) + p[B]
        entry = (y >> np.int64(Y_FRAC - TABLE_FRAC)) + np.int64(TABLE_ENTRIES // 2)
        chance = np.int64(table[min(max(entry, np.int64(0)), np.int64(TABLE_ENTRIES - 1))])
        drawn = np.int64(random_word(seed, step, first_id + i, STREAM_NEURON)) >> np.int64(16)
        out[i] = 1 if drawn < chance else 0
    return saturated


def _float_step(modes: int) -> FloatStep:
    def step(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
        u = acc["in"]
        y = params["D"] * u + params["b"]
        for n in range(modes):
            lr, li, g, cr, ci = (params[f"{name}{n}"] for name in MODE_PARAMS)
            re, im = state[f"re{n}"], state[f"im{n}"]
            re, im = lr * re - li * im + g * u, lr * im + li * re
            y = y + cr * re - ci * im
            state.update({f"re{n}": re, f"im{n}": im})
        chance = 1 / (1 + np.exp(-y))
        state.update(u=u, y=y, p=chance)  # kept beside the states: calibration and comparisons read them
        return np.asarray(state["uniform"] < chance, np.float64)

    return step


def model_name(states: int) -> str:
    """Name of the model with so many modes: ``p_ssm_n2`` ..."""
    return f"p_ssm_n{states}"


_NAME = re.compile(r"p_ssm_n([1-9][0-9]*)")


def states_of(name: str) -> int:
    """Return N of a model of this family; 0 for any other model."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


def _model(name: str) -> NeuronModel | None:
    """Return the model of this name, None where the name is none of the family."""
    modes = states_of(name)
    if not 1 <= modes <= MOST_STATES:
        return None
    meanings = (
        "decay, real part",
        "decay, imaginary part",
        "input gain",
        "output weight, real",
        "output weight, imag.",
    )
    words = tuple(
        Word(f"{kind}{n}", 24, meaning=f"{meaning} of mode {n}")
        for n in range(modes)
        for kind, meaning in zip(MODE_PARAMS, meanings, strict=True)
    )
    states = tuple(Word(f"{part}{n}", MODE_BITS) for n in range(modes) for part in ("re", "im"))
    return NeuronModel(
        name,
        ("in",),
        (*states, Word("wait", 6, signed=False, meaning="steps left before the first update")),
        _SHARED + words,
        p_ssm_kernel,
        _float_step(modes),
        # a mode: 4 products of the rotation, gamma u, 2 of the output; the comparison of the draw is an addition
        UpdateOps(mul=7 * modes + 1, add=5 * modes + 3, lut=1, state_read=2 * modes, state_write=2 * modes, random=1),
        tables=("p",),
        table_entries={"p": TABLE_ENTRIES},
        float_states=tuple(w.name for w in states),
        initial={"wait": "wait"},
        fires="with probability sigmoid(y)",
        draws=True,
        parallel=True,
        family="p_ssm",
        traits=Traits(modes=modes),
        lowering="bimhw.compiler.lower.spikessm",
    )


@nb.njit(cache=True, nogil=True)
def fuse_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run the integer kernel of ``clamp_fuse``; states r, wait; parameters b, mul_in, sh_in, mul_res, sh_res, kappa, wait."""
    for i in range(lo, hi):
        if waits(1, state, out, i):
            continue
        value = shift(np.int64(acc[0, i]) * params[1, i], np.int64(params[2, i])) + params[0, i]
        value += shift(np.int64(acc[1, i]) * params[3, i], np.int64(params[4, i]))
        kappa = np.int64(params[5, i])
        state[0, i] = out[i] = min(max(value, -kappa), kappa)
    return 0


def float_fuse(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Run the float twin of ``clamp_fuse``."""
    state["r"] = np.clip(acc["in"] + acc["res"] + params["b"], -params["kappa"], params["kappa"])
    return state["r"]


register(
    NeuronModel(
        CLAMP_FUSE,
        ("in", "res"),
        (Word("r", 16), Word("wait", 6, signed=False, meaning="steps left before the first update")),
        (
            Word("b", 24, meaning="bias, binary point of r"),
            Word("mul_in", 16, meaning="scale of the accumulator of port in before its shift"),
            Word("sh_in", 6, meaning="right shift from accumulator in to the binary point of r"),
            Word("mul_res", 16, meaning="scale of the accumulator of port res before its shift"),
            Word("sh_res", 6, meaning="right shift from accumulator res to the binary point of r"),
            Word("kappa", 16, signed=False, meaning="largest absolute value of r"),
            Word("wait", 6, signed=False, meaning="steps before the first update: the neuron's layer"),
        ),
        fuse_kernel,
        float_fuse,
        UpdateOps(add=4, state_write=1),  # two sums, two comparisons
        emits="graded",
        float_states=("r",),
        initial={"wait": "wait"},
        fires="sends r in every step",
        parallel=True,
        brian2="r = clip(acc_in + acc_res + b, -kappa, kappa)\nout = r",
        traits=Traits(sends="r", serves=True),
        lowering="bimhw.compiler.lower.spikessm",
    )
)
register_family(_model, ("p_ssm_n2",))
